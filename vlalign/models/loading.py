"""Loading of weights, and checks that all weights that the features depend on were loaded."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.models.source import ModelSource, load_config, model_errors, read_config
from vlalign.models.structure import Tap

if TYPE_CHECKING:
    from torch import Tensor, nn

logger = logging.getLogger(__name__)

#: real-valued buffers that a model computes when it is built, whether its checkpoint holds them or not
_COMPUTED = re.compile(r"(^|\.)(inv_freq|attn_mask|masked_bias|attn\.bias|attention\.bias)$")
#: parts of names that wrappers of a model leave behind if it is saved through them
_WRAPPERS = ("_orig_mod.", "module.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "base_layer.")
_NUMBER = re.compile(r"(?<=\.)\d+(?=\.)")


@dataclass
class LoadReport:
    """Weights that did not pass from a checkpoint into a model.

    Attributes:
        missing: names that the model has and the checkpoint lacks.
        unexpected: names that the checkpoint has and the model lacks.
        mismatched: by name, the shape in the checkpoint and the shape in the model.
    """

    missing: set[str] = field(default_factory=set)
    unexpected: set[str] = field(default_factory=set)
    mismatched: dict[str, tuple[list[int], list[int]]] = field(default_factory=dict)


def load_pretrained(factory: Any, source: ModelSource, **arguments: Any) -> tuple[Any, LoadReport]:
    """Load a model through an auto class of transformers; return it and a report of weights that did not load.

    A source of random weights gives the initial weights of its architecture, in float32 before they are converted, so
    that they are the same on every device.

    Raises:
        VlalignError: the files cannot be read.
    """
    if source.seed is not None:
        with model_errors(source, "config"), random_weights(source):
            model = factory.from_config(
                load_config(source), dtype=torch.float32, trust_remote_code=source.trust_remote_code
            )
        return model.to(device=arguments.get("device_map", {}).get(""), dtype=arguments.get("dtype")), LoadReport()
    with model_errors(source, "weights"):
        model, info = factory.from_pretrained(
            source.location,
            **source.pretrained_arguments(),
            **arguments,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # the report names them
        )
    shapes = {name: (list(held), list(expected)) for name, held, expected in info["mismatched_keys"]}
    return model, LoadReport(set(info["missing_keys"]), set(info["unexpected_keys"]), shapes)


@contextmanager
def random_weights(source: ModelSource) -> Iterator[None]:
    """Seed the weights that a model of random weights is built with in the block; others build theirs as they do."""
    with torch.random.fork_rng(devices=[], enabled=source.seed is not None):
        if source.seed is not None:
            torch.manual_seed(source.seed)
        yield


@contextmanager
def recorded_loads() -> Iterator[LoadReport]:
    """Record what ``load_state_dict`` leaves out within the block, without an error.

    timm gives no report and drops the strict check if the classifier is left out.
    """
    from torch import nn

    report, original = LoadReport(), nn.Module.load_state_dict

    def load(module: nn.Module, state: Mapping[str, Tensor], strict: bool = True, assign: bool = False) -> Any:
        expected = module.state_dict()
        fitting = {}
        for name, value in state.items():
            if name in expected and value.shape != expected[name].shape:
                report.mismatched[name] = list(value.shape), list(expected[name].shape)
            else:
                fitting[name] = value
        result = original(module, fitting, strict=False, assign=assign)
        report.missing.update(set(result.missing_keys) - report.mismatched.keys())
        report.unexpected.update(result.unexpected_keys)
        return type(result)([], [])  # timm would log them

    nn.Module.load_state_dict = load  # type: ignore[assignment, method-assign]
    try:
        yield report
    finally:
        nn.Module.load_state_dict = original  # type: ignore[method-assign]


def check_weights(
    source: ModelSource,
    model: nn.Module,
    report: LoadReport,
    *,
    base: nn.Module,
    taps: Sequence[Tap],
    result: Callable[[], Tensor],
) -> None:
    """Refuse a model with features that would depend on weights that did not load.

    Args:
        source: the model, for messages.
        model: as loaded, which the names of the report belong to.
        report: what did not load.
        base: the part of ``model`` that is read.
        taps: the layer axis of ``base``.
        result: runs a small input and returns the last features (state or logits).

    Raises:
        VlalignError: weights that the features depend on are missing, of another shape or not finite, or the
            checkpoint has more blocks than its config, or holds integers without settings of quantization.
    """
    _check_stored(source)
    path = next(name for name, module in model.named_modules() if module is base)
    path = f"{path}." if path else ""
    blocks = tuple(f"{path}{tap.module}." for tap in taps if tap.module)
    computed = {n for n, buffer in model.named_buffers() if _COMPUTED.search(n) or not buffer.is_floating_point()}
    absent = (report.missing | report.mismatched.keys()) - computed
    needed = {name for name in absent if name.startswith(blocks)}
    # inside the blocks every weight counts; one forward decides about the few outside (poolers, final norms, heads)
    needed = absent - _poolers(absent) if needed else _needed(model, absent, result)
    if mismatched := sorted(needed & report.mismatched.keys()):
        held, expected = report.mismatched[mismatched[0]]
        raise VlalignError(
            f"{source.location}: {_some(mismatched)} of another shape than its config states "
            f"({mismatched[0]} is {held} in the checkpoint, {expected} by the config): "
            "the weights and config.json belong to different models, so fetch or save both again"
        )
    if needed and not any(name.startswith(path) for name in needed):
        raise VlalignError(
            f"{source.location}: {_some(sorted(needed))} missing from its checkpoint, so bits per byte would be those "
            "of a random head: pass --no-loss to extract the features alone"
        )
    if needed:
        raise VlalignError(
            f"{source.location}: {_some(sorted(needed))} missing from its checkpoint, so its features would be those "
            f"of random weights: {_advice(needed, report.unexpected)}"
        )
    _check_unexpected(source, model, report.unexpected, path, blocks)
    _check_finite(source, model, blocks or (path,))


def _check_stored(source: ModelSource) -> None:
    """Refuse weights that are stored as integers without the settings that turn them into values."""
    from safetensors import safe_open

    if source.gguf_file or read_config(source.file("config.json")).get("quantization_config"):
        return
    for file in sorted(source.file("config.json").parent.glob("*.safetensors")):
        with model_errors(source, "weights"), safe_open(file, "pt") as stored:
            kinds = {name: stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118
        numbers = {name: kind for name, kind in kinds.items() if name.endswith((".weight", ".bias"))}
        whole = sorted(name for name, kind in numbers.items() if kind == "BOOL" or kind[0] in "IU")
        if whole:
            raise VlalignError(
                f"{source.location}: {_some(whole)} stored as {kinds[whole[0]]}, and its config.json has no "
                "quantization_config to read them: use the original weights (and --quantization)"
            )


def _check_unexpected(
    source: ModelSource, model: nn.Module, unexpected: set[str], path: str, blocks: tuple[str, ...]
) -> None:
    """Refuse checkpoints with more blocks than the config; warn of weights that the blocks do not have."""
    config: Any = getattr(model, "config", None)
    prefix = getattr(model, "base_model_prefix", "")
    whole = {name: name.removeprefix(f"{prefix}.") if prefix else name for name in unexpected}
    patterns = {_NUMBER.sub("*", name) for name in model.state_dict() if name.startswith(path)}
    patterns |= {pattern.removeprefix(f"{prefix}.") for pattern in patterns} if prefix else set()
    more = sorted(name for name, short in whole.items() if {_NUMBER.sub("*", name), _NUMBER.sub("*", short)} & patterns)
    if more and not getattr(config, "num_nextn_predict_layers", 0):  # heads of multi-token prediction look like blocks
        raise VlalignError(
            f"{source.location}: its checkpoint holds more blocks than its config states, for {_some(more)} left over: "
            "set the number of layers in config.json to that of the checkpoint, or save the model again"
        )
    inside = sorted(n for n in unexpected - set(more) if n.startswith(blocks) and not _COMPUTED.search(n))
    if inside:
        logger.warning(
            "%s: %s in its checkpoint, but not in the model that its config describes, and left out",
            source.spec.alias, _some(inside),
        )  # fmt: skip


def _check_finite(source: ModelSource, model: nn.Module, parts: tuple[str, ...]) -> None:
    """Refuse weights that are not finite in the parts that are read: fused attention can hide NaN in its result."""
    broken = [
        name
        for name, weight in model.named_parameters()
        if name.startswith(parts)
        and "pooler." not in name
        and weight.is_floating_point()
        and not weight.is_meta
        and not (torch.isfinite(weight.sum()) or torch.isfinite(weight).all())  # a finite sum is quick to see
    ]
    if broken:
        raise VlalignError(
            f"{source.location}: {_some(broken)} not finite: try --dtype float32 or bfloat16 (float16 overflows in "
            "some models), or fetch the model again"
        )


def _needed(model: nn.Module, names: set[str], result: Callable[[], Tensor]) -> set[str]:
    """Return the weights on which a forward's result depends, by its graph; buffers and quantized weights always."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    held = {name: parameters[name] for name in names if name in parameters and parameters[name].is_floating_point()}
    needed = names - _poolers(names)
    if not held:
        return needed
    try:
        for parameter in held.values():
            parameter.requires_grad_(True)
        with torch.enable_grad():
            total = result().float().sum()
        gradients: Sequence[Tensor | None] = [None] * len(held)
        if total.requires_grad:
            gradients = torch.autograd.grad(total, list(held.values()), allow_unused=True)
        needed -= {name for name, gradient in zip(held, gradients, strict=True) if gradient is None}
    except Exception as error:  # of a family's code: then the names alone decide
        logger.debug("cannot try which weights are used: %s", error)
    finally:
        for parameter in held.values():
            parameter.requires_grad_(False)
    return needed


