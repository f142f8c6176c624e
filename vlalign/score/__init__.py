"""Scores: preprocessing, the grid of all layer pairs, the permutation null, the record."""

from vlalign.score.pair import score
from vlalign.score.record import ScoreRecord

__all__ = ["ScoreRecord", "score"]
