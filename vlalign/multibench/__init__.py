"""The MultiBench study: does alignment predict performance on real affect and audio-visual data, or on yours?

Specified by "Understanding the Emergence of Multimodal Representation Alignment" (ICML 2025, arXiv 2502.16282). Names
are imported when they are used: inspecting a file and preparing it need no PyTorch model.

``data/``: files and arrays → a prepared folder. ``config`` → ``study``: settings → who trains what, and where.
``shape``, ``encoder``: one encoder, as a torch module. ``train``: training of an ensemble of them. ``checkpoints``:
files of trained ones. ``align`` → ``results``: layer pairs → tables and correlations. ``published``: the paper's
settings and Table 1.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vlalign.multibench.checkpoints import load_encoder
    from vlalign.multibench.config import MultibenchConfig
    from vlalign.multibench.data.prepared import Prepared, PreparedSplit, open_prepared, write_prepared
    from vlalign.multibench.encoder import Encoder
    from vlalign.multibench.results import MultibenchResult, correlate, correlations
    from vlalign.multibench.study import MultibenchStudy

_HOME = {
    "Encoder": "encoder",
    "MultibenchConfig": "config",
    "MultibenchResult": "results",
    "MultibenchStudy": "study",
    "Prepared": "data.prepared",
    "PreparedSplit": "data.prepared",
    "correlate": "results",
    "correlations": "results",
    "load_encoder": "checkpoints",
    "open_prepared": "data.prepared",
    "write_prepared": "data.prepared",
}

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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
