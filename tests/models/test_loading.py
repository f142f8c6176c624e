"""Weights that do not load are refused by name; what features do not depend on may be missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny import TinyModels, randomise, save_gguf, save_timm

from vlalign.errors import VlalignError
from vlalign.extraction import extract
from vlalign.store import Run

Change = Callable[[dict[str, Any]], dict[str, Any]]


def rewritten(source: Path, folder: Path, change: Change, **config: Any) -> Path:
    """Copy a model folder, passing its weights through ``change`` and setting fields of config.json."""
    shutil.copytree(source, folder)
    held = change(load_file(folder / "model.safetensors"))
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    return folder


def prefixed(prefix: str) -> Change:
    return lambda held: {prefix + name: value for name, value in held.items()}


def without(*parts: str) -> Change:
    """Drop the weights whose names contain one of the parts."""
    return lambda held: {name: value for name, value in held.items() if not any(part in name for part in parts)}


def read(folder: Path, tiny: TinyModels, tmp_path: Path, **settings: Any) -> Run:
    (run,) = extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "s"), workers=0, **settings)
    return run


def same(a: Run, b: Run) -> None:
    for x, y in zip(a.features(), b.features(), strict=True):
        torch.testing.assert_close(x, y)


@pytest.mark.parametrize(
    ("name", "prefix"),
    [
        ("bert", "module."), ("bert", "model."), ("llama", "module."), ("llama", "_orig_mod."), ("gpt2", "backbone."),
        ("vit", "module."), ("vit", "net.0."), ("clip", "_orig_mod.module."), ("timm_vit", "model."),
    ],
)  # fmt: skip
def test_weights_under_a_prefix_are_refused(tiny: TinyModels, tmp_path: Path, name: str, prefix: str) -> None:
    folder = rewritten(tiny.path(name), tmp_path / "m", prefixed(prefix))
    with pytest.raises(VlalignError, match=r"m: \d+ weights \(.*missing.*begin with ") as raised:
        read(folder, tiny, tmp_path)
    assert repr(prefix) in str(raised.value)
    assert not (tmp_path / "s").exists() or not list((tmp_path / "s").rglob("*.safetensors"))


def test_wrappers_within_names_are_named(tiny: TinyModels, tmp_path: Path) -> None:
    def wrapped(held: dict[str, Any]) -> dict[str, Any]:
        return {name.replace("layers.", "_orig_mod.layers."): value for name, value in held.items()}

    with pytest.raises(VlalignError, match=r"27 weights .* names in its files hold '_orig_mod\.'"):
        read(rewritten(tiny.path("llama"), tmp_path / "m", wrapped), tiny, tmp_path)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_prefixes_that_timm_removes_are_read(tiny: TinyModels, tmp_path: Path, prefix: str) -> None:
    folder = rewritten(tiny.path("timm_vit"), tmp_path / "m", prefixed(prefix))
    same(read(folder, tiny, tmp_path), tiny.run("timm_vit"))


@pytest.mark.parametrize(
    ("name", "lost"),
    [
        ("llama", "layers.1.mlp.up_proj.weight"), ("llama", "model.embed_tokens.weight"),
        ("llama", "model.norm.weight"), ("llama", "lm_head.weight"), ("bert", "position_embeddings.weight"),
        ("gpt2", "h.2.ln_1.bias"), ("bloom", "word_embeddings_layernorm.weight"), ("vit", "cls_token"),
        ("vit", "position_embeddings"), ("clip", "vision_model.encoder.layers.0.mlp.fc1.bias"),
        ("timm_vit", "pos_embed"), ("timm_vit", "blocks.1.norm2.weight"),
        ("timm_resnet", "running_var"), ("timm_resnet", "conv1.weight"),
    ],
)  # fmt: skip
def test_a_missing_weight_is_named(tiny: TinyModels, tmp_path: Path, name: str, lost: str) -> None:
    folder = rewritten(tiny.path(name), tmp_path / "m", without(lost))
    with pytest.raises(VlalignError, match="missing from its checkpoint") as raised:
        read(folder, tiny, tmp_path)
    assert lost in str(raised.value)


@pytest.mark.parametrize(
    ("name", "lost"),
    [("vit", "pooler"), ("bert", "pooler"), ("clip", "text_model"), ("clip", "post_layernorm"), ("timm_vit", "head"),
     ("clip", "visual_projection"), ("timm_resnet", "num_batches_tracked"), ("dinov2", "mask_token")],
)  # fmt: skip
def test_weights_that_features_do_not_need_may_be_missing(
    tiny: TinyModels, tmp_path: Path, name: str, lost: str
) -> None:
    folder = rewritten(tiny.path(name), tmp_path / "m", without(lost))
    same(read(folder, tiny, tmp_path), tiny.run(name))


def test_a_final_norm_that_is_not_read_may_be_missing(tiny: TinyModels, tmp_path: Path) -> None:
    """Swin's layers are read from the states that it returns, which are before its final norm."""
    from transformers import SwinConfig, SwinModel

    whole = tmp_path / "whole"
    sizes: dict[str, Any] = {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4}
    randomise(SwinModel(SwinConfig(**sizes))).save_pretrained(whole)  # type: ignore[operator]
    shutil.copy(tiny.path("vit") / "preprocessor_config.json", whole)
    folder = rewritten(whole, tmp_path / "m", lambda held: {n: v for n, v in held.items() if n[:9] != "layernorm"})
    same(read(folder, tiny, tmp_path), read(whole, tiny, tmp_path))
    lost = rewritten(whole, tmp_path / "lost", without("embeddings.norm"))
    with pytest.raises(VlalignError, match=r"embeddings\.norm\.weight\) are missing"):
        read(lost, tiny, tmp_path)


