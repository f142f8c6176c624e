"""Linear predictivity: the R² of predicting one layer from the other by ridge regression, on held-out samples.

A ridge prediction is linear in its targets, so the held-out residuals of fold f are ``E_f Y`` with a matrix E_f that
depends on x alone, and their squared sum is ``⟨E_fᵀE_f, YYᵀ⟩``: work on x once per penalty, then an inner product with
the Gram matrix of each y. All E_f come from one inverse: with the same penalty in every fold and
``R = λ (K_x + λI)⁻¹ - 11ᵀ/N`` (K_x the centred Gram matrix; R makes the residuals of the fit to all samples),
``E_f = R_ff⁻¹ R_f:``, the exact leave-a-block-out formula of penalised least squares.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from vlalign.errors import VlalignError
from vlalign.lazy_torch import torch
from vlalign.metrics.base import Floats, Info, Ints, Metric, choice, shown, take_rows, whole_number
from vlalign.metrics.engine.basis import unit_configuration
from vlalign.metrics.engine.threads import map_layers

if TYPE_CHECKING:
    from torch import Tensor

_ROWS = 128  # of E_fᵀE_f at once
_RANGE = (1e-6, 1e6)  # of penalties: below, the inverse loses too many digits


def linear_predictivity(
    x: ArrayLike,
    y: ArrayLike,
    direction: str = "mean",
    folds: int = 5,
    alphas: float | Sequence[float] = (0.01, 0.1, 1.0, 10.0),
) -> float:
    """Compute the cross-validated R² of ridge regression between x [N, D1] and y [N, D2].

    ``1 - SSE/SST`` over all held-out samples and target columns (so columns count by their variance); the deviations of
    SST are from the means of the training samples. Never clipped: an R² below 0 means that those means predict better.

    Folds are dealt by a fixed shuffle of row positions, so the value depends a little on the order of the rows. The
    penalty of the squared weights is λ = alpha times the mean of the min(D, N - 1) leading eigenvalues of ``XcᵀXc``, Xc
    the source centred over all N samples. For each fold the alpha is taken that did best on the other folds; the models
    judged there were trained on this fold's samples too, so the choice is not fully nested.

    Args:
        x, y: features, rows paired.
        direction: ``x_to_y`` predicts y, ``y_to_x`` predicts x, ``mean`` is the mean of both values.
        folds: 2 to N.
        alphas: relative penalties between 1e-6 and 1e6.

    Returns:
        A value up to 1. A target whose rows are all equal gives 0, and so does such a source.

    Raises:
        VlalignError: as :meth:`vlalign.metrics.Metric.evaluate`, or for parameters out of range.

    >>> x = torch.arange(20.0)[:, None]
    >>> linear_predictivity(x, 1 - 3 * x, "x_to_y", alphas=1e-6) > 0.999
    True
    """
    return LinearPredictivity(direction, folds, alphas).evaluate(x, y)  # type: ignore[arg-type]


@dataclass(frozen=True)
class CentredGram:
    """A prepared layer: Gram matrix [N, N] of the centred rows, with trace 1 or 0, and its largest possible rank."""

    gram: Tensor
    rank: int


@dataclass(frozen=True)
class LinearPredictivity(Metric):
    """The metric as the scorer uses it. ``alphas`` may be one number, several, or text like ``0.1/1/10``."""

    direction: str = "mean"
    folds: int = 5
    alphas: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0)

    name: ClassVar[str] = "linear_predictivity"
    info: ClassVar[Info] = Info(
        summary="cross-validated R² of ridge regression between the layers, 1 − SSE/SST on held-out samples",
        range="(−∞, 1]; chance at or below 0",
        invariances="rotation, isotropic scaling and shift of either side",
        cost="N³ per layer and penalty, N² per pair, fold and penalty; 8·N² bytes per layer",
        source="ridge regression; leave-a-block-out formula for linear smoothers",
        symmetric=False,  # direction "mean" is
        permutations=0,
    )

    def __post_init__(self) -> None:
        choice(self.direction, "direction", self.name, ("mean", "x_to_y", "y_to_x"))
        object.__setattr__(self, "folds", whole_number(self.folds, "folds", self.name, least=2))
        object.__setattr__(self, "alphas", _penalties(self.alphas))

    def check(self, n: int, widths: Sequence[int] = ()) -> None:
        """Raise VlalignError if there are fewer samples than folds."""
        super().check(n, widths)
        if n < self.folds:
            raise VlalignError(
                f"{self.name} with folds={self.folds} needs at least {self.folds} samples, got N={n}: lower folds"
            )

    def holds(self, n: int, widths: Sequence[int]) -> int:
        """Return the bytes of the Gram matrices [N, N]."""
        return 8 * n * n * len(widths)

    def prepare(self, layer: Tensor) -> CentredGram:
        """Compute the Gram matrix of one layer [N, D]."""
        x = unit_configuration(layer)
        return CentredGram(x @ x.mT, max(1, min(x.shape[1], len(x) - 1)))

    def reorder(self, prepared: CentredGram, order: Ints) -> CentredGram:
        return CentredGram(take_rows(take_rows(prepared.gram, order).mT, order), prepared.rank)

    def grid(self, x: Sequence[CentredGram], y: Sequence[CentredGram]) -> Floats:
        if self.direction == "x_to_y":
            return self._predict(x, y)
        if self.direction == "y_to_x":
            return self._predict(y, x).T
        return (self._predict(x, y) + self._predict(y, x).T) / 2

    def _predict(self, sources: Sequence[CentredGram], targets: Sequence[CentredGram]) -> Floats:
        """R² [sources, targets]."""
        device = targets[0].gram.device
        folds = [torch.from_numpy(rows).to(device) for rows in fold_rows(len(targets[0].gram), self.folds)]
        total = np.stack([_total(target.gram, folds) for target in targets], axis=1)
        whole = total.sum(axis=0)
        constant = whole == 0

        def r2(source: CentredGram) -> Floats:
            left = self._left_over(source, targets, folds)
            best = (left.sum(axis=1, keepdims=True) - left).argmin(axis=0, keepdims=True)
            chosen = np.take_along_axis(left, best, axis=0)[0].sum(axis=0)
            value: Floats = np.where(constant, 0.0, 1 - chosen / np.where(constant, 1.0, whole))
            return value

        return np.stack(map_layers(r2, sources))

    def _left_over(self, source: CentredGram, targets: Sequence[CentredGram], folds: list[Tensor]) -> Floats:
        """Squared residuals [alphas, folds, targets], summed over samples and columns."""
        residuals = [_residual_maps(source, alpha, folds) for alpha in self.alphas]
        n = len(source.gram)
        out = source.gram.new_zeros(len(residuals) * len(folds), len(targets))
        for start in range(0, n, _ROWS):  # both matrices are symmetric: the part above the diagonal counts twice
            rows = slice(start, start + _ROWS)
            grams = torch.stack([target.gram[rows, start:] for target in targets])
            grams[:, :, _ROWS:] *= 2
            squares = grams.new_empty(len(out), grams.shape[1], n - start)
            maps = [part for parts in residuals for part in parts]
            for i, part in enumerate(maps):
                torch.mm(part[:, rows].mT, part[:, start:], out=squares[i])
            out += squares.flatten(1) @ grams.flatten(1).mT
        left: Floats = out.cpu().numpy().reshape(len(residuals), len(folds), len(targets))
        return left


def fold_rows(n: int, folds: int) -> list[Ints]:
    """Row numbers of each fold: a fixed shuffle of 0..n-1 cut evenly; depends on the two numbers only."""
    return [np.sort(part) for part in np.array_split(np.random.default_rng(0).permutation(n), folds)]


def _residual_maps(source: CentredGram, alpha: float, folds: list[Tensor]) -> list[Tensor]:
    """E_f [rows of fold, N] for each fold: the held-out residuals are ``E_f Y``."""
    n = len(source.gram)
    trace = float(source.gram.diagonal().sum())
    penalty = alpha * trace / source.rank if trace > 0 else 1.0  # any, for a constant source
    ridge = source.gram.clone()
    ridge.diagonal().add_(penalty)
    everyone = torch.cholesky_inverse(torch.linalg.cholesky(ridge)).mul_(penalty).sub_(1 / n)
    return [torch.cholesky_solve(everyone[f], torch.linalg.cholesky(everyone[f][:, f])) for f in folds]


def _total(gram: Tensor, folds: list[Tensor]) -> Floats:
    """Squared deviations [folds] of the held-out samples from the mean of the others."""
    n = len(gram)
    member = gram.new_zeros(n, len(folds))
    for column, rows in enumerate(folds):
        member[rows, column] = 1.0
    own = (member.mT @ gram.diagonal()).cpu().numpy()
    blocks = (member.mT @ gram @ member).cpu().numpy()
    sizes = member.sum(dim=0).cpu().numpy()
    others = n - sizes
    inside = blocks.diagonal()
    across = blocks.sum(axis=1) - inside
    rest = blocks.sum() - 2 * across - inside
    deviations: Floats = own - 2 * across / others + sizes * rest / others**2
    return deviations


def _penalties(value: Any) -> tuple[float, ...]:
    parts = value.split("/") if isinstance(value, str) else value if isinstance(value, Sequence) else [value]
    try:
        alphas = tuple(math.nan if isinstance(part, bool) else float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        alphas = ()
    low, high = _RANGE
    if not alphas or not all(low <= alpha <= high for alpha in alphas):
        raise VlalignError(f"linear_predictivity needs alphas between {low:g} and {high:g}, got alphas={shown(value)}")
    return alphas
