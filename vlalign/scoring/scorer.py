"""The scorer: from two sides to one record, with the grid of all layer pairs and the statistics of the best one."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vlalign.config import plain
from vlalign.environment import environment
from vlalign.metrics.base import Metric
from vlalign.metrics.engine.approximate import MEASURED_ROWS, describe
from vlalign.metrics.engine.neighbour_lists import LIST_BYTES
from vlalign.scoring import samples
from vlalign.scoring.analysis import Analysis
from vlalign.scoring.categories import columns_of, resolve_categories
from vlalign.scoring.confounds import feature_runs, stored_features
from vlalign.scoring.grouping import Groups, are_exact, resolve_groups, resolve_positives, values_digest
from vlalign.scoring.inputs import Arrays, Features, Side, check_pairing, pairing_notes, sample_names
from vlalign.scoring.layers import PreparedSide, half_length, kept_length, timed
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.preprocessing import PRESETS
from vlalign.scoring.record import ScoreRecord
from vlalign.scoring.summary import recall_notes
from vlalign.stats.groups import members
from vlalign.version import __version__


@dataclass
class Scorer:
    """Scorer that holds prepared layers, so that each layer is prepared once for all pairs."""

    options: ScoreOptions
    device: torch.device | None = None
    _sides: dict[Any, PreparedSide] = field(default_factory=dict)
    _orders: dict[frozenset[str], list[str]] = field(default_factory=dict)

    def pair(
        self, metric: Metric, x: Features, y: Features, request: Future[dict[str, Any] | None] | None = None
    ) -> ScoreRecord:
        """Compute the record of one pair, with the request for it, where one can be stated."""
        seconds: dict[str, float] = {}
        sides = Side(x, "x"), Side(y, "y")
        by = check_pairing(*sides)
        order = None
        if by == "id":  # one order for all runs of the same samples, so that prepared layers can be reused
            assert sides[0].ids is not None
            order = self._orders.setdefault(frozenset(sides[0].ids), sides[0].ids)
        a, b = (self._side(side, given, order) for side, given in zip(sides, (x, y), strict=True))
        ids, n = sides[0].ids if order is None else order, sides[0].n
        names = sample_names(*sides) if order is None else order
        groups = resolve_groups(self.options.groups, names, n, a, b)
        positives = resolve_positives(self.options.positives, names, n)
        if positives is not None:
            a.items = b.items = members(positives.labels)
        categories = [resolve_categories(column, names, n) for column in columns_of(self.options.within)]
        features = stored_features(*sides, ids) if self.options.full and groups is positives is None else []
        length, approximate = self._kept_length(metric, a, b), self.options.is_approximate(metric)
        for side in (a, b):
            if metric.preparation not in side.prepared or (length is not None and not side.lists):
                side.prepared[metric.preparation] = side.prepare(metric, seconds, length, approximate)
        x_layers, y_layers = ([side.prepared[metric.preparation][i] for i in side.varied] for side in (a, b))
        with timed(seconds, "grid"):
            grid = metric.grid(x_layers, y_layers)
        matrix = np.zeros((len(a.axis), len(b.axis)))  # a layer that gives all samples the same features scores 0
        matrix[np.ix_(a.varied, b.varied)] = grid
        row, column = (int(p) for p in np.unravel_index(int(np.argmax(grid)), grid.shape))
        i, j = a.varied[row], b.varied[column]
        statistics = Analysis(
            metric, a, b, x_layers, y_layers, grid, (row, column), groups, categories, features, seconds
        ).run(
            permutations=self.options.draws(metric),
            analytic=self.options.is_analytic(metric),
            halves=self.options.halves(metric),
            full=self.options.full,
            seed=self.options.seed,
        )
        asked = None if request is None else request.result()
        search = _approximate_search(a, b) if approximate else {}
        statistics["checks"]["notes"] += [*pairing_notes(*sides, by), *recall_notes(search)]
        record = ScoreRecord(
            x=sides[0].describe(),
            y=sides[1].describe(),
            metric={"name": metric.name, "params": plain(metric.params)},
            preprocessing={
                "preset": a.preset.name,
                "clip_quantile": a.preset.clip_quantile,
                "normalise": a.preset.normalise,
                "ties": "random",
                **search,
                "x": a.preprocessing,
                "y": b.preprocessing,
            },
            pairing={
                "by": by,
                "reordered": by == "id" and sides[0].ids != sides[1].ids,
                "groups": None if groups is None else groups.describe(ids=ids),
                **({} if positives is None else {"positives": {**positives.describe("items", ids), "samples": n}}),
            },
            n=a.n,
            axes={"x": a.axis, "y": b.axis},
            matrix=matrix.tolist(),
            best={
                "x": {"position": i, "index": a.axis[i]["index"], "name": a.axis[i]["name"]},
                "y": {"position": j, "index": b.axis[j]["index"], "name": b.axis[j]["name"]},
                "score": float(matrix[i, j]),
            },
            **statistics,
            performance={"x": sides[0].performance(), "y": sides[1].performance()},
            environment=environment() | ({} if asked is None else {"request": asked}),
            seconds={stage: round(value, 4) for stage, value in seconds.items()},
        )
        values = metric.per_sample(x_layers[row], y_layers[column])
        if values is not None:
            firsts = range(n) if a.items is None else [int(rows[0]) for rows in a.items]
            samples.keep(record, None if ids is None else [ids[i] for i in firsts], firsts, values)
        return record

    def request(self, metric: Metric, x: Features, y: Features) -> dict[str, Any] | None:
        """Return everything that the record depends on; None where the groups cannot be read."""
        options = self.options
        try:
            groups, positives = _digest(options.groups), _digest(options.positives)
        except OSError:
            return None  # scoring reports why it cannot be read
        sides = {label: _content(side) for label, side in (("x", x), ("y", y))}
        more: dict[str, Any] = {
            "within": [column.digest for column in columns_of(options.within)],
            "features": [],
            "positives": positives,
        }
        if options.full and groups is positives is None:  # so that features made since then are checked
            more["features"] = [run.key.hash for run in feature_runs(Side(x, "x"), Side(y, "y"))]
        asked = {"vlalign": __version__, **sides, "groups": groups, **{name: one for name, one in more.items() if one}}
        return options.settings(metric) | asked

    def forget(self, metric: Metric) -> None:
        """Release the layers prepared for a metric, except those that other metrics may use too."""
        for side in self._sides.values():
            side.prepared.pop(metric, None)

    def release(self, given: Sequence[Features]) -> None:
        """Release everything prepared of these sides."""
        released = {_identity(side) for side in given}
        self._sides = {key: side for key, side in self._sides.items() if key[0] not in released}

    def _kept_length(self, metric: Metric, a: PreparedSide, b: PreparedSide) -> int | None:
        """Return :func:`kept_length` of a pair; lists of other sides are released where they leave it no memory."""
        n, layers = a.n, len(a.axis) + len(b.axis)
        if self.options.is_approximate(metric):
            return half_length(metric, n) or metric.params["k"]
        length = kept_length(metric, n, layers, self.options.halves(metric), self.options.full)
        others = [side for side in self._sides.values() if side is not a and side is not b]
        if length is not None and sum(side.list_bytes for side in others) + 4 * n * length * layers > LIST_BYTES:
            for side in others:
                side.lists.clear()
        return length

    def _side(self, side: Side, given: Features, order: list[str] | None) -> PreparedSide:
        key = (_identity(given), None if order is None else frozenset(order))
        if key not in self._sides:
            if order is not None:
                side.put_in_order(order)
            self._sides[key] = PreparedSide(side, PRESETS[self.options.preset], self.options.concat, self.device)
        return self._sides[key]


def _approximate_search(a: PreparedSide, b: PreparedSide) -> dict[str, Any]:
    """Return the entry of a record about approximate neighbours; the recall of a side is the least of its layers."""
    recall = {name: min(side.recall.values()) for name, side in (("x", a), ("y", b))}
    return {"neighbours": describe() | {"rows": min(MEASURED_ROWS, a.side.n), "recall": recall}}


def _digest(groups: Groups) -> str | None:
    """Return a digest of groups, or "exact"; raise OSError for a file that cannot be read."""
    if groups is None or are_exact(groups):
        return None if groups is None else "exact"
    if isinstance(groups, str | Path):
        return hashlib.sha256(Path(groups).read_bytes()).hexdigest()
    return values_digest(groups)


def _content(given: Features) -> Any:
    """Return what identifies the content of a side: the key of a run, or the digest and name of arrays."""
    if isinstance(given, Arrays):
        return {"sha256": given.digest, "name": given.name or given.label}
    assert hasattr(given, "key")
    return given.key.hash


def _identity(given: Features) -> Any:
    """Return the identity of a side: the key of a run, the object of other features."""
    return given.key.hash if hasattr(given, "key") else id(given)
