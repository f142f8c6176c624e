"""Tokenizers of text models: token ids, the longest input, and the bytes that a truncated text keeps."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from vlalign.errors import VlalignError
from vlalign.models.source import ModelSource, load_config, model_errors

_LENGTH_KEYS = ("max_position_embeddings", "n_positions", "seq_length", "max_sequence_length")
_UNBOUNDED = 10**8  # tokenizers without a limit state 10**30
_WORD = "a"  # a text whose special tokens are counted
_BYTE_TOKEN = re.compile("<0x[0-9A-F]{2}>")


class Encode(Protocol):
    """Token ids of texts; truncated to ``limit`` tokens, special ones kept, where one is given."""

    def __call__(self, texts: Sequence[str], limit: int | None = None, /) -> list[list[int]]: ...


@dataclass(frozen=True)
class Tokenizer:
    """Token ids of texts, and the settings that determine them.

    The tokenizer does not pad: batches are padded on the right with an arbitrary id that the mask hides, so families
    without a padding token (LLaMA) need no invented one.

    Attributes:
        encode: token ids of texts.
        policy: settings for the run key; its ``max_length`` is the limit that config and tokenizer state.
        max_length: longest input in tokens; None without a limit.
        filler: token id for a text without tokens: beginning, separator, end or padding.
        special: how many special tokens are added at the beginning and at the end of a text; None if that is not known.
        pieces: token ids to their texts.
        kept_bytes: UTF-8 bytes of texts ``[N]`` that their truncated token ids cover, special tokens left out.
    """

    encode: Encode
    policy: dict[str, Any]
    max_length: int | None
    filler: int | None
    special: tuple[int, int] | None
    pieces: Callable[[list[int]], list[str]]
    kept_bytes: Callable[[Sequence[str], int], list[int]]


def load_tokenizer(source: ModelSource, max_length: int | None = None, positions: int | None = None) -> Tokenizer:
    """Load the tokenizer of a model under its family's policy.

    OpenLLaMA checkpoints come with a SentencePiece model only, and fast tokenizers made from it have split words
    differently from it (transformers issue 24233): for that family SentencePiece itself is used.

    Args:
        source: the model.
        max_length: longest sequence in tokens; None for the model's own limit.
        positions: tokens that the model's position table has rows for; None where it has no table.

    Raises:
        VlalignError: the tokenizer cannot be loaded, or a ``max_length`` beyond the model's limit.
    """
    config = load_config(source)
    load = _sentencepiece if source.spec.tokenizer == "sentencepiece" else _auto_tokenizer
    loaded = load(source)
    limits = [limit for limit in (*_config_limits(config), loaded.max_length) if limit is not None]
    stated = min(limits, default=None)
    alibi = getattr(config, "max_seq_len", None)  # MPT's biases end there
    limit = min([*limits, *(n for n in (positions, alibi) if isinstance(n, int) and n > 0)], default=None)
    if max_length is not None:
        if max_length < 1 or (limit is not None and max_length > limit):
            raise VlalignError(f"--max-length {max_length}: {source.spec.alias} takes 1 to {limit} tokens")
        stated = limit = max_length
    policy = {**loaded.policy, "max_length": stated, "padding": "right"}
    return replace(loaded, policy=policy, max_length=limit)


def _config_limits(config: Any) -> list[int]:
    """Return the longest inputs that a config states; families without a limit have no such value, -1, or raise."""
    limits = []
    for key in _LENGTH_KEYS:
        try:
            value = getattr(config, key, None)
        except NotImplementedError:  # XLNet
            continue
        if isinstance(value, int) and value > 0:
            limits.append(value)
    return limits


def _auto_tokenizer(source: ModelSource) -> Tokenizer:
    from transformers import AutoTokenizer

    with model_errors(source, "tokenizer"):
        tokenizer = AutoTokenizer.from_pretrained(source.location, **source.pretrained_arguments())
        if _is_bare(tokenizer):
            raise ValueError("it has no vocabulary but its special tokens: are its files missing?")
    tokenizer.model_max_length, own_limit = int(1e30), tokenizer.model_max_length
    known = isinstance(own_limit, int | float) and 0 < own_limit < _UNBOUNDED
    plain_fast = _is_plain(tokenizer)

    def encode(texts: Sequence[str], limit: int | None = None, /) -> list[list[int]]:
        options = {} if limit is None else {"truncation": True, "max_length": limit}
        with model_errors(source, "tokenizer"):
            if plain_fast and limit is None:
                return _encoded(tokenizer, texts)
            return tokenizer(list(texts), padding=False, return_attention_mask=False, **options)["input_ids"]

    def kept_bytes(texts: Sequence[str], limit: int) -> list[int]:
        count = max(0, limit - tokenizer.num_special_tokens_to_add())
        from_left = tokenizer.truncation_side == "left"
        if tokenizer.is_fast:
            pairs = zip(texts, _pieces(tokenizer, texts), strict=True)
            return [_covered(text, count, from_left, pieces) for text, pieces in pairs]
        plain: Callable[[str], list[int]] = lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]  # noqa: E731
        return [_searched(text, count, from_left, plain) for text in texts]

    policy = {"tokenizer": type(tokenizer).__name__, "special_tokens": True}
    marks = (getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "cls", "eos", "sep", "pad", "unk"))
    filler = next((mark for mark in marks if mark is not None), None)
    with model_errors(source, "tokenizer"):
        special = _added(encode([_WORD])[0], tokenizer(_WORD, add_special_tokens=False)["input_ids"])
    pieces = tokenizer.convert_ids_to_tokens
    return Tokenizer(encode, policy, int(own_limit) if known else None, filler, special, pieces, kept_bytes)


def _is_plain(tokenizer: Any) -> bool:
    """Return whether a tokenizer hands texts to its fast tokenizer as they are, as all but a few families do."""
    from transformers import PreTrainedTokenizerFast as Fast

    own = type(tokenizer)
    return issubclass(own, Fast) and own.__call__ is Fast.__call__ and own._encode_plus is Fast._encode_plus


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of texts, neither truncated nor padded, without the spans that transformers asks for."""
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    backend.encode_special_tokens = tokenizer.split_special_tokens
    return [encoding.ids for encoding in backend.encode_batch_fast(list(texts))]


