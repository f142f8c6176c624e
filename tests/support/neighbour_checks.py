"""What every metric of neighbour lists must pass, beside being equal to its slow reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics.base import Metric

Lists = list[list[int]]


def features(kind: str, n: int = 40, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two related layers [n, 6] and [n, 4] of one kind."""
    generator = torch.Generator().manual_seed(seed)
    shared, x, y = (torch.randn(n, width, generator=generator) for width in (3, 6, 4))
    x[:, :3] += 2 * shared
    y[:, :3] += 2 * shared
    if kind == "duplicates":
        x, y = x[: n // 4].repeat(4, 1), y[: n // 4].repeat_interleave(4, 0)
    elif kind == "low rank":
        x, y = (side[:, :2] @ side[:2] for side in (x, y))
    elif kind == "ill scaled":
        x, y = x * torch.logspace(-6, 3, 6), y * 1e-9 + 1e-8
    elif kind == "constant":
        x = torch.ones_like(x)
    return x, y


KINDS = ["random", "duplicates", "low rank", "ill scaled", "constant"]


def orders(n: int, count: int = 4) -> np.ndarray:
    """Permutations [count, n]."""
    return np.stack([np.random.default_rng(seed).permutation(n) for seed in range(count)])


def check_reordering(metric: Metric, n: int = 40) -> None:
    """``reorder``, ``permuted`` and ``subset`` against work on the features themselves."""
    xs = [features("random", n, seed)[0] for seed in range(3)] + [features("random", n, 1)[1]]
    ys = [features("random", n, seed)[1] for seed in range(2)]
    for first, second in ((xs, ys), (ys, xs)):
        x, y = ([metric.prepare(layer) for layer in side] for side in (first, second))
        slow = [
            metric.grid(x, [metric.prepare(layer[torch.from_numpy(order)]) for layer in second]) for order in orders(n)
        ]
        values = metric.permuted(x, y, orders(n))
        np.testing.assert_allclose(values, slow, atol=1e-9)
        np.testing.assert_allclose(values, Metric.permuted(metric, x, y, orders(n)), atol=1e-12)
    rows = np.sort(orders(n)[0][: n - 7])
    kept = [metric.subset(metric.for_subsets(side[0], n - 7), rows) for side in (xs, ys)]
    afresh = [metric.prepare(side[0][torch.from_numpy(rows)]) for side in (xs, ys)]
    np.testing.assert_allclose(metric.grid(kept[:1], kept[1:]), metric.grid(afresh[:1], afresh[1:]), atol=1e-9)


def check_invariances(of: Callable[[Tensor, Tensor], float], symmetric: bool = True) -> None:
    """Rotation, scale and joint row order change nothing; nor do the sides, where ``symmetric``."""
    x, y = (side.double() for side in features("random", 50))
    generator = torch.Generator().manual_seed(1)
    rotation = torch.linalg.qr(torch.randn(6, 6, generator=generator, dtype=torch.float64)).Q
    order = torch.randperm(50, generator=generator)
    value = of(x, y)
    assert of(x @ rotation, 1e5 * y) == pytest.approx(value, abs=1e-9)
    assert of(x[order], y[order]) == pytest.approx(value, abs=1e-9)
    assert (of(y, x) == pytest.approx(value, abs=1e-12)) == symmetric


def check_mean(metric: Metric, n: int = 30) -> None:
    """The exact permutation mean, and sd where there is one, against simulation."""
    pairs = [features("random", n, seed) for seed in range(2)]
    x, y = ([metric.prepare(pair[side]) for pair in pairs] for side in (0, 1))
    moments = metric.moments(x, y)
    assert moments is not None
    values = metric.permuted(x, y, orders(n, 3000))
    sd = values.std(axis=0)
    assert np.abs(values.mean(axis=0) - moments.mean).max() < 4 * sd.max() / 3000**0.5
    if moments.sd is not None:
        assert np.abs(sd / moments.sd - 1).max() < 0.06


def check_errors(of: Callable[..., float], bad_k: tuple[object, ...], many: int) -> None:
    """Wrong input is one clear line; ``many`` is the least k too large for 20 samples."""
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    nan = x.clone()
    nan[7, 1] = torch.nan
    for sides, says in (
        ((x, x[:19]), "x has 20 rows and y has 19"),
        ((x, nan), "y hold a value that is not finite .first in row 7"),
        ((x[:, 0], x), r"\[N, D\]"),
        ((x, x.long()), "floating point"),
        ((x.numpy(), x), "torch tensor"),
    ):
        with pytest.raises(VlalignError, match=says) as error:
            of(*sides, 3)
        assert "\n" not in str(error.value)
    for k in bad_k:
        with pytest.raises(VlalignError, match=f"k={k}"):
            of(x, x, k)
    with pytest.raises(VlalignError, match="N=20"):
        of(x, x, many)
    assert 0 <= of(x, x, many - 1) <= 1 + 1e-9
