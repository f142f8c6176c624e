"""Paired image-text data with stable ids: Hub data sets, folders, files, and the built-in set.

>>> from vlalign.data import DataSpec, open_data
>>> data = open_data(DataSpec("builtin:emoji", max_samples=3), {"text", "vision"})
>>> len(data), data.captions[0]
(3, 'boy: bright-eyed, child, grandson, kid, son, young, younger')
>>> data.image(0).size
(64, 64)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlalign import lazy_names

if TYPE_CHECKING:
    from vlalign.data.open import available_modalities, open_data
    from vlalign.data.paired import PairedData
    from vlalign.data.spec import BUILTIN, DataSpec

__all__ = ["BUILTIN", "DataSpec", "PairedData", "available_modalities", "open_data"]
__getattr__ = lazy_names(
    __name__,
    {
        "BUILTIN": "spec",
        "DataSpec": "spec",
        "PairedData": "paired",
        "available_modalities": "open",
        "open_data": "open",
    },
)
