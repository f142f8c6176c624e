"""Model folders that cannot be read: one line each that names the folder and what is wrong with it."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.tiny import TinyModels

from vlalign.errors import VlalignError
from vlalign.extraction import extract

Break = Callable[[Path], None]


def config(**values: Any) -> Break:
    """Change fields of config.json; ``...`` removes one."""
    return changed("config.json", **values)


def changed(name: str, **values: Any) -> Break:
    def change(folder: Path) -> None:
        held = json.loads((folder / name).read_text()) | values
        (folder / name).write_text(json.dumps({key: value for key, value in held.items() if value is not ...}))

    return change


def written(name: str, content: str | bytes) -> Break:
    """Replace a file."""

    def write(folder: Path) -> None:
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def removed(*names: str) -> Break:
    def remove(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return remove


def cut(name: str, end: int) -> Break:
    """Keep the first bytes of a file."""

    def change(folder: Path) -> None:
        (folder / name).write_bytes((folder / name).read_bytes()[:end])

    return change


def weights(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Break:
    """Pass the weights through a function."""

    def rewrite(folder: Path) -> None:
        file = folder / "model.safetensors"
        save_file(change(load_file(file)), file, metadata={"format": "pt"})

    return rewrite


def in_pickle(content: Any) -> Break:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        torch.save(content, folder / "pytorch_model.bin")

    return write


class Hostile:
    def __reduce__(self) -> Any:
        return (os.mkdir, ("hostile-was-here",))


def hostile_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Hostile()}))


def as_folder(name: str) -> Break:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


def as_loop(name: str) -> Break:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(name)

    return change


def sharded(folder: Path) -> None:
    """Weights in two files with an index."""
    held = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    place = {name: names[i % 2] for i, name in enumerate(sorted(held))}
    for file in names:
        save_file({n: held[n] for n in held if place[n] == file}, folder / file, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": place}))


def both(*changes: Break) -> Break:
    def change(folder: Path) -> None:
        for one in changes:
            one(folder)

    return change


DEEP = "[" * 20000 + "]" * 20000
HUGE_HEADER = struct.pack("<Q", 2**60) + b"{}"
PROCESSOR, INDEX, SHARD = "preprocessor_config.json", "model.safetensors.index.json", "model-00002-of-00002.safetensors"
TOKENIZER = "tokenizer.json"
PATCHES = "embeddings.patch_embeddings.projection.weight"

BAD: dict[str, tuple[str, Break]] = {
    # config.json
    "config: empty": ("llama", written("config.json", "")),
    "config: binary": ("llama", written("config.json", bytes(range(128, 255)))),
    "config: UTF-16": ("llama", written("config.json", "{}".encode("utf-16"))),
    "config: cut": ("llama", cut("config.json", 100)),
    "config: list": ("llama", written("config.json", "[1, 2]")),
    "config: null": ("llama", written("config.json", "null")),
    "config: nested deep": ("llama", written("config.json", DEEP)),
    "config: folder": ("llama", as_folder("config.json")),
    "config: symbolic link to itself": ("llama", as_loop("config.json")),
    "config: without kind": ("llama", config(model_type=..., architectures=...)),
    "config: unknown kind": ("llama", config(model_type="nobodys")),
    "config: kind is a number": ("llama", config(model_type=5)),
    "config: kind is a list": ("llama", config(model_type=["llama"])),
    "config: architectures is a number": ("llama", config(architectures=5)),
    "config: architectures of numbers": ("llama", config(architectures=[5])),
    "config: no heads": ("llama", config(num_attention_heads=0, num_key_value_heads=0, head_dim=None)),
    "config: negative heads": ("llama", config(num_attention_heads=-4, head_dim=None)),
    "config: heads are text": ("llama", config(num_attention_heads="four")),
    "config: width is no multiple of heads": ("bert", config(num_attention_heads=5)),
    "config: no width": ("llama", config(hidden_size=0)),
    "config: negative width": ("bert", config(hidden_size=-32)),
    "config: width is text": ("bert", config(hidden_size="wide")),
    "config: width is null": ("llama", config(hidden_size=None)),
    "config: width is a fraction": ("bert", config(hidden_size=32.5)),
    "config: width of 10^12": ("llama", config(hidden_size=10**12)),
    "config: no blocks": ("llama", config(num_hidden_layers=0)),
    "config: negative blocks": ("bert", config(num_hidden_layers=-1)),
    "config: a billion blocks": ("llama", config(num_hidden_layers=10**9)),
    "config: blocks are text": ("llama", config(num_hidden_layers="3")),
    "config: blocks are NaN": ("bert", config(num_hidden_layers=float("nan"))),
    "config: no vocabulary": ("bert", config(vocab_size=0)),
    "config: negative vocabulary": ("llama", config(vocab_size=-5)),
    "config: vocabulary of 10^15": ("llama", config(vocab_size=10**15)),
    "config: vocabulary is a fraction": ("llama", config(vocab_size=512.5)),
    "config: architectures is a name": ("llama", config(architectures="LlamaForCausalLM")),
    "config: unknown activation": ("bert", config(hidden_act="nobodys")),
    "config: activation is a number": ("llama", config(hidden_act=3)),
    "config: rope is text": ("llama", config(rope_parameters="far", rope_scaling=...)),
    "config: rope of unknown type": ("llama", config(rope_parameters={"rope_type": "nobodys", "rope_theta": 1e4})),
    "config: quantization is text": ("llama", config(quantization_config="int4")),
    "config: padding beyond the vocabulary": ("llama", config(pad_token_id=10**6)),
    "config: dtype of nobody": ("llama", config(dtype="float7", torch_dtype=...)),
    "config: no patches": ("vit", config(patch_size=0)),
    "config: patches are text": ("vit", config(patch_size="16")),
    "config: image of no size": ("vit", config(image_size=0)),
    "config: image size is an object": ("vit", config(image_size={"h": 32})),
    "config: one channel": ("vit", config(num_channels=1)),
    "config: one channel, as its weights": ("vit", both(config(num_channels=1), weights(
        lambda held: held | {PATCHES: held[PATCHES].sum(1, keepdim=True)}))),
    "config: vision part is a list": ("clip", config(vision_config=[1])),
    # weights
    "weights: none": ("llama", removed("model.safetensors")),
    "weights: empty file": ("llama", written("model.safetensors", b"")),
    "weights: no tensors": ("llama", weights(lambda held: {})),
    "weights: text": ("llama", written("model.safetensors", "version https://git-lfs.github.com/spec/v1\n" * 3)),
    "weights: header of 2^60 bytes": ("llama", written("model.safetensors", HUGE_HEADER)),
    "weights: header is no JSON": ("llama", written("model.safetensors", struct.pack("<Q", 4) + b"abcd")),
    "weights: cut": ("llama", cut("model.safetensors", -200)),
    "weights: folder": ("llama", as_folder("model.safetensors")),
    "weights: symbolic link to itself": ("llama", as_loop("model.safetensors")),
    "weights: pickle that runs code": ("llama", hostile_pickle),
    "weights: pickle of text": ("llama", in_pickle("weights")),
    "weights: pickle of a list": ("llama", in_pickle([torch.ones(2)])),
    "weights: pickle of numbers": ("llama", in_pickle({"model.embed_tokens.weight": 3})),
    "weights: no pickle": ("llama", both(removed("model.safetensors"), written("pytorch_model.bin", b"\x80\x04abc"))),
    "weights: a shard is absent": ("llama", both(sharded, removed(SHARD))),
    "weights: a shard is cut": ("llama", both(sharded, cut(SHARD, -100))),
    "weights: index is no JSON": ("llama", both(sharded, written(INDEX, "{"))),
    "weights: index is a list": ("llama", both(sharded, written(INDEX, "[]"))),
    "weights: index without map": ("llama", both(sharded, written(INDEX, "{}"))),
    "weights: map is a list": ("llama", both(sharded, written(INDEX, '{"metadata": {}, "weight_map": [1]}'))),
    "weights: shards without index": ("llama", both(sharded, removed(INDEX))),
    "weights: index leads outside": (
        "llama", both(sharded, written(INDEX, '{"metadata": {}, "weight_map": {"a": "../../x.safetensors"}}')),
    ),
    # tokenizer
    "tokenizer: none": ("llama", removed(TOKENIZER, "tokenizer.model", "tokenizer_config.json")),
    "tokenizer: special tokens alone": ("bert", removed(TOKENIZER, "vocab.txt")),
    "tokenizer: vocabulary is a list": ("gpt2", both(removed(TOKENIZER), written("vocab.json", "[1]"))),
    "tokenizer: empty": ("llama", written(TOKENIZER, "")),
    "tokenizer: object without model": ("llama", written(TOKENIZER, "{}")),
    "tokenizer: binary": ("llama", written(TOKENIZER, bytes(range(128, 255)))),
    "tokenizer: nested deep": ("llama", written(TOKENIZER, DEEP)),
    "tokenizer: cut": ("llama", cut(TOKENIZER, -100)),
    "tokenizer: settings are a list": ("llama", written("tokenizer_config.json", "[]")),
    "tokenizer: settings are no JSON": ("llama", written("tokenizer_config.json", "{")),
    "tokenizer: special tokens are a list": ("llama", written("special_tokens_map.json", "[1]")),
    "tokenizer: of an unknown class": (
        "gpt2", both(removed(TOKENIZER, "vocab.json"), changed("tokenizer_config.json", tokenizer_class="Nobodys")),
    ),
    "tokenizer: SentencePiece model cut": ("open_llama", cut("tokenizer.model", 50)),
    # image processor
    "processor: none": ("vit", removed(PROCESSOR)),
    "processor: no JSON": ("vit", written(PROCESSOR, "{")),
    "processor: list": ("vit", written(PROCESSOR, "[]")),
    "processor: binary": ("vit", written(PROCESSOR, bytes(range(128, 255)))),
    "processor: of an unknown type": ("vit", changed(PROCESSOR, image_processor_type="NobodysProcessor")),
    "processor: size is text": ("vit", changed(PROCESSOR, size="big")),
    "processor: size of nothing": ("vit", changed(PROCESSOR, size={"height": 0, "width": 0})),
    "processor: negative size": ("vit", changed(PROCESSOR, size={"height": -32, "width": -32})),
    "processor: size of 10^7": ("vit", changed(PROCESSOR, size={"height": 10**7, "width": 10**7})),
    "processor: crop is text": ("dinov2", changed(PROCESSOR, crop_size="x")),
    "processor: two means": ("vit", changed(PROCESSOR, image_mean=[0.5, 0.5])),
    "processor: mean is text": ("vit", changed(PROCESSOR, image_mean="grey")),
    "processor: deviation of 0": ("vit", changed(PROCESSOR, image_std=[0, 0, 0])),
    "processor: resampling of nobody": ("vit", changed(PROCESSOR, resample=99)),
    "processor: another size than the model": ("vit", changed(PROCESSOR, size={"height": 48, "width": 48})),
    # timm
    "timm: architecture is a number": ("timm_vit", config(architecture=5)),
    "timm: unknown architecture": ("timm_vit", config(architecture="vit_of_nobody")),
    "timm: arguments are a list": ("timm_vit", config(model_args=[1])),
    "timm: unknown argument": ("timm_vit", config(model_args={"nobodys": 1})),
    "timm: no heads": ("timm_vit", config(model_args={"num_heads": 0})),
    "timm: one channel": ("timm_vit", config(model_args={"in_chans": 1})),
    "timm: preprocessing is a list": ("timm_vit", config(pretrained_cfg=[1])),
    "timm: size is text": ("timm_vit", config(pretrained_cfg={"input_size": "big"})),
    "timm: size of 10^7": ("timm_vit", config(pretrained_cfg={"input_size": [3, 10**7, 10**7]})),
    "timm: interpolation of nobody": ("timm_vit", config(pretrained_cfg={"interpolation": "nobodys"})),
    "timm: a billion blocks": ("timm_vit", config(model_args={"depth": 10**9})),
    "timm: other depth": ("timm_vit", config(model_args={"depth": 9})),
    "timm: other width": ("timm_vit", config(model_args={"embed_dim": 32})),
    "timm: weights cut": ("timm_vit", cut("model.safetensors", -100)),
    "timm: weights of another model": ("timm_vit", weights(lambda held: {"a": torch.ones(2)})),
    "timm: no tensors": ("timm_vit", weights(lambda held: {})),
    "timm: pickle that runs code": ("timm_vit", hostile_pickle),
    # GGUF
    "GGUF: cut header": ("gguf", cut("model-f32.gguf", 40)),
    "GGUF: cut weights": ("gguf", cut("model-f32.gguf", -5000)),
    "GGUF: noise": ("gguf", written("model-f32.gguf", b"GGUF\x03\0\0\0" + b"\xff" * 5000)),
    "GGUF: text": ("gguf", written("model-f32.gguf", "no model at all" * 100)),
    "GGUF: empty": ("gguf", written("model-f32.gguf", "")),
    "GGUF: version of the future": ("gguf", written("model-f32.gguf", b"GGUF" + struct.pack("<I", 99) + bytes(64))),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_model_folder_is_one_line(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    name, change = BAD[case]
    folder = tmp_path / "bad-model"
    shutil.copytree(tiny.path(name), folder)
    monkeypatch.chdir(tmp_path)
    change(folder)
    model = folder / "model-f32.gguf" if name == "gguf" else folder
    with pytest.raises(VlalignError) as raised:
        extract(str(model), data=str(tiny.path("prh")), store="store", workers=0)
    message = str(raised.value)
    assert "bad-model" in message
    assert "\n" not in message
    assert len(message) < 700
    assert not (tmp_path / "hostile-was-here").exists()
    assert not list(tmp_path.glob("store/*/*/shards/*"))
