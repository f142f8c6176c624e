"""Torch, imported when it is first used.

Importing torch takes seconds. Modules that need it inside functions alone take it from this module, so that metrics can
be listed and command lines checked without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["torch"]

if TYPE_CHECKING:
    import torch
else:

    class _Torch:
        """Stand-in whose attributes are those of torch."""

        def __getattr__(self, name: str) -> object:
            import torch

            return getattr(torch, name)

    torch = _Torch()
