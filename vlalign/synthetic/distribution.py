"""The distribution of bits and labels: how much of what decides the label is shared, unique, or synergistic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Interval
from cyclopts import Group, Parameter
from numpy.typing import NDArray

from vlalign.config import Many, Number, Options
from vlalign.display.format import ranges
from vlalign.errors import VlalignError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DISTRIBUTION = Parameter(group=Group("Distribution", sort_key=1))
Seed = Annotated[int, Interval(ge=0, le=2**32 - 1)]

MARGINAL_TOLERANCE = 0.01  # of p(y) from uniform, as in the released code
MOST_BITS = 22  # the table has 2^bits rows
_ROUNDS = 1000  # of the rescaling


class Task(Options):
    """What is random and what decides the label; the defaults are those of arXiv 2502.16282.

    Modality m sees ``x_m = [x_c, x_um]``: bits that all modalities share and bits that only it has, all uniform and
    independent. ``relevant_bits`` of them decide the label: U unique ones, ``synergy`` ones that are the exclusive or
    of one own bit of every modality, and the rest shared ones.

    Raises:
        VlalignError: a value out of its range, named.
    """

    modalities: Annotated[int, Interval(ge=2, le=6), DISTRIBUTION] = 2
    """number of modalities"""

    shared_bits: Annotated[int, Interval(ge=1, le=16), DISTRIBUTION] = 8
    """length of x_c, the bits that all modalities see"""

    unique_bits: Annotated[int, Interval(ge=1, le=12), DISTRIBUTION] = 4
    """length of each x_um, the bits that only modality m sees"""

    relevant_bits: Annotated[int, Ge(1), DISTRIBUTION] = 8
    """bits that decide the label"""

    unique_split: Annotated[Many[Annotated[Number, Ge(0)]] | None, DISTRIBUTION] = None
    """how U is split between the modalities, one weight each; a modality gets what rounding down leaves for those
    before it, so that of two, modality 1 has U // 2 (default: evenly)"""

    synergy: Annotated[int, Ge(0), DISTRIBUTION] = 0
    """relevant bits that no modality sees alone"""

    classes: Annotated[int, Interval(ge=2, le=64), DISTRIBUTION] = 4
    """number of labels"""

    temperature: Annotated[Number, Interval(ge=1e-3, le=1000), DISTRIBUTION] = 0.05
    """temperature of the softmax over relevant bits · W; the higher, the less the bits determine the label"""

    label_noise: Annotated[Number, Interval(ge=0, le=1), DISTRIBUTION] = 0.0
    """share of labels that are replaced by uniform ones"""

    features_seed: Annotated[Seed, DISTRIBUTION] = 1
    """random seed of the positions of the relevant bits"""

    weights_seed: Annotated[Seed, DISTRIBUTION] = 2
    """random seed of W"""

    def __post_init__(self) -> None:
        super().__post_init__()
        bits = self.shared_bits + self.modalities * self.unique_bits
        for name, most in (("relevant_bits", bits), ("synergy", min(self.relevant_bits, self.unique_bits))):
            if getattr(self, name) > most:
                raise VlalignError(f"{name}: expected at most {most} with these bits, got {getattr(self, name)}")
        if bits > MOST_BITS:
            raise VlalignError(
                f"shared_bits {self.shared_bits} and {self.modalities} × unique_bits {self.unique_bits} are {bits} "
                f"bits: at most {MOST_BITS} in all, since the table has a row for each of their values"
            )
        split = self.unique_split
        if split is not None and (len(split) != self.modalities or not sum(split)):
            raise VlalignError(
                f"unique_split: expected {self.modalities} weights, one a modality and not all 0, got {_shown(split)}"
            )

    @property
    def width(self) -> int:
        """Bits that each modality sees."""
        return self.shared_bits + self.unique_bits

    def unique(self, uniqueness: int) -> tuple[int, ...]:
        """Relevant unique bits of each modality.

        Raises:
            VlalignError: the uniqueness is outside of what the bits allow.

        >>> Task().unique(3), Task(modalities=3).unique(8), Task(unique_split=(3, 1)).unique(4)
        ((1, 2), (2, 3, 3), (3, 1))
        """
        if not _fits(self, uniqueness):
            allowed = [u for u in range(self.relevant_bits + 1) if _fits(self, u)]
            if not allowed:
                raise VlalignError(
                    f"relevant_bits {self.relevant_bits} cannot be made of {self.shared_bits} shared bits, "
                    f"{self.unique_bits} own ones a modality and synergy {self.synergy}: lower relevant_bits or synergy"
                )
            split = "" if self.unique_split is None else f", split {_shown(self.unique_split)}"
            raise VlalignError(
                f"uniqueness is {uniqueness}: with {self.relevant_bits} relevant bits, {self.shared_bits} shared and "
                f"{self.unique_bits} own ones a modality{split}, allowed is {ranges(allowed)}"
            )
        return _shares(self, uniqueness)

    def shared(self, uniqueness: int) -> int:
        """Relevant shared bits R."""
        return self.relevant_bits - self.synergy - sum(self.unique(uniqueness))


