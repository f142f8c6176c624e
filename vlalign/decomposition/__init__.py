"""Partial information decomposition: what two modalities share about a label, know alone, or only know together.

Definition of Bertschinger et al. 2014 ("Quantifying Unique Information", arXiv 1311.2852), named BROJA.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.decomposition.exact import Decomposition, broja, decompose, mutual_information

__all__ = ["Decomposition", "broja", "decompose", "mutual_information"]
__getattr__ = lazy_names(
    __name__,
    {"Decomposition": "exact", "broja": "exact", "decompose": "exact", "mutual_information": "exact"},
)
