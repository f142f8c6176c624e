"""Vision families: the layers are the states that the library itself gives for the images."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.tiny import randomise, save_timm

from vlalign.errors import VlalignError
from vlalign.extraction.estimate import sketch
from vlalign.extraction.readers import VisionReader
from vlalign.extraction.trial import try_images
from vlalign.models.registry import resolve
from vlalign.models.source import ModelSource, locate
from vlalign.models.structure import stage_taps
from vlalign.models.vision import Preprocessing, has_relative_positions, load_vision_model
from vlalign.store import Shard

COUNT = 3
SWIN = {
    "image_size": 32,
    "patch_size": 2,
    "embed_dim": 16,
    "depths": [1, 1, 2],
    "num_heads": [2, 2, 4],
    "window_size": 4,
}
PYRAMID = {
    "image_size": 32, "num_encoder_blocks": 2, "depths": [1, 1], "hidden_sizes": [16, 32], "strides": [4, 2],
    "num_attention_heads": [1, 2], "mlp_ratios": [2, 2],
}  # fmt: skip
HIERA = {
    "image_size": [32, 32], "patch_size": [3, 3], "patch_stride": [2, 2], "patch_padding": [1, 1], "embed_dim": 8,
    "depths": [1, 1, 1], "num_heads": [1, 2, 4], "masked_unit_size": [4, 4], "query_stride": [2, 2],
    "num_query_pool": 2, "embed_dim_multiplier": 2,
}  # fmt: skip
#: kind, config, whether the states are those that the model returns, whether those begin before the first stage
STAGES: list[tuple[str, dict[str, Any], bool, bool]] = [
    ("swin", SWIN, True, True),
    ("swin", SWIN | {"depths": [1, 1], "num_heads": [2, 2]}, True, True),
    ("swinv2", SWIN, True, True),
    ("donut-swin", SWIN, True, True),
    ("hiera", HIERA, True, True),
    ("focalnet", {"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [1, 1]}, True, True),
    ("pvt", PYRAMID | {"sequence_reduction_ratios": [2, 1], "patch_sizes": [4, 2]}, True, True),
    ("glpn", PYRAMID | {"sr_ratios": [2, 1], "patch_sizes": [7, 3]}, True, False),
    ("poolformer", PYRAMID | {"patch_sizes": [7, 3], "padding": [2, 1]}, True, False),
    ("mobilenet_v1", {"image_size": 32, "depth_multiplier": 0.25}, True, False),
    ("convnext", {"num_stages": 3, "hidden_sizes": [8, 16, 32], "depths": [1, 1, 2], "image_size": 32}, False, True),
    ("resnet", {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}, False, True),
]


NOISE = SimpleNamespace(ids=[f"s{i}" for i in range(COUNT)], image=lambda row: row)


def pixels(row: int, side: int = 32) -> torch.Tensor:
    return torch.randn(3, side, side, generator=torch.Generator().manual_seed(row))


def read(source: ModelSource, pool: str, batch: int, side: int = 32) -> list[torch.Tensor]:
    model = load_vision_model(source, dtype=torch.float32, device=torch.device("cpu"))
    preprocessing = Preprocessing(partial(pixels, side=side), {}, (side, side))  # type: ignore[arg-type]
    reader = VisionReader(model, "m", NOISE, preprocessing, [pool], batch, 0)  # type: ignore[arg-type]
    [(_, assemble)] = reader.read([Shard(0, 0, COUNT)], lambda count: None)
    return list(assemble().features[0].values())


def average(state: torch.Tensor, width: int) -> torch.Tensor:
    if state.ndim == 3:  # the last stage of PVT has a class token
        return state[:, state.shape[1] - math.isqrt(state.shape[1]) ** 2 :].mean(1)
    return state.mean((2, 3) if state.shape[1] == width else (1, 2))


@pytest.mark.parametrize(("kind", "config", "returned", "embeddings"), STAGES, ids=[kind for kind, *_ in STAGES])
def test_stages_of_transformers(
    kind: str, config: dict[str, Any], returned: bool, embeddings: bool, tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModel

    model = AutoModel.from_config(AutoConfig.for_model(kind, **config))
    model.config.architectures = [type(model).__name__]
    randomise(model).save_pretrained(tmp_path / "m")
    source = locate(resolve(str(tmp_path / "m")))
    outline = sketch(source, (32, 32), None)
    assert outline.own_states == returned
    with torch.inference_mode():
        images = torch.stack([pixels(row) for row in range(COUNT)])
        states = AutoModel.from_pretrained(tmp_path / "m").eval()(images, output_hidden_states=True).hidden_states
    expected = states[1:] if embeddings else states
    assert len(expected) == len(outline.taps)
    for batch in (1, COUNT):
        for ours, state, tap in zip(read(source, "avg", batch), expected, outline.taps, strict=True):
            torch.testing.assert_close(ours, average(state, tap.width), rtol=1e-4, atol=1e-5)


def test_timm_transformer_with_attention_pooling(tmp_path: Path) -> None:
    """SigLIP: no class token, and a pooling head that the estimate must run through."""
    import timm

    sizes = {"img_size": 32, "depth": 2, "embed_dim": 48, "num_heads": 3, "num_classes": 0}
    folder = save_timm(tmp_path / "m", "vit_base_patch16_siglip_224", **sizes)
    source = locate(resolve(str(folder)))
    outline = sketch(source, (32, 32), None)
    assert not outline.has_cls
    assert outline.flops is not None
    module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    images = torch.stack([pixels(row) for row in range(COUNT)])
    with torch.inference_mode():
        expected = module.forward_intermediates(images, intermediates_only=True, norm=False, output_fmt="NLC")
    for ours, state in zip(read(source, "avg", COUNT), expected, strict=True):
        torch.testing.assert_close(ours, state.mean(1), rtol=1e-4, atol=1e-5)


def test_maps_with_as_many_rows_as_channels(tmp_path: Path) -> None:
    """Swin of timm: channels last, and here a first stage of 16 × 16 × 16, as swin_tiny has at 384 pixels."""
    import timm

    sizes = {"img_size": 64, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 2], "num_classes": 0}
    folder = save_timm(tmp_path / "m", "swin_tiny_patch4_window7_224", **sizes)
    source = locate(resolve(str(folder)))
    assert sketch(source, (64, 64), None).marks == {"layout": "channels last"}  # other features in an earlier version
    module = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    with torch.inference_mode():
        images = torch.stack([pixels(row, 64) for row in range(COUNT)])
        expected = module.forward_intermediates(images, intermediates_only=True, norm=False, output_fmt="NCHW")
    assert expected[0].shape[1:] == (16, 16, 16)
    for ours, state in zip(read(source, "avg", COUNT, 64), expected, strict=True):
        torch.testing.assert_close(ours, state.mean((2, 3)), rtol=1e-4, atol=1e-5)


def test_stages_of_images_with_unequal_sides(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModel

    sizes = PYRAMID | {"image_size": [32, 64], "patch_sizes": [7, 3], "padding": [2, 1]}
    model = AutoModel.from_config(AutoConfig.for_model("poolformer", **sizes))
    assert [tap.width for tap in stage_taps(model)] == [16, 32]


VIT = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "image_size": 32,
    "patch_size": 8,
}  # fmt: skip
#: kind, config, class token, tokens before and after the 16 patches
TOKENS: list[tuple[str, dict[str, Any], bool, int, int]] = [
    ("aimv2_vision_model", {"use_head": True}, False, 0, 0),  # its head has a class token, its sequence none
    ("deit", {}, True, 2, 0),
    ("dinov2_with_registers", {"num_register_tokens": 3}, True, 4, 0),
    ("pixio", {"n_cls_tokens": 8}, True, 8, 0),
    ("radio", {"num_cls_tokens": 3, "num_registers": 6}, True, 9, 0),  # 25 tokens, a square number, too
    ("siglip_vision_model", {}, False, 0, 0),
    ("yolos", {"image_size": [32, 32], "num_detection_tokens": 7}, True, 1, 7),
]


@pytest.mark.parametrize(("kind", "config", "has_cls", "before", "after"), TOKENS, ids=[kind for kind, *_ in TOKENS])
def test_averages_are_over_patches_alone(
    kind: str, config: dict[str, Any], has_cls: bool, before: int, after: int, tmp_path: Path
) -> None:
    from transformers import AutoConfig, AutoModel

    model = randomise(AutoModel.from_config(AutoConfig.for_model(kind, **VIT | config))).eval()
    model.config.architectures = [type(model).__name__]
    model.save_pretrained(tmp_path / "m")
    source = locate(resolve(str(tmp_path / "m")))
    outline = sketch(source, (32, 32), None)
    assert outline.has_cls == has_cls
    assert ("tokens" in outline.marks) == (kind in ("aimv2_vision_model", "pixio", "radio", "yolos"))
    states: list[torch.Tensor] = []
    getattr(model, "vision_model", model).get_submodule(outline.taps[-1].module).register_forward_hook(
        lambda module, args, output: states.append(output if isinstance(output, torch.Tensor) else output[0])
    )
    with torch.inference_mode():
        model(torch.stack([pixels(row) for row in range(COUNT)]))
    patches = states[0][:, before : before + 16]
    assert states[0].shape[1] == before + 16 + after
    torch.testing.assert_close(read(source, "avg", COUNT)[-1], patches.mean(1), rtol=1e-4, atol=1e-5)
    if has_cls:
        torch.testing.assert_close(read(source, "cls", COUNT)[-1], states[0][:, 0], rtol=1e-4, atol=1e-5)
    loaded = load_vision_model(source, dtype=torch.float32, device=torch.device("cpu"))
    wrong = [replace(tap, prefix=tap.prefix + 1, suffix=max(0, tap.suffix - 1)) for tap in loaded.taps]
    with pytest.raises(VlalignError, match=r"^m: 16 of the \d+ tokens that enter its first block depend on the image"):
        try_images(replace(loaded, taps=wrong), "m", (32, 32))


def test_a_class_token_that_joins_late_is_left_out(tmp_path: Path) -> None:
    """ConViT of timm: the class token joins before block 1 of 3; PVT of transformers: before the last stage."""
    import timm
    from transformers import PvtConfig, PvtModel

    sizes = {"img_size": 32, "embed_dim": 8, "num_heads": 2, "depth": 3, "local_up_to_layer": 1, "num_classes": 0}
    folder = save_timm(tmp_path / "convit", "convit_tiny", **sizes)
    module, states = timm.create_model(f"local-dir:{folder}", pretrained=True).eval(), []
    for block in module.blocks:
        block.register_forward_hook(lambda module, args, output: states.append(output))
    images = torch.stack([pixels(row) for row in range(COUNT)])
    with torch.inference_mode():
        module(images)
    assert [state.shape[1] for state in states] == [4, 5, 5]
    for ours, state in zip(read(locate(resolve(str(folder))), "avg", COUNT), states, strict=True):
        torch.testing.assert_close(ours, state[:, -4:].mean(1), rtol=1e-4, atol=1e-5)

    config = PvtConfig(**PYRAMID | {"sequence_reduction_ratios": [2, 1], "patch_sizes": [4, 2], "depths": [2, 1]})
    model = randomise(PvtModel(config)).eval()
    model.save_pretrained(tmp_path / "pvt")
    with torch.inference_mode():
        *whole, last, normed = model(images, output_hidden_states=True).hidden_states
    expected = [*(state.mean(1) for state in whole), last[:, 1:].mean(1), normed[:, 1:].mean(1)]
    for ours, vectors in zip(read(locate(resolve(str(tmp_path / "pvt"))), "avg", COUNT), expected, strict=True):
        torch.testing.assert_close(ours, vectors, rtol=1e-4, atol=1e-5)


def test_layers_with_tokens_that_are_no_grid_are_refused(tmp_path: Path) -> None:
    """CrossViT of timm has a class token in every stage."""
    folder = save_timm(tmp_path / "m", "crossvit_tiny_240", num_classes=0)
    with pytest.raises(
        VlalignError, match=r"^m: stage_0 gives 401 tokens for an image of 240 × 240 pixels, .* open an"
    ):
        read(locate(resolve(str(folder))), "avg", 1, 240)


def test_masks_of_pretraining_are_refused(tmp_path: Path) -> None:
    from transformers import ViTMAEConfig, ViTMAEModel

    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    ViTMAEModel(ViTMAEConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(tmp_path / "m")
    with pytest.raises(VlalignError, match="hides patches at random"):
        sketch(locate(resolve(str(tmp_path / "m"))), (32, 32), None)


@pytest.mark.parametrize("kind", ["beit", "data2vec-vision"])
@pytest.mark.parametrize("shared", [False, True])
def test_the_estimate_leaves_no_tensors_without_values(tmp_path: Path, kind: str, shared: bool) -> None:
    from transformers import AutoConfig, AutoModel

    flag = "use_shared_relative_position_bias" if shared else "use_relative_position_bias"
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
    config = AutoConfig.for_model(kind, image_size=32, patch_size=8, **{flag: True}, **sizes)
    model = randomise(AutoModel.from_config(config)).eval()
    model.save_pretrained(tmp_path / "m")
    source = locate(resolve(str(tmp_path / "m")))
    assert has_relative_positions(source)  # features of an earlier version were wrong, so the run key differs
    sketch(source, (32, 32), None)
    with torch.no_grad():
        states = model(torch.stack([pixels(row) for row in range(COUNT)]), output_hidden_states=True).hidden_states
    for layer, state in zip(read(source, "cls", COUNT), states[1:], strict=True):
        torch.testing.assert_close(layer, state[:, 0], rtol=1e-5, atol=1e-5)
