"""The MultiBench study: does alignment tell performance on real affect and audio-visual data, or on yours?

Specified by "Understanding the Emergence of Multimodal Representation Alignment" (ICML 2025, arXiv 2502.16282).
"""

from vlalign.multibench.config import MultibenchConfig
from vlalign.multibench.encoder import Encoder
from vlalign.multibench.encoders import load_encoder
from vlalign.multibench.prepared import Prepared, PreparedSplit, open_prepared, write_prepared
from vlalign.multibench.results import MultibenchResult, correlate, correlations
from vlalign.multibench.study import MultibenchStudy

__all__ = [
    "Encoder",
    "MultibenchConfig",
    "MultibenchResult",
    "MultibenchStudy",
    "Prepared",
    "PreparedSplit",
    "correlate",
    "correlations",
    "load_encoder",
    "open_prepared",
    "write_prepared",
]
