"""Edits that need the captions of all samples: swapped pairs, and captions edited by another program."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlalign.errors import VlalignError
from vlalign.perturb.draws import share

if TYPE_CHECKING:
    from vlalign.data.edits import EditedCaptions

log = logging.getLogger(__name__)

_SHOWN = 3


def swap_order(ids: Sequence[str], rate: float, seed: int) -> list[int]:
    """Return the row of each row's new caption: ``int(n · rate / 100)`` rows exchange theirs in a ring, so all change.

    Rows are chosen by SHA-256 of (seed, id), whatever their order in the set; those of a smaller rate come first. A
    single row cannot swap.

    >>> swap_order(["a", "b", "c", "d"], 50, 0), swap_order(["a", "b", "c", "d"], 0, 0)
    ([0, 1, 3, 2], [0, 1, 2, 3])
    """

    def place(row: int) -> bytes:
        return hashlib.sha256("\x1f".join(("vlalign", str(seed), "caption_swap", ids[row])).encode()).digest()

    ring = sorted(range(len(ids)), key=place)[: share(len(ids), rate)]
    source = list(range(len(ids)))
    for row, other in zip(ring, ring[1:] + ring[:1], strict=True):
        source[row] = other
    return source


def caption_swap(ids: Sequence[str], texts: Sequence[str], rate: float, seed: int) -> list[str]:
    """Move a seeded part of the captions to other images of that part: it removes shared information, not fluency."""
    return [texts[row] for row in swap_order(ids, rate, seed)]


def from_file(ids: Sequence[str], texts: Sequence[str], rate: float, edits: EditedCaptions) -> list[str]:
    """Return the captions of a file for a rate.

    Raises:
        VlalignError: the file lacks the rate or ids, or its unedited captions are not those of the data.
    """
    if rate not in edits.rates:
        has = ", ".join(f"{known:g}" for known in edits.rates)
        raise VlalignError(f"{edits.name} has no captions at {rate:g} %: it has {has}")
    captions = edits.texts[rate]
    if missing := [name for name in ids if name not in captions]:
        shown = ", ".join(map(repr, missing[:_SHOWN])) + (", …" if len(missing) > _SHOWN else "")
        have = ", ".join(map(repr, list(captions)[:_SHOWN]))
        raise VlalignError(
            f"{edits.name} lacks {len(missing)} of {len(ids)} ids at {rate:g} %: {shown}; it has ids such as {have}"
        )
    if original := edits.texts.get(0.0):
        other = [name for name, text in zip(ids, texts, strict=True) if name in original and original[name] != text]
        if len(other) > len(ids) / 2:
            raise VlalignError(
                f"{edits.name} edits other captions: its unedited ones differ from the data's for {len(other)} of "
                f"{len(ids)} samples, first {other[0]!r}; give the file of this data set (or another --caption)"
            )
        if other:
            _warn_once(f"{edits.name}: {len(other)} of {len(ids)} of its unedited captions differ from the data's")
    return [captions[name] for name in ids]


@functools.lru_cache(maxsize=64)  # once, not for every rate
def _warn_once(message: str) -> None:
    log.warning(message)
