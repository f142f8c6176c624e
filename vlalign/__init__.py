"""How aligned are independently trained vision and language models, and does it matter for your data?

- :func:`vlalign.extract`: pooled features of every layer of a model, into a feature store;
- :class:`vlalign.FeatureStore`: the runs of a store;
- :func:`vlalign.score`, :func:`vlalign.score_pairs`: alignment over all layer pairs of two runs, or of plain tensors.

Public names are imported when they are first used, so that the command line starts at once.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this file
if TYPE_CHECKING:
    from typing import Any

    from vlalign.data import DataSpec
    from vlalign.errors import VlalignError
    from vlalign.extraction import extract
    from vlalign.scoring import ScoreRecord, score, score_pairs
    from vlalign.store import FeatureStore
    from vlalign.version import __version__

_MODULES = {
    "DataSpec": "data",
    "FeatureStore": "store",
    "ScoreRecord": "scoring",
    "VlalignError": "errors",
    "__version__": "version",
    "extract": "extraction",
    "score": "scoring",
    "score_pairs": "scoring",
}

__all__ = [
    "DataSpec",
    "FeatureStore",
    "ScoreRecord",
    "VlalignError",
    "__version__",
    "extract",
    "score",
    "score_pairs",
]


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _MODULES:
        raise AttributeError(f"module 'vlalign' has no attribute {name!r}")
    return getattr(import_module(f"vlalign.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
