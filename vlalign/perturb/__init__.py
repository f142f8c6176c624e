"""Uniqueness: edits that give one modality information of its own, seeded per sample and nested across rates.

>>> from vlalign.perturb import parse_perturbation
>>> few, more = (parse_perturbation(f"word_delete:{rate}").texts(["a"], ["one two three four"]) for rate in (25, 50))
>>> few, more
(['two three four'], ['three four'])
"""

from vlalign.perturb.apply import PerturbedData, applied, check_perturbations, describe_perturbations, perturb_data
from vlalign.perturb.operations import OPERATIONS, Operation
from vlalign.perturb.perturbation import Perturbation, parse_perturbation

__all__ = [
    "OPERATIONS",
    "Operation",
    "Perturbation",
    "PerturbedData",
    "applied",
    "check_perturbations",
    "describe_perturbations",
    "parse_perturbation",
    "perturb_data",
]
