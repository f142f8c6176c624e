"""The synthetic study: alignment against redundancy, uniqueness and heterogeneity, where all three are known.

Specified by "Understanding the Emergence of Multimodal Representation Alignment" (ICML 2025, arXiv 2502.16282).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.synthetic.config import SyntheticConfig
    from vlalign.synthetic.data import SyntheticData, make_data
    from vlalign.synthetic.distribution import Task, label_table
    from vlalign.synthetic.export import to_datasets
    from vlalign.synthetic.quantities import Information, information
    from vlalign.synthetic.results import SyntheticResult
    from vlalign.synthetic.study import SyntheticStudy

__all__ = [
    "Information",
    "SyntheticConfig",
    "SyntheticData",
    "SyntheticResult",
    "SyntheticStudy",
    "Task",
    "information",
    "label_table",
    "make_data",
    "to_datasets",
]
__getattr__ = lazy_names(
    __name__,
    {
        "Information": "quantities",
        "SyntheticConfig": "config",
        "SyntheticData": "data",
        "SyntheticResult": "results",
        "SyntheticStudy": "study",
        "Task": "distribution",
        "information": "quantities",
        "label_table": "distribution",
        "make_data": "data",
        "to_datasets": "export",
    },
)
