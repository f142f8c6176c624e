"""Half-sampling intervals: coverage by simulation, groups, wrong input."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest
import torch
from support.metrics import GramCorrelation
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn
from vlalign.metrics.base import Metric
from vlalign.stats.interval import Interval, half_sampling


def made_up(generator: torch.Generator, n: int, share: float, layers: int = 1) -> tuple[list[Tensor], list[Tensor]]:
    shared = share * torch.randn(n, 6, generator=generator)

    def side() -> list[Tensor]:
        noisy = [shared + torch.randn(n, 6, generator=generator) for _ in range(layers)]
        return [torch.nn.functional.normalize(layer, dim=1) for layer in noisy]

    return side(), side()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # many small searches
    yield
    torch.set_num_threads(threads)


def coverage(metric: Metric, n: int, share: float, sets: int, layers: int = 1) -> tuple[float, float]:
    """Coverage of the mean over data sets, and mean estimated sd over true sd."""
    generator = torch.Generator().manual_seed(0)
    found = [half_sampling(metric, *made_up(generator, n, share, layers), count=24, seed=i) for i in range(sets)]
    target = np.mean([one.observed for one in found])
    ratio = np.mean([one.sd for one in found]) / np.std([one.observed for one in found], ddof=1)
    return float(np.mean([one.low <= target <= one.high for one in found])), float(ratio)


@pytest.mark.parametrize(
    ("metric", "n", "share", "layers", "ratio"),
    [
        (MutualKnn(5), 91, 1.5, 1, (0.9, 1.4)),
        (MutualKnn(5), 90, 4.0, 1, (0.75, 1.1)),  # scores about 0.5
        (GramCorrelation(), 60, 1.0, 1, (0.9, 1.3)),
        (GramCorrelation(), 60, 2.0, 2, (0.85, 1.2)),  # the maximum over four pairs
        (GramCorrelation(), 60, 0.0, 1, (1.1, 1.6)),  # no alignment: √2 expected
    ],
)
def test_coverage(metric: Metric, n: int, share: float, layers: int, ratio: tuple[float, float]) -> None:
    covered, found = coverage(metric, n, share, 60 if isinstance(metric, MutualKnn) else 100, layers)
    assert 0.88 <= covered <= (0.99 if share else 1.0)
    assert ratio[0] <= found <= ratio[1]


def by_hand(metric: Metric, x: list[Tensor], y: list[Tensor], found: Interval) -> None:
    assert found.observed == metric.grid([metric.prepare(a) for a in x], [metric.prepare(b) for b in y]).max()
    assert (found.low + found.high) / 2 == pytest.approx(found.observed)


def test_fields(pair: tuple[list[Tensor], list[Tensor]]) -> None:
    metric = MutualKnn(4)
    found = half_sampling(metric, *pair, count=21, seed=3)
    by_hand(metric, *pair, found)
    assert found.statistic == "maximum over all layer pairs"
    assert (found.count, found.seed, found.level) == (22, 3, 0.95)
    assert found.high - found.observed == pytest.approx(2.2009852 * found.sd)  # Student t, 11 degrees of freedom
    assert found.mean_of_halves > found.observed  # the same k of half as many samples
    assert json.loads(json.dumps(asdict(found))) == asdict(found)
    assert half_sampling(metric, *pair, count=22, seed=3) == found
    assert half_sampling(metric, *pair, count=22, seed=4).sd != found.sd
    one = half_sampling(metric, pair[0][1:2], pair[1][1:2], count=10, level=0.5)
    assert one.statistic == "score"
    by_hand(metric, pair[0][1:2], pair[1][1:2], one)


def test_long_lists_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = made_up(torch.Generator().manual_seed(0), 300, 1.0)
    metric = MutualKnn(4)
    assert metric.for_subsets(x[0], 150)[1] is not None
    found = half_sampling(metric, x, y, count=10)
    monkeypatch.setattr(MutualKnn, "for_subsets", Metric.for_subsets)
    monkeypatch.setattr(MutualKnn, "subset", Metric.subset)
    assert half_sampling(metric, x, y, count=10) == found


def test_identical_sides_have_no_spread() -> None:
    x, _ = made_up(torch.Generator().manual_seed(0), 40, 1.0)
    found = half_sampling(MutualKnn(3), x, x, count=10)
    assert (found.low, found.high, found.sd) == (1.0, 1.0, 0.0)


def test_groups_are_drawn_as_wholes() -> None:
    """Every sample three times is a data set of a third of the size: its sd is √3 times that of single samples."""
    generator = torch.Generator().manual_seed(0)
    x, y = made_up(generator, 40, 1.5)
    labels = np.repeat(np.arange(40), 3)
    tripled = [x[0].repeat_interleave(3, 0)], [y[0].repeat_interleave(3, 0)]
    single = half_sampling(GramCorrelation(), x, y, count=400)
    grouped = half_sampling(GramCorrelation(), *tripled, count=400, groups=labels * 7 - 3)
    ungrouped = half_sampling(GramCorrelation(), *tripled, count=400)
    assert grouped.sd == pytest.approx(single.sd, rel=0.2)
    assert grouped.sd / ungrouped.sd == pytest.approx(math.sqrt(3), rel=0.3)


@pytest.mark.parametrize(
    ("k", "options", "message"),
    [
        (10, {}, r"half-samples, here of 10 of N=20 rows: mutual_knn with k=10"),
        (2, {"groups": [0] * 10 + [1] * 10}, "at least 4 samples or groups of samples, got 2"),
        (4, {"groups": [*range(19), 0]}, None),
        (9, {"groups": [0] * 8 + list(range(1, 13))}, "here of 6 of N=20"),
        (2, {"groups": [0.5] * 20}, "whole numbers"),
        (2, {"groups": [0] * 3}, "20 whole numbers"),
        (2, {"count": 1}, "at least 2"),
        (2, {"level": 0.0}, "between 0 and 1"),
    ],
)
def test_wrong_input(k: int, options: dict, message: str | None) -> None:
    x, y = made_up(torch.Generator().manual_seed(0), 20, 1.0)
    if message is None:
        assert half_sampling(MutualKnn(k), x, y, **{"count": 4, **options}).sd > 0
        return
    with pytest.raises(VlalignError, match=message):
        half_sampling(MutualKnn(k), x, y, **options)


def test_sides_that_are_not_paired() -> None:
    with pytest.raises(VlalignError, match="one number of rows"):
        half_sampling(MutualKnn(2), [torch.randn(20, 3)], [torch.randn(21, 3)])
    with pytest.raises(VlalignError, match="at least one layer"):
        half_sampling(MutualKnn(2), [], [torch.randn(21, 3)])
