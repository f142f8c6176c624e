"""Vision models: timm transformers and convolutional nets, transformers vision models, and their preprocessing."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.models.loading import LoadReport, check_weights, load_pretrained, random_weights, recorded_loads
from vlalign.models.source import ModelSource, load_config, model_errors, read_config
from vlalign.models.structure import Tap, depth_of, find_blocks, first_tensor, stage_taps

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor, nn

_SIDES = ("height", "width", "shortest_edge")  # in the settings of image processors, in pixels
_LONGEST_SIDE = 10_000
#: timm architectures whose class token joins after the blocks (ConViT: before the last ones)
_LATE_CLASS_TOKEN = {"Cait", "ConVit", "Xcit"}
#: parameters of transformers whose rows are tokens before the patches and after them
_CLASS_TOKENS = ("cls_token", "class_embedding", "cls_register_token")  # RADIO's are class tokens, then registers
_PREFIX = (*_CLASS_TOKENS, "distillation_token", "register_tokens")
_SUFFIX = ("detection_tokens",)
#: classes whose average over patches held other tokens, or lacked a patch, in an earlier version
_MISREAD = {"Aimv2VisionModel", "ConVit", "PixioModel", "PvtModel", "RadioModel", "YolosModel"}


@dataclass(frozen=True)
class Preprocessing:
    """Pixels from pictures, and the settings that determine them.

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
        has_cls: whether the first token is a class token.
        device: where pixels go.
        dtype: of the pixels.
        arguments: more arguments of the forward.
    """

    module: nn.Module
    taps: list[Tap]
    has_cls: bool
    device: torch.device
    dtype: torch.dtype
    arguments: dict[str, Any]


def has_relative_positions(source: ModelSource) -> bool:
    """Return whether a model of transformers adds a bias by relative position (BEiT, Data2Vec)."""
    config = load_config(source) if source.backend == "transformers" else None
    names = ("use_relative_position_bias", "use_shared_relative_position_bias")
    return any(bool(getattr(config, name, False)) for name in names)


def once_misread(module: nn.Module) -> bool:
    """Return whether an earlier version took other tokens of a model for its patches."""
    return type(module).__name__ in _MISREAD


def load_preprocessing(source: ModelSource, image_size: int | None = None) -> Preprocessing:
    """Load the checkpoint's preprocessing: timm's evaluation transform, or the image processor of transformers (PIL).

    Args:
        source: the model.
        image_size: side in pixels instead of the checkpoint's own (518 for DINOv2 in timm).
    """
    return _timm_preprocessing(source, image_size) if source.backend == "timm" else _processor(source, image_size)


@dataclass
class _Built:
    """A module as a library built it: the part ``module`` of ``model`` that is read, and weights that did not load."""

    model: nn.Module
    module: nn.Module
    arguments: dict[str, Any]
    report: LoadReport
    channels: int
    size: int | Sequence[int]

    def check(self, source: ModelSource, image_size: int | None) -> None:
        """Refuse weights that did not load; see :func:`~vlalign.models.loading.check_weights`."""
        taps, _ = vision_taps(self.module, source)

        def result() -> Tensor:
            import torch

            side = self.size if image_size is None else image_size
            sides = (side, side) if isinstance(side, int) else tuple(side)
            pixels, read = torch.zeros(1, 3, *sides), self.module.eval()
            if not taps[-1].module:  # a model whose own output holds the states
                return read(pixels, **self.arguments, output_hidden_states=True).hidden_states[-1]
            states: list[Tensor] = []
            last = read.get_submodule(taps[-1].module)
            handle = last.register_forward_hook(lambda module, args, output: states.append(first_tensor(output)))
            try:
                read(pixels, **self.arguments)
            finally:
                handle.remove()
            return states[0]

        check_weights(source, self.model, self.report, base=self.module, taps=taps, result=result)


def build_vision_model(
    source: ModelSource, image_size: int | None, *, pretrained: bool
) -> tuple[nn.Module, dict[str, Any]]:
    """Return the bare module and the extra arguments of its forward; for estimates without weights.

    Raises:
        VlalignError: ``image_size`` on a model that cannot take another one, or weights that did not load.
    """
    build = _build_timm if source.backend == "timm" else _build_transformers
    with model_errors(source, "weights" if pretrained else "config"), random_weights(source):
        built = build(source, image_size, pretrained)
        if built.channels != 3:
            raise ValueError(f"it reads images of {built.channels} channels, but vlalign reads images as RGB")
        if pretrained:
            built.check(source, image_size)
    return built.module, built.arguments


def load_vision_model(
    source: ModelSource, *, dtype: torch.dtype, device: torch.device, image_size: int | None = None
) -> VisionModel:
    """Load a vision model for reading, in evaluation mode."""
    module, arguments = build_vision_model(source, image_size, pretrained=source.seed is None)
    module = module.eval().requires_grad_(False).to(device=device, dtype=dtype)
    taps, has_cls = vision_taps(module, source)
    return VisionModel(module, taps, has_cls, device, dtype, arguments)


def vision_taps(module: nn.Module, source: ModelSource) -> tuple[list[Tap], bool]:
    """Return the layer axis of a vision model, and whether its first token is a class token."""
    return _timm_taps(module) if source.backend == "timm" else _transformers_taps(module)


# -- timm -------------------------------------------------------------------------------------------------------------


def _timm_config(source: ModelSource) -> dict[str, Any]:
    raw = read_config(source.file("config.json"))
    return {**{k: v for k, v in raw.items() if k != "pretrained_cfg"}, **raw.get("pretrained_cfg", {})}


def _timm_preprocessing(source: ModelSource, image_size: int | None) -> Preprocessing:
    from timm.data import create_transform, resolve_data_config

    arguments = {} if image_size is None else {"input_size": (3, image_size, image_size)}
    with model_errors(source, "preprocessing in config.json"):
        settings = resolve_data_config(arguments, pretrained_cfg=_timm_config(source))
        settings = {key: list(v) if isinstance(v, tuple) else v for key, v in settings.items()}
        transform = create_transform(**{**settings, "input_size": tuple(settings["input_size"])}, is_training=False)
        sides = [side / (settings.get("crop_pct") or 1) for side in settings["input_size"][1:]]
        height, width = _tried(transform, sides)
    return Preprocessing(transform, {"processor": "timm", **settings}, (height, width))


def _tried(transform: Callable[[Image], Tensor], sides: Iterable[float]) -> tuple[int, int]:
    """Preprocess a grey picture; return the (height, width) of its pixels.

    Args:
        transform: the preprocessing to try.
        sides: lengths in pixels that it resizes to.

    Raises:
        ValueError: the result is not a finite picture of three channels, or would not fit in memory.
    """
    from PIL import Image

    if (longest := max(sides, default=0)) > _LONGEST_SIDE:
        raise ValueError(f"a side of {longest:.0f} pixels, but vision models read up to {_LONGEST_SIDE}")
    pixels = transform(Image.new("RGB", (64, 64), (99, 99, 99)))
    if pixels.ndim != 3 or len(pixels) != 3:
        raise ValueError(f"pixels of shape {list(pixels.shape)}, expected [3, height, width]")
    if not bool(pixels.isfinite().all()):
        raise ValueError("pixels that are not finite: check its mean, standard deviation and rescale factor")
    return int(pixels.shape[1]), int(pixels.shape[2])


def _build_timm(source: ModelSource, image_size: int | None, pretrained: bool) -> _Built:
    import timm

    folder = source.file("config.json").parent
    if pretrained:
        _fetch_timm_weights(source)
    arguments: dict[str, Any] = {"num_classes": 0}
    if image_size is not None and _timm_config(source).get("fixed_input_size", False):
        arguments["img_size"] = image_size
    try:
        with recorded_loads() as report:
            module = timm.create_model(f"local-dir:{folder}", pretrained=pretrained, **arguments)
    except (TypeError, AssertionError, ValueError) as error:
        if image_size is None:
            raise
        if isinstance(error, TypeError):
            raise _fixed_size(source) from error
        raise VlalignError(f"--image-size {image_size} does not suit {source.spec.alias}: {error}") from error
    except RuntimeError as error:
        if "Unknown model" in str(error):
            raise VlalignError(
                f"{source.location}: timm does not know the architecture {source.architecture!r}"
            ) from error
        raise
    config = _timm_config(source)
    channels, *size = config.get("input_size", (3, 224, 224))
    channels = config.get("model_args", {}).get("in_chans", channels)
    return _Built(module, module, {}, report, channels, size)


def _fixed_size(source: ModelSource) -> VlalignError:
    return VlalignError(f"{source.spec.alias} cannot take another --image-size: leave the flag out for it")


def _fetch_timm_weights(source: ModelSource) -> None:
    """Fetch the weights into the folder of config.json, where timm reads them."""
    from huggingface_hub.errors import EntryNotFoundError

    for name in ("model.safetensors", "pytorch_model.bin"):
        try:
            if source.file(name).is_file():
                return
        except VlalignError as error:
            if not isinstance(error.__cause__, EntryNotFoundError):
                raise
    raise VlalignError(f"{source.location} holds neither model.safetensors nor pytorch_model.bin")


def _timm_taps(module: Any) -> tuple[list[Tap], bool]:
    blocks = getattr(module, "blocks", None)
    if blocks is not None and hasattr(module, "num_prefix_tokens"):
        width, prefix = int(module.num_features), [int(module.num_prefix_tokens)] * len(blocks)
        has_cls = getattr(module, "cls_token", None) is not None
        if type(module).__name__ in _LATE_CLASS_TOKEN:
            local = getattr(module, "local_up_to_layer", len(blocks))  # ConViT's class token joins before block `local`
            prefix, has_cls = [int(i >= local) for i in range(len(blocks))], False
        convention = "after the second residual add, before the final norm"
        return [Tap(f"block_{i}", width, convention, f"blocks.{i}", n) for i, n in enumerate(prefix)], has_cls
    info: Any = getattr(module, "feature_info", None)
    stages = info.get_dicts() if hasattr(info, "get_dicts") else info
    if not stages:
        raise VlalignError(f"timm's {type(module).__name__} does not list its stages, so its layers cannot be read")
    taps = [
        Tap(f"stage_{i}", int(s["num_chs"]), f"spatial average of {s['module']}", s["module"])
        for i, s in enumerate(stages)
    ]
    return taps, False


# -- transformers -----------------------------------------------------------------------------------------------------


def _pixels(processor: Any, image: Image) -> Tensor:
    """Preprocess one picture by an image processor of transformers (no closure, so that workers can unpickle it)."""
    return processor(images=image, return_tensors="pt")["pixel_values"][0]


def _processor(source: ModelSource, image_size: int | None) -> Preprocessing:
    from transformers import AutoImageProcessor

    with model_errors(source, "image processor"):
        processor = AutoImageProcessor.from_pretrained(source.location, backend="pil", **source.pretrained_arguments())
        if image_size is not None:
            processor.size = _resized(processor.size, round(image_size / _crop_ratio(processor)))
            if getattr(processor, "crop_size", None):
                processor.crop_size = _resized(processor.crop_size, image_size)
        transform = partial(_pixels, processor)
        sizes = [dict(getattr(processor, name, None) or {}) for name in ("size", "crop_size")]
        size = _tried(transform, [sides[key] for sides in sizes for key in _SIDES if sides.get(key)])
        settings = {k: v for k, v in processor.to_dict().items() if not k.startswith("_") and v is not None}
        settings = json.loads(json.dumps(settings, default=str))
    return Preprocessing(transform, {**settings, "processor": type(processor).__name__}, size)


def _crop_ratio(processor: Any) -> float:
    """Return side after the centre crop over side before it, so that another size keeps the same framing."""
    size, crop = dict(processor.size), dict(getattr(processor, "crop_size", None) or {})
    if not (crop and getattr(processor, "do_center_crop", False)):
        return 1.0
    return float(crop["height"]) / float(size.get("shortest_edge") or size["height"])


def _resized(size: Any, side: int) -> dict[str, int]:
    return {key: side for key, value in dict(size).items() if value is not None}


def _build_transformers(source: ModelSource, image_size: int | None, pretrained: bool) -> _Built:
    from transformers import AutoModel

    report = LoadReport()
    if pretrained:
        model, report = load_pretrained(AutoModel, source)
    else:
        model = AutoModel.from_config(load_config(source), trust_remote_code=source.trust_remote_code)
    module = getattr(model, "vision_model", model)
    arguments: dict[str, Any] = {}
    if image_size is not None and image_size != getattr(module.config, "image_size", image_size):
        if "interpolate_pos_encoding" in inspect.signature(module.forward).parameters:
            arguments["interpolate_pos_encoding"] = True
        elif type(module).__name__ not in ("Dinov2Model", "Dinov2WithRegistersModel"):  # they always interpolate
            raise _fixed_size(source)
    config: Any = module.config
    channels = getattr(config, "num_channels", 3)
    return _Built(model, module, arguments, report, channels, getattr(config, "image_size", 224))


def _transformers_taps(module: nn.Module) -> tuple[list[Tap], bool]:
    config: Any = module.config
    if getattr(config, "mask_ratio", 0) and config.model_type != "hiera":  # HieraModel masks only when pretrained
        raise VlalignError(
            f"{type(module).__name__} hides patches at random, so its features differ from run to run: use the "
            "checkpoint that timm has of it (e.g. vit-base-mae)"
        )
    depth = depth_of(config) if hasattr(config, "hidden_size") else None
    if depth is None or isinstance(getattr(config, "depths", None), (list, tuple)):
        return stage_taps(module), False
    blocks = find_blocks(module, depth)
    width, convention = config.hidden_size, "output of the block, before the final norm"
    tokens = {  # AIMv2's class token is one of its head, not of the sequence
        name.rpartition(".")[2]: weight.numel() // width
        for name, weight in module.named_parameters()
        if not name.startswith("head.")
    }
    prefix, suffix = (sum(tokens.get(name, 0) for name in names) for names in (_PREFIX, _SUFFIX))
    taps = [Tap(f"block_{i}", width, convention, f"{blocks}.{i}", prefix, suffix) for i in range(depth)]
    return taps, any(tokens.get(name) for name in _CLASS_TOKENS)