def _shown(weights: Sequence[float]) -> str:
    return f"[{', '.join(f'{weight:g}' for weight in weights)}]"


def _shares(task: Task, uniqueness: int) -> tuple[int, ...]:
    weights = np.array(task.unique_split or [1.0] * task.modalities, dtype=np.float64)
    ends = np.floor(uniqueness * np.cumsum(weights) / weights.sum() + 1e-9).astype(int)
    ends[-1] = uniqueness
    return tuple(int(part) for part in np.diff(ends, prepend=0))


def _fits(task: Task, uniqueness: int) -> bool:
    if isinstance(uniqueness, bool) or not isinstance(uniqueness, int | np.integer) or uniqueness < 0:
        return False
    shared = task.relevant_bits - task.synergy - uniqueness
    return 0 <= shared <= task.shared_bits and max(_shares(task, uniqueness)) + task.synergy <= task.unique_bits


def all_bits(count: int) -> NDArray[np.int8]:
    """Return all values [2^count, count] of ``count`` bits, the first one most significant.

    >>> all_bits(2).tolist()
    [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    return ((np.arange(2**count)[:, None] >> np.arange(count)[::-1]) & 1).astype(np.int8)


@dataclass(frozen=True)
class Positions:
    """Which bits decide the label."""

    shared: Ints  # of x_c
    unique: tuple[Ints, ...]  # of each x_um
    synergy: tuple[Ints, ...]  # [S] of each x_um; the s-th ones of all modalities are combined


def positions(task: Task, uniqueness: int) -> Positions:
    """Draw the relevant bits, once for each U from ``features_seed`` with the released code's generator."""
    draw = np.random.RandomState(task.features_seed)
    shared = draw.choice(np.arange(task.shared_bits), size=task.shared(uniqueness), replace=False)
    unique = tuple(
        draw.choice(np.arange(task.unique_bits), size=count, replace=False) for count in task.unique(uniqueness)
    )
    free = [np.setdiff1d(np.arange(task.unique_bits), taken) for taken in unique]
    return Positions(shared, unique, tuple(draw.choice(left, size=task.synergy, replace=False) for left in free))


def weights(task: Task) -> Floats:
    """Draw W [relevant bits, classes] from ``weights_seed``: uniform, rows of length 1; the same for every U."""
    drawn = np.random.RandomState(task.weights_seed).uniform(0, 1, size=(task.relevant_bits, task.classes))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True), dtype=np.float64)


def relevant(task: Task, uniqueness: int) -> NDArray[np.int8]:
    """Return the relevant bits [2^bits, relevant_bits] of every state; states count x_c first, then each x_um."""
    where = positions(task, uniqueness)
    states = all_bits(task.shared_bits + task.modalities * task.unique_bits)
    starts = [task.shared_bits + m * task.unique_bits for m in range(task.modalities)]
    chosen = [states[:, where.shared]]
    chosen += [states[:, start + own] for start, own in zip(starts, where.unique, strict=True)]
    if task.synergy:
        pairs = [states[:, start + own] for start, own in zip(starts, where.synergy, strict=True)]
        chosen.append(np.bitwise_xor.reduce(pairs))
    return np.concatenate(chosen, axis=1)


def label_table(task: Task, uniqueness: int) -> Floats:
    """``p(y | x_c, x_u1, …)`` as [2^shared_bits, 2^unique_bits, …, classes].

    Softmax of ``relevant bits · W / temperature``, rescaled by iterative proportional fitting until p(y) is uniform
    within :data:`MARGINAL_TOLERANCE`, then mixed with uniform labels (``label_noise``). All states are equally likely.

    Raises:
        VlalignError: the uniqueness is outside of what the bits allow.
    """
    values = all_bits(task.relevant_bits)  # the label depends on the relevant bits alone
    which = relevant(task, uniqueness) @ (1 << np.arange(task.relevant_bits)[::-1])
    count = np.bincount(which, minlength=len(values)) / len(which)
    logits = values @ weights(task) / task.temperature
    table = np.exp(logits - logits.max(axis=1, keepdims=True))
    table /= table.sum(axis=1, keepdims=True)
    for _ in range(_ROUNDS):
        marginal = count @ table
        if np.abs(marginal - 1 / task.classes).max() <= MARGINAL_TOLERANCE:
            break
        table *= 1 / task.classes / np.maximum(marginal, 1e-300)
        table /= table.sum(axis=1, keepdims=True)
    else:
        raise VlalignError(
            f"no uniform label marginal with temperature {task.temperature:g} and weights_seed {task.weights_seed}: "
            "raise the temperature or take another seed"
        )
    table = (1 - task.label_noise) * table + task.label_noise / task.classes
    shape = (2**task.shared_bits, *[2**task.unique_bits] * task.modalities, task.classes)
    return np.asarray(table[which].reshape(shape), dtype=np.float64)
