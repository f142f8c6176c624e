"""What a plan refuses before weights load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.tiny import TinyModels, save_gpt2

from vlalign.errors import VlalignError
from vlalign.extraction import extract
from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.tokenizer import load_tokenizer


def test_token_ids_beyond_the_embedding(tiny: TinyModels, tmp_path: Path) -> None:
    """A tokenizer larger than the embedding is read as long as no caption shows it."""
    texts = ["A red circle.", "A blue square in the snow.", "at night"]
    data = tmp_path / "d.jsonl"
    data.write_text("".join(json.dumps({"id": f"s{i}", "text": text}) + "\n" for i, text in enumerate(texts)))
    tokens = load_tokenizer(locate(resolve(str(tiny.path("gpt2"))))).encode(texts)
    largest = max(map(max, tokens))
    sample = next(i for i, one in enumerate(tokens) if largest in one)
    for rows in (largest, largest + 1):
        save_gpt2(tmp_path / f"m{rows}", vocab_size=rows)
    with pytest.raises(VlalignError, match=rf"gives token {largest} for sample 's{sample}', but .* has {largest} rows"):
        extract(str(tmp_path / f"m{largest}"), data=str(data), store=str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()
    (run,) = extract(str(tmp_path / f"m{largest + 1}"), data=str(data), store=str(tmp_path / "s"))
    bits = run.extra("bits")
    assert bits is not None
    assert bits.isfinite().all()