def _added(whole: Sequence[int], content: Sequence[int]) -> tuple[int, int] | None:
    """Return how many tokens stand before and after the content of a text; None if the content is not in one piece."""
    for start in range(len(whole) - len(content) + 1):
        if list(whole[start : start + len(content)]) == list(content):
            return start, len(whole) - len(content) - start
    return None


def _is_bare(tokenizer: Any) -> bool:
    """Return whether a tokenizer knows only its special tokens, as transformers makes one if files are missing."""
    try:
        return set(tokenizer.get_vocab().values()) <= set(tokenizer.all_special_ids)
    except NotImplementedError:
        return False


def _sentencepiece(source: ModelSource) -> Tokenizer:
    from sentencepiece import SentencePieceProcessor

    with model_errors(source, "tokenizer"):
        processor = SentencePieceProcessor(model_file=str(source.file("tokenizer.model")))
    bos = processor.bos_id()

    def encode(texts: Sequence[str], limit: int | None = None, /) -> list[list[int]]:
        return [[bos, *ids][:limit] for ids in processor.encode(list(texts))]

    def kept_bytes(texts: Sequence[str], limit: int) -> list[int]:
        counts = []
        for text in texts:
            spans = processor.encode(text, return_type="offset_mapping", return_bytes=True)["offsets"][: limit - 1]
            partial = 0  # bytes of a character, which has its span at the last of them
            for start, end in spans:
                partial = partial + 1 if start == end else 0
            counts.append((spans[-1][1] if spans else 0) + partial)
        return counts

    policy = {"tokenizer": "sentencepiece", "special_tokens": True}
    return Tokenizer(encode, policy, None, bos, (1, 0), processor.id_to_piece, kept_bytes)


def _pieces(tokenizer: Any, texts: Sequence[str]) -> Iterator[list[tuple[int, int, int]]]:
    """Yield start and end in the text and UTF-8 bytes of each token of a text, special ones left out.

    The tokens of a character that is split into bytes all have the span of the whole character. The fast tokenizer
    below is used, whose post-processor would trim spaces.
    """
    backend = tokenizer.backend_tokenizer
    parts = (backend.normalizer, backend.pre_tokenizer, backend.decoder)  # some tokenizers have no decoder
    by_bytes = any(b"ByteLevel" in part.__getstate__() for part in parts if part)
    backend.no_truncation()
    processor, backend.post_processor = backend.post_processor, None
    try:
        encodings = backend.encode_batch(list(texts), add_special_tokens=False)
    finally:
        backend.post_processor = processor

    def size(token: str) -> int:
        if by_bytes or _BYTE_TOKEN.fullmatch(token):
            return len(token) if by_bytes else 1
        return len(token.encode())

    for encoding in encodings:
        yield [(*span, size(token)) for span, token in zip(encoding.offsets, encoding.tokens, strict=True)]


def _covered(text: str, count: int, from_left: bool, pieces: Sequence[tuple[int, int, int]]) -> int:
    """Return the UTF-8 bytes of a text that its first (or last) ``count`` tokens cover."""

    def until(end: int) -> int:
        """Return the bytes that the tokens before position ``end`` cover."""
        if end >= len(pieces):
            return len(text.encode())
        stop = max((after for _, after, _ in pieces[:end]), default=0)
        whole = len(text[:stop].encode())
        for start, after, size in pieces[end:]:
            if start >= stop:
                break
            beyond = len(text[stop:after].encode())  # a merge with characters after the split one
            whole -= min(max(0, size - beyond), len(text[start:stop].encode()) - 1)
        return max(0, whole)

    if from_left:
        return len(text.encode()) - until(len(pieces) - count)
    return until(count)


def _searched(text: str, count: int, from_left: bool, encode: Callable[[str], list[int]]) -> int:
    """Return :func:`_covered` for tokenizers without spans, by the shortest beginning that has the same tokens."""
    ids = list(encode(text))
    if from_left:
        return len(text.encode()) - _searched(text, len(ids) - count, False, encode)
    if count >= len(ids):
        return len(text.encode())
    if count <= 0:
        return 0

    def fits(end: int) -> bool:
        return list(encode(text[:end])[:count]) == ids[:count]

    low, high = 0, len(text)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    # tokens of a beginning may merge differently than in the text, so that a shorter beginning fits again
    end = next((shorter for shorter in range(max(1, low - 16), low) if fits(shorter)), low)
    dropped = max(0, len(encode(text[:end])) - count)  # tokens of the last character, a byte each, where it is split
    return len(text[:end].encode()) - min(dropped, len(text[end - 1 : end].encode()))
