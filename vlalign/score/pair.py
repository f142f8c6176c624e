"""The public function: two models in, one record out. PyTorch is imported when it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from vlalign.score.record import ScoreRecord
    from vlalign.score.sides import Features


def score(
    x: Features,
    y: Features,
    *,
    metric: str = "mutual_knn",
    k: int = 10,
    preset: str = "platonic",
    permutations: int = 1000,
    seed: int = 0,
    concat: bool = False,
    device: str | torch.device | None = None,
) -> ScoreRecord:
    """Alignment of two models over all pairs of their layers, with chance level and permutation p-value.

    Args:
        x, y: a run of a feature store, features [N, D], [N, L, D] (samples, layers, width), or a list of layers
            [N, D_l]; numpy arrays will do. Two runs are paired by sample id, anything else by row.
        metric: name of the metric (``vlalign.metrics.metric_names()``).
        k: number of neighbours, for metrics that have them.
        preset: ``platonic`` (clip at the 0.95 quantile, cosine), ``cosine`` or ``none``; see ``score.prepare``.
        permutations: of the null, layer selection included; 0 leaves it out.
        seed: of the permutations.
        concat: also score the concatenation of all layers (index -1, name "all"), as the last row and column. Layers
            are clipped, concatenated, then normalised, as the reference does.
        device: where layers are prepared; by default a GPU if there is one.

    Returns:
        The record: full matrix with named axes, best pair, chance level, null, and how it was made.

    Raises:
        VlalignError: unknown metric or preset, sides that do not hold the same samples, N <= k, or features that are
            not finite floating numbers; one line that says which.

    >>> import torch
    >>> features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    >>> record = score(features, [features, -features], k=3, permutations=99)
    >>> record.score, record.best["y"]["name"], record.p_value
    (1.0, 'layer_0', 0.01)
    """
    from vlalign.score.api import score_pairs

    options: dict[str, Any] = {"metric": metric, "k": k, "preset": preset, "permutations": permutations, "seed": seed}
    return next(score_pairs([(x, y)], concat=concat, device=device, **options))
