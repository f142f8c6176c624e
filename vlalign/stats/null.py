"""The permutation null of a score that was selected as the largest over layer pairs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlalign.arithmetic import exact_float32
from vlalign.errors import VlalignError
from vlalign.metrics.base import Floats, Ints, Metric
from vlalign.processes import share_out
from vlalign.stats.groups import checked_groups, members

_CHUNK_BYTES = 32 * 2**20  # of permutations held at once
_STOP_CHUNK = 64  # permutations between two checks of whether to stop
_TIE = 1e-6  # of |observed|: values this close differ by rounding only (permuted in float32), and count as equal


@dataclass(frozen=True)
class Null:
    """Maxima over all layer pairs, one for each permutation, and the p-value of the observed maximum."""

    maxima: NDArray[np.float64]  # [K], in the order of the permutations
    observed: float
    seed: int
    pair_mean: Floats | None = None  # [Lx, Ly], of every layer pair over the permutations
    asked: int | None = None  # permutations requested; fewer may have been enough
    stopped: bool = False  # whether it ended early, when enough null maxima had reached the observed one
    blocks: int | None = None  # groups of samples that were permuted as blocks

    @property
    def reached(self) -> int:
        """Number of null maxima at least as large as the observed one, up to rounding."""
        return int((self.maxima >= self.observed - _TIE * abs(self.observed)).sum())

    @property
    def p_value(self) -> float:
        """``(1 + #{null maximum >= observed maximum}) / (K + 1)``, which accounts for the selection of layers.

        If the null was stopped at its h-th maximum that large, after l permutations, p = h / l (Besag and Clifford
        1991, "Sequential Monte Carlo p-values"): a given one of l exchangeable values is among the h largest with
        probability h / l. Both are exact without ties, and too large with them.
        """
        return self.reached / len(self.maxima) if self.stopped else (1 + self.reached) / (len(self.maxima) + 1)

    def threshold(self, alpha: float = 0.05) -> float:
        """Compute τ, the order statistic ⌈(1−α)(K+1)⌉ of the null maxima and the observed one (arXiv 2602.14486).

        With fewer than 1/α − 1 permutations that is the largest of all, so nothing lies above it. After an early stop
        it comes from the permutations done.

        Raises:
            VlalignError: for ``alpha`` outside (0, 1).
        """
        if not 0 < alpha < 1:
            raise VlalignError(f"alpha must lie between 0 and 1, got {alpha}")
        values = np.sort(np.append(self.maxima, self.observed))
        return float(values[math.ceil((1 - alpha) * len(values) - 1e-9) - 1])

    def calibrated(self, alpha: float = 0.05, s_max: float = 1.0) -> float:
        """Compute ``max(0, (s − τ) / (s_max − τ))``: 0 for a score not above the null, 1 for the largest possible one.

        ``s_max`` is that largest score; where it does not exceed τ the value is 0.
        """
        tau = self.threshold(alpha)
        return max(0.0, float((self.observed - tau) / (s_max - tau))) if s_max > tau else 0.0

    def summary(self, alpha: float = 0.05) -> dict[str, Any]:
        """Return permutations, seed, mean, sd, quantiles and maximum of the null maxima, p-value and calibration."""
        maxima = self.maxima
        quantiles = {f"q{q}": float(np.quantile(maxima, q / 100)) for q in (5, 50, 95, 99)}
        return {
            "permutations": len(maxima),
            "asked": len(maxima) if self.asked is None else self.asked,
            "stopped": self.stopped,
            "blocks": self.blocks,
            "seed": self.seed,
            "statistic": "maximum over all layer pairs",
            "mean": float(maxima.mean()),
            "sd": float(maxima.std(ddof=1)) if len(maxima) > 1 else 0.0,
            **quantiles,
            "max": float(maxima.max()),
            "p_value": self.p_value,
            "alpha": alpha,
            "threshold": self.threshold(alpha),
            "calibrated": self.calibrated(alpha) if len(maxima) + 1 >= 1 / alpha else None,
        }


def generator(text: str, *parts: object) -> np.random.Generator:
    """Make a random generator that depends on ``text`` and ``parts`` only."""
    digest = hashlib.sha256(" ".join([f"vlalign {text}", *map(str, parts)]).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def permutations(
    n: int, count: int, seed: int, chunk: int, groups: Any = None, within: Ints | None = None
) -> Iterator[NDArray[np.int64]]:
    """Draw ``count`` random permutations of 0..n-1 as arrays [<= chunk, n] that depend on the other arguments only.

    Args:
        n: number of samples.
        count: number of permutations.
        seed: of the random numbers.
        chunk: permutations in an array.
        groups: whole numbers [N], equal for samples that belong together: groups of one size are exchanged as blocks,
            the order inside each is random (whole-block exchangeability, Winkler et al. 2015, "Multi-level block
            permutation"). A group that is the only one of its size stays in place. Groups of one sample each are no
            restriction.
        within: categories 0, 1, … [N] inside which samples are permuted, in place of groups. A sample that is the only
            one of its category stays in place.

    Raises:
        VlalignError: if no two groups have the same size, so that none can be exchanged, or for wrong ``groups``.
    """
    random = generator("permutation null", seed, n)
    blocks = None if groups is None else _by_size(groups, n)
    by_category = slice(0) if within is None else np.argsort(within, kind="stable")

    def draw() -> Ints:
        if within is not None:
            order = np.empty(n, dtype=np.int64)
            order[by_category] = np.lexsort((random.random(n), within))
            return order
        if blocks is None or blocks[0].shape == (n, 1):
            return random.permutation(n)
        order = np.empty(n, dtype=np.int64)
        for rows in blocks:  # [groups, size]
            order[rows] = random.permuted(rows[random.permutation(len(rows))], axis=1)
        return order

    return (np.stack([draw() for _ in range(min(chunk, count - start))]) for start in range(0, count, chunk))


def _by_size(groups: Any, n: int) -> list[Ints]:
    """Return the row numbers [groups, size] of the groups of each size."""
    units = members(checked_groups(groups, n))
    sizes = sorted({len(rows) for rows in units})
    blocks = [np.stack([rows for rows in units if len(rows) == size]) for size in sizes]
    if all(len(rows) == 1 for rows in blocks):
        raise VlalignError(
            f"no two of the {len(units)} groups have the same size (sizes {', '.join(map(str, sizes[:8]))}"
            f"{', …' if len(sizes) > 8 else ''}), so none can be exchanged: leave samples out to make sizes equal"
        )
    return blocks


@exact_float32()
def permutation_null(
    metric: Metric,
    x: Sequence[Any],
    y: Sequence[Any],
    *,
    n: int,
    observed: float,
    count: int = 1000,
    seed: int = 0,
    stop_after: int | None = 20,
    groups: Any = None,
    within: Ints | None = None,
) -> Null:
    """Compute the distribution of the largest value over all layer pairs when the rows of y are paired at random.

    Each permutation is applied to all layers of y at once and the maximum taken inside it (as in arXiv 2602.14486), so
    the p-value accounts for selecting the best layer pair.

    Args:
        metric: the metric, and ``x``, ``y``: its prepared layers.
        n: number of samples.
        observed: the largest value of the actual pairing.
        count: number of permutations K; the smallest possible p-value is 1/(K+1).
        seed: seed of the permutations.
        stop_after: stop at this number of null maxima >= ``observed``: a score that is clearly no larger than chance
            needs few permutations. The p-value stays valid (:attr:`Null.p_value`). None: never stop.
        groups: labels [N] of samples that belong together, see :func:`permutations`.
        within: categories [N] inside which samples are permuted, likewise.

    Raises:
        VlalignError: a metric that does not depend on the pairing, a count below 1, values that are not finite, or
            ``groups`` that allow no exchange.
    """
    if count < 1:
        raise VlalignError(f"a permutation null needs at least 1 permutation, got {count}")
    if stop_after is not None and stop_after < 1:
        raise VlalignError(f"a null can stop after 1 or more maxima as large as the score, got {stop_after}")
    if not metric.paired:
        raise VlalignError(f"{metric.name} does not depend on the pairing of the rows, so it has no permutation null")
    chunk = max(1, min(count, _CHUNK_BYTES // (8 * n), count if stop_after is None else _STOP_CHUNK))
    observed = float(observed)
    border = observed - _TIE * abs(observed)
    maxima: list[float] = []
    reached, stopped = 0, False
    mean = np.zeros((len(x), len(y)))
    for part in permutations(n, count, seed, chunk, groups, within):
        if metric.lazy:  # counts, which do not depend on how many are computed together
            values = share_out(len(part), lambda chosen: metric.permuted(x, y, part[chosen]))  # noqa: B023
        else:
            values = list(metric.permuted(x, y, part))
        for matrix in values:  # one by one, so that nothing depends on the size of the chunks
            maxima.append(float(matrix.max()))
            mean += (matrix - mean) / len(maxima)
            reached += maxima[-1] >= border
            stopped = reached == stop_after
            if stopped:
                break
        if stopped:
            break
    if not (math.isfinite(observed) and np.isfinite(mean).all()):
        raise VlalignError(f"{metric.name} gave a value that is not finite: a permutation null cannot be computed")
    return Null(
        maxima=np.array(maxima),
        observed=observed,
        seed=seed,
        pair_mean=mean,
        asked=count,
        stopped=stopped,
        blocks=None if groups is None else int(checked_groups(groups, n).max()) + 1,
    )
