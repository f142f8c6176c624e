"""Partial information decomposition: what modalities share about a label, know alone, or only know together.

Definition of Bertschinger et al. 2014 ("Quantifying Unique Information", arXiv 1311.2852), named BROJA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.decomposition.estimate import information
    from vlalign.decomposition.exact import Decomposition, broja, decompose, mutual_information
    from vlalign.decomposition.result import InformationResult
    from vlalign.decomposition.several import SeveralInformation

__all__ = [
    "Decomposition",
    "InformationResult",
    "SeveralInformation",
    "broja",
    "decompose",
    "information",
    "mutual_information",
]
__getattr__ = lazy_names(
    __name__,
    {
        "Decomposition": "exact",
        "InformationResult": "result",
        "SeveralInformation": "several",
        "broja": "exact",
        "decompose": "exact",
        "information": "estimate",
        "mutual_information": "exact",
    },
)
