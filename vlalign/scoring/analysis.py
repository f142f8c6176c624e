"""Statistics of the best value of a layer grid: chance level, null, interval, curves, checks of the data."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from torch import Tensor

from vlalign.arrays import LazyLayer, row_blocks
from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Metric, NullMoments
from vlalign.processes import computed_once, is_shared
from vlalign.scoring.categories import Categories
from vlalign.scoring.confounds import DUPLICATES
from vlalign.scoring.grouping import GroupLabels
from vlalign.scoring.layers import PreparedSide, half_length, timed
from vlalign.stats.analytic import LEAST_P, LargestNull, prepare_largest
from vlalign.stats.checks import check_side, near_counts, warnings
from vlalign.stats.curves import k_curve, n_curves
from vlalign.stats.explained import Explained, explained, explained_by_duplicates
from vlalign.stats.interval import half_sampling
from vlalign.stats.null import Null, permutation_null

log = logging.getLogger(__name__)

ALPHA = 0.05  # level of the null's threshold, at which the calibrated score starts
Layer: TypeAlias = Tensor | LazyLayer
#: what a record keeps of a null inside categories
_OF_WITHIN = ("permutations", "asked", "stopped", "seed", "mean", "sd", "q95", "max", "p_value")
_NEAR_ALPHA = (0.02, 0.1)  # analytic p-values, up to 1.4 times those of permutations, in whose place these are taken
_ENOUGH = 1000  # permutations; p-values near the level scatter more with fewer than the analytic ones deviate
_LEAST_MEAN = 20  # shared neighbours at chance, k² or a few more: fewer are not well approximated
_MOST_SHARED = 0.05  # of all neighbours at chance: with more, p-values of clusters were up to 50 times too small
_LEAST_SAMPLES = 64  # of kernels and dissimilarities: with fewer, permutations are fast
_MOST_HEAVY, _MOST_SKEW = 1.12, 2.5  # of kernels: with more, p-values were up to 100 times too small
_MOST_PAIRS = 1000  # compared with permutations; many more take longer than those
_KEPT = 1000  # draws of an analytic null in a record
_MOST_ALONE = 0.2  # of the samples, alone in their categories; with more, what categories explain is not computed
_LONG_SECONDS = 60  # duration of a null that is logged before it starts


@dataclass
class Analysis:
    """One metric on two prepared sides; ``run`` computes the fields of the record.

    Layers, matrix and best pair are those of the layers that distinguish samples (``varied`` of each side).
    """

    metric: Metric
    x: PreparedSide
    y: PreparedSide
    x_layers: list[Any]
    y_layers: list[Any]
    matrix: Floats
    best: tuple[int, int]
    groups: GroupLabels | None
    categories: list[Categories]
    features: list[Categories]
    seconds: dict[str, float]

    def run(self, *, permutations: int, analytic: bool, halves: int, full: bool, seed: int) -> dict[str, Any]:
        """Compute ``chance``, ``moments``, ``null``, ``interval``, ``curves`` and ``checks`` of a score record."""
        notes: list[str] = []
        labels = None if self.groups is None else self.groups.labels
        moments = self._moments()
        largest = self._largest(permutations, seed, notes) if analytic else None
        with timed(self.seconds, "checks"):
            (x_raw, x), (y_raw, y) = (side.both(i) for side, i in zip((self.x, self.y), self._positions(), strict=True))
            lists = self._lists()
            checks = self._checks((x_raw, y_raw), (x, y), lists, notes)
            if _are_equal(x_raw, y_raw):
                notes.append("both sides hold the same features, so the score compares them with themselves")
        near = [near_counts(one, neighbours=known) for one, known in zip((x, y), lists, strict=True)] if full else None
        with timed(self.seconds, "interval" if halves else "checks"):
            length = half_length(self.metric, self.x.n) if halves else None
            a, b = (
                side.listed(self.metric, i, layer, name, length)
                for side, i, layer, name in zip((self.x, self.y), self._positions(), (x, y), "xy", strict=True)
            )
        interval = self._interval(a, b, halves, seed, labels, full, notes)
        null = None if largest is None else self._analytic_null(largest, permutations, seed, notes)
        if null is None:
            null = self._null(permutations, seed, labels, notes)
        curves = self._curves(seed, notes) if full else None
        chance = moments["mean"] if moments is not None else null["pair_mean"] if null is not None else None
        if null is not None and chance is not None and permutations and (self.categories or full):
            shares = self._shares(null, chance, a, b, permutations, halves, seed)
            if self.categories:
                null["within"] = self._within(permutations, shares, seed, notes)
            if full and self.groups is None and self.x.items is None:
                checks["confounds"] = self._confounds(null, shares, a, b, near, permutations, seed)
        checks["notes"] = notes
        return {
            "chance": chance, "moments": moments, "null": null, "interval": interval, "curves": curves, "checks": checks
        }  # fmt: skip

    def _moments(self) -> dict[str, Any] | None:
        """Compute exact mean and sd of the best pair under a random pairing; None with groups, which they ignore."""
        from scipy.special import ndtr

        i, j = self.best
        exact = None if self.groups is not None else self.metric.moments([self.x_layers[i]], [self.y_layers[j]])
        if exact is None:
            return None
        mean, sd = float(exact.mean[0, 0]), None if exact.sd is None else float(exact.sd[0, 0])
        z = (float(self.matrix[self.best]) - mean) / sd if sd else None
        p = None if z is None else float(ndtr(-z))
        return {
            "mean": mean,
            "sd": sd,
            "z": z,
            "p_value": p,  # normal approximation, of this layer pair alone
            "p_selected": None if p is None else min(1.0, p * self.matrix.size),  # Bonferroni over all layer pairs
        }

    def _null(self, permutations: int, seed: int, labels: Any, notes: list[str]) -> dict[str, Any] | None:
        if not self.metric.paired:
            notes.append(f"{self.metric.label} does not depend on which rows are paired: no null, no p-value")
            return None
        if not permutations:
            if self.metric.info.permutations == 0:
                notes.append(
                    f"no permutation null: a permutation costs as much as the grid, {self.seconds['grid']:.1f} s; "
                    "ask for some with --permutations"
                )
            return None
        expected = permutations * self.seconds["grid"]
        if type(self.metric).permuted is Metric.permuted and expected > _LONG_SECONDS:
            log.info("%s: %d permutations, up to about %.0f s", self.metric.label, permutations, expected)
        null = self._permuted(permutations, seed, groups=labels)
        if len(null.maxima) + 1 < 1 / ALPHA:
            notes.append(f"no calibrated score: it needs at least {round(1 / ALPHA) - 1} permutations")
        assert null.pair_mean is not None
        return {**null.summary(ALPHA), "pair_mean": float(null.pair_mean[self.best]), "maxima": null.maxima.tolist()}

    def _largest(self, permutations: int, seed: int, notes: list[str]) -> Callable[[], LargestNull] | None:
        """Return what gives the analytic null, which another thread computes beside the statistics that follow.

        None where permutations are more exact (few or most neighbours shared, kernels that few samples decide) or
        faster (very many layer pairs).
        """
        if self.matrix.size > _MOST_PAIRS:
            what = "so the null is that of permutations" if permutations else "for which there is no analytic null"
            notes.append(f"more than {_MOST_PAIRS:,} layer pairs, {what}")
            return None
        with timed(self.seconds, "null"):
            moments = computed_once(lambda: self.metric.null_moments(self.x_layers, self.y_layers))
            if moments is None or (permutations and not self._is_approximated(moments, notes)):
                return None
            prepare = partial(prepare_largest, moments, float(self.matrix[self.best]), seed=seed, least_p=LEAST_P)
            if is_shared():  # the main process computes it for all, later
                return lambda: prepare()()
            pool = ThreadPoolExecutor(1)
            future = pool.submit(prepare())
            pool.shutdown(wait=False)
            return future.result

    def _analytic_null(
        self, largest: Callable[[], LargestNull], permutations: int, seed: int, notes: list[str]
    ) -> dict[str, Any] | None:
        """Return the null of :meth:`_largest` as a record has it; None where permutations decide, near the level.

        Its maxima are draws.
        """
        observed = float(self.matrix[self.best])
        with timed(self.seconds, "null"):
            null = computed_once(largest)
        if permutations >= _ENOUGH and _NEAR_ALPHA[0] <= null.p_value <= _NEAR_ALPHA[1]:
            p = f"{null.p_value:.3f}"
            notes.append(f"the analytic p-value, {p}, is near {ALPHA:g}, so the null is that of permutations")
            return None
        drawn, threshold = Null(null.maxima, observed, seed, asked=permutations), null.threshold(ALPHA)
        return drawn.summary(ALPHA) | {
            "permutations": 0, "method": "analytic", "p_value": max(null.p_value, LEAST_P), "p_least": LEAST_P,
            "threshold": threshold,
            "calibrated": max(0.0, (observed - threshold) / (1 - threshold)) if threshold < 1 else 0.0,
            "pair_mean": float(null.means.reshape(self.matrix.shape)[self.best]),
            "maxima": drawn.maxima[:_KEPT].tolist(),
        }  # fmt: skip

    def _is_approximated(self, moments: NullMoments, notes: list[str]) -> bool:
        """Return whether the distribution of these moments is close to that of permutations."""
        if moments.skewness is None:
            of_all = moments.mean * moments.unit / (1 - moments.zero)  # k / (N - 1)
            return bool(moments.mean.min() >= _LEAST_MEAN and of_all.max() <= _MOST_SHARED)
        if moments.heaviness > _MOST_HEAVY or np.abs(moments.skewness).max() > _MOST_SKEW:
            notes.append("few samples decide the kernel of a layer, so the null is that of permutations")
            return False
        return self.x.n >= _LEAST_SAMPLES

    def _permuted(self, count: int, seed: int, **blocks: Any) -> Null:
        with timed(self.seconds, "null"):
            return permutation_null(
                self.metric, self.x_layers, self.y_layers, n=self.x.n, observed=float(self.matrix[self.best]),
                count=count, seed=seed, stop_after=max(20, count // 10), **blocks,
            )  # fmt: skip

    def _shares(
        self, null: dict[str, Any], chance: float, x: Any, y: Any, permutations: int, halves: int, seed: int
    ) -> list[Explained | None]:
        """Compute which shares of the score above chance the categories and features explain; None where it is not."""
        every = [*self.categories, *self.features]
        if not every or null["p_value"] > ALPHA:
            return [None] * len(every)
        with timed(self.seconds, "confounds"):
            labels, level = [one.labels for one in every], 0.95 if halves else None
            shares = explained(self.metric, x, y, labels, chance, permutations=permutations, level=level, seed=seed)
        return [None if _many_alone(one) else share for one, share in zip(every, shares, strict=True)]

    def _confounds(
        self, null: dict[str, Any], shares: list[Explained | None], x: Any, y: Any, near: Any, permutations: int,
        seed: int,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Return the shares that the features of a full report and near-duplicates explain."""
        of_features = shares[len(self.categories) :]
        entries = [one.describe() | _part(share) for one, share in zip(self.features, of_features, strict=True)]
        left_out, share = 0, None
        if null["p_value"] <= ALPHA:
            with timed(self.seconds, "confounds"):
                left_out, share = explained_by_duplicates(
                    self.metric, x, y, near=near, permutations=permutations, seed=seed
                )
        return [*entries, {"name": DUPLICATES, "samples": left_out} | _part(share)]

    def _within(
        self, permutations: int, shares: list[Explained | None], seed: int, notes: list[str]
    ) -> list[dict[str, Any]]:
        """Compute the null inside the categories of each column."""
        entries = []
        for one, share in zip(self.categories, shares, strict=False):  # further shares are those of features
            about = one.describe()
            null = self._permuted(permutations, seed, within=one.labels)
            assert null.pair_mean is not None
            kept = {name: value for name, value in null.summary(ALPHA).items() if name in _OF_WITHIN}
            entries.append(about | kept | {"pair_mean": float(null.pair_mean[self.best])} | _part(share))
            if about["alone"]:
                alone = f"{one.name}: {about['alone']} of {self.x.side.n} samples alone in a category keep their pairs"
                if _many_alone(one):
                    notes.append(
                        f"{alone}, so the p-value is too large and no share explained is given: merge categories"
                    )
                else:
                    notes.append(f"{alone}, so the share explained and the p-value are a little too large")
            if one.cut:
                notes.append(f"{one.name} holds numbers, cut into {about['categories']} strata of similar ones")
        return entries

    def _interval(
        self, x: Any, y: Any, halves: int, seed: int, labels: Any, full: bool, notes: list[str]
    ) -> dict[str, Any] | None:
        if not halves:
            return None
        try:
            with timed(self.seconds, "interval"):
                interval = asdict(half_sampling(self.metric, [x], [y], count=halves, seed=seed, groups=labels))
        except VlalignError as error:
            notes.append(f"no interval: {error}")
            return None
        if interval["sd"] < 1e-9 < 1e-6 < abs(interval["mean_of_halves"] - interval["observed"]):
            notes.append(f"no interval: too few samples, every half of them gives {interval['mean_of_halves']:.4f}")
            return None
        if full and self.matrix.size > 1:  # the same samples, so it fails only where the one above does
            with timed(self.seconds, "interval"):
                interval["maximum"] = asdict(
                    half_sampling(self.metric, *self._all_layers(), count=halves, seed=seed, groups=labels)
                )
        return interval

    def _all_layers(self) -> tuple[list[Any], list[Any]]:
        return self.x.all_layers(self.metric, "x"), self.y.all_layers(self.metric, "y")

    def _positions(self) -> tuple[int, int]:
        """Return the positions of the best pair among all layers."""
        return self.x.varied[self.best[0]], self.y.varied[self.best[1]]

    def _curves(self, seed: int, notes: list[str]) -> dict[str, Any] | None:
        if self.groups is not None:
            notes.append("no curves: random subsets would cut the groups apart")
            return None
        with timed(self.seconds, "curves"):
            layers = self._all_layers()
            repeats = 10 if self.metric.info.permutations else 3
            curves = n_curves(self.metric, *layers, repeats=repeats, seed=seed, pair=self.best)
            if "k" in self.metric.params:
                curves["k"] = k_curve(self.metric, *layers, pair=self.best)
        return {name: curve.summary() for name, curve in curves.items()}

    def _lists(self) -> tuple[Tensor | None, Tensor | None]:
        """Return the neighbour lists of the best pair's layers, where the metric has them."""
        if self.x.items is not None or self.metric.preparation != ("neighbours", self.metric.params.get("k")):
            return None, None
        return self.x_layers[self.best[0]].x, self.y_layers[self.best[1]].y

    def _checks(
        self, raw: tuple[Layer, Layer], scored: tuple[Layer, Layer], lists: Sequence[Tensor | None], notes: list[str]
    ) -> dict[str, Any]:
        """Check the two layers of the best pair."""
        checks = {}
        k = self.metric.params.get("k") or min(10, self.x.side.n - 1)
        for i, (name, side) in enumerate((("x", self.x), ("y", self.y))):
            checks[name] = check_side(
                scored[i], k, neighbours=lists[i], unclipped=raw[i], clip_threshold=side.threshold
            )  # fmt: skip
            where = f"{side.axis[self._positions()[i]]['name']} of {side.side.model}"
            lines = warnings(
                checks[name], where, grouped=self.groups is not None or self.x.items is not None,
                neighbours=bool({"k", "max_k"} & self.metric.params.keys()),
            )  # fmt: skip
            notes.extend(line for line in lines if line not in notes)
            notes.extend(side.side.norms_note(side.axis[self._positions()[i]]))
            flat = [str(entry["name"]) for p, entry in enumerate(side.axis) if p not in side.varied]
            if flat:
                give = "gives" if len(flat) == 1 else "give"
                notes.append(f"{', '.join(flat)} of {side.side.model} {give} all samples the same features: scored 0")
        return checks


def _many_alone(one: Categories) -> bool:
    """Return whether too many samples are alone in a category: their pairs stay, and would seem explained."""
    return one.describe()["alone"] > _MOST_ALONE * len(one.labels)


def _part(share: Explained | None) -> dict[str, Any]:
    """Return the entry of a record about an explained share."""
    return {"explained": dict.fromkeys(("score", "share", "low", "high")) if share is None else asdict(share)}


def _are_equal(x: Layer, y: Layer) -> bool:
    """Return whether two layers hold the same values."""
    if x.shape != y.shape:
        return False
    return all(bool((part == y[start : start + len(part)]).all()) for start, part in row_blocks(x))
