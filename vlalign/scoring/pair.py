"""Score of one pair: two models in, one record out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign.config import keywords, select
from vlalign.errors import VlalignError
from vlalign.scoring.options import ScoreKeywords, ScoreOptions

if TYPE_CHECKING:
    from vlalign.scoring.inputs import Features
    from vlalign.scoring.record import ScoreRecord


@keywords(ScoreKeywords)
def score(x: Features, y: Features, options: ScoreKeywords) -> ScoreRecord:
    """Score the alignment of two models over all pairs of their layers, with chance level, p-value and interval.

    Args:
        x: a run of a feature store, features [N, D], [N, L, D] (samples, layers, width), or a list of layers [N, D_l];
            numpy arrays will do. Two sides with sample ids are paired by id, anything else by row.
        y: the other side, likewise.
        options: of the score.

    Returns:
        The record: full matrix with named axes, best pair, chance level, null, interval, data checks, and how it was
        made.

    Raises:
        VlalignError: unknown metric or preset, sides that do not hold the same samples, too few samples, or features
            that are not finite floating numbers; one line that names it.

    >>> import torch
    >>> features = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    >>> record = score(features, [features, -features], k=3, permutations=99)
    >>> record.score, record.best["y"]["name"], record.p_value
    (1.0, 'layer_0', 0.01)
    """
    from vlalign.scoring.batch import prepare_pairs
    from vlalign.scoring.inputs import with_names

    if len(options.metrics) > 1:
        raise VlalignError("score() takes one metric: score_pairs() takes several")
    pair = with_names(x, y, options.names, options.ids)
    (planned,) = prepare_pairs([pair], select(options, ScoreOptions))
    return planned()
