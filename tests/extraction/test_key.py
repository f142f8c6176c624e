"""Whatever can change the features changes the run key, so that nothing old is ever reused for something new."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from support.hub import HubServer
from support.tiny import TinyModels, save_llama

from vlalign.data import DataSpec
from vlalign.extraction import ExtractOptions, make_plan
from vlalign.store import RunKey, diff_keys

CPU = torch.device("cpu")


def key_of(model: str | Path, data: DataSpec, **settings: Any) -> RunKey:
    return make_plan(ExtractOptions((str(model),), data=data, store="nowhere", **settings), CPU).models[0].key


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "table.jsonl"
    path.parent.mkdir()
    rows = [{"id": f"s{i}", "text": [f"a dog number {i}", f"one cat {i}"], "other": f"bird {i}"} for i in range(5)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("changed", "settings", "path"),
    [
        ({}, {"dtype": "bfloat16"}, "dtype"),
        ({}, {"quantization": "nf4"}, "quantization"),
        ({}, {"text_pool": "last"}, "pooling"),
        ({}, {"max_length": 5}, "text.max_length"),
        ({"caption": 1}, {}, "data.caption"),
        ({"text_column": "other"}, {}, "data.text_column"),
        ({"max_samples": 4}, {}, "data.n"),
    ],
)
def test_text_settings_change_the_key(
    tiny: TinyModels, table: Path, changed: dict[str, Any], settings: dict[str, Any], path: str
) -> None:
    before = key_of(tiny.path("llama"), DataSpec(str(table)))
    after = key_of(tiny.path("llama"), DataSpec(str(table), **changed), **settings)
    assert before != after
    assert any(line.startswith(f"{path}:") for line in diff_keys(before, after))


@pytest.mark.parametrize(
    ("settings", "path"), [({"image_size": 56}, "image.input_size"), ({"vision_pool": "avg"}, "pooling")]
)
def test_image_settings_change_the_key(tiny: TinyModels, settings: dict[str, Any], path: str) -> None:
    data = DataSpec(str(tiny.path("prh")))
    before = key_of(tiny.path("timm_dinov2_small"), data)
    after = key_of(tiny.path("timm_dinov2_small"), data, **settings)
    assert [line.split(":")[0] for line in diff_keys(before, after)] == [path]


@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("bert", {"max_length": 66}),
        ("roberta", {"max_length": 66}),
        ("fnet", {"max_length": 66, "batches": "equal lengths"}),
    ],
)
def test_only_families_whose_features_changed_have_another_key(
    tiny: TinyModels, table: Path, tmp_path: Path, kind: str, more: dict[str, Any]
) -> None:
    """RoBERTa's key keeps the rows of its table, of which two take no token."""
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny.path("bert"))
    tokenizer.model_max_length = int(1e30)
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    limits = {"vocab_size": len(tokenizer), "max_position_embeddings": 66, "pad_token_id": 1}
    AutoModel.from_config(AutoConfig.for_model(kind, **sizes, **limits)).save_pretrained(tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    plan = make_plan(ExtractOptions((str(tmp_path / "m"),), data=DataSpec(str(table)), store="nowhere"), CPU).models[0]
    policy = {"tokenizer": type(tokenizer).__name__, "special_tokens": True, "padding": "right"}
    assert plan.key.data["text"] == policy | more
    assert plan.max_length == (64 if kind == "roberta" else 66)


def test_content_of_data_and_model_change_the_key(tiny: TinyModels, table: Path, tmp_path: Path) -> None:
    model, data = tiny.path("llama"), DataSpec(str(table))
    before = key_of(model, data)
    moved = tmp_path / "elsewhere" / table.name
    shutil.copytree(table.parent, moved.parent)
    assert key_of(model, DataSpec(str(moved))) == before  # where a file lies changes nothing
    moved.write_text(moved.read_text().replace("cat 3", "cow 3").replace("dog number 3", "cow number 3"))
    assert any(line.startswith("data.content:") for line in diff_keys(before, key_of(model, DataSpec(str(moved)))))

    other = save_llama(tmp_path / "llama", seed=99)  # the same name and shape, other weights
    lines = diff_keys(before, key_of(other, data))
    assert [line.split(":")[0] for line in lines] == ["model.revision"]


def test_a_branch_is_resolved_to_a_commit_once(hub: HubServer, tiny: TinyModels, table: Path, tmp_path: Path) -> None:
    hub.add_model("someone/moving", tiny.path("llama"))
    before = key_of("someone/moving", DataSpec(str(table)))
    hub.add_model("someone/moving", save_llama(tmp_path / "other", seed=5))
    after = key_of("someone/moving", DataSpec(str(table)))
    assert [line.split(":")[0] for line in diff_keys(before, after)] == ["model.revision"]
    assert len(before.data["model"]["revision"]) == 40
    pinned = key_of("someone/moving", DataSpec(str(table)), revision=before.data["model"]["revision"])
    assert pinned == before


def test_whether_a_loss_is_computed_does_not_change_the_features(tiny: TinyModels, tmp_path: Path) -> None:
    """Features made without a loss are made again when it is wanted, under the same key."""
    from vlalign.extraction import extract

    arguments: dict[str, Any] = {"data": str(tiny.path("prh")), "store": str(tmp_path / "s")}
    (without,) = extract(str(tiny.path("llama")), loss=False, **arguments)
    assert without.extra("bits") is None
    kept = without.features()
    (with_loss,) = extract(str(tiny.path("llama")), **arguments)
    assert with_loss.path == without.path
    assert with_loss.bits_per_byte() is not None
    for a, b in zip(kept, with_loss.features(), strict=True):
        torch.testing.assert_close(a, b)
    (again,) = extract(str(tiny.path("llama")), loss=False, **arguments)
    assert again.bits_per_byte() == with_loss.bits_per_byte()  # nothing finished is lost


def test_encoders_saved_under_the_name_of_a_causal_model_have_no_loss_and_a_new_key(
    tiny: TinyModels, table: Path, tmp_path: Path
) -> None:
    folder, data = Path(shutil.copytree(tiny.path("bert"), tmp_path / "bert")), DataSpec(str(table))
    config = json.loads((folder / "config.json").read_text())
    for decoder, loss in ((False, False), (True, True)):
        named = config | {"architectures": ["BertLMHeadModel"], "is_decoder": decoder}
        (folder / "config.json").write_text(json.dumps(named))
        [plan] = make_plan(ExtractOptions((str(folder),), data=data, store="nowhere"), CPU).models
        assert plan.loss == loss
        assert ("attention" in plan.key.data["text"]) != loss