def test_a_missing_head_matters_for_bits_alone(tiny: TinyModels, tmp_path: Path) -> None:
    folder = rewritten(tiny.path("llama"), tmp_path / "m", without("lm_head"))
    with pytest.raises(VlalignError, match=r"lm_head\.weight is missing .* pass --no-loss"):
        read(folder, tiny, tmp_path)
    same(read(folder, tiny, tmp_path, loss=False), tiny.run("llama"))


def test_a_tied_head_is_not_missing(tiny: TinyModels, tmp_path: Path) -> None:
    held = load_file(tiny.path("bloom") / "model.safetensors")
    assert not any("lm_head" in name for name in held)
    bits = tiny.run("bloom").extra("bits")
    assert bits is not None
    assert bits.isfinite().all()


@pytest.mark.parametrize(
    ("name", "last", "deeper", "shallower"),
    [
        ("llama", "layers.2.", {"num_hidden_layers": 3}, {"num_hidden_layers": 2}),
        ("bert", "layer.2.", {"num_hidden_layers": 3}, {"num_hidden_layers": 2}),
        ("gpt2", "h.2.", {"n_layer": 3}, {"n_layer": 2}),
        ("vit", "layer.2.", {"num_hidden_layers": 3}, {"num_hidden_layers": 2}),
        ("timm_vit", "blocks.2.", {}, {"model_args": {"depth": 3}}),
    ],
)  # fmt: skip
def test_other_numbers_of_blocks_than_the_config(
    tiny: TinyModels, tmp_path: Path, name: str, last: str, deeper: dict[str, Any], shallower: dict[str, Any]
) -> None:
    fewer = rewritten(tiny.path(name), tmp_path / "fewer", without(last), **deeper)
    with pytest.raises(VlalignError, match=r"fewer: \d+ weights .* missing"):
        read(fewer, tiny, tmp_path)
    more = rewritten(tiny.path(name), tmp_path / "more", lambda held: held, **shallower)
    with pytest.raises(VlalignError, match="more: its checkpoint holds more blocks than its config"):
        read(more, tiny, tmp_path)


