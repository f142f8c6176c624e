"""Scores: preprocessing, the grid of all layer pairs, the permutation null, the record."""

from vlalign.scoring.batch import score_pairs
from vlalign.scoring.pair import score
from vlalign.scoring.record import ScoreRecord

__all__ = ["ScoreRecord", "score", "score_pairs"]