def _poolers(names: set[str]) -> set[str]:
    return {name for name in names if "pooler." in name}


def _some(names: Sequence[str]) -> str:
    """Return ``3 weights (a, b, c) are``: the number and the first three names."""
    listed = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"weight {listed} is" if len(names) == 1 else f"{len(names)} weights ({listed}) are"


def _advice(missing: set[str], unexpected: set[str]) -> str:
    """Name the likely cause: a prefix that the names in the files have, or lack, or another model."""
    pairs = [(name, other) for name in sorted(missing)[:50] for other in unexpected]
    longer = Counter(other.removesuffix(name) for name, other in pairs if other.endswith(f".{name}"))
    shorter = Counter(name.removesuffix(other) for name, other in pairs if name.endswith(f".{other}"))
    wrappers = [p for p in _WRAPPERS if any(p in name and name.replace(p, "") in missing for name in unexpected)]
    if longer:
        prefix = longer.most_common(1)[0][0]
        return f"the names in its files begin with {prefix!r}, so save it again without that prefix"
    if wrappers:
        return f"the names in its files hold {wrappers[0]!r}, so save the model itself again, not its wrapper"
    if shorter:
        prefix = shorter.most_common(1)[0][0]
        return f"the names in its files lack the prefix {prefix!r}, so save it again with it"
    if unexpected:
        name = min(unexpected)
        return f"its files hold other names, such as {name}, so check that weights and config.json belong together"
    return "fetch or save it again, and check the number of layers in config.json"
