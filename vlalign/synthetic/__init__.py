"""The synthetic study: alignment against redundancy, uniqueness and heterogeneity, where all three are known.

Specified by "Understanding the Emergence of Multimodal Representation Alignment" (ICML 2025, arXiv 2502.16282).
"""

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
