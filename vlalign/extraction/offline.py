"""Rough cost of an extraction without a network, from the sizes in the list of registered models."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlalign.data import open_data
from vlalign.extraction.estimate import matmul_rate
from vlalign.extraction.options import ExtractOptions
from vlalign.models.precision import BYTES_PER_WEIGHT, choose_dtype
from vlalign.models.registry import resolve
from vlalign.models.spec import ModelSpec
from vlalign.remote import HubUnreachable

if TYPE_CHECKING:
    import torch

_SAMPLES = 1024  # of the default data set
_TOKENS = 24  # of a caption
_BYTES = 4  # of English text in a token


@dataclass(frozen=True)
class OfflineModel:
    """Cost of one registered model.

    Attributes:
        spec: the model, with its number of weights, layers and width.
        dtype: of the weights, by name.
        quantization: of the weights.
        layers: of the features.
        tokens: of one input.
        samples: number of inputs, of all runs together.
        pools: number of pools, each a run from the same forwards.
    """

    spec: ModelSpec
    dtype: str
    quantization: str
    layers: int
    tokens: int
    samples: int
    pools: int = 1

    def weight_bytes(self) -> int:
        """Return the memory of the weights."""
        kind = self.dtype if self.quantization == "none" else self.quantization
        return round((self.spec.params or 0) * BYTES_PER_WEIGHT[kind])

    def bytes_to_write(self) -> int:
        """Return the disk space of all features (float32)."""
        return 4 * self.samples * self.layers * (self.spec.width or 0) * self.pools

    def seconds(self, device: torch.device) -> float:
        """Estimate the time of the forwards: 2 operations per weight and token, and those of attention, at 60 %."""
        import torch

        attention = 4 * self.tokens**2 * (self.spec.width or 0) * (self.spec.layers or 0)
        operations = self.samples * (2 * self.tokens * (self.spec.params or 0) + attention)
        dtype = torch.float32 if self.quantization == "int8" else getattr(torch, self.dtype)
        return operations / (0.6 * matmul_rate(device, dtype))


@dataclass(frozen=True)
class OfflinePlan:
    """Costs of the models, the number of samples, and notes on what is not known."""

    models: list[OfflineModel]
    samples: int
    notes: list[str]


def offline_plan(
    config: ExtractOptions,
    device: torch.device,
    error: HubUnreachable,
    runs: Callable[[ModelSpec], int] = lambda spec: 1,
) -> OfflinePlan:
    """Estimate an extraction of registered models without asking the Hub.

    Args:
        config: options.
        device: of the models.
        error: the reason that a plan cannot be made.
        runs: number of runs of a model, such as one for each rate of edits.

    Raises:
        HubUnreachable: ``error``, if the size of a model is not known.
        VlalignError: the data cannot be read for another reason than the network.
    """
    specs = list(dict.fromkeys(resolve(name) for name in config.models))
    if not all(spec.params and spec.layers and spec.width and spec.scheme in ("hub", "timm") for spec in specs):
        raise error
    notes = ["no network: sizes are those of the list of models (`vlalign models`)"]
    tokens = _TOKENS
    try:
        data = open_data(config.data, sorted({str(spec.modality) for spec in specs}))
    except HubUnreachable:
        samples = config.data.max_samples or _SAMPLES
        notes.append(f"not known: {config.data.source}, so the plan is for {samples:,} samples, {tokens} tokens each")
    else:
        samples = len(data)
        if data.captions:
            tokens = max(1, round(sum(len(text.encode()) for text in data.captions) / _BYTES / samples))
    notes.append("not known: revisions, tokens of the captions, memory of the forwards, runs that the store has")
    models = []
    for spec in specs:
        quantization = config.quantization if spec.modality == "text" else "none"
        dtype, _ = choose_dtype(config.dtype, str(spec.modality), device, quantization)
        text = spec.modality == "text"
        layers = (spec.layers or 0) + text  # a text model has the embeddings, too
        length = min(tokens, config.max_length or tokens) if text else patches(spec, config.image_size)
        pools = len(config.pools(str(spec.modality)))
        models.append(OfflineModel(spec, dtype, quantization, layers, length, samples * runs(spec), pools))
    return OfflinePlan(models, samples, notes)


def patches(spec: ModelSpec, image_size: int | None) -> int:
    """Return the number of tokens of an image, from timm's name of the model."""
    from timm.models import get_pretrained_cfg

    cfg = get_pretrained_cfg(spec.location)
    side = image_size or (cfg.input_size[-1] if cfg else 224)
    patch = re.search(r"patch(\d+)", spec.location)
    return 1 + (side // int(patch[1] if patch else 16)) ** 2
