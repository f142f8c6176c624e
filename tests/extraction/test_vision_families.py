"""Vision families: the layers are the states that the library itself gives for the images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from support.tiny import randomise, save_timm

from vlalign.extraction.estimate import sketch
from vlalign.extraction.readers import VisionReader
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
    if state.ndim == 3:
        return state.mean(1)
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


def test_masks_of_pretraining_are_refused(tmp_path: Path) -> None:
    from transformers import ViTMAEConfig, ViTMAEModel

    from vlalign.errors import VlalignError

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
