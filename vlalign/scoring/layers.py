"""Layers of one side of a score after the preset: read, clipped and normalised on demand, and prepared once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, partial
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from vlalign.arrays import DelayedLayer, LazyLayer, row_blocks, whole
from vlalign.errors import VlalignError
from vlalign.metrics.base import Ints, Metric, check_features, checked_norms, normalise_rows, resolved
from vlalign.metrics.engine.approximate import approximate_knn
from vlalign.metrics.engine.items import ItemLayer
from vlalign.metrics.engine.neighbour_lists import LIST_BYTES, NeighbourMetric, shortened
from vlalign.metrics.engine.threads import map_layers
from vlalign.metrics.engine.ties import Sided
from vlalign.scoring.inputs import Side
from vlalign.scoring.preprocessing import Preset, clip, clip_threshold

_ALL_BYTES = 2**28  # of all layers of a side, which are held together
_FEW_LAYERS = 8  # of both sides: lists that the interval of one pair needs are searched for all of them
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
        self.items: list[Ints] | None = None  # row numbers of each item; None where each sample is one
        self.lists: dict[int, Sided[Tensor]] = {}  # long neighbour lists of layers by position, where they are kept
        self.recall: dict[int, float] = {}  # of approximate neighbours, by position

    @property
    def n(self) -> int:
        """Samples, or items of several samples."""
        return self.side.n if self.items is None else len(self.items)

    @property
    def widths(self) -> list[int]:
        """Width of every layer."""
        return [int(entry["width"]) for entry in self.axis]

    @property
    def preprocessing(self) -> dict[str, Any]:
        """The entry of a record about it."""
        return {"clip_threshold": self.threshold, "zero_rows": self.zero_rows}

    @property
    def list_bytes(self) -> int:
        """Bytes of the long neighbour lists."""
        return sum(lists.x.nbytes if lists.y is lists.x else 2 * lists.x.nbytes for lists in self.lists.values())

    def prepare(
        self, metric: Metric, seconds: dict[str, float], length: int | None = None, approximate: bool = False
    ) -> list[Any]:
        """Read all layers once and prepare each for the metric.

        Args:
            metric: of the score.
            seconds: spent in each stage, which is added to.
            length: of the neighbour lists to keep in ``lists``, longer than those of the metric; None for none.
            approximate: search them with faiss.
        """
        known = min((lists.x.shape[1] for lists in self.lists.values()), default=0)
        if length is not None and length <= known:
            return [_first(self.lists[i], metric) for i in range(len(self.axis))]
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
                varies = bool((layer[1:2] != first).any()) or any(
                    bool((part != first).any()) for _, part in row_blocks(layer)
                )
                return self._prepared(metric, layer, i, length, approximate), zero, varies

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

    def _prepared(
        self, metric: Metric, layer: Tensor | LazyLayer, position: int, length: int | None, approximate: bool
    ) -> Any:
        if length is None or not isinstance(metric, NeighbourMetric):
            return metric.prepare(as_taken(metric, self._of_items(layer)))
        if approximate:
            lists, self.recall[position] = approximate_knn(layer, metric.k, length)
            self.lists[position] = Sided(lists, lists)
        else:
            self.lists[position] = replace(metric, k=length).prepare(self._of_items(layer))
        return _first(self.lists[position], metric)

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

    def all_layers(self, metric: Metric, name: str) -> list[Any]:
        """Return the layers that distinguish samples, as they are scored; many are computed each time they are used.

        ``name`` of the side of the pair, ``x`` or ``y``, whose neighbour lists they have, where lists are kept.
        """
        if not metric.lazy:
            return [whole(self._scored(i)) for i in self.varied]
        n, widths = self.n, [self.widths[i] for i in self.varied]
        held = 4 * n * sum(widths) < _ALL_BYTES
        computes = [partial(self._scored, i) for i in self.varied]
        return [
            DelayedLayer(cache(compute) if held else compute, (n, width), lists=self._lists(i, name))
            for i, compute, width in zip(self.varied, computes, widths, strict=True)
        ]

    def listed(self, metric: Metric, position: int, layer: Tensor | LazyLayer, name: str, length: int | None) -> Any:
        """Return a layer as several statistics take it: its neighbours are searched once for all of them.

        Args:
            metric: of the score.
            position: of the layer.
            layer: [N, D] as it is scored.
            name: side of the pair, ``x`` or ``y``, whose neighbour lists it has.
            length: of the lists that are searched if none are kept; None waits until they are needed.
        """
        if not metric.lazy:
            return whole(layer)
        lists, taken = self._lists(position, name), self._of_items(layer)
        if lists is None and length is not None and isinstance(metric, NeighbourMetric):
            lists = replace(metric, k=length).prepare(taken).only(name)
        return DelayedLayer(lambda: taken, taken.shape, keeps_lists=True, lists=lists)

    def _lists(self, position: int, name: str) -> Sided[Tensor] | None:
        return self.lists[position].only(name) if position in self.lists else None

    def _scored(self, position: int) -> Any:
        return self._of_items(self.both(position)[1])

    def _of_items(self, layer: Tensor | LazyLayer) -> Any:
        """Return the layer, with its rows as items where they are."""
        return layer if self.items is None else ItemLayer(layer, self.items)

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
        return normalise_rows(resolved(layer, unit=True), what)


def _concatenated(layers: Sequence[Tensor | LazyLayer]) -> Tensor | LazyLayer:
    """Concatenate layers along their dimensions."""
    if len(layers) == 1:
        return layers[0]
    tensors = [layer for layer in layers if isinstance(layer, Tensor)]
    return torch.cat(tensors, dim=1) if len(tensors) == len(layers) else LazyLayer.concatenate(layers)


def as_taken(metric: Metric, layer: Any) -> Any:
    """Return a layer as the metric takes it: a tensor, unless it reads rows when it uses them."""
    return layer if metric.lazy else whole(layer)


def _first(lists: Sided[Tensor], metric: Metric) -> Sided[Tensor]:
    """Return the lists of a metric from longer ones, which may then be released."""
    return shortened(lists, metric.params["k"]).map(Tensor.contiguous)


def half_length(metric: Metric, n: int) -> int | None:
    """Return the length of neighbour lists that half-samples of ``n`` samples are scored from; None without lists."""
    return metric.length(n, n // 2) if isinstance(metric, NeighbourMetric) and metric.lazy else None


def kept_length(metric: Metric, n: int, layers: int, halves: int, full: bool) -> int | None:
    """Return the length of the neighbour lists to keep of every layer, so that statistics need no other search.

    None where short lists are enough: of many layers, the interval needs long lists of the best pair alone.

    Args:
        metric: of the score.
        n: samples.
        layers: of both sides.
        halves: half-samples of the interval.
        full: whether curves and the interval of the maximum are computed.
    """
    if (length := half_length(metric, n)) is None or not (full or (halves and layers <= _FEW_LAYERS)):
        return None
    most = min(n // 4, LIST_BYTES // (4 * n * layers))
    return None if most < length else most if full else length


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
