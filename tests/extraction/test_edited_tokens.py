"""Edited captions as tokens: their number before and after, and captions that edits leave without any."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from support.edits import CAPTIONS, extracted, table_of
from support.tiny import TinyModels

from vlalign.data import DataSpec, PairedData
from vlalign.errors import VlalignError
from vlalign.extraction.tokens import Texts
from vlalign.models.tokenizer import Tokenizer
from vlalign.perturb import parse_perturbation, perturb_data


@pytest.fixture
def table(tmp_path: Path) -> DataSpec:
    return table_of(tmp_path / "table.jsonl", CAPTIONS)


def test_tokens_before_and_after(tiny: TinyModels, table: DataSpec, tmp_path: Path) -> None:
    plain = extracted(tiny.path("llama"), table, tmp_path / "store")
    run = extracted(tiny.path("llama"), table, tmp_path / "store", perturb=("char_delete:50",))
    before, after = (int(one.extra("tokens").sum()) for one in (plain, run))
    assert "tokens" not in plain.facts
    assert run.facts["tokens"] == {"unedited": before, "edited": after}
    assert after < before
    assert run.facts["empty_captions"] == 0
    cut = extracted(tiny.path("llama"), table, tmp_path / "store", perturb=("char_delete:50",), max_length=4)
    assert cut.facts["tokens"] == run.facts["tokens"]  # truncation is told apart
    assert cut.facts["truncated"] > 0


@pytest.mark.parametrize("model", ["bloom", "llama", "bert"])
def test_captions_without_any_character(tiny: TinyModels, tmp_path: Path, model: str) -> None:
    """LLaMA and BERT add special tokens to nothing; BLOOM has no token for it and gets a filler."""
    data = table_of(tmp_path / "t.jsonl", CAPTIONS)
    texts = [*CAPTIONS[:2], "", "x", CAPTIONS[4]]
    (tmp_path / "e.jsonl").write_text(
        "".join(json.dumps({"id": f"s{i}", "rate": 100, "text": text}) + "\n" for i, text in enumerate(texts))
    )
    edit = (f"captions_file:100,file={tmp_path / 'e.jsonl'}",)
    with pytest.raises(VlalignError, match=r"leaves 1 of 5 captions empty, first 's2': .*--allow-empty"):
        extracted(tiny.path(model), data, tmp_path / "store", perturb=edit)
    assert not (tmp_path / "store").exists()
    run = extracted(tiny.path(model), data, tmp_path / "store", perturb=edit, allow_empty=True)
    assert all(torch.isfinite(layer).all() for layer in run.features())
    assert run.facts["empty_captions"] == 1
    tokens = run.extra("tokens")
    assert tokens.min() >= 1
    if model == "bert":
        assert run.bits_per_byte() is None
        return
    bits, size = run.extra("bits"), run.extra("bytes")
    assert torch.isfinite(bits).all()
    assert (int(size[2]), int(tokens[2]), float(bits[2])) == (0, 1, 0.0)
    if model == "bloom":  # "x" is one token there, and nothing predicts it: it counts 0
        assert (int(size[3]), int(tokens[3]), float(bits[3])) == (1, 1, 0.0)
    told = [0, 1, 3, 4]
    assert run.bits_per_byte() == pytest.approx(sum(float(bits[i] / size[i]) for i in told) / len(told))


def test_nothing_left_at_all(tiny: TinyModels, table: DataSpec, tmp_path: Path) -> None:
    run = extracted(tiny.path("bloom"), table, tmp_path / "s", perturb=("char_delete:100",), allow_empty=True)
    assert run.bits_per_byte() is None
    assert run.facts["tokens"]["edited"] == 0
    assert run.facts["empty_captions"] == 5
    for layer in run.features():
        assert torch.isfinite(layer).all()
        torch.testing.assert_close(layer, layer[:1].expand_as(layer))


def fake_data(captions: list[str]) -> PairedData:
    ids = [f"s{i}" for i in range(len(captions))]
    return PairedData(ids, "column", "fake", None, captions, [], False, {"text": {}})


def test_texts_that_a_tokenizer_drops() -> None:
    """Captions may have characters and no token, where the tokenizer strips them."""

    def encode(texts: Any, limit: int | None = None, /) -> list[list[int]]:
        return [[ord(letter) for letter in text if letter.isalpha()][:limit] for text in texts]

    def kept_bytes(texts: Any, limit: int) -> list[int]:
        return [0] * len(texts)

    tokenizer = Tokenizer(encode, {}, None, 7, (0, 0), lambda ids: list(map(str, ids)), kept_bytes)
    plain = fake_data(["ab", "c", "--"])
    with pytest.raises(VlalignError, match=r"m: 1 captions give no token at all, first 's2': correct them"):
        Texts(tokenizer, "m", allow_empty=True).read(plain)
    with pytest.raises(VlalignError, match="no token for any caption"):
        Texts(tokenizer, "m").read(fake_data(["-", "--"]))
    edited = perturb_data(plain, [parse_perturbation("char_delete:1")])
    with pytest.raises(VlalignError, match=r"first 's2': lower the rate, or keep them with --allow-empty"):
        Texts(tokenizer, "m").read(edited)
    with pytest.raises(VlalignError, match=r"no special token to replace them, so lower the rate"):
        Texts(replace(tokenizer, filler=None), "m", allow_empty=True).read(edited)
    found = Texts(tokenizer, "m", allow_empty=True).read(edited)
    assert found.ids == [[97, 98], [99], [7]]
    assert found.facts == {
        "truncated": 0, "truncated_ids": [], "tokens": {"unedited": 3, "edited": 3}, "empty_captions": 0,
    }  # fmt: skip
