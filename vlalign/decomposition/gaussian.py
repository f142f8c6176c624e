"""Closed form for a regression target: features and target are Gaussian, so the target depends linearly on features.

``I(X;Y) = log(sd of y / sd of its residuals)``. With one target, every redundancy that depends on p(x1,y) and p(x2,y)
alone, BROJA's among them, is ``R = min(I1, I2)`` (Barrett 2015, "Exploration of synergistic and redundant information
sharing in static and dynamical Gaussian systems", arXiv 1411.2832); so ``U1 = I1 − R``, ``U2 = I2 − R`` and
``S = I12 − max(I1, I2)``. Residuals in a sample are too small where features are many, so the regressions (ridge) are
cross-fitted: an information is the mean over held-out samples of ``log N(y; prediction) − log N(y)``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vlalign.decomposition.classifiers import Folds, make_folds, prepared
from vlalign.decomposition.intervals import estimates, scale_of
from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.predictions import Ints, Places, fold_numbers
from vlalign.decomposition.program import Floats
from vlalign.decomposition.result import NAMES, InformationResult
from vlalign.decomposition.samples import Samples
from vlalign.decomposition.shared import shared_part
from vlalign.errors import VlalignError

_PENALTIES = torch.logspace(-4, 3, 15, dtype=torch.float64)  # of ridge, in mean squares of a feature


class Regressor:
    """Held-out predictions of a target from any set of modalities, by ridge regression.

    Args:
        samples: checked, with a regression target.
        options: of the estimate.

    Raises:
        VlalignError: the labels are classes.
    """

    #: a model of the right form misses what falls like 1/n: as much as the second half of the samples added
    rate, misfit = 1.0, 0.0

    def __init__(self, samples: Samples, options: InformationOptions) -> None:
        if samples.target is None:
            raise VlalignError(
                f"estimator: gaussian needs a regression target (numbers with fractions), and the labels are "
                f"{len(samples.classes)} classes: choose classifiers or clusters"
            )
        self.samples, self.options = samples, options
        self.folds = make_folds(samples.labels, options.folds, options.seed, samples.units)
        target = samples.target.double()
        self.target = (target - target.mean()) / target.std()
        self._made: dict[tuple[Places, bool], tuple[Floats, Floats]] = {}

    def of(self, places: Places, half: bool = False) -> tuple[Floats, Floats]:
        """Return mean and variance [N] of the target given the modalities at ``places``; given nothing for none."""
        if (places, half) not in self._made:
            x = torch.cat([self.samples.views[i] for i in places], dim=1) if places else None
            self._made[places, half] = self.given(x, self.folds.halved() if half else self.folds)
        return self._made[places, half]

    def given(self, x: Tensor | None, folds: Folds) -> tuple[Floats, Floats]:
        """Return mean and variance [N] of the target given features [N, D], or given nothing.

        The penalty of a fold, which may be infinite, and the variance are those of least error in samples that the
        regressions were not fitted on.
        """
        y = self.target
        mean, variance = torch.empty_like(y), torch.empty_like(y)
        inputs = None if x is None else prepared(x)[0].double()
        for f, rows in enumerate(folds.predict):
            chosen, new = [], []
            for fit, choose in zip(folds.fit[f], folds.choose[f], strict=True):
                centre = y[fit].mean()
                lines = torch.zeros(1, len(y), dtype=torch.float64)
                if inputs is not None:
                    lines = torch.cat([lines, _lines(inputs - inputs[fit].mean(dim=0), fit, y[fit] - centre)])
                chosen.append((centre + lines[:, choose] - y[choose]).square())
                new.append(centre + lines[:, rows])
            errors = torch.stack(chosen).mean(dim=(0, 2))
            best = int(errors.argmin())
            mean[rows], variance[rows] = torch.stack(new).mean(dim=0)[best], errors[best]
        return mean.numpy(), variance.numpy()

    def scores(self, places: Places, order: Ints) -> Floats:
        """Return log p(y|x) − log p(y) [N] of the targets in an order."""
        return self.above(self.of(places), order)

    def above(self, given: tuple[Floats, Floats], order: Ints) -> Floats:
        """Return the logarithm of a density of targets in an order [N], above that of the target given nothing."""
        y = self.target.numpy()[order]
        return np.asarray(_log_density(y, *given) - _log_density(y, *self.of(())))

    def growth(self, places: Places) -> Floats:
        """Return by how much log p(y|x) is above that of regressions on half as many samples [N]."""
        everyone = np.arange(len(self.target))
        return self.scores(places, everyone) - self.above(self.of(places, half=True), everyone)


def _lines(x: Tensor, fit: Tensor, y: Tensor) -> Tensor:
    """Return predictions [penalties, N] of ridge regressions on the rows ``fit``."""
    left, singular, right = torch.linalg.svd(x[fit], full_matrices=False)
    shrunk = singular / (singular.square() + _PENALTIES[:, None] * len(fit))  # [penalties, directions]
    return (shrunk * (left.T @ y)) @ (x @ right.T).T


def _log_density(y: Floats, mean: Floats, variance: Floats) -> Floats:
    return np.asarray(-0.5 * np.log(2 * np.pi * variance) - (y - mean) ** 2 / (2 * variance))


def gaussian_values(means: Floats) -> Floats:
    """Return the values of :data:`vlalign.decomposition.result.NAMES` from I1, I2, I12 and C."""
    first, second, both, shared = np.maximum(means, 0)
    less, more = min(first, second), max(first, second)
    return np.array([first, second, both, less, first - less, second - less, both - more, shared])


def gaussian_pair(regressor: Regressor, first: int, second: int) -> InformationResult:
    """Return the decomposition of two modalities.

    Args:
        regressor: of the samples.
        first, second: places of the modalities.
    """
    samples, options = regressor.samples, regressor.options
    views = [samples.views[i] for i in (first, second)]
    sets: tuple[Places, ...] = (first,), (second,), (first, second)
    part = shared_part(prepared(views[0])[1], prepared(views[1])[1], options.seed, samples.units)
    everyone = np.arange(len(samples.labels))
    places = [regressor.given(place if part.correlations else None, regressor.folds) for place in part.places]
    shared = min(places, key=lambda given: float(regressor.above(given, everyone).mean()))
    growth = np.stack([regressor.growth(one) for one in sets])

    def scores(order: Ints) -> Floats:
        return np.stack([*(regressor.scores(one, order) for one in sets), regressor.above(shared, order)])

    def missed(rows: Ints) -> tuple[Floats, Floats]:
        one, other, both = regressor.rate * np.maximum(growth[:, rows].mean(axis=1), 0)
        either = max(one, other)
        less = [0.0, 0.0, 0.0, 0.0, other, one, either, 0.0]
        return np.array(less), np.array([one, other, both, either, one, other, both, either])

    means = scores(everyone).mean(axis=1)
    apart = _apart(regressor, first, second)
    scale = scale_of(options)
    return InformationResult(
        estimates=estimates(
            NAMES, scores, fold_numbers(regressor.folds), missed, np.inf, options, gaussian_values,
            np.array([gaussian_values(np.array([*means[:2], both, 0]))[6] for both in apart]), samples.units,
        ),
        independent_synergy=scale * _independent(*means[:2]),
        label_entropy=None,
        options=options,
        samples=len(everyone),
        widths=tuple(view.shape[1] for view in views),
        classes=[],
        correlations=part.correlations,
        missed=dict(zip(NAMES, (scale * missed(everyone)[1]).tolist(), strict=True)),
        models={},
        groups=samples.units.groups,
    )  # fmt: skip


def _independent(first: float, second: float) -> float:
    """Return S of I1 and I2 if x1 and x2 are independent given y: ratios of signal to noise add up."""
    ratios = [np.expm1(2 * max(one, 0)) for one in (first, second)]
    return float(0.5 * np.log1p(sum(ratios)) - 0.5 * np.log1p(max(ratios)))


def _apart(regressor: Regressor, first: int, second: int) -> Floats:
    """Return I12 of pairs whose x2 is independent of x1 given y, for each permutation, in nats.

    Predictions from x2 keep their regression on y; what is left of them is given to other samples of the fold.
    """
    y, fold = regressor.target.numpy(), fold_numbers(regressor.folds)
    (m0, v0), (m1, v1), (m2, v2) = (regressor.of(one) for one in ((), (first,), (second,)))
    slope = (m2 - m2.mean()) @ y / (y @ y)
    line = m2.mean() + slope * y
    precision = np.maximum(1 / v1 + 1 / v2 - 1 / v0, 1 / v0)
    draw = np.random.default_rng([regressor.options.seed, 1])
    everyone, values = np.arange(len(y)), []
    for _ in range(regressor.options.permutations):
        moved = line + (m2 - line)[regressor.samples.units.shuffle(draw, fold)]
        mean = (m1 / v1 + moved / v2 - m0 / v0) / precision
        values.append(regressor.above((mean, 1 / precision), everyone).mean())
    return np.array(values)