@pytest.mark.parametrize("settings", [{"quantization": "int8"}, {"quantization": "nf4"}, {"parallel": "split"}])
@pytest.mark.parametrize("change", [prefixed("module."), without("layers.1.self_attn.q_proj"), without("lm_head")])
def test_every_way_of_loading_checks(
    tiny: TinyModels, tmp_path: Path, change: Change, settings: dict[str, Any]
) -> None:
    folder = rewritten(tiny.path("llama"), tmp_path / "m", change)
    with pytest.raises(VlalignError, match="missing from its checkpoint"):
        read(folder, tiny, tmp_path, **settings)


def test_a_quantized_model_needs_no_pooler(tiny: TinyModels, tmp_path: Path) -> None:
    folder = rewritten(tiny.path("bert"), tmp_path / "m", without("pooler"))
    same(
        read(folder, tiny, tmp_path, quantization="int8"),
        tiny.run("bert", quantization="int8"),
    )


@pytest.mark.parametrize("kind", ["bin", "sharded"])
def test_other_files_are_checked_alike(tiny: TinyModels, tmp_path: Path, kind: str) -> None:
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "m"
    shutil.copytree(tiny.path("llama"), folder)
    held = load_file(folder / "model.safetensors")
    if kind == "bin":
        (folder / "model.safetensors").unlink()
        torch.save(prefixed("module.")(held), folder / "pytorch_model.bin")
        with pytest.raises(VlalignError, match=r"begin with 'module\.'"):
            read(folder, tiny, tmp_path)
        torch.save(held, folder / "pytorch_model.bin")
    else:
        AutoModelForCausalLM.from_pretrained(folder).save_pretrained(tmp_path / "parts", max_shard_size="40KB")
        (folder / "model.safetensors").unlink()
        for part in (tmp_path / "parts").glob("model-*"):
            shutil.copy(part, folder)
        index = json.loads((tmp_path / "parts" / "model.safetensors.index.json").read_text())
        gone = next(iter(index["weight_map"].values()))
        kept = {name: file for name, file in index["weight_map"].items() if file != gone}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index | {"weight_map": kept}))
        with pytest.raises(VlalignError, match="missing from its checkpoint"):
            read(folder, tiny, tmp_path)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    same(read(folder, tiny, tmp_path), tiny.run("llama"))


