"""The released code of the Platonic Representation Hypothesis, as a reference: its raw scores and layer indices.

A plain, slow reimplementation of ``metrics.py`` and ``measure_alignment.py`` of github.com/minyoungg/platonic-rep
(arXiv 2405.07987): the same steps in the same order in float32, with its conventions. :mod:`vlalign.reproduce.compare`
explains the differences from :func:`vlalign.score`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vlalign.arithmetic import exact_float32
from vlalign.errors import VlalignError
from vlalign.metrics.base import check_features, checked_norms

QUANTILE = 0.95
EPSILON = 1e-6  # added by the reference to the denominator of its kernel metrics
NEIGHBOUR_METRICS = ("mutual_knn", "cycle_knn", "lcs_knn", "edit_distance_knn")
KERNEL_METRICS = ("cka", "unbiased_cka", "cknna")
_Product = Callable[[Tensor, Tensor], Tensor]
_Table = NDArray[np.float64]


@dataclass(frozen=True)
class ReferenceResult:
    """The values that the reference's command would store for one pair of models, and their inputs."""

    score: float  # the largest value, if above 0; else 0
    indices: tuple[int, int] | None  # (layer of y, layer of x): positions counted from 0; None where nothing is above 0
    matrix: _Table  # [Ly, Lx]; NaN where the reference computes NaN, which it never picks
    clip: tuple[float, float]  # thresholds of x and of y
    denominators: _Table | None  # [Ly, Lx] of kernel metrics, without the 1e-6 that is added
    neighbours: tuple[list[Tensor], list[Tensor]] | None  # lists [N, k] of the layers of x and of y
    ties: dict[str, int]  # rows, over all layers, with equal products "at the border" of the k-th, "inside" before it


@exact_float32()
def reference_alignment(
    x_layers: Sequence[Tensor],
    y_layers: Sequence[Tensor],
    metric: str = "mutual_knn",
    k: int = 10,
    precise: bool = True,
    tf32: bool = False,
) -> ReferenceResult:
    """Compute the raw score and layer indices of the reference for model x against model y.

    The command goes over the layers of y (outer) and x (inner), calls ``metric(y layer, x layer)`` and keeps the first
    value that is larger than all before it, starting at 0. Its rows must be pairs: put them in one order first.

    Equal inner products are sorted in an order that the reference leaves open; here it is that of ``torch.sort`` on
    this machine. On another device float32 sums may round otherwise in the last digits.

    Args:
        x_layers, y_layers: layers [N, D] of each model, of one width within a model, as the reference stores them in
            one tensor [N, L, D]; computed in float32.
        metric: one of ``NEIGHBOUR_METRICS`` or ``KERNEL_METRICS``.
        k: number of neighbours (the reference's ``--topk``); cka and unbiased_cka have none.
        precise: clip at the exact 0.95 quantile (``--precise``); else at the mean of the samples' quantiles, the
            default of the command.
        tf32: round the operands of all matrix products to TF32, as its GPU does without ``--precise`` (an estimate:
            how a GPU rounds and sums is not specified).

    Raises:
        VlalignError: unknown metric (svcca too: the reference's value is random), layers of several widths or that are
            not finite floating [N, D] of one N, k outside 1..N-1 (from 2 for cknna), N < 4.

    >>> x = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> result = reference_alignment([x.flip(1) * 2 - 1, x], [x], k=1)
    >>> result.score, result.indices, result.matrix.shape
    (1.0, (0, 0), (1, 2))
    """
    xs, ys = _check_layers(x_layers, "x"), _check_layers(y_layers, "y")
    n = len(xs[0])
    if len(ys[0]) != n:
        raise VlalignError(f"x has {n} rows and y has {len(ys[0])}: pair the samples first")
    check_request(metric, n, k)
    product = _tf32_product if tf32 else torch.mm
    clip = clip_value(xs, precise), clip_value(ys, precise)
    ready = [[_normalised(layer, bound) for layer in side] for side, bound in zip((xs, ys), clip, strict=True)]
    ties = {"at the border": 0, "inside": 0}
    neighbours = None
    if metric not in ("cka", "unbiased_cka"):
        lists = [[_neighbours(layer, k, product, ties, metric == "cknna") for layer in side] for side in ready]
        neighbours = lists[0], lists[1]
    denominators = None
    if metric in NEIGHBOUR_METRICS:
        assert neighbours is not None
        matrix = np.array([[_OF_NEIGHBOURS[metric](y, x) for x in neighbours[0]] for y in neighbours[1]])
    else:
        matrix, denominators = _kernel_matrix(metric, ready, neighbours, product)
    best, indices = 0.0, None
    for j, i in np.ndindex(matrix.shape):
        if matrix[j, i] > best:
            best, indices = float(matrix[j, i]), (j, i)
    return ReferenceResult(best, indices, matrix, clip, denominators, neighbours, ties)


