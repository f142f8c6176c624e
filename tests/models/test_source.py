"""Any model, registered or not: where it comes from, what it is, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from support.hub import HubServer
from support.tiny import TinyModels

from vlalign.errors import VlalignError
from vlalign.extraction import extract
from vlalign.models.registry import resolve
from vlalign.models.source import locate


@pytest.mark.parametrize(
    ("name", "folder", "modality", "backend"),
    [
        ("someone/pythia", "gpt2", "text", "transformers"),
        ("someone/encoder", "bert", "text", "transformers"),
        ("someone/quantized/model-f32.gguf", "gguf", "text", "transformers"),
        ("someone/vit", "vit", "vision", "transformers"),
        ("someone/clip", "clip", "vision", "transformers"),
        ("someone/convnet", "timm_resnet", "vision", "timm"),
        ("timm:test_vit.r160_in1k", "timm_vit", "vision", "timm"),
    ],
)
def test_unregistered_models_on_the_hub(
    hub: HubServer, tiny: TinyModels, name: str, folder: str, modality: str, backend: str
) -> None:
    repo = "timm/test_vit.r160_in1k" if name.startswith("timm:") else "/".join(name.split("/")[:2])
    commit = hub.add_model(repo, tiny.path(folder))
    source = locate(resolve(name))
    assert (source.modality, source.backend, source.location) == (modality, backend, repo)
    assert source.remote
    assert source.revision == commit.oid


def test_extraction_from_the_hub_equals_that_from_the_folder(hub: HubServer, tiny: TinyModels, tmp_path: Path) -> None:
    hub.add_model("someone/quantized", tiny.path("gguf"))
    hub.add_model("timm/test_vit.r160_in1k", tiny.path("timm_vit"))
    data, store = str(tiny.path("prh")), str(tmp_path / "s")
    remote = extract(["someone/quantized/model-f32.gguf", "timm:test_vit.r160_in1k"], data=data, store=store, workers=0)
    local = extract(
        [str(tiny.path("gguf") / "model-f32.gguf"), str(tiny.path("timm_vit"))], data=data, store=store, workers=0
    )
    for a, b in zip(remote, local, strict=True):
        assert a.path != b.path
        assert a.key.data["model"]["source"].split(":")[0] in ("gguf", "timm")
        for x, y in zip(a.features(), b.features(), strict=True):
            torch.testing.assert_close(x, y)


def test_what_is_no_model(hub: HubServer, tiny: TinyModels, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    shutil.copytree(tiny.path("llama"), empty, ignore=shutil.ignore_patterns("*.safetensors"))
    with pytest.raises(VlalignError, match="no weights"):
        locate(resolve(str(empty)))

    own_code = tmp_path / "own"
    shutil.copytree(tiny.path("llama"), own_code)
    config = json.loads((own_code / "config.json").read_text())
    config |= {"model_type": "nobodys", "auto_map": {"AutoConfig": "configuration_own.OwnConfig"}}
    (own_code / "config.json").write_text(json.dumps(config))
    with pytest.raises(VlalignError, match="--trust-remote-code"):
        locate(resolve(str(own_code)))

    config.pop("auto_map")
    (own_code / "config.json").write_text(json.dumps(config))
    with pytest.raises(VlalignError, match="transformers does not know"):
        locate(resolve(str(own_code)))

    config |= {"model_type": "t5", "is_encoder_decoder": True}
    (own_code / "config.json").write_text(json.dumps(config))
    with pytest.raises(VlalignError, match="encoder–decoder"):
        locate(resolve(str(own_code)))

    with pytest.raises(VlalignError, match="pretrained"):
        locate(resolve("timm:vit_base_patch16_xp_224"))


def test_split_on_one_process_gives_the_same_features(tiny: TinyModels, tmp_path: Path) -> None:
    data = str(tiny.path("prh"))
    for model in ("llama", "bloom"):
        (whole,) = extract(str(tiny.path(model)), data=data, store=str(tmp_path / "whole"))
        (split,) = extract(str(tiny.path(model)), data=data, store=str(tmp_path / "split"), parallel="split")
        assert split.key == whole.key  # how it was computed is no part of what it is
        for x, y in zip(whole.features(), split.features(), strict=True):
            torch.testing.assert_close(x, y)


def test_models_that_hide_patches_are_refused_before_weights(tiny: TinyModels, tmp_path: Path) -> None:
    from support.tiny import randomise
    from transformers import ViTMAEConfig, ViTMAEModel

    sizes = {"image_size": 32, "patch_size": 4, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 16}
    folder = tmp_path / "mae"
    randomise(ViTMAEModel(ViTMAEConfig(num_hidden_layers=2, **sizes))).save_pretrained(folder)  # type: ignore[operator]
    shutil.copy(tiny.path("vit") / "preprocessor_config.json", folder)
    with pytest.raises(VlalignError, match="at random"):
        extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_transformers_convnets_are_averaged_over_space(tiny: TinyModels, tmp_path: Path) -> None:
    from support.tiny import randomise
    from transformers import ConvNextConfig, ConvNextModel

    folder = tmp_path / "convnext"
    config = ConvNextConfig(image_size=32, hidden_sizes=[8, 12], depths=[1, 1], num_stages=2)
    randomise(ConvNextModel(config)).save_pretrained(folder)  # type: ignore[operator]
    shutil.copy(tiny.path("vit") / "preprocessor_config.json", folder)
    (run,) = extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "s"), workers=0)
    assert [layer.width for layer in run.layers] == [8, 12]
    assert run.key.data["pooling"] == "avg"


def test_late_class_tokens_are_not_taken_for_patches(tmp_path: Path) -> None:
    import timm
    from support.tiny import save_timm

    sizes = {"embed_dim": 16, "depth": 2, "num_heads": 2, "img_size": 32, "patch_size": 8}
    source = locate(resolve(str(save_timm(tmp_path / "cait", "cait_xxs24_224", **sizes))))
    from vlalign.models.vision import vision_taps

    module = timm.create_model(f"local-dir:{source.location}", pretrained=True, num_classes=0)
    taps, has_cls = vision_taps(module, source)
    assert ([tap.prefix for tap in taps], has_cls) == ([0, 0], False)


def test_damaged_weights_are_named(tiny: TinyModels, tmp_path: Path) -> None:
    for name in ("llama", "timm_dinov2_small"):
        folder = tmp_path / name
        shutil.copytree(tiny.path(name), folder)
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-200])
        with pytest.raises(VlalignError, match="damaged"):
            extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "s"), workers=0)