@pytest.mark.parametrize(
    ("name", "change", "config"),
    [
        ("llama", lambda held: held, {"vocab_size": 600}),
        ("bert", lambda held: held, {"max_position_embeddings": 8}),
        ("vit", lambda held: held | {"embeddings.cls_token": torch.zeros(1, 2, 32)}, {}),
        ("timm_vit", lambda held: held | {"norm.weight": torch.ones(3), "blocks.0.norm1.weight": torch.ones(3)}, {}),
    ],
)
def test_other_shapes_than_the_config(
    tiny: TinyModels, tmp_path: Path, name: str, change: Change, config: dict[str, Any]
) -> None:
    folder = rewritten(tiny.path(name), tmp_path / "m", change, **config)
    with pytest.raises(VlalignError, match=r"of another shape than its config .* is \[.*\] in the checkpoint, \["):
        read(folder, tiny, tmp_path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize(
    ("name", "weight"),
    [
        ("llama", "model.layers.1.self_attn.q_proj.weight"),
        ("vit", "encoder.layer.0.attention.attention.key.weight"),
        ("timm_vit", "blocks.1.attn.qkv.weight"),  # NaN in one row of the queries leaves finite features
    ],
)
def test_weights_that_are_not_finite(tiny: TinyModels, tmp_path: Path, name: str, weight: str, value: float) -> None:
    def change(held: dict[str, Any]) -> dict[str, Any]:
        held[weight][0, 3] = value
        return held

    folder = rewritten(tiny.path(name), tmp_path / "m", change)
    with pytest.raises(VlalignError, match=r"m: weight \S+\.weight is not finite: try"):
        read(folder, tiny, tmp_path)


def test_checkpoints_with_other_heads_are_read(tiny: TinyModels, tmp_path: Path) -> None:
    """A masked language model and an image classifier: their heads are left out, the features are the same."""
    from transformers import BertForMaskedLM, ViTForImageClassification

    for name, kind in (("bert", BertForMaskedLM), ("vit", ViTForImageClassification)):
        folder = tmp_path / name
        shutil.copytree(tiny.path(name), folder)
        model = kind.from_pretrained(tiny.path(name))
        model.save_pretrained(folder)
        same(read(folder, tiny, tmp_path), tiny.run(name))


def test_weights_without_a_place_in_the_blocks_are_reported(
    tiny: TinyModels, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    more = {f"model.layers.0.self_attn.{name}": torch.ones(32) for name in ("q_proj.bias", "rotary_emb.inv_freq")}
    folder = rewritten(tiny.path("llama"), tmp_path / "m", lambda held: held | more)
    read(folder, tiny, tmp_path)
    assert "model.layers.0.self_attn.q_proj.bias is in its checkpoint, but not in the model" in caplog.text
    caplog.clear()
    old = {f"transformer.h.{i}.attn.{name}": torch.ones(1) for i in range(3) for name in ("bias", "masked_bias")}
    folder = rewritten(tiny.path("gpt2"), tmp_path / "old", lambda held: held | old)
    same(read(folder, tiny, tmp_path), tiny.run("gpt2"))
    assert "in its checkpoint" not in caplog.text


def test_experts_of_which_one_is_missing(tiny: TinyModels, tmp_path: Path) -> None:
    folder = rewritten(tiny.path("mixtral"), tmp_path / "m", without("layers.1.block_sparse_moe.experts.1.w1"))
    with pytest.raises(VlalignError, match=r"m: the weights cannot be loaded \(its tensors cannot be merged"):
        read(folder, tiny, tmp_path)


def test_gguf_with_fewer_blocks_than_it_states(tiny: TinyModels, tmp_path: Path, monkeypatch: Any) -> None:
    import gguf

    add = gguf.GGUFWriter.add_tensor
    monkeypatch.setattr(
        gguf.GGUFWriter, "add_tensor",
        lambda self, name, *rest, **more: None if name.startswith("blk.2.") else add(self, name, *rest, **more),
    )  # fmt: skip
    folder = tmp_path / "m"
    folder.mkdir()
    save_gguf(folder)
    with pytest.raises(VlalignError, match=r"\d+ weights .*layers\.2\..* missing"):
        read(folder / "model-f32.gguf", tiny, tmp_path)


def test_timm_checkpoints_of_another_model(tiny: TinyModels, tmp_path: Path) -> None:
    sizes = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}
    folder = save_timm(tmp_path / "cait", "cait_xxs24_224", **sizes)
    shutil.copy(tiny.path("timm_resnet") / "model.safetensors", folder)
    with pytest.raises(VlalignError, match="its files hold other names, such as"):
        read(folder, tiny, tmp_path)


@pytest.mark.parametrize("name", ["bert", "llama", "vit", "timm_vit"])
@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8], ids=str)
def test_quantized_weights_need_their_settings(tiny: TinyModels, tmp_path: Path, name: str, dtype: torch.dtype) -> None:
    def quantized(held: dict[str, Any]) -> dict[str, Any]:
        return {key: (100 * value.abs()).clamp(max=120).to(dtype) for key, value in held.items()}

    folder = rewritten(tiny.path(name), tmp_path / "m", quantized)
    with pytest.raises(VlalignError, match=r"stored as (I8|U8), and its config\.json has no quantization_config"):
        read(folder, tiny, tmp_path)
    assert not list((tmp_path / "s").rglob("shard-*"))
