"""Tokenizer policies, longest inputs, and the bytes that truncation keeps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor
from support.hub import HubServer
from support.tiny import TinyModels

from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.tokenizer import Tokenizer, load_tokenizer

TEXTS = ["a red circle", "two  spaces and\ta tab", "thermal ﬁre", "Ünïcode ½ 日本"]


def test_open_llama_is_tokenized_by_sentencepiece(hub: HubServer, tiny: TinyModels) -> None:
    """The ids of the SentencePiece model itself, also where the auto-converted tokenizer gives others."""
    from transformers import AutoTokenizer

    tokenizer = load_tokenizer(locate(resolve("open-llama-3b")))
    reference = SentencePieceProcessor(model_file=str(tiny.path("open_llama") / "tokenizer.model"))
    golden = [[reference.bos_id(), *reference.encode(text)] for text in TEXTS]
    assert tokenizer.encode(TEXTS) == golden
    assert tokenizer.policy["tokenizer"] == "sentencepiece"
    converted = AutoTokenizer.from_pretrained(tiny.path("open_llama"))
    assert converted(TEXTS)["input_ids"] != golden  # otherwise the policy would not be needed


def test_golden_token_ids(hub: HubServer) -> None:
    """Ids as they are today; another release of a tokenizer library must not change features unnoticed."""
    llama = load_tokenizer(locate(resolve("llama-7b")))
    assert llama.encode(["a red circle"]) == [[1, 262, 413, 356]]
    assert llama.max_length == 128
    bloom = load_tokenizer(locate(resolve("bloomz-560m")))
    assert bloom.encode(["a red circle"]) == [[68, 426, 359]]


@pytest.mark.parametrize("model", ["llama", "bloom", "gpt2", "gemma", "bert"])
def test_token_ids_are_those_of_transformers(tiny: TinyModels, model: str) -> None:
    from transformers import AutoTokenizer

    source = locate(resolve(str(tiny.path(model))))
    theirs = AutoTokenizer.from_pretrained(source.location)
    ours = load_tokenizer(source, 4)
    special = theirs.all_special_tokens[0]
    texts = ["a red circle on a wall", f"a {special} in a text", " two  spaces\n", "é😀", "", "a red circle on a wall"]
    ours.encode(texts, 4)  # leaves a limit behind in the fast tokenizer
    assert ours.encode(texts) == theirs(texts)["input_ids"]
    assert max(map(len, ours.encode(texts))) > 4


def test_llama_needs_no_padding_token(hub: HubServer) -> None:
    tokenizer = load_tokenizer(locate(resolve("llama-7b")))
    assert [len(ids) for ids in tokenizer.encode(TEXTS)] != [len(tokenizer.encode(TEXTS)[0])] * len(TEXTS)


BYTES = "the old 😀😀 mill é½ 日本  by\n\n the river"


def kept(tokenizer: Tokenizer, text: str) -> list[int]:
    """Bytes that 1, 2, … tokens of a text keep, the special ones counted as tokens."""
    count = len(tokenizer.encode([text])[0])
    return [tokenizer.kept_bytes([text], limit)[0] for limit in range(1, count + 1)]


def saved(folder: Path, model: str, tiny: TinyModels, **config: Any) -> Path:
    """A copy of a tiny model's tokenizer and config with other settings of the tokenizer."""
    folder.mkdir()
    for path in tiny.path(model).iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    settings = folder / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | config))
    return folder


@pytest.mark.parametrize("model", ["gpt2", "bloom", "olmo"])
def test_bytes_of_truncated_texts_with_byte_level_tokens(tiny: TinyModels, model: str) -> None:
    """Byte-level tokens are bytes, also those that are a part of a character or hold only spaces."""
    from transformers import AutoTokenizer

    tokenizer = load_tokenizer(locate(resolve(str(tiny.path(model)))))
    pieces = AutoTokenizer.from_pretrained(tiny.path(model)).tokenize(BYTES)  # a letter for each byte
    expected = [sum(map(len, pieces[: i + 1])) for i in range(len(pieces))]
    assert kept(tokenizer, BYTES) == expected
    assert expected[-1] == len(BYTES.encode())


