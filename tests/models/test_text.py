"""Tokenizer policies and precision."""

from __future__ import annotations

import pytest
import torch
from sentencepiece import SentencePieceProcessor
from support.hub import HubServer
from support.tiny import TinyModels

from vlalign.errors import VlalignError
from vlalign.models.names import resolve
from vlalign.models.precision import check_quantization, choose_dtype
from vlalign.models.source import locate
from vlalign.models.text import load_tokenizer

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


def test_llama_needs_no_padding_token(hub: HubServer) -> None:
    tokenizer = load_tokenizer(locate(resolve("llama-7b")))
    assert [len(ids) for ids in tokenizer.encode(TEXTS)] != [len(tokenizer.encode(TEXTS)[0])] * len(TEXTS)


@pytest.mark.parametrize(("requested", "modality", "expected"), [
    ("auto", "text", "float32"), ("auto", "vision", "float32"), ("bfloat16", "text", "bfloat16"),
])  # fmt: skip
def test_dtype_on_a_cpu(requested: str, modality: str, expected: str) -> None:
    name, reason = choose_dtype(requested, modality, torch.device("cpu"))
    assert name == expected
    assert reason


def test_dtype_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert choose_dtype("auto", "text", torch.device("cuda"))[0] == "bfloat16"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert choose_dtype("auto", "text", torch.device("cuda"))[0] == "float16"
    assert choose_dtype("auto", "vision", torch.device("cuda"))[0] == "float32"


def test_quantization_is_checked() -> None:
    check_quantization("nf4", "text", "m")
    with pytest.raises(VlalignError, match="vision model"):
        check_quantization("int8", "vision", "m")
    with pytest.raises(VlalignError, match="int8"):
        check_quantization("int4", "text", "m")
    with pytest.raises(VlalignError, match="float32"):
        choose_dtype("float64", "text", torch.device("cpu"))
