"""Checks of the data against plain loops and eigenvalues, and what they warn of."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import skew

from vlalign.errors import VlalignError
from vlalign.metrics import knn
from vlalign.stats import checks
from vlalign.stats.checks import (
    check_side,
    clipped_share,
    effective_dimension,
    hubness,
    near_counts,
    near_duplicates,
    repeats_warning,
    warnings,
)  # fmt: skip


def layer_of(n: int = 60, d: int = 8, seed: int = 0) -> torch.Tensor:
    layer = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(layer, dim=1)


@pytest.mark.parametrize(("n", "d"), [(40, 7), (7, 40), (30, 30), (2, 1)])
@pytest.mark.parametrize("scale", [1.0, 1e-20, 1e20])
def test_effective_dimension_is_that_of_the_spectrum(
    monkeypatch: pytest.MonkeyPatch, n: int, d: int, scale: float
) -> None:
    layer = torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    layer = layer * torch.logspace(0, 2, d, dtype=torch.float64) + 5
    eigenvalues = np.atleast_1d(np.linalg.eigvalsh(np.cov(layer.T.numpy()).reshape(d, d)))
    expected = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert effective_dimension(layer * scale) == pytest.approx(expected)
    monkeypatch.setattr(checks, "_BLOCK_BYTES", 8 * min(n, d) * 3)
    assert effective_dimension(layer * scale) == pytest.approx(expected)


def test_effective_dimension_of_special_layers() -> None:
    assert effective_dimension(torch.ones(5, 3)) == 0
    assert effective_dimension(torch.full((6, 3), 0.1)) == 0  # the mean is not exact
    assert effective_dimension(torch.zeros(5, 3)) == 0
    assert effective_dimension(torch.arange(6.0)[:, None] * torch.ones(3)) == pytest.approx(1)
    assert effective_dimension(torch.cat([torch.eye(4), -torch.eye(4)])) == pytest.approx(4)


@pytest.mark.parametrize("near", [0.999, 0.5, 0.0])
def test_near_duplicates(monkeypatch: pytest.MonkeyPatch, near: float) -> None:
    layer = layer_of() * torch.linspace(0.1, 10, 60)[:, None]
    layer[7] = 3 * layer[5] + 1e-4
    layer[9] = layer[5]
    layer[11] = 0
    cosine = torch.nn.functional.normalize(layer.double(), dim=1)
    above = ((cosine @ cosine.T) > near).fill_diagonal_(False)
    expected = int(above.any(dim=1).sum()), int(above.sum()) // 2
    assert expected[0] >= 3
    assert near_duplicates(layer, near) == expected
    monkeypatch.setattr(checks, "_BLOCK_BYTES", 60 * 4 * 7)
    assert near_duplicates(layer, near) == expected


def test_hubness() -> None:
    neighbours = knn(layer_of(), 5)
    listed = [sum(i in row for row in neighbours.tolist()) for i in range(60)]
    found = hubness(neighbours)
    assert found["hub_skewness"] == pytest.approx(skew(listed))
    assert found["largest_hub"] == max(listed)
    assert found["unlisted"] == listed.count(0) / 60
    ring = torch.tensor([[1], [2], [3], [0]])
    assert hubness(ring) == {"hub_skewness": 0.0, "largest_hub": 1, "unlisted": 0.0}


def test_check_side() -> None:
    layer = layer_of(60, 8)
    layer[[3, 4]] = layer[2].clone()
    layer[11] = layer[10]
    found = check_side(layer, 5)
    assert (found["n"], found["duplicates"], found["largest_group"], found["k"]) == (60, 5, 3, 5)
    assert (found["near_duplicates"], found["near_pairs"], found["clipped"]) == (5, 4, None)
    assert json.loads(json.dumps(found)) == found
    assert check_side(layer, 9, neighbours=knn(layer, 5)) == found
    raw = torch.tensor([[1.0, -2.0], [3.0, 0.5]])
    assert clipped_share(raw, 1.0) == 0.5
    assert check_side(layer, 5, unclipped=raw, clip_threshold=1.0)["clipped"] == 0.5


def test_rows_of_zeros_are_no_duplicates() -> None:
    layer = layer_of(60, 8)
    layer[[3, 4, 5]] = 0
    layer[11] = layer[10]
    found = check_side(layer, 5)
    assert (found["zero_rows"], found["duplicates"], found["largest_group"]) == (3, 2, 2)
    (line,) = [line for line in warnings(found) if "zeros" in line]
    assert line.startswith("layer: 3 of 60 samples are rows of zeros, which have no direction")
    layer[[3, 4]] = layer_of(2, 8, seed=1)
    assert any("1 of 60 samples is a row of zeros, which has" in line for line in warnings(check_side(layer)))
    assert check_side(torch.zeros(6, 3), 2)["duplicates"] == 0


def test_nothing_to_warn_of() -> None:
    assert warnings(check_side(layer_of(200, 20))) == []
    assert repeats_warning(layer_of(200, 20), "x", "keep one") is None


def test_repeats_in_folds() -> None:
    layer = layer_of(200, 20)
    layer[1] = layer[0]
    assert repeats_warning(layer, "x", "keep one") is None  # 2 of 200: 1 %
    layer[2] = layer[0]
    line = repeats_warning(layer, "x", "keep one")
    assert line is not None
    assert line.startswith("x: 3 of 200 rows are exact repeats (up to 3 alike): if they are of one sample")
    assert "training and test share it and results are too good: keep one; " in line


def test_warnings() -> None:
    layer = layer_of(200, 20)
    layer[:10] = layer[10:20]
    assert warnings(check_side(layer), "layer 3 of m") == [
        "layer 3 of m: 20 of 200 samples are exact duplicates (up to 2 alike), which are each other's neighbours: "
        "if they are repeats of one sample, name the groups they form, or p-values are too small"
    ]
    layer[:10] += 1e-5
    assert "have a near-duplicate (cosine > 0.999)" in warnings(check_side(layer))[0]
    hubs = torch.randn(300, 50, generator=torch.Generator().manual_seed(0))
    hubs = hubs * torch.linspace(0.2, 3, 300)[:, None]  # not normalised: long rows are everybody's neighbours
    lines = warnings(check_side(hubs))
    assert len(lines) == 1
    assert "a few samples are neighbours of many" in lines[0]
    flat = torch.randn(300, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 0.3, 0.3])
    lines = warnings(check_side(torch.nn.functional.normalize(flat, dim=1), near=0.99999999))
    assert len(lines) == 1
    assert "effective dimensions" in lines[0]
    raw = layer_of(200, 20)
    lines = warnings(check_side(raw, unclipped=raw, clip_threshold=0.1))
    assert len(lines) == 1
    assert "of the values are clipped" in lines[0]


@pytest.mark.parametrize(
    ("layer", "k", "options", "message"),
    [
        (torch.ones(5, 2) * float("nan"), 2, {}, "not finite"),
        (torch.ones(5), 2, {}, r"\[N, D\]"),
        (torch.ones(5, 2, dtype=torch.complex64), 2, {}, "complex"),
        (torch.ones(5, 2), 5, {}, "k=5 with N=5"),
        (torch.ones(5, 2), 2, {"near": 1.0}, "between -1 and 1"),
    ],
)
def test_wrong_input(layer: torch.Tensor, k: int, options: dict, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        check_side(layer, k, **options)


def test_near_duplicates_from_neighbour_lists() -> None:
    draw = torch.Generator().manual_seed(0)
    directions = torch.randn(60, 16, generator=draw)
    directions[1:9] = directions[0] + 1e-3 * torch.randn(8, 16, generator=draw)  # more than there are neighbours
    directions[20] = directions[21]
    layer = torch.nn.functional.normalize(directions)
    layer[30] = 0
    expected = near_counts(layer)
    assert expected[[0, 20, 30, 40]].tolist() == [8, 1, 0, 0]
    assert torch.equal(near_counts(layer, neighbours=knn(layer, 3)), expected)
    longer = 3 * layer  # not normalised: nearest by inner product need not be nearest by angle
    longer[:30] *= 5
    assert torch.equal(near_counts(longer, neighbours=knn(longer, 3)), expected)
