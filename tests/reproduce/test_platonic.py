"""The reference's numbers: small values worked out by hand, and the released code's steps in plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from vlalign.errors import VlalignError
from vlalign.reproduce import platonic
from vlalign.reproduce.platonic import (
    KERNEL_METRICS,
    NEIGHBOUR_METRICS,
    clip_value,
    hsic_biased,
    hsic_unbiased,
    reference_alignment,
)
from vlalign.scoring.preprocessing import clip_threshold

Models = tuple[Tensor, Tensor]

# lists of 4 samples, 3 neighbours each: all others, in these orders
A = torch.tensor([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
B = torch.tensor([[3, 2, 1], [0, 3, 2], [0, 1, 3], [1, 0, 2]])


@pytest.fixture
def models() -> Models:
    """Two models [N, L, D] with a shared signal."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(40, 3, generator=generator)

    def model(layers: int, width: int) -> Tensor:
        parts = []
        for i in range(layers):
            noise = torch.randn(40, width, generator=generator)
            parts.append(0.4 * (i + 1) * shared @ torch.randn(3, width, generator=generator) + noise)
        return torch.stack(parts, dim=1)

    return model(4, 11), model(3, 7)


def lists(layer: Tensor, k: int) -> list[list[int]]:
    products = (layer @ layer.T).fill_diagonal_(-1e8)
    return [row[:k] for row in products.argsort(dim=1, descending=True).tolist()]