def clip_value(layers: Sequence[Tensor], precise: bool) -> float:
    """Compute the bound to which the reference clamps a model's features [N, D] of all layers.

    ``precise``: the value at sorted position ``int(0.95 * numel)`` of |feature|. Else the mean over samples of each
    sample's 0.95 quantile (between two values by linear interpolation).
    """
    if precise:
        values = np.concatenate([layer.numpy().ravel() for layer in layers])
        np.abs(values, out=values)
        position = int(QUANTILE * values.size)
        values.partition(position)
        return float(values[position])
    rows = range(0, len(layers[0]), 64)
    parts = [torch.cat([layer[i : i + 64] for layer in layers], dim=1).abs().quantile(QUANTILE, dim=1) for i in rows]
    return float(torch.cat(parts).mean())


def check_request(metric: str, n: int, k: int) -> None:
    """Check that the reference has the metric and that ``n`` samples are enough for it, before features are read."""
    if metric == "svcca":
        raise VlalignError(
            "svcca cannot be reproduced: the reference's value is random (torch.svd_lowrank draws, and noise is added)"
        )
    if metric not in NEIGHBOUR_METRICS + KERNEL_METRICS:
        known = ", ".join(NEIGHBOUR_METRICS + KERNEL_METRICS)
        raise VlalignError(f"the platonic reference has no metric {metric!r} to reproduce: use one of {known}")
    if n < 4:
        raise VlalignError(f"{metric} needs at least 4 samples, got N={n}")
    least = 2 if metric == "cknna" else 1
    if metric not in ("cka", "unbiased_cka") and not least <= k < n:
        raise VlalignError(f"{metric} needs {least} <= k < N, got k={k} with N={n}")


def _check_layers(layers: Sequence[Tensor], side: str) -> list[Tensor]:
    if not layers:
        raise VlalignError(f"{side} has no layers: give at least one tensor [N, D]")
    checked = [check_features(layer, f"layer {i} of {side}").detach().cpu().float() for i, layer in enumerate(layers)]
    check_widths([layer.shape[1] for layer in checked], side)
    for i, layer in enumerate(checked):
        if len(layer) != len(checked[0]):
            raise VlalignError(f"layer {i} of {side} has {len(layer)} rows and layer 0 has {len(checked[0])}")
        checked_norms(layer, f"layer {i} of {side}")
    return checked


def check_widths(widths: Sequence[int], model: str) -> None:
    """Check that the layers of ``model`` fit into one tensor [N, L, D], as the reference's files hold them."""
    if len(set(widths)) > 1:
        shown = ", ".join(str(width) for width in sorted(set(widths)))
        raise VlalignError(
            f"the layers of {model} have widths {shown}, but the platonic reference stores a model as one tensor "
            "[N, L, D]: it cannot score this one; `vlalign score` can"
        )


def _normalised(layer: Tensor, bound: float) -> Tensor:
    return torch.nn.functional.normalize(layer.clamp(-bound, bound), p=2, dim=-1)


def _tf32_product(a: Tensor, b: Tensor) -> Tensor:
    return torch.mm(_tf32(a), _tf32(b))


def _tf32(values: Tensor) -> Tensor:
    """Round float32 values to 10 bits after the point, half to even."""
    bits = values.contiguous().view(torch.int32)
    return ((bits + 0xFFF + ((bits >> 13) & 1)) & ~0x1FFF).view(torch.float32)


def _neighbours(layer: Tensor, k: int, product: _Product, ties: dict[str, int], top: bool) -> Tensor:
    """Search lists [N, k]; rows with equal products at or before the border are counted in ``ties``."""
    products = product(layer, layer.T).fill_diagonal_(-torch.inf if top else -1e8)
    values, order = products.sort(dim=1, descending=True)
    equal = values[:, :k] == values[:, 1 : k + 1]
    ties["at the border"] += int(equal[:, k - 1].sum())
    ties["inside"] += int(equal[:, : k - 1].any(dim=1).sum())
    return products.topk(k, dim=1).indices if top else order[:, :k]


def _mutual(a: Tensor, b: Tensor) -> float:
    shared = _mask(a).gather(1, b).sum(dim=1)
    return float((shared / a.shape[1]).mean())


