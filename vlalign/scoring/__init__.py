"""Scores: preprocessing, the grid of all layer pairs, the permutation null, the record, comparison of two runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.scoring.batch import score_pairs
    from vlalign.scoring.options import ScoreOptions
    from vlalign.scoring.pair import score
    from vlalign.scoring.record import ScoreRecord

__all__ = ["ScoreOptions", "ScoreRecord", "score", "score_pairs"]
__getattr__ = lazy_names(
    __name__,
    {"ScoreOptions": "options", "ScoreRecord": "record", "score": "pair", "score_pairs": "batch"},
)