def levenshtein(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return len(a) + len(b)
    same = levenshtein(a[:-1], b[:-1]) + (a[-1] != b[-1])
    return min(same, levenshtein(a[:-1], b) + 1, levenshtein(a, b[:-1]) + 1)


def subsequence(a: list[int], b: list[int]) -> int:
    if not a or not b:
        return 0
    if a[-1] == b[-1]:
        return subsequence(a[:-1], b[:-1]) + 1
    return max(subsequence(a[:-1], b), subsequence(a, b[:-1]))


def slow_neighbour_metric(metric: str, y: Tensor, x: Tensor, k: int) -> float:
    a, b = lists(y, k), lists(x, k)
    rows = list(zip(a, b, strict=True))
    if metric == "mutual_knn":
        return float(np.mean([len(set(p) & set(q)) / k for p, q in rows]))
    if metric == "cycle_knn":
        return float(np.mean([any(i in a[j] for j in q) for i, q in enumerate(b)]))
    if metric == "lcs_knn":
        return float(np.mean([subsequence(p, q) for p, q in rows]))
    return float(1 - np.mean([levenshtein(p, q) for p, q in rows]) / k)


def slow_kernel_metric(metric: str, y: Tensor, x: Tensor, k: int) -> float:
    """In float64, with the estimators written as sums over samples."""
    grams = [(side @ side.T).double().numpy() for side in (y, x)]
    masks = [np.ones_like(grams[0])] * 2
    if metric == "cknna":
        masks = []
        for side in (y, x):
            mask = np.zeros((len(side), len(side)))
            for i, row in enumerate(lists(side, k)):
                mask[i, row] = 1
            masks.append(mask)

    def hsic(p: int, q: int) -> float:
        mask = masks[p] * masks[q]
        first, second = mask * grams[p], mask * grams[q]
        n = len(first)
        if metric == "cka":
            centre = np.eye(n) - 1 / n
            return float(np.trace(first @ centre @ second @ centre))
        np.fill_diagonal(first, 0)
        np.fill_diagonal(second, 0)
        cross = sum(first[:, i].sum() * second[i].sum() for i in range(n))
        both = sum((first[i] * second[:, i]).sum() for i in range(n))
        whole = first.sum() * second.sum() / ((n - 1) * (n - 2))
        return float((both + whole - 2 * cross / (n - 2)) / (n * (n - 3)))

    return hsic(0, 1) / (np.sqrt(hsic(0, 0) * hsic(1, 1)) + 1e-6)


@pytest.mark.parametrize("precise", [True, False])
@pytest.mark.parametrize("metric", NEIGHBOUR_METRICS + KERNEL_METRICS)
def test_every_metric_equals_plain_loops(metric: str, precise: bool, models: Models) -> None:
    k = 4
    sides = []
    for model in models:
        if precise:
            bound = model.flatten().abs().sort().values[int(0.95 * model.numel())]
        else:
            bound = torch.quantile(model.abs().flatten(1), 0.95, dim=1).mean()
        sides.append([normalize(layer, dim=-1) for layer in model.clamp(-bound, bound).unbind(1)])
    slow = slow_kernel_metric if metric in KERNEL_METRICS else slow_neighbour_metric
    expected = np.array([[slow(metric, y, x, k) for x in sides[0]] for y in sides[1]])
    found = reference_alignment(models[0].unbind(1), models[1].unbind(1), metric, k, precise)
    np.testing.assert_allclose(found.matrix, expected, atol=2e-5)
    assert found.score == found.matrix.max()
    assert found.indices is not None
    assert found.matrix[found.indices] == found.score
    assert (found.denominators is not None) == (metric in KERNEL_METRICS)


def test_values_by_hand() -> None:
    assert platonic._mutual(A, B) == 1.0
    assert platonic._mutual(A[:, :1], B[:, :1]) == 0.5
    assert platonic._lcs(A, B) == (1 + 2 + 3 + 2) / 4
    assert platonic._edit_distance(A, B) == 1 - (2 + 2 + 0 + 2) / 4 / 3
    kernel = torch.tensor([[9.0, 1, 0, 0], [1, 9, 0, 0], [0, 0, 9, 1], [0, 0, 1, 9]])
    assert hsic_unbiased(kernel, kernel).item() == pytest.approx((4 + 16 / 6 - 2 * 4 / 2) / 4)
    assert hsic_biased(kernel, kernel).item() == pytest.approx(10**2 + 8**2 + 8**2)  # eigenvalues but the constant's


def test_cycles_have_a_direction() -> None:
    second = torch.tensor([[1, 2], [3, 4], [3, 4], [1, 2], [1, 2]])
    first = torch.tensor([[3, 4], [0, 2], [0, 1], [4, 0], [3, 0]])
    # 0 -> 1 -> 0 and 0 -> 2 -> 0 are the only ways back: seen from 0 one sample, seen from 1 and 2 two
    assert platonic._cycle(first, second) == pytest.approx(1 / 5)
    assert platonic._cycle(second, first) == pytest.approx(2 / 5)


def test_the_command_calls_metric_of_y_then_x(models: Models) -> None:
    (x, y) = (list(model.unbind(1)) for model in models)
    there, back = reference_alignment(x, y, "cycle_knn", 4), reference_alignment(y, x, "cycle_knn", 4)
    assert there.matrix.shape == (3, 4)
    assert not np.array_equal(there.matrix, back.matrix.T)
    mutual = reference_alignment(x, y, k=4)
    assert mutual.indices is not None
    assert reference_alignment(y, x, k=4).indices == mutual.indices[::-1]
    np.testing.assert_array_equal(mutual.matrix, reference_alignment(y, x, k=4).matrix.T)


def test_the_first_of_equal_values_is_kept_with_y_outermost(models: Models) -> None:
    x = list(models[0].unbind(1))[:3]
    found = reference_alignment(x, [x[2], x[0], x[1]], k=4)
    assert (found.score, found.indices) == (1.0, (0, 2))


def test_nothing_above_zero() -> None:
    x = torch.eye(6)[[0, 0, 1, 1, 2, 2]]
    y = torch.eye(6)[[0, 1, 1, 2, 2, 0]]
    found = reference_alignment([x], [y], k=1)
    assert (found.score, found.indices) == (0.0, None)
    generator = torch.Generator().manual_seed(6)
    noise = [torch.randn(30, 20, generator=generator) for _ in range(2)]
    found = reference_alignment(noise[:1], noise[1:], "unbiased_cka")
    assert found.matrix.max() < 0
    assert (found.score, found.indices) == (0.0, None)


def test_float32_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(31, 6, generator=generator) for _ in range(2))
    found = reference_alignment([x], [y], k=3)
    assert found.score == float(np.float32(found.score))
    assert found.score != round(found.score * 93) / 93


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_thresholds(models: Models, scale: float) -> None:
    x = models[0] * scale
    x[3] *= 10
    layers = list(x.unbind(1))
    assert clip_value(layers, True) == clip_threshold(lambda: layers, 0.95)
    rows = np.quantile(x.abs().flatten(1).numpy(), 0.95, axis=1)
    assert clip_value(layers, False) == pytest.approx(rows.mean(), rel=1e-6)
    assert clip_value(layers, False) != pytest.approx(clip_value(layers, True), rel=1e-3)


