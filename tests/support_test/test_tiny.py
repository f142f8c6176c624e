"""Tiny models load with the real libraries, are the same each time, and have layers that differ."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.captions import SENTENCES
from support.data import make_prh, picture
from support.tiny import BUILDERS, TEXT, TIMM, VISION, TinyModels, build


def weights(folder: Path) -> dict[str, Any]:
    """Everything in the folder, by file name."""
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def assert_layers_differ(states: Any) -> None:
    """Finite, of a sensible size, and no layer close to the one before."""
    import torch

    for before, after in pairwise(states):
        assert torch.isfinite(after).all()
        assert 0.2 < after.std() < 20
        assert (after - before).abs().mean() > 0.05 * before.abs().mean()


@pytest.mark.parametrize("name", TEXT)
def test_text_models_load(tiny: TinyModels, name: str) -> None:
    """Model and tokenizer fit each other, and no sentence needs an unknown token."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.path(name))
    model = AutoModel.from_pretrained(tiny.path(name)).eval()
    ids = [tokenizer(sentence)["input_ids"] for sentence in SENTENCES]
    assert max(max(row) for row in ids) < model.config.vocab_size
    assert max(len(row) for row in ids) <= 64
    if tokenizer.unk_token_id is not None:
        assert not any(tokenizer.unk_token_id in row for row in ids)
    with torch.no_grad():
        states = model(torch.tensor([ids[1]]), output_hidden_states=True).hidden_states
    assert len(states) == 4
    assert_layers_differ(states)


@pytest.mark.parametrize("name", ["llama", "open_llama", "mistral"])
def test_sentencepiece_is_the_reference(tiny: TinyModels, name: str) -> None:
    """Plain sentences give the ids of sentencepiece itself with ``<s>`` in front."""
    import sentencepiece
    from transformers import AutoTokenizer

    reference = sentencepiece.SentencePieceProcessor(model_file=str(tiny.path(name) / "tokenizer.model"))
    tokenizer = AutoTokenizer.from_pretrained(tiny.path(name))
    for sentence in SENTENCES:
        assert tokenizer(sentence)["input_ids"] == [1, *reference.encode(sentence)]
    assert (tiny.path(name) / "tokenizer.json").exists() == (name != "open_llama")


def test_open_llama_shows_lost_normalisation(tiny: TinyModels) -> None:
    """transformers 5 drops the normaliser of a bare tokenizer.model: what a tokenizer policy has to mend."""
    import sentencepiece
    from transformers import AutoTokenizer

    reference = sentencepiece.SentencePieceProcessor(model_file=str(tiny.path("open_llama") / "tokenizer.model"))
    tokenizer = AutoTokenizer.from_pretrained(tiny.path("open_llama"))
    for text in ("A red  circle", "Ａ red circle", "A red\tcircle"):
        assert reference.encode(text) == reference.encode("A red circle")
        assert tokenizer(text)["input_ids"] != [1, *reference.encode(text)]


@pytest.mark.parametrize("name", VISION)
def test_vision_models_load(tiny: TinyModels, name: str) -> None:
    """Model and image processor fit each other."""
    import torch
    from transformers import AutoImageProcessor, AutoModel

    processor = AutoImageProcessor.from_pretrained(tiny.path(name))
    model = AutoModel.from_pretrained(tiny.path(name)).eval()
    pixels = processor([picture(0), picture(7)], return_tensors="pt")["pixel_values"]
    tower = model.vision_model if name == "clip" else model
    with torch.no_grad():
        states = tower(pixels, output_hidden_states=True).hidden_states
    assert len(states) == 4
    assert_layers_differ(states)


@pytest.mark.parametrize("name", TIMM)
def test_timm_models_load(tiny: TinyModels, name: str) -> None:
    """``local-dir:`` rebuilds the architecture with its weights and preprocessing."""
    import timm
    import torch

    model = timm.create_model(f"local-dir:{tiny.path(name)}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    with torch.no_grad():
        maps = model.forward_intermediates(transform(picture(2))[None], norm=False, intermediates_only=True)
    if "dinov2" in name:
        assert [tuple(part.shape) for part in maps] == [(1, 32, 3, 3)] * (4 if "giant" in name else 3)
        assert_layers_differ(maps)
    assert all(torch.isfinite(part).all() and part.std() > 0.05 for part in maps)


def test_gguf_holds_the_same_model(tiny: TinyModels) -> None:
    """The GGUF file gives the logits and ids of the safetensors folder beside it."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder, file = tiny.path("gguf"), "model-f32.gguf"
    tokenizer = AutoTokenizer.from_pretrained(folder / "hf")
    packed = AutoTokenizer.from_pretrained(folder, gguf_file=file)
    assert all(packed(text)["input_ids"] == tokenizer(text)["input_ids"] for text in SENTENCES)
    batch = tokenizer(SENTENCES[1], return_tensors="pt")
    with torch.no_grad():
        expected = AutoModelForCausalLM.from_pretrained(folder / "hf").eval()(**batch).logits
        found = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file).eval()(**batch).logits
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_builds_repeat(tiny: TinyModels, tmp_path: Path, name: str) -> None:
    """Two builds are the same, byte for byte."""
    assert weights(build(name, tmp_path / name)) == weights(tiny.path(name))


def test_prh_rows_are_distinct(tmp_path: Path) -> None:
    """24 different pictures and captions under the names of the real set."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(make_prh(tmp_path) / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert len({row["image"]["bytes"] for row in table}) == len({row["text"][0] for row in table}) == 24
    assert len({len(row["text"][0]) for row in table}) > 5