@pytest.mark.parametrize("lost", ["decoder", "pre_tokenizer"])
def test_bytes_of_truncated_texts_without_a_part_that_names_the_byte_level(
    tiny: TinyModels, tmp_path: Path, lost: str
) -> None:
    """A tokenizer with one token a byte: n tokens keep n bytes, whichever of its parts says that tokens are bytes."""
    from tokenizers import pre_tokenizers

    folder = saved(tmp_path / "m", "gpt2", tiny)
    file = folder / "tokenizer.json"
    held = json.loads(file.read_text())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    held |= {"post_processor": None, "added_tokens": [], "decoder": None}
    held["model"] |= {"vocab": {letter: i for i, letter in enumerate(alphabet)}, "merges": []}
    if lost == "pre_tokenizer":
        held |= {"normalizer": {"type": "ByteLevel"}, "pre_tokenizer": None}
    file.write_text(json.dumps(held))
    tokenizer = load_tokenizer(locate(resolve(str(folder))))
    text = "é 😀日本 a"
    assert kept(tokenizer, text) == list(range(1, len(text.encode()) + 1))


@pytest.mark.parametrize(("model", "first_space"), [("llama", 1), ("gemma", 0)])
def test_bytes_of_truncated_texts_with_byte_fallback(tiny: TinyModels, model: str, first_space: int) -> None:
    """``<0xF0>`` is one byte, ``▁`` a space (the one that LLaMA puts before a text is none of its bytes)."""
    from transformers import AutoTokenizer

    tokenizer = load_tokenizer(locate(resolve(str(tiny.path(model)))))
    pieces = AutoTokenizer.from_pretrained(tiny.path(model)).tokenize(BYTES)
    sizes = [1 if piece.startswith("<0x") else len(piece.replace("▁", " ").encode()) for piece in pieces]
    expected = [max(0, sum(sizes[: i + 1]) - first_space) for i in range(len(pieces))]
    assert kept(tokenizer, BYTES) == [0, *expected]  # the beginning of sequence is no byte


def test_bytes_of_truncated_texts_with_sentencepiece(hub: HubServer) -> None:
    """They are the sizes of the pieces, of which one may be a byte or a space."""
    source = locate(resolve("open-llama-3b"))
    processor = SentencePieceProcessor(model_file=str(source.file("tokenizer.model")))
    text = "the old 😀😀 mill é 日本 by the river"  # which is not normalised
    ids = processor.encode(text)
    sizes = [1 if processor.is_byte(i) else len(processor.id_to_piece(i).replace("▁", " ").encode()) for i in ids]
    expected = [sum(sizes[: i + 1]) - 1 for i in range(len(ids))]
    assert kept(load_tokenizer(source), text) == [0, *expected]


@pytest.mark.parametrize("side", ["right", "left"])
def test_bytes_of_truncated_texts_with_a_tokenizer_in_python(tiny: TinyModels, tmp_path: Path, side: str) -> None:
    """ByT5 has a token for each byte and one for the end of the text."""
    from transformers import ByT5Tokenizer

    folder = saved(tmp_path / "m", "gpt2", tiny)
    for path in folder.glob("*token*"):
        path.unlink()
    ByT5Tokenizer(truncation_side=side).save_pretrained(folder)
    tokenizer = load_tokenizer(locate(resolve(str(folder))))
    assert tokenizer.policy["tokenizer"] == "ByT5Tokenizer"
    assert kept(tokenizer, BYTES) == list(range(len(BYTES.encode()) + 1))


def test_bytes_of_texts_truncated_on_the_left(tiny: TinyModels, tmp_path: Path) -> None:
    right = kept(load_tokenizer(locate(resolve(str(tiny.path("gpt2"))))), BYTES)
    folder = saved(tmp_path / "left", "gpt2", tiny, truncation_side="left")
    left = kept(load_tokenizer(locate(resolve(str(folder)))), BYTES)
    total = len(BYTES.encode())
    assert left == [total - covered for covered in [*right[-2::-1], 0]]


def test_bytes_of_truncated_encoder_texts_leave_out_special_tokens(tiny: TinyModels) -> None:
    tokenizer = load_tokenizer(locate(resolve(str(tiny.path("bert")))))
    text = "a red circle"
    assert [tokenizer.kept_bytes([text], limit)[0] for limit in (1, 2, 3, 4, 9)] == [0, 0, 1, 5, 12]


@pytest.mark.parametrize("stated", [-1, 0, None, 10**30])
def test_length_limits_that_are_none(tiny: TinyModels, tmp_path: Path, stated: int | None) -> None:
    """A tokenizer or config that states no usable limit leaves it to the other, and to the table of positions."""
    folder = saved(tmp_path / "m", "gpt2", tiny, model_max_length=stated)
    assert load_tokenizer(locate(resolve(str(folder)))).max_length == 64
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"n_positions": -1}))
    assert load_tokenizer(locate(resolve(str(folder)))).max_length is None
    tokenizer = load_tokenizer(locate(resolve(str(folder))), positions=64)
    assert (tokenizer.max_length, tokenizer.policy["max_length"]) == (64, None)