def test_ties_are_counted() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.randn(20, 5, generator=generator) for _ in range(2))
    assert reference_alignment([x], [y], k=3).ties == {"at the border": 0, "inside": 0}
    x[7] = 0  # all its products are 0
    assert reference_alignment([x], [y], k=3).ties == {"at the border": 1, "inside": 1}
    assert reference_alignment([x], [y], "cknna", k=3).ties == {"at the border": 1, "inside": 1}
    assert reference_alignment([x], [y], k=19).ties["at the border"] == 0


def test_operands_rounded_to_tf32(models: Models) -> None:
    values = torch.tensor([1.0, 1 + 2**-10, 1 + 2**-11, 1 + 3 * 2**-11, 1 + 2**-11 + 2**-20, -1 - 2**-12, 0.0])
    expected = [1.0, 1 + 2**-10, 1.0, 1 + 2**-9, 1 + 2**-10, -1.0, 0.0]
    assert platonic._tf32(values).tolist() == expected
    (x, y) = (list(model.unbind(1)) for model in models)
    plain, rounded = (reference_alignment(x, y, "cka", precise=False, tf32=tf32).matrix for tf32 in (False, True))
    assert not np.array_equal(plain, rounded)
    np.testing.assert_allclose(plain, rounded, rtol=0.01)


def test_features_of_other_precision_are_computed_in_float32(models: Models) -> None:
    x, y = (list(model.unbind(1)) for model in models)
    double = reference_alignment([layer.double() for layer in x], y, k=4)
    assert double.score == reference_alignment(x, y, k=4).score


ROWS = torch.randn(12, 3, generator=torch.Generator().manual_seed(0))
MISTAKES: list[tuple[list[Tensor], str, int, str]] = [
    ([ROWS], "svcca", 3, "random"),
    ([ROWS], "mutual_nn", 3, "mutual_knn, cycle_knn"),
    ([ROWS, torch.ones(12, 4)], "mutual_knn", 3, r"widths 3, 4.*\[N, L, D\]"),
    ([ROWS, ROWS[:11]], "mutual_knn", 3, "11 rows"),
    ([ROWS[:11]], "mutual_knn", 3, "pair the samples"),
    ([ROWS], "mutual_knn", 12, "k=12 with N=12"),
    ([ROWS], "mutual_knn", 0, "k=0"),
    ([ROWS], "cknna", 1, "2 <= k"),
    ([ROWS.to(torch.complex64)], "mutual_knn", 3, "complex"),
    ([ROWS / 0], "mutual_knn", 3, "not finite"),
    ([ROWS[0]], "mutual_knn", 3, "N, D"),
    ([], "mutual_knn", 3, "no layers"),
]


@pytest.mark.parametrize(("x", "metric", "k", "word"), MISTAKES)
def test_mistakes(x: list[Tensor], metric: str, k: int, word: str) -> None:
    with pytest.raises(VlalignError, match=word):
        reference_alignment(x, [ROWS], metric, k)


def test_too_few_samples() -> None:
    with pytest.raises(VlalignError, match="at least 4"):
        reference_alignment([ROWS[:3]], [ROWS[:3]], "unbiased_cka")
