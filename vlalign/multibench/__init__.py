"""The MultiBench study: does alignment predict performance on real affect and audio-visual data, or on yours?

Specified by "Understanding the Emergence of Multimodal Representation Alignment" (ICML 2025, arXiv 2502.16282). Names
are imported when they are used: inspecting a file and preparing it need no PyTorch model.

``data/``: files and arrays → a prepared folder. ``config`` → ``study``: settings → who trains what, and where.
``shape``, ``encoder``: one encoder, as a torch module. ``train``: training of an ensemble of them. ``cells``: the
grid and files of trained encoders. ``align`` → ``results``: layer pairs → tables and correlations. ``published``: the
paper's settings and Table 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.multibench.cells import load_encoder
    from vlalign.multibench.config import MultibenchConfig
    from vlalign.multibench.data.prepared import Prepared, PreparedSplit, open_prepared, write_prepared
    from vlalign.multibench.encoder import Encoder
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
__getattr__ = lazy_names(
    __name__,
    {
        "Encoder": "encoder",
        "MultibenchConfig": "config",
        "MultibenchResult": "results",
        "MultibenchStudy": "study",
        "Prepared": "data.prepared",
        "PreparedSplit": "data.prepared",
        "correlate": "results",
        "correlations": "results",
        "load_encoder": "cells",
        "open_prepared": "data.prepared",
        "write_prepared": "data.prepared",
    },
)