def _cycle(a: Tensor, b: Tensor) -> float:
    rows = torch.arange(len(a)).view(-1, 1, 1)
    return float((a[b] == rows).flatten(1).any(dim=1).float().mean())


def _lcs(a: Tensor, b: Tensor) -> float:
    """Compute the mean length of the longest common subsequence, for all rows together."""
    equal = _equal(a, b)
    k = a.shape[1]
    table = np.zeros((k + 1, k + 1, len(a)), dtype=np.int64)
    for i, j in np.ndindex(k, k):
        longer = np.maximum(table[i, j + 1], table[i + 1, j])
        table[i + 1, j + 1] = np.where(equal[i, j], table[i, j] + 1, longer)
    return float(torch.from_numpy(table[k, k]).float().mean())


def _edit_distance(a: Tensor, b: Tensor) -> float:
    """Compute 1 - mean Levenshtein distance / k, for all rows together."""
    equal = _equal(a, b)
    k = a.shape[1]
    table = np.zeros((k + 1, k + 1, len(a)), dtype=np.int64)
    table[:, 0] = table[0] = np.arange(k + 1)[:, None]
    for i, j in np.ndindex(k, k):
        kept = np.minimum(table[i, j + 1], table[i + 1, j]) + 1
        table[i + 1, j + 1] = np.minimum(kept, table[i, j] + ~equal[i, j])
    return float(1 - torch.from_numpy(table[k, k]).double().mean() / k)


def _equal(a: Tensor, b: Tensor) -> NDArray[np.bool_]:
    """Compare entry i of list a with entry j of list b: [k, k, N]."""
    same: NDArray[np.bool_] = (a.T[:, None] == b.T[None]).numpy()
    return same


_OF_NEIGHBOURS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "mutual_knn": _mutual,
    "cycle_knn": _cycle,
    "lcs_knn": _lcs,
    "edit_distance_knn": _edit_distance,
}


def _mask(lists: Tensor) -> Tensor:
    return torch.zeros(len(lists), len(lists)).scatter_(1, lists, 1.0)


def _kernel_matrix(
    metric: str, sides: list[list[Tensor]], neighbours: tuple[list[Tensor], list[Tensor]] | None, product: _Product
) -> tuple[_Table, _Table]:
    """Compute values and denominators [Ly, Lx]; the kernels of x are held, those of y computed one by one."""
    hsic = hsic_biased if metric == "cka" else hsic_unbiased

    def kernel(side: int, i: int) -> tuple[Tensor, Tensor | None, Tensor]:
        gram = product(sides[side][i], sides[side][i].T)
        if neighbours is None:
            return gram, None, hsic(gram, gram, product)
        mask = _mask(neighbours[side][i])
        return gram, mask, hsic(mask * gram, mask * gram, product)

    xs = [kernel(0, i) for i in range(len(sides[0]))]
    matrix, denominators = np.empty((2, len(sides[1]), len(xs)))
    for j in range(len(sides[1])):
        k, mask_k, self_k = kernel(1, j)
        for i, (l, mask_l, self_l) in enumerate(xs):  # noqa: E741
            if mask_k is not None and mask_l is not None:
                mask = mask_k * mask_l
                value = hsic(mask * k, mask * l, product)
            else:
                value = hsic(k, l, product)
            root = torch.sqrt(self_k * self_l)
            denominators[j, i] = root
            if metric == "cknna":
                matrix[j, i] = value.item() / (root + EPSILON).item()
            else:
                matrix[j, i] = value / (root + EPSILON)
    return matrix, denominators


def hsic_biased(k: Tensor, l: Tensor, product: _Product = torch.mm) -> Tensor:  # noqa: E741
    """Compute ``tr(K H L H)`` with the centring matrix H, kernels [N, N]."""
    h = torch.eye(len(k), dtype=k.dtype, device=k.device) - 1 / len(k)
    return torch.trace(product(product(product(k, h), l), h))


def hsic_unbiased(k: Tensor, l: Tensor, product: _Product = torch.mm) -> Tensor:  # noqa: E741
    """Compute the unbiased estimator of Song et al. 2012 (equation 5), kernels [N, N] with N >= 4."""
    m = len(k)
    k, l = k.clone().fill_diagonal_(0), l.clone().fill_diagonal_(0)  # noqa: E741
    value = (k * l.T).sum() + k.sum() * l.sum() / ((m - 1) * (m - 2)) - 2 * product(k, l).sum() / (m - 2)
    return value / (m * (m - 3))
