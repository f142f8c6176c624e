"""Edits of texts and images that give one modality unique information, seeded per sample and nested across rates.

>>> from vlalign.perturb import parse_perturbation
>>> few, more = (parse_perturbation(f"word_delete:{rate}").texts(["a"], ["one two three four"]) for rate in (25, 50))
>>> few, more
(['two three four'], ['three four'])
"""

from vlalign.perturb.apply import PerturbedData, applied, check_perturbations, describe_perturbations, perturb_data
from vlalign.perturb.facts import ImageFacts, TextFacts, image_facts, notes, text_facts
from vlalign.perturb.perturbation import OPERATIONS, Operation, Perturbation, parse_perturbation
from vlalign.perturb.write import write_perturbed

__all__ = [
    "OPERATIONS",
    "ImageFacts",
    "Operation",
    "Perturbation",
    "PerturbedData",
    "TextFacts",
    "applied",
    "check_perturbations",
    "describe_perturbations",
    "image_facts",
    "notes",
    "parse_perturbation",
    "perturb_data",
    "text_facts",
    "write_perturbed",
]
