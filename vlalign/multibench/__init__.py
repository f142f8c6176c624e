"""The MultiBench study: alignment against performance on affect data, spoken digits and data of one's own.

Specified by "Understanding the Emergence of Multimodal Representation Alignment" (ICML 2025, arXiv 2502.16282).
"""

from vlalign.multibench.prepared import Prepared, PreparedSplit, open_prepared, write_prepared

__all__ = ["Prepared", "PreparedSplit", "open_prepared", "write_prepared"]
