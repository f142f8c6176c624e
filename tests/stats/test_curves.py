"""Curves over N and k: equal to scoring each subset and each k afresh."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from support.metrics import GramCorrelation
from torch import Tensor

from vlalign.arrays import DelayedLayer
from vlalign.errors import VlalignError
from vlalign.metrics import Metric, MutualKnn, mutual_knn
from vlalign.metrics.definitions.cknna import Cknna
from vlalign.stats.curves import k_curve, n_curves
from vlalign.stats.null import generator

Pair = tuple[list[Tensor], list[Tensor]]


@dataclass(frozen=True)
class GramOfK(GramCorrelation):
    """Has a k that it does not need, but compares no neighbour lists."""

    k: int = 7

    name: ClassVar[str] = "gram_of_k"


def test_n_curve_by_hand(pair: Pair) -> None:
    x, y = pair
    found = n_curves(MutualKnn(4), x, y, sizes=[30, 60, 15], repeats=3, seed=5, pair=(1, 1))["n"]
    assert [point.at for point in found.points] == [15, 30, 60]
    assert (found.parameter, found.n, found.pair, found.metric) == ("n", 60, (1, 1), "mutual_knn:k=4")
    for point in found.points:
        repeats = 1 if point.at == 60 else 3
        assert point.repeats == repeats
        largest, corrected, fixed = [], [], []
        chance = 4 / (point.at - 1)
        for repeat in range(repeats):
            rows = generator("subset", 5, 60, point.at, repeat).choice(60, point.at, replace=False)
            rows = torch.from_numpy(np.sort(rows))
            matrix = np.array([[mutual_knn(a[rows], b[rows], 4) for b in y] for a in x])
            largest.append(matrix.max())
            corrected.append((matrix.max() - chance) / (1 - chance))
            fixed.append(matrix[1, 1])
        assert point.largest.mean == pytest.approx(np.mean(largest))
        assert point.fixed.mean == pytest.approx(np.mean(fixed))
        assert point.largest_corrected is not None
        assert point.largest_corrected.mean == pytest.approx(np.mean(corrected))
        if repeats > 1:
            assert point.largest.sd == pytest.approx(np.std(largest, ddof=1))
        else:
            assert point.largest.sd is None
        assert (point.k, point.chance) == (4, pytest.approx(chance))
    assert json.loads(json.dumps(found.summary())) == found.summary()


def test_k_in_proportion_to_n(pair: Pair) -> None:
    """The same subsets with fewer neighbours: k·n/N of them, rounded; none where that is 0."""
    x, y = pair
    sizes, ks = [5, 13, 15, 37, 60], {13: 1, 15: 1, 37: 2, 60: 4}  # .33 .87, 1, 2.47, 4
    curves = n_curves(MutualKnn(4), x, y, sizes=sizes, repeats=2, seed=5, pair=(1, 1))
    points = {point.at: point for point in curves["n_proportional"].points}
    assert {at: point.k for at, point in points.items()} == ks
    for at, point in points.items():
        expected = []
        for repeat in range(point.repeats):
            rows = generator("subset", 5, 60, at, repeat).choice(60, at, replace=False)
            rows = torch.from_numpy(np.sort(rows))
            expected.append(mutual_knn(x[1][rows], y[1][rows], ks[at]))
        assert point.fixed.mean == pytest.approx(np.mean(expected))
        assert point.chance == pytest.approx(ks[at] / (at - 1))
    assert points[60] == curves["n"].points[-1]
    gram = n_curves(GramOfK(k=4), x, y, sizes=sizes[1:], repeats=2, pair=(0, 0))
    assert [point.k for point in gram["n_proportional"].points] == [*ks.values()]
    assert [p.fixed for p in gram["n_proportional"].points] == [p.fixed for p in gram["n"].points]
    assert list(n_curves(MutualKnn(4), x, y, sizes=[5, 60], repeats=1, pair=(0, 0))) == ["n"]
    assert list(n_curves(Cknna(k=None), x, y, repeats=1, pair=(0, 0))) == ["n"]
    few = n_curves(Cknna(k=4), x, y, sizes=[15, 30, 60], repeats=1, pair=(0, 0))  # it needs k >= 2
    assert [point.at for point in few["n_proportional"].points] == [30, 60]


def test_the_own_k_is_on_the_curve(pair: Pair) -> None:
    assert [point.at for point in k_curve(MutualKnn(4), *pair, pair=(0, 0)).points] == [1, 2, 4, 5, 10]
    assert [point.at for point in k_curve(MutualKnn(30), *pair, pair=(0, 0)).points] == [1, 2, 5, 10, 20, 30]


def test_default_sizes_end_where_the_metric_does(pair: Pair) -> None:
    def sizes(metric: Metric) -> list[int]:
        return [point.at for point in n_curves(metric, *pair, repeats=1, pair=(0, 0))["n"].points]

    assert sizes(MutualKnn(5)) == [30, 60]  # 4 k and more
    assert sizes(MutualKnn(40)) == [60]
    assert sizes(GramCorrelation()) == [60]  # 32 and more


def test_subsets_do_not_depend_on_other_sizes(pair: Pair) -> None:
    both = n_curves(MutualKnn(4), *pair, sizes=[20, 40], repeats=4, pair=(0, 0))["n"]
    assert n_curves(MutualKnn(4), *pair, sizes=[40], repeats=4, pair=(0, 0))["n"].points == both.points[1:]


def test_no_chance_level(pair: Pair) -> None:
    (curve,) = n_curves(GramCorrelation(), *pair, sizes=[30], repeats=2, pair=(0, 1)).values()
    (point,) = curve.points
    assert (point.k, point.chance) == (None, None)
    assert point.largest_corrected is None
    assert point.fixed_corrected is None
    assert point.fixed.mean < point.largest.mean


def test_k_curve_by_hand(pair: Pair) -> None:
    x, y = pair
    found = k_curve(MutualKnn(), x, y, pair=(0, 1))
    assert [point.at for point in found.points] == [1, 2, 5, 10]
    assert (found.metric, found.parameter) == ("mutual_knn", "k")
    assert found.pair == (0, 1)
    for point in found.points:
        matrix = np.array([[mutual_knn(a, b, point.at) for b in y] for a in x])
        chance = point.at / 59
        assert point.largest.mean == pytest.approx(matrix.max())
        assert point.fixed.mean == pytest.approx(matrix[found.pair])
        assert point.fixed_corrected is not None
        assert point.fixed_corrected.mean == pytest.approx((matrix[found.pair] - chance) / (1 - chance))
        assert point.fixed.sd is None
    assert json.loads(json.dumps(found.summary())) == found.summary()
    everything = k_curve(MutualKnn(), x, y, ks=[59], pair=(0, 1)).points[0]
    assert everything.largest.mean == 1
    assert everything.largest_corrected is None  # chance is 1, too


def test_k_curve_of_another_metric(pair: Pair) -> None:
    found = k_curve(GramOfK(), *pair, ks=[2, 7], pair=(0, 0))
    plain = n_curves(GramCorrelation(), *pair, sizes=[60], pair=(0, 0))["n"]
    for point in found.points:
        assert (point.largest, point.fixed) == (plain.points[0].largest, plain.points[0].fixed)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": [61]}, "61 of N=60"),
        ({"sizes": [4]}, "got N=4"),
        ({"sizes": [0]}, "size >= 1"),
        ({"sizes": []}, "at least one size"),
        ({"repeats": 0}, "repeats >= 1"),
        ({"pair": (3, 0)}, "no layer pair"),
    ],
)
def test_wrong_n_curves(pair: Pair, options: dict, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        n_curves(MutualKnn(4), *pair, **{"pair": (0, 0)} | options)


def test_wrong_k_curves(pair: Pair) -> None:
    with pytest.raises(VlalignError, match="has no number of neighbours"):
        k_curve(GramCorrelation(), *pair, pair=(0, 0))
    with pytest.raises(VlalignError, match="k=60"):
        k_curve(MutualKnn(), *pair, ks=[60], pair=(0, 0))
    with pytest.raises(VlalignError, match="allows no number"):
        k_curve(MutualKnn(), *pair, ks=[], pair=(0, 0))
    with pytest.raises(VlalignError, match="allows no number"):
        k_curve(MutualKnn(), [torch.ones(1, 2)], [torch.ones(1, 2)], pair=(0, 0))


def test_default_ks_are_limited_by_the_size_of_the_lists(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    module = sys.modules["vlalign.stats.curves"]
    monkeypatch.setattr(module, "LIST_BYTES", 4 * 60 * 4 * 6)  # 2 and 2 layers: 6 neighbours each
    layers = [layers[:2] for layers in pair]
    assert [point.at for point in k_curve(MutualKnn(8), *layers, pair=(0, 0)).points] == [1, 2, 5, 8]
    assert module.curves_hold(MutualKnn(8), 60, [3] * 4) == 4 * 60 * 4 * (8 + 10 * 8)


def test_layers_are_computed_one_after_the_other(pair: Pair) -> None:
    uses: list[int] = []

    def delayed(layer: Tensor) -> DelayedLayer:
        return DelayedLayer(lambda: uses.append(1) or layer, layer.shape)

    for curve in (n_curves, k_curve):
        uses.clear()
        layers = [[delayed(layer) for layer in side] for side in pair]
        assert curve(MutualKnn(4), *layers, pair=(0, 0)) == curve(MutualKnn(4), *pair, pair=(0, 0))
        assert len(uses) == sum(map(len, pair))
