"""Captions as one model's tokens: truncated ones, ones without a token, and token counts before and after edits."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from vlalign.data import PairedData
from vlalign.errors import VlalignError
from vlalign.models.tokenizer import Tokenizer
from vlalign.perturb import PerturbedData

logger = logging.getLogger(__name__)

_PIECES = 256  # a token that is the largest of most texts is a frequent one


@dataclass(frozen=True)
class Tokens:
    """The captions of a data set as token ids.

    Attributes:
        ids: per sample, at least one.
        truncated: ids of samples truncated to the longest input.
        kept_bytes: UTF-8 bytes of the part of each truncated caption that is read, by row; empty unless requested.
        facts: for the manifest.
        pieces: texts of the most frequent token ids.
        largest: the largest token id.
    """

    ids: list[list[int]]
    truncated: list[str]
    kept_bytes: dict[int, int]
    facts: dict[str, Any]
    pieces: dict[int, str]
    largest: int


@dataclass
class Texts:
    """Captions of several versions of a data set, read with one tokenizer."""

    tokenizer: Tokenizer
    model: str
    allow_empty: bool = False
    _unedited: dict[int, int] = field(default_factory=dict)

    def read(self, data: PairedData, *, count_bytes: bool = False) -> Tokens:
        """Return the captions of one version as tokens.

        Args:
            data: the version.
            count_bytes: also count the bytes that truncation leaves.

        Raises:
            VlalignError: a caption gives no token, and is not allowed to.
        """
        assert data.captions is not None
        limit = self.tokenizer.max_length
        ids = list(self.tokenizer.encode(data.captions))
        edited = sum(map(len, ids))  # like the unedited: neither filled nor truncated
        self._fill(ids, data)
        long = [i for i, one in enumerate(ids) if limit is not None and len(one) > limit]
        truncated = [data.ids[i] for i in long]
        kept_bytes: dict[int, int] = {}
        if limit is not None and long:
            logger.warning(
                "%s: %d of %d captions are longer than %d tokens and are truncated",
                self.model, len(truncated), len(ids), limit,
            )  # fmt: skip
            texts = [data.captions[i] for i in long]
            for i, one in zip(long, self.tokenizer.encode(texts, limit), strict=True):
                ids[i] = list(one)
            if count_bytes:
                kept_bytes = dict(zip(long, self.tokenizer.kept_bytes(texts, limit), strict=True))
        facts: dict[str, Any] = {"truncated": len(truncated), "truncated_ids": truncated[:20]}
        if isinstance(data, PerturbedData):
            facts["tokens"] = {"unedited": self._count(data.original), "edited": edited}
            facts["empty_captions"] = sum(not text for text in data.captions)
        counts = Counter(chain.from_iterable(ids))
        frequent = [token for token, _ in counts.most_common(_PIECES)]
        pieces = dict(zip(frequent, map(str, self.tokenizer.pieces(frequent)), strict=True))
        return Tokens(ids, truncated, kept_bytes, facts, pieces, max(counts))

    def _fill(self, ids: list[list[int]], data: PairedData) -> None:
        """Give captions without a token the filler, if that is allowed."""
        empty = [i for i, one in enumerate(ids) if not one]
        if not empty:
            return
        edited = isinstance(data, PerturbedData)
        keep = edited and self.allow_empty
        if keep and self.tokenizer.filler is not None:
            for i in empty:
                ids[i] = [self.tokenizer.filler]
            return
        if len(empty) == len(ids) and not edited:
            raise VlalignError(f"{self.model} gives no token for any caption: is its tokenizer complete?")
        way = "lower the rate, or keep them with --allow-empty" if edited else "correct them or leave them out"
        if keep:
            way = "its tokenizer has no special token to replace them, so lower the rate"
        raise VlalignError(
            f"{self.model}: {len(empty)} captions give no token at all, first {data.ids[empty[0]]!r}: {way}"
        )

    def _count(self, data: PairedData | None) -> int:
        """Count the tokens of the captions before the edits, untruncated, once for all versions."""
        assert data is not None
        assert data.captions is not None
        if id(data) not in self._unedited:
            self._unedited[id(data)] = sum(map(len, self.tokenizer.encode(data.captions)))
        return self._unedited[id(data)]
