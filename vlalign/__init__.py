"""How aligned are independently trained vision and language models, and does it matter for your data?

- :func:`vlalign.extract`: pooled features of every layer of a model, into a feature store;
- :class:`vlalign.FeatureStore`: what is in a store;
- :func:`vlalign.score`: alignment over all layer pairs of two runs, or of plain tensors.

The functions bear the names of the rooms they live in, and ``vlalign.score`` is always the function. Everything is
imported when it is first used, so that the command line starts at once and can be interrupted from its start.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

TYPE_CHECKING = False  # as in typing, which takes longer to import than all of this file
if TYPE_CHECKING:
    from typing import Any

    from vlalign.data import DataSpec
    from vlalign.errors import VlalignError
    from vlalign.extract import extract
    from vlalign.score import ScoreRecord, score
    from vlalign.store import FeatureStore
    from vlalign.version import __version__

__all__ = ["DataSpec", "FeatureStore", "ScoreRecord", "VlalignError", "__version__", "extract", "score"]


class _Public:
    """A name that is imported from a room when it is first asked for."""

    def __init__(self, room: str) -> None:
        self.room = f"vlalign.{room}"

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, module: ModuleType, owner: type) -> Any:
        return module.__dict__.get(f"_{self.name}") or getattr(import_module(self.room), self.name)

    def __set__(self, module: ModuleType, value: Any) -> None:
        if not isinstance(value, ModuleType):  # Python sets the room itself, under the name of its function
            module.__dict__[f"_{self.name}"] = value


class _Package(ModuleType):
    DataSpec = _Public("data")
    FeatureStore = _Public("store")
    ScoreRecord = _Public("score")
    VlalignError = _Public("errors")
    extract = _Public("extract")
    score = _Public("score")
    __version__ = _Public("version")

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Package
