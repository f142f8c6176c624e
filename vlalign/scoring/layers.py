"""Layers of one side of a score after the preset: read, clipped and normalised on demand, and prepared once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from vlalign.arrays import DelayedLayer, LazyLayer, row_blocks, whole
from vlalign.errors import VlalignError
from vlalign.metrics.base import Metric, check_features, checked_norms
from vlalign.metrics.engine.threads import map_layers
from vlalign.scoring.inputs import Side
from vlalign.scoring.preprocessing import Preset, clip, clip_threshold, normalise_rows

_ALL_BYTES = 2**28  # of all layers of a side, which are held together
_CONCATENATION = {"index": -1, "name": "all", "convention": "concatenation of all layers"}


class PreparedSide:
    """The layers of one side after a preset, optionally with the concatenation of all as the last one."""

    def __init__(self, side: Side, preset: Preset, concat: bool, device: torch.device | None) -> None:
        self.side = side
        self.preset = preset
        self.concat = concat
        self.device = device
        self.threshold: float | None = None
        self.zero_rows = 0  # of all layers together, known after the first preparation
        self.varied: list[int] = []  # positions of layers that distinguish samples, known after the first preparation
        self.axis = list(side.axis)
        if concat:
            self.axis.append({**_CONCATENATION, "width": sum(int(entry["width"]) for entry in side.axis)})
        self.prepared: dict[Any, list[Any]] = {}  # layers by the preparation of their metrics, where they are kept

    @property
    def widths(self) -> list[int]:
        """Width of every layer."""
        return [int(entry["width"]) for entry in self.axis]

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The entry of a record about it."""
        return {"clip_threshold": self.threshold, "zero_rows": self.zero_rows}

    def prepare(self, metric: Metric, seconds: dict[str, float]) -> list[Any]:
        """Read all layers once and prepare each for the metric."""
        with timed(seconds, "load"):
            self.side.hold()
        q = self.preset.clip_quantile
        if q is not None and self.threshold is None:
            with timed(seconds, "clip"):
                self.threshold = clip_threshold(lambda: (self.raw(i) for i in range(len(self.side.axis))), q)
        if self.threshold == 0:
            raise VlalignError(
                f"the {q:g} quantile of |feature| of {self.side.model} is 0, so that clipping would leave nothing: "
                "use the preset cosine (--preset cosine)"
            )
        with timed(seconds, "neighbours" if "k" in metric.params else "layers"):
            positions = range(len(self.side.axis))
            parts: dict[int, Tensor | LazyLayer] = {}

            def prepare(i: int) -> tuple[Any, int, bool]:
                layer = self._clip(i) if i < len(positions) else _concatenated([parts.pop(j) for j in positions])
                if self.concat and i < len(positions):
                    parts[i] = layer
                layer, zero = self._normalise(layer, i)
                first = layer[:1]
                varies = any(bool((part != first).any()) for _, part in row_blocks(layer))
                return metric.prepare(as_taken(metric, layer)), zero, varies

            prepared = map_layers(prepare, positions) if self._on_cpu else [prepare(i) for i in positions]
            if self.concat:
                prepared.append(prepare(len(positions)))
        self.side.release()
        self.zero_rows = sum(zero for _, zero, _ in prepared)
        self.varied = [i for i, (_, _, varies) in enumerate(prepared) if varies]
        if not self.varied:
            raise VlalignError(
                f"every layer of {self.side.model} gives all samples the same features: nothing to compare"
            )
        return [layer for layer, _, _ in prepared]

    def layer(self, position: int) -> Tensor:
        """Return the layer [N, D] as it is scored."""
        return whole(self.both(position)[1])

    def both(self, position: int) -> tuple[Tensor | LazyLayer, Tensor | LazyLayer]:
        """Return the layer [N, D] as it was extracted, and as it is scored."""
        positions = range(position) if position == len(self.side.axis) else [position]
        raw = _concatenated([self.raw(i) for i in positions])
        return raw, self._normalise(clip(raw, self.threshold), position)[0]

    def raw(self, i: int) -> Tensor | LazyLayer:
        """Read the features [N, D] of a layer (not of the concatenation) as they were extracted, on the device.

        Large ones on the CPU are read when they are used.
        """
        layer = self.side.load(i)
        if isinstance(layer, LazyLayer):
            return layer if self._on_cpu else layer.whole(self.device)
        layer = check_features(layer, self.side.layer_name(i))
        return layer if self.device is None else layer.to(self.device)

    def all_layers(self, metric: Metric) -> list[Any]:
        """Return the layers that distinguish samples, as they are scored; many are computed when they are used."""
        n, widths = self.side.n, [self.widths[i] for i in self.varied]
        if not metric.lazy or 4 * n * sum(widths) < _ALL_BYTES:
            return [as_taken(metric, self.both(i)[1]) for i in self.varied]
        return [
            DelayedLayer(partial(self._scored, i), (n, width)) for i, width in zip(self.varied, widths, strict=True)
        ]

    def _scored(self, position: int) -> Tensor | LazyLayer:
        return self.both(position)[1]

    @property
    def _on_cpu(self) -> bool:
        return self.device is None or self.device.type == "cpu"

    def _clip(self, i: int) -> Tensor | LazyLayer:
        layer = self.raw(i)
        if self.threshold is not None:
            checked_norms(layer, self.side.layer_name(i))  # clipping would hide an infinity
        return clip(layer, self.threshold)

    def _normalise(self, layer: Tensor | LazyLayer, i: int) -> tuple[Tensor | LazyLayer, int]:
        what = self.side.layer_name(i) if i < len(self.side.axis) else f"all layers of {self.side.model}"
        if not self.preset.normalise:
            checked_norms(layer, what)
            return layer.contiguous() if isinstance(layer, Tensor) else layer, 0
        return normalise_rows(layer, what)


def _concatenated(layers: Sequence[Tensor | LazyLayer]) -> Tensor | LazyLayer:
    """Concatenate layers along their dimensions."""
    if len(layers) == 1:
        return layers[0]
    tensors = [layer for layer in layers if isinstance(layer, Tensor)]
    return torch.cat(tensors, dim=1) if len(tensors) == len(layers) else LazyLayer.concatenate(layers)


def as_taken(metric: Metric, layer: Tensor | LazyLayer) -> Any:
    """Return a layer as the metric takes it: a tensor, unless it reads rows when it uses them."""
    return layer if metric.lazy else whole(layer)


def searched_once(metric: Metric, layer: Tensor | LazyLayer) -> Any:
    """Return a layer as several statistics take it: its neighbours are searched once for all of them."""
    return DelayedLayer(lambda: layer, layer.shape, keeps_lists=True) if metric.lazy else whole(layer)


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Add the wall-clock time of the block to ``seconds[stage]``."""
    start = perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + perf_counter() - start


def find_device(device: str | torch.device | None) -> torch.device | None:
    """Return the device to prepare layers on: the given one, else a GPU if available, else None: that of the features.

    Raises:
        VlalignError: the device does not exist or holds no values.
    """
    if device is None:
        return torch.device("cuda") if torch.cuda.is_available() else None
    try:
        chosen = torch.device(device)
        if chosen.type == "meta":
            raise RuntimeError("it holds no values")
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        raise VlalignError(f"device {str(device)!r} cannot be used here: leave --device out or give cpu") from error
    return chosen
