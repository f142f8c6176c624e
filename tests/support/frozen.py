"""Keeping what libraries made out of collections of garbage, each of which takes 0.5 s with it, and its pages in forks.

``support.freeze_at_import`` does it as the last module that a fork server imports.
"""

from __future__ import annotations

import functools
import gc
from typing import Any

_caches: list[Any] = []
_objects = gc.get_objects


def freeze() -> None:
    """Freeze all objects there are; ``gc.get_objects`` still lists caches of functions, which the library looks for."""
    gc.get_objects = lambda *generation: _objects(*generation) + _caches
    gc.collect()
    # isinstance would ask weak references for the class of what is gone
    found = [one for one in gc.get_objects() if type(one) is functools._lru_cache_wrapper]
    _caches[:] = {id(one): one for one in found}.values()
    gc.freeze()
