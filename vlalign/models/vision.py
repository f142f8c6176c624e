"""Vision models: timm transformers and convolutional nets, transformers vision models, and their preprocessing."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.source import ModelSource, load_config
from vlalign.models.structure import Tap, depth_of, find_blocks
from vlalign.remote import hub_errors

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor, nn

#: timm architectures whose class token joins after the blocks: their blocks hold patches only
_LATE_CLASS_TOKEN = {"Cait", "Xcit"}


@dataclass(frozen=True)
class Preprocessing:
    """Pixels from pictures, and the settings that decide them.

    Attributes:
        transform: RGB picture to float tensor ``[3, H, W]``; can be pickled for the workers of a DataLoader.
        settings: everything that changes the pixels, for the run key.
        size: (height, width) in pixels.
    """

    transform: Callable[[Image], Tensor]
    settings: dict[str, Any]
    size: tuple[int, int]


@dataclass
class VisionModel:
    """A loaded vision model and the parts that extraction reads.

    Attributes:
        module: called with pixels ``[B, 3, H, W]``.
        taps: the layer axis: every block (states leave the module, before any final norm) or every stage of a
            convolutional net.
        prefix_tokens: how many leading tokens are not patches (class token and registers).
        has_cls: whether the first of them is a class token.
        device: where pixels go.
        dtype: of the pixels.
        arguments: more arguments of the forward.
    """

    module: nn.Module
    taps: list[Tap]
    prefix_tokens: int
    has_cls: bool
    device: torch.device
    dtype: torch.dtype
    arguments: dict[str, Any]


def load_preprocessing(source: ModelSource, image_size: int | None = None) -> Preprocessing:
    """The checkpoint's own preprocessing: timm's evaluation transform, or the image processor of transformers (PIL).

    Args:
        source: the model.
        image_size: side in pixels instead of the checkpoint's own (518 for DINOv2 in timm).
    """
    if image_size is not None and image_size < 1:
        raise VlalignError(f"--image-size {image_size}: give the side of the input in pixels, e.g. 224")
    return _timm_preprocessing(source, image_size) if source.backend == "timm" else _processor(source, image_size)


def build_vision_model(
    source: ModelSource, image_size: int | None, *, pretrained: bool
) -> tuple[nn.Module, dict[str, Any]]:
    """The bare module and the extra arguments of its forward; without weights (``pretrained=False``) for estimates.

    Raises:
        VlalignError: ``image_size`` on a model that cannot take another one.
    """
    if source.backend == "timm":
        return _build_timm(source, image_size, pretrained), {}
    return _build_transformers(source, image_size, pretrained)


def load_vision_model(
    source: ModelSource, *, dtype: torch.dtype, device: torch.device, image_size: int | None = None
) -> VisionModel:
    """Loads a vision model for reading, in evaluation mode."""
    module, arguments = build_vision_model(source, image_size, pretrained=True)
    module = module.eval().requires_grad_(False).to(device=device, dtype=dtype)
    taps, prefix, has_cls = vision_taps(module, source)
    return VisionModel(module, taps, prefix, has_cls, device, dtype, arguments)


def vision_taps(module: nn.Module, source: ModelSource) -> tuple[list[Tap], int, bool]:
    """The layer axis of a vision model, its number of prefix tokens and whether it has a class token."""
    return _timm_taps(module) if source.backend == "timm" else _transformers_taps(module)


# -- timm -------------------------------------------------------------------------------------------------------------


def _timm_config(source: ModelSource) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads(source.file("config.json").read_text(encoding="utf-8"))
    return {**{k: v for k, v in raw.items() if k != "pretrained_cfg"}, **raw.get("pretrained_cfg", {})}


def _timm_preprocessing(source: ModelSource, image_size: int | None) -> Preprocessing:
    from timm.data import create_transform, resolve_data_config

    arguments = {} if image_size is None else {"input_size": (3, image_size, image_size)}
    settings = resolve_data_config(arguments, pretrained_cfg=_timm_config(source))
    settings = {key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()}
    transform = create_transform(**{**settings, "input_size": tuple(settings["input_size"])}, is_training=False)
    _, height, width = settings["input_size"]
    return Preprocessing(transform, {"processor": "timm", **settings}, (height, width))


def _build_timm(source: ModelSource, image_size: int | None, pretrained: bool) -> nn.Module:
    import timm

    folder = source.file("config.json").parent
    if pretrained:
        _timm_weights(source)
    arguments: dict[str, Any] = {"num_classes": 0}
    if image_size is not None and _timm_config(source).get("fixed_input_size", False):
        arguments["img_size"] = image_size
    try:
        with hub_errors(source.location):
            return timm.create_model(f"local-dir:{folder}", pretrained=pretrained, **arguments)
    except TypeError as error:
        if image_size is None:
            raise
        raise VlalignError(
            f"{source.spec.alias} cannot take another --image-size: leave the flag out for it"
        ) from error
    except (AssertionError, ValueError) as error:
        if image_size is None:
            raise
        raise VlalignError(f"--image-size {image_size} does not suit {source.spec.alias}: {error}") from error
    except RuntimeError as error:
        if "Unknown model" in str(error):
            raise VlalignError(
                f"{source.location}: timm does not know the architecture {source.architecture!r}"
            ) from error
        raise


def _timm_weights(source: ModelSource) -> Path:
    """Fetches the weights beside config.json, where timm looks for them."""
    from huggingface_hub.errors import EntryNotFoundError

    for name in ("model.safetensors", "pytorch_model.bin"):
        try:
            path = source.file(name)
        except VlalignError as error:
            if isinstance(error.__cause__, EntryNotFoundError):
                continue
            raise
        if path.is_file():
            return path
    raise VlalignError(f"{source.location} holds neither model.safetensors nor pytorch_model.bin")


def _timm_taps(module: Any) -> tuple[list[Tap], int, bool]:
    blocks = getattr(module, "blocks", None)
    if blocks is not None and hasattr(module, "num_prefix_tokens"):
        width = int(module.num_features)
        taps = [
            Tap(f"block_{i}", width, "after the second residual add, before the final norm", f"blocks.{i}")
            for i in range(len(blocks))
        ]
        if type(module).__name__ in _LATE_CLASS_TOKEN:
            return taps, 0, False
        return taps, int(module.num_prefix_tokens), getattr(module, "cls_token", None) is not None
    info: Any = getattr(module, "feature_info", None)
    stages = info.get_dicts() if hasattr(info, "get_dicts") else info
    if not stages:
        raise VlalignError(
            f"timm's {type(module).__name__} does not say where its stages are, so its layers cannot be read"
        )
    taps = [
        Tap(f"stage_{i}", int(s["num_chs"]), f"spatial average of {s['module']}", s["module"])
        for i, s in enumerate(stages)
    ]
    return taps, 0, False


# -- transformers -----------------------------------------------------------------------------------------------------


class _ProcessorTransform:
    """A transformers image processor as a function of one picture (a class, so that workers can unpickle it)."""

    def __init__(self, processor: Any) -> None:
        self.processor = processor

    def __call__(self, image: Image) -> Tensor:
        return self.processor(images=image, return_tensors="pt")["pixel_values"][0]


def _processor(source: ModelSource, image_size: int | None) -> Preprocessing:
    from PIL import Image
    from transformers import AutoImageProcessor

    with hub_errors(source.location, revision=source.revision):
        try:
            processor = AutoImageProcessor.from_pretrained(
                source.location, backend="pil", **source.pretrained_arguments()
            )
        except (OSError, ValueError) as error:
            if isinstance(error, ConnectionError):
                raise
            raise VlalignError(
                f"{source.location} has no usable image processor: {str(error).splitlines()[0]}"
            ) from error
    if image_size is not None:
        ratio = _crop_ratio(processor)
        processor.size = _resized(processor.size, round(image_size / ratio))
        if getattr(processor, "crop_size", None):
            processor.crop_size = _resized(processor.crop_size, image_size)
    transform = _ProcessorTransform(processor)
    height, width = transform(Image.new("RGB", (64, 64))).shape[-2:]
    settings = {k: v for k, v in processor.to_dict().items() if not k.startswith("_") and v is not None}
    settings = json.loads(json.dumps(settings, default=str))
    return Preprocessing(transform, {**settings, "processor": type(processor).__name__}, (int(height), int(width)))


def _crop_ratio(processor: Any) -> float:
    """Side after the centre crop over side before it, so that another size keeps the same framing."""
    size, crop = dict(processor.size), dict(getattr(processor, "crop_size", None) or {})
    if not (crop and getattr(processor, "do_center_crop", False)):
        return 1.0
    return float(crop["height"]) / float(size.get("shortest_edge") or size["height"])


def _resized(size: Any, side: int) -> dict[str, int]:
    return {key: side for key, value in dict(size).items() if value is not None}


def _build_transformers(
    source: ModelSource, image_size: int | None, pretrained: bool
) -> tuple[nn.Module, dict[str, Any]]:
    from transformers import AutoModel

    if pretrained:
        with hub_errors(source.location, revision=source.revision):
            model = AutoModel.from_pretrained(source.location, **source.pretrained_arguments())
    else:
        model = AutoModel.from_config(load_config(source), trust_remote_code=source.trust_remote_code)
    module = getattr(model, "vision_model", model)
    arguments: dict[str, Any] = {}
    if image_size is not None and image_size != getattr(module.config, "image_size", image_size):
        if "interpolate_pos_encoding" in inspect.signature(module.forward).parameters:
            arguments["interpolate_pos_encoding"] = True
        elif type(module).__name__ not in ("Dinov2Model", "Dinov2WithRegistersModel"):  # they always interpolate
            raise VlalignError(f"{source.spec.alias} cannot take another --image-size: leave the flag out for it")
    return module, arguments


def _transformers_taps(module: nn.Module) -> tuple[list[Tap], int, bool]:
    config: Any = module.config
    if getattr(config, "mask_ratio", 0):
        raise VlalignError(
            f"{type(module).__name__} hides patches at random, so its features differ from run to run: use the "
            "checkpoint that timm has of it (e.g. vit-base-mae)"
        )
    depth = depth_of(config) if hasattr(config, "hidden_size") else None
    if depth is not None:
        blocks = find_blocks(module, depth)
        taps = [
            Tap(f"block_{i}", config.hidden_size, "output of the block, before the final norm", f"{blocks}.{i}")
            for i in range(depth)
        ]
        has_cls = any(
            name.rpartition(".")[2] in ("cls_token", "class_embedding") for name, _ in module.named_parameters()
        )
        distilled = any(name.endswith("distillation_token") for name, _ in module.named_parameters())
        prefix = int(has_cls) + int(distilled) + int(getattr(config, "num_register_tokens", 0) or 0)
        return taps, prefix, has_cls
    widths = getattr(config, "hidden_sizes", None)
    if not widths:
        raise VlalignError(
            f"{type(module).__name__}: its config names neither blocks nor stages, so its layers cannot be read"
        )
    stages = find_blocks(module, len(widths))
    taps = [Tap(f"stage_{i}", w, f"spatial average of {stages}.{i}", f"{stages}.{i}") for i, w in enumerate(widths)]
    return taps, 0, False
