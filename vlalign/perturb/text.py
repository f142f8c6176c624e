"""Edits of a single text. Characters are grapheme clusters, as a reader counts them, and are never split."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING

from vlalign.perturb.draws import chosen

if TYPE_CHECKING:
    import numpy as np

LETTERS = string.ascii_letters


def clusters(text: str) -> list[str]:
    """Return the extended grapheme clusters of a text (Unicode UAX 29), by the library ``regex``.

    >>> len("👩‍👩‍👧é"), len(clusters("👩‍👩‍👧é"))
    (6, 2)
    """
    import regex

    return regex.findall(r"\X", text)


def words(text: str) -> list[str]:
    """Split at white space, each word with the white space after it (and the first with that before it).

    >>> words("a  red kite")
    ['a  ', 'red ', 'kite']
    """
    return re.findall(r"^\s*\S+\s*|\S+\s*", text)


def char_delete(text: str, rate: float, draw: np.random.RandomState) -> str:
    """Delete ``int(n · rate / 100)`` of the n characters, drawn without replacement (arXiv 2502.16282)."""
    parts = clusters(text)
    gone = set(chosen(len(parts), rate, draw).tolist())
    return "".join(part for i, part in enumerate(parts) if i not in gone)


def char_replace(text: str, rate: float, draw: np.random.RandomState) -> str:
    """Replace ``int(n · rate / 100)`` of the n characters by random ASCII letters."""
    parts = clusters(text)
    places = chosen(len(parts), rate, draw)
    letters = draw.randint(len(LETTERS), size=len(parts))  # of all positions: the same at every rate
    for place in places.tolist():
        parts[place] = LETTERS[letters[place]]
    return "".join(parts)


def word_delete(text: str, rate: float, draw: np.random.RandomState) -> str:
    """Delete ``int(n · rate / 100)`` of the n words, each with the white space after it."""
    parts = words(text)
    gone = set(chosen(len(parts), rate, draw).tolist())
    if not gone:
        return text
    left = "".join(part for i, part in enumerate(parts) if i not in gone)
    return left.rstrip() if len(parts) - 1 in gone else left


def word_shuffle(text: str, rate: float, draw: np.random.RandomState) -> str:
    """Exchange ``int(n · rate / 100)`` of the n words in a ring, so that each of them moves.

    White space keeps its position. A single word cannot move: if the rate takes one word, the text is unchanged.
    """
    parts = words(text)
    if not parts:
        return text
    places = chosen(len(parts), rate, draw).tolist()
    bare = [part.strip() for part in parts]
    moved = list(parts)
    for place, source in zip(places, places[1:] + places[:1], strict=True):
        moved[place] = parts[place].replace(bare[place], bare[source])
    return "".join(moved)
