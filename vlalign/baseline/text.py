"""Trivial features of captions: length, tokens, TF-IDF and n-grams of characters."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vlalign.baseline.vectors import Floats, hashed, on_circle, rank_scaled, rotated

VERSION = 1
WIDTH = 2048  # buckets of hashed tokens and n-grams
_GRAMS = (3, 4, 5)  # characters
_WORD = re.compile(r"\w+")

#: what determines each feature, for the run keys, and the widths of its layers
FEATURES: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "caption length": ({"scale": "rank"}, {"characters": 2, "words": 2}),
    "bag of tokens": ({"tokens": _WORD.pattern, "buckets": WIDTH}, {"counts": WIDTH}),
    "TF-IDF": ({"tokens": _WORD.pattern, "buckets": WIDTH}, {"tf_idf": WIDTH}),
    "character n-grams": ({"characters": list(_GRAMS), "buckets": WIDTH}, {"counts": WIDTH}),
}


def tokens_of(caption: str) -> list[str]:
    """Return the tokens of a caption: runs of letters, digits and underscores, in lower case.

    >>> tokens_of("A cat's 2 paws")
    ['a', 'cat', 's', '2', 'paws']
    """
    return _WORD.findall(caption.lower())


def grams_of(caption: str) -> list[str]:
    """Return all runs of 3, 4 and 5 characters of a caption, in lower case between two spaces.

    >>> grams_of("Hi")
    [' hi', 'hi ', ' hi ']
    """
    text = f" {' '.join(caption.lower().split())} "
    return [text[i : i + n] for n in _GRAMS for i in range(len(text) - n + 1)]


class TextFeatures:
    """Features of captions, computed for a part of the rows at a time.

    TF-IDF of a token is (1 + ln tf) · (1 + ln (1 + N)/(1 + df)), as in scikit-learn with ``sublinear_tf``: tf its
    number in the caption, df the number of the N captions that have it.
    """

    def __init__(self, captions: Sequence[str]) -> None:
        self._captions = captions
        self._bags = [Counter(tokens_of(caption)) for caption in captions]
        self._lengths = {
            "characters": rank_scaled([len(caption) for caption in captions]),
            "words": rank_scaled([len(caption.split()) for caption in captions]),
        }
        captions_with = Counter(token for bag in self._bags for token in bag)
        self._idf = {token: 1 + math.log((1 + len(captions)) / (1 + n)) for token, n in captions_with.items()}

    def rows(self, name: str, part: slice) -> dict[str, Floats]:
        """Return the layers [n, D] of a feature for some of the rows."""
        if name == "caption length":
            return {layer: on_circle(values[part, None]) for layer, values in self._lengths.items()}
        bags: Sequence[Mapping[str, float]] = self._bags[part]
        if name == "character n-grams":
            bags = [Counter(grams_of(caption)) for caption in self._captions[part]]
        elif name == "TF-IDF":
            bags = [{token: (1 + math.log(n)) * self._idf[token] for token, n in bag.items()} for bag in bags]
        (layer,) = FEATURES[name][1]
        return {layer: rotated(hashed(bags, WIDTH))}
