"""Reasons why the reference and ours differ, computed from one pair of models and listed only where they apply."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.metrics.base import Floats
from vlalign.reproduce.platonic import EPSILON, KERNEL_METRICS, ReferenceResult

#: error of float32 in means of counts, and in differences of kernel sums
_FLOAT32 = {"value": 1e-6, "kernel": 1e-3}
_ORDERED = ("lcs_knn", "edit_distance_knn")


@dataclass(frozen=True)
class Difference:
    """One thing in which the reference and ours differ on this input."""

    what: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Inputs of the reasons, and the reasons; matrices of ours are [Lx, Ly], of the reference [Ly, Lx]."""

    name: str
    k: int
    reference: ReferenceResult  # with the requested threshold
    exact: ReferenceResult  # with the exact threshold
    tf32: ReferenceResult | None  # as ``reference``, with operands rounded; None with the exact threshold
    ours: Floats
    turned: Floats  # ours in the reference's direction, metric(y, x)
    clip: tuple[float, float]
    layers: Sequence[list[Tensor]]  # of x and y, clipped and normalised
    lists: Sequence[list[Tensor]] | None  # our neighbours
    axes: Sequence[list[dict[str, Any]]]

    @property
    def best(self) -> tuple[int, int]:
        i, j = np.unravel_index(int(np.argmax(self.ours)), self.ours.shape)
        return int(i), int(j)

    def differences(self) -> Iterator[Difference]:
        yield from self._indices()
        yield from self._not_a_number()
        yield from self._threshold()
        yield from self._direction()
        yield from self._scale()
        yield from self._denominator()
        yield from self._ties()
        yield from self._rounding()

    def _indices(self) -> Iterator[Difference]:
        i, j = self.best
        if self.reference.indices is None:
            most = float(np.nan_to_num(self.reference.matrix, nan=-np.inf).max())
            yield Difference(
                "nothing above 0",
                f"the reference's search starts at 0 and its largest value is {most:.6g}, so it stores the score 0 "
                f"and no layers; ours gives the largest value, {self.ours[i, j]:.6g}",
            )
            return
        q, p = self.reference.indices
        yield Difference(
            "stored layer indices",
            f"the reference stores ({q}, {p}), which is (layer of y, layer of x) by position: "
            f"x {self.axes[0][p]['name']}, y {self.axes[1][q]['name']}; ours names the axes",
        )
        if (p, q) == (i, j):
            return
        if self.ours[p, q] < self.ours[i, j]:
            why = (
                f"ours has {self.ours[p, q]:.6g} where the reference has its best, and {self.ours[i, j]:.6g} at its own"
            )
        elif self.reference.matrix[j, i] < self.reference.matrix[q, p]:
            apart = self.reference.matrix[q, p] - self.reference.matrix[j, i]
            why = f"both pairs have the same value in ours; the reference's are {apart:.1e} apart (float32)"
        else:
            count = int((self.ours == self.ours.max()).sum())
            why = (
                f"{count} layer pairs share the largest value: the reference keeps the first with y's layers outermost"
            )
            why += ", ours the first with x's outermost"
        yield Difference("best layer pair", why)

    def _not_a_number(self) -> Iterator[Difference]:
        if count := int(np.isnan(self.reference.matrix).sum()):
            yield Difference(
                "values that are not numbers",
                f"the reference computes NaN for {count} of {self.ours.size} layer pairs (the root of a negative "
                "product) and never picks them",
            )

    def _threshold(self) -> Iterator[Difference]:
        if self.tf32 is None:
            return
        if self.reference.clip != self.clip:
            yield Difference(
                "clip threshold",
                "the reference without --precise clips at the mean of the samples' 0.95 quantiles "
                f"({_pair(self.reference.clip)}), ours at the exact 0.95 quantile over all samples and layers "
                f"({_pair(self.clip)}); with that the reference's score is {self.exact.score:.6g} instead of "
                f"{self.reference.score:.6g}; {self._changed(self.exact)}",
            )
        if not np.array_equal(self.tf32.matrix, self.reference.matrix, equal_nan=True):
            yield Difference(
                "TF32 products",
                "without --precise the reference lets its GPU round operands to TF32 (10 bits), here they are "
                f"float32; an estimate with rounded operands has the score {self.tf32.score:.6g} at "
                f"{self.tf32.indices}; {self._changed(self.tf32)}",
            )

    def _changed(self, other: ReferenceResult) -> str:
        apart = np.abs(other.matrix - self.reference.matrix)
        return f"{int((apart > 0).sum())} of {apart.size} layer pairs change, by at most {largest(apart):.1e}"

    def _direction(self) -> Iterator[Difference]:
        apart = np.abs(self.turned - self.ours)
        if apart.any():
            yield Difference(
                "direction",
                f"{self.name} is not symmetric and the reference calls it with (y, x), ours with (x, y): turned round, "
                f"{int((apart > 0).sum())} of our {apart.size} values change, by at most {apart.max():.3g}, and our "
                f"score is {self.turned.max():.6g}",
            )

    def _scale(self) -> Iterator[Difference]:
        if self.name == "lcs_knn" and self.k > 1:
            yield Difference(
                "scale",
                f"the reference gives the mean length of the common subsequence, ours that length divided by k = "
                f"{self.k}: its score is {self.reference.score / self.k:.6g} on our scale",
            )

    def _denominator(self) -> Iterator[Difference]:
        roots = self.reference.denominators
        if roots is None:
            return
        apart = np.abs(_without_epsilon(self.reference) - self.reference.matrix)
        if np.nan_to_num(apart).any():
            low, high = np.nanmin(roots), np.nanmax(roots)
            yield Difference(
                "denominator",
                f"the reference adds 1e-6 to the denominator ({low:.3g} to {high:.3g}): this shrinks its values "
                f"by up to {largest(apart):.1e}",
            )

    def _ties(self) -> Iterator[Difference]:
        border, inside = self.reference.ties["at the border"], self.reference.ties["inside"]
        rows = self._rows
        if self.reference.neighbours is not None and border:
            yield Difference(
                "ties for the last neighbour",
                f"in {border} of {rows} rows (samples of all layers) neighbour {self.k} and the next have equal inner "
                "products: the reference leaves open which is in, ours draws one at random, for each side separately",
            )
        if self.name in _ORDERED and inside:
            yield Difference(
                "ties in the order",
                f"in {inside} of {rows} rows (samples of all layers) neighbours have equal inner products: the "
                "reference leaves their order open, ours is random, for each side separately",
            )

    def _rounding(self) -> Iterator[Difference]:
        """Explain what remains when all of the above is undone."""
        left = np.abs(_without_epsilon(self.exact).T / (self.k if self.name == "lcs_knn" else 1) - self.turned)
        most = largest(left)
        if not most:
            return
        other, gap = self._other_neighbours()
        kernel = self.name in KERNEL_METRICS
        explained = gap <= _FLOAT32["value"] if other else most <= _FLOAT32["kernel" if kernel else "value"]
        rest = f"{int((left > 0).sum())} of {left.size} layer pairs still differ, by at most {most:.1e}"
        if other:
            rest += f"; {other} of {self._rows} neighbour lists are not the same, where cosines are within {gap:.1e}"
        if explained:
            yield Difference(
                "float32 rounding", f"the reference computes in float32 to the end, ours sums in float64: {rest}"
            )
        else:
            yield Difference("not explained", f"with all of the above undone {rest}: please report this")

    def _other_neighbours(self) -> tuple[int, float]:
        """Count the rows of all layers with other neighbours (or another order where it matters).

        The second number is the largest |cosine of our neighbour - cosine of theirs| at the same place of the list.
        """
        if self.lists is None or self.exact.neighbours is None:
            return 0, 0.0
        count, gap = 0, 0.0
        for side, ours, theirs in zip(self.layers, self.lists, self.exact.neighbours, strict=True):
            for layer, a, b in zip(side, ours, theirs, strict=True):
                sets = (a, b) if self.name in _ORDERED else (a.sort(dim=1).values, b.sort(dim=1).values)
                rows = (sets[0] != sets[1]).any(dim=1).nonzero().flatten()
                near = [torch.einsum("nd,nkd->nk", layer[rows].double(), layer[c[rows]].double()) for c in (a, b)]
                count += len(rows)
                gap = max(gap, float((near[0] - near[1]).abs().amax())) if len(rows) else gap
        return count, gap

    @property
    def _rows(self) -> int:
        return 0 if self.lists is None else sum(len(layer) for side in self.lists for layer in side)


def _without_epsilon(result: ReferenceResult) -> Floats:
    """Return the reference's matrix without the term added to denominators."""
    roots = result.denominators
    if roots is None:
        return result.matrix
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(roots > 0, result.matrix * ((roots + EPSILON) / roots), result.matrix)


def largest(apart: Floats) -> float:
    """Return the largest difference; NaN counts as 0."""
    return float(np.nan_to_num(apart).max())


def _pair(values: tuple[float, float]) -> str:
    return f"x {values[0]:.6g}, y {values[1]:.6g}"
