"""Score two models over all layer pairs: prepare, neighbours once per layer, grid, null, record."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.metrics.layers import map_layers
from vlalign.metrics.neighbours import check_features, checked_norms
from vlalign.metrics.registry import Metric, get_metric
from vlalign.score.null import permutation_null
from vlalign.score.prepare import Preset, clip, clip_threshold, get_preset, normalise_rows
from vlalign.score.record import ScoreRecord
from vlalign.score.sides import Features, Side, check_pairing

_CONCATENATION = {"index": -1, "name": "all", "convention": "concatenation of all layers"}


def score_pairs(
    pairs: Iterable[tuple[Features, Features]],
    *,
    metric: str = "mutual_knn",
    k: int = 10,
    preset: str = "platonic",
    permutations: int = 1000,
    seed: int = 0,
    concat: bool = False,
    device: str | torch.device | None = None,
) -> Iterator[ScoreRecord]:
    """:func:`vlalign.score` of many pairs; what a layer needs (its neighbours) is computed once for all its pairs.

    All pairs are checked at once; records are computed one by one as they are asked for, so that each can be kept.
    ``seconds`` of a record counts the work done for it: nothing for a side that an earlier pair had prepared.
    """
    pairs = list(pairs)
    scorer = _Scorer(get_metric(metric, k=k), get_preset(preset), permutations, seed, concat, _device(device))
    if permutations < 0:
        raise VlalignError(f"permutations must be 0 or more, got {permutations}")
    for x, y in pairs:
        check_pair(x, y, metric=metric, k=k)
    return (scorer.pair(x, y) for x, y in pairs)


def check_pair(x: Features, y: Features, *, metric: str = "mutual_knn", k: int = 10) -> None:
    """Check that two sides can be paired and are large enough for the metric, without reading features.

    Raises:
        VlalignError: as :func:`vlalign.score`.
    """
    a, b = Side(x, "x"), Side(y, "y")
    check_pairing(a, b)
    get_metric(metric, k=k).check(a.n)


def _device(device: str | torch.device | None) -> torch.device | None:
    if device is None:
        return torch.device("cuda") if torch.cuda.is_available() else None
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise VlalignError(f"device {str(device)!r} cannot be used here: leave --device out or give cpu") from error
    return chosen


@dataclass
class _Prepared:
    """One side after the work that is done once."""

    side: Side
    layers: list[Any]  # what the metric keeps of each layer
    axis: list[dict[str, Any]]
    preprocessing: dict[str, Any]


@dataclass
class _Scorer:
    metric: Metric
    preset: Preset
    permutations: int
    seed: int
    concat: bool
    device: torch.device | None
    _done: dict[Any, _Prepared] = field(default_factory=dict)
    _orders: dict[frozenset[str], list[str]] = field(default_factory=dict)

    def pair(self, x: Features, y: Features) -> ScoreRecord:
        seconds: dict[str, float] = {}
        sides = Side(x, "x"), Side(y, "y")
        by = check_pairing(*sides)
        order = None
        if by == "id":  # one order for all runs of the same samples, so that their neighbours can be reused
            assert sides[0].ids is not None
            order = self._orders.setdefault(frozenset(sides[0].ids), sides[0].ids)
        a, b = (self._prepare(side, given, order, seconds) for side, given in zip(sides, (x, y), strict=True))
        with _timed(seconds, "grid"):
            matrix = self.metric.grid(a.layers, b.layers)
        i, j = (int(p) for p in np.unravel_index(int(np.argmax(matrix)), matrix.shape))
        best = float(matrix[i, j])
        moments = self.metric.moments(a.layers, b.layers)
        null = None
        if self.permutations:
            with _timed(seconds, "null"):
                null = permutation_null(
                    self.metric, a.layers, b.layers, n=a.side.n, observed=best, count=self.permutations, seed=self.seed
                ).summary()
        return ScoreRecord(
            x=sides[0].describe(),
            y=sides[1].describe(),
            metric={"name": self.metric.name, "params": self.metric.params},
            preprocessing={
                "preset": self.preset.name,
                "clip_quantile": self.preset.clip_quantile,
                "normalise": self.preset.normalise,
                "x": a.preprocessing,
                "y": b.preprocessing,
            },
            pairing={"by": by, "reordered": by == "id" and sides[0].ids != sides[1].ids},
            n=a.side.n,
            axes={"x": a.axis, "y": b.axis},
            matrix=matrix.tolist(),
            best={
                "x": {"position": i, "index": a.axis[i]["index"], "name": a.axis[i]["name"]},
                "y": {"position": j, "index": b.axis[j]["index"], "name": b.axis[j]["name"]},
                "score": best,
            },
            chance=None if moments is None else float(moments.mean[i, j]),
            null=null,
            performance={"x": sides[0].performance(), "y": sides[1].performance()},
            environment=environment(),
            seconds={stage: round(value, 4) for stage, value in seconds.items()},
        )

    def _prepare(self, side: Side, given: Features, order: list[str] | None, seconds: dict[str, float]) -> _Prepared:
        paired = None if order is None else frozenset(order)
        key = (side.run.key.hash if side.run is not None else id(given), paired)
        if key in self._done:
            return self._done[key]
        self.metric.check(side.n)
        if order is not None:
            side.put_in_order(order)
        with _timed(seconds, "load"):
            side.hold()
        count = len(side.axis)
        threshold = None
        if self.preset.clip_quantile is not None:
            with _timed(seconds, "clip"):
                threshold = clip_threshold(
                    lambda: (self._load(side, i) for i in range(count)), self.preset.clip_quantile
                )
        with _timed(seconds, "neighbours" if "k" in self.metric.params else "layers"):
            parts: dict[int, Tensor] = {}

            def work(i: int) -> tuple[Any, int]:
                layer = self._load(side, i)
                if threshold is not None:
                    checked_norms(layer, side.layer_name(i))  # clipping would hide an infinity
                    layer = clip(layer, threshold)
                if self.concat:
                    parts[i] = layer
                return self._reduce(layer, side.layer_name(i))

            on_cpu = self.device is None or self.device.type == "cpu"
            done = map_layers(work, range(count)) if on_cpu else [work(i) for i in range(count)]
            axis = list(side.axis)
            if self.concat:
                whole = torch.cat([parts.pop(i) for i in range(count)], dim=1)
                axis.append({**_CONCATENATION, "width": whole.shape[1]})
                done.append(self._reduce(whole, f"all layers of {side.model}"))
        side.release()
        zero = sum(rows for _, rows in done)
        preprocessing = {"clip_threshold": threshold, "zero_rows": zero}
        prepared = _Prepared(side, [layer for layer, _ in done], axis, preprocessing)
        self._done[key] = prepared
        return prepared

    def _load(self, side: Side, i: int) -> Tensor:
        layer = check_features(side.load(i), side.layer_name(i))
        return layer if self.device is None else layer.to(self.device)

    def _reduce(self, layer: Tensor, what: str) -> tuple[Any, int]:
        if not self.preset.normalise:
            checked_norms(layer, what)
            return self.metric.prepare(layer.contiguous()), 0
        layer, zero_rows = normalise_rows(layer, what)
        return self.metric.prepare(layer), zero_rows


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start
