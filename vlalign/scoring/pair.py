"""The public function: two models in, one record out. PyTorch is imported when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from vlalign.metrics import Metric
    from vlalign.scoring.grouping import Groups
    from vlalign.scoring.inputs import Features
    from vlalign.scoring.record import ScoreRecord


def score(
    x: Features,
    y: Features,
    *,
    metric: str | Metric = "mutual_knn",
    k: int = 10,
    preset: str = "platonic",
    permutations: int | None = None,
    half_samples: int | None = None,
    groups: Groups = None,
    full: bool = False,
    seed: int = 0,
    concat: bool = False,
    device: str | torch.device | None = None,
    names: Sequence[str | None] | None = None,
    ids: Sequence[Sequence[str | int] | None] | None = None,
) -> ScoreRecord:
    """Alignment of two models over all pairs of their layers, with chance level, permutation p-value and interval.

    Args:
        x, y: a run of a feature store, features [N, D], [N, L, D] (samples, layers, width), or a list of layers
            [N, D_l]; numpy arrays will do. Two sides with sample ids are paired by id, anything else by row.
        metric: name of the metric, with parameters where wanted (``"cka:kernel=rbf,bandwidth=median"``), or a metric;
            ``vlalign metrics`` lists them.
        k: number of neighbours, for metrics that have them.
        preset: ``platonic`` (clip at the 0.95 quantile, cosine), ``cosine`` or ``none``; see ``score.prepare``.
        permutations: of the null, layer selection included, at most: a score that is clearly no better than chance
            needs fewer. 0 leaves the null out; by default what suits the metric: 1,000, 200, or none if it is costly.
        half_samples: of the interval; 0 leaves it out; by default 100 (20 for the costly metrics).
        groups: samples that belong together, such as several captions of one image, are permuted and drawn as wholes:
            ``"exact"`` (identical features), a file with columns id and group, a mapping by id, or one label a row.
        full: also the interval of the maximum over layers, and the score against N and k.
        seed: of permutations and half-samples.
        concat: also score the concatenation of all layers (index -1, name "all"), as the last row and column. Layers
            are clipped, concatenated, then normalised, as the reference does.
        device: where layers are prepared; by default a GPU if there is one.
        names: of the models of x and y, for the record and its file; None for a run, which has its own.
        ids: of the samples of x and of y, unique; rows are then paired by id. None for a run, which has its own.

    Returns:
        The record: full matrix with named axes, best pair, chance level, null, interval, data checks, and how it was
        made.

    Raises:
        VlalignError: unknown metric or preset, sides that do not hold the same samples, too few samples, or features
            that are not finite floating numbers; one line that says which.

    >>> import torch
    >>> features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    >>> record = score(features, [features, -features], k=3, permutations=99)
    >>> record.score, record.best["y"]["name"], record.p_value
    (1.0, 'layer_0', 0.01)
    """
    from vlalign.scoring.batch import score_pairs
    from vlalign.scoring.inputs import with_names

    if isinstance(metric, list | tuple):
        raise VlalignError("score() takes one metric: score_pairs() takes several")
    options: dict[str, Any] = {"metric": metric, "k": k, "preset": preset, "permutations": permutations, "seed": seed}
    options |= {"half_samples": half_samples, "groups": groups, "full": full, "concat": concat, "device": device}
    return next(score_pairs([with_names(x, y, names, ids)], **options))
