"""Information quantities of a task, computed from its table of all states: exact, nothing is sampled."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache
from itertools import combinations

import numpy as np

from vlalign.decomposition import Decomposition, decompose, mutual_information
from vlalign.synthetic.distribution import Floats, Task, label_table


@dataclass(frozen=True)
class Information:
    """Information of one, two or all modalities about the label and each other, in nats.

    Attributes:
        uniqueness: U.
        shared, unique, synergy: relevant bits: shared ones, unique ones of each modality, synergistic ones.
        single: I(X_m; Y) of each modality.
        joint: I(X_1, X_2, …; Y) of all together: the total information.
        between: I(X_1; X_m) of modality 1 with each other one.
        interaction: interaction information, with the sign of the co-information (Bell 2003), ``Σ_T (−1)^(|T|+1)
            I(X_T; Y)`` over all sets T of modalities: with two, ``I(X1;Y) + I(X2;Y) − I(X1,X2;Y)``, redundancy minus
            synergy; with more its sign alone shows neither.
        accuracy: Bayes accuracy from each modality, the most that any classifier of it reaches.
        accuracy_joint: Bayes accuracy from all together.
        marginal: p(y) of each class.
    """

    uniqueness: int
    shared: int
    unique: tuple[int, ...]
    synergy: int
    single: tuple[float, ...]
    joint: float
    between: tuple[float, ...]
    interaction: float
    accuracy: tuple[float, ...]
    accuracy_joint: float
    marginal: tuple[float, ...]


def information(task: Task, uniqueness: int) -> Information:
    """Compute the exact quantities of a task at one uniqueness.

    Raises:
        VlalignError: the uniqueness is outside of what the bits allow.

    >>> exact = information(Task(), 3)
    >>> round(exact.joint, 4), [round(value, 4) for value in exact.single]
    (1.1588, [0.7151, 0.8867])
    """
    return _information(Task(**{field.name: getattr(task, field.name) for field in fields(Task)}), uniqueness)


@lru_cache(maxsize=64)
def _information(task: Task, uniqueness: int) -> Information:
    """Compute the quantities of a task that may be a part of a study's settings, once for all pages that show them."""
    table = label_table(task, uniqueness)
    known: dict[tuple[int, ...], tuple[float, float]] = {}
    for size in range(1, task.modalities + 1):
        for some in combinations(range(task.modalities), size):
            known[some] = _of(table, some)
    everyone = tuple(range(task.modalities))
    shared = task.shared_bits * float(np.log(2))  # these bits are uniform and the only ones that two modalities see
    return Information(
        uniqueness=uniqueness,
        shared=task.shared(uniqueness),
        unique=task.unique(uniqueness),
        synergy=task.synergy,
        single=tuple(known[(m,)][0] for m in everyone),
        joint=known[everyone][0],
        between=(shared,) * len(everyone[1:]),
        interaction=sum((-1) ** (len(some) + 1) * value for some, (value, _) in known.items()),
        accuracy=tuple(known[(m,)][1] for m in everyone),
        accuracy_joint=known[everyone][1],
        marginal=tuple(float(p) for p in table.reshape(-1, task.classes).mean(axis=0)),
    )


def decomposition(task: Task, uniqueness: int) -> tuple[Decomposition | None, float]:
    """Compute R, U1, U2 and S of a task of two modalities, in nats, and the source redundancy I(X_c;Y).

    The source redundancy is the information of the shared bits about the label: alignment and contrastive losses depend
    on what is shared, while R depends on p(x1,y) and p(x2,y) alone. The decomposition is None for more modalities.

    Raises:
        VlalignError: the uniqueness is outside of what the bits allow.

    >>> exact, source = decomposition(Task(), 8)
    >>> round(exact.R, 3), round(exact.S, 3), round(source, 3)
    (0.273, 0.591, 0.0)
    """
    table = label_table(task, uniqueness)
    joint = table.reshape(-1, task.classes) / (table.size / task.classes)
    source = mutual_information(table.reshape(2**task.shared_bits, -1, task.classes).mean(axis=1) / 2**task.shared_bits)
    if task.modalities != 2:
        return None, source
    first, second = (table.mean(axis=axis).reshape(-1, task.classes) / 2**task.width for axis in (2, 1))
    return decompose(first, second, mutual_information(joint)), source


def _of(table: Floats, some: tuple[int, ...]) -> tuple[float, float]:
    """I(X_T; Y) and Bayes accuracy of the modalities ``some``; all of their states are equally likely."""
    others = tuple(axis for axis in range(1, table.ndim - 1) if axis - 1 not in some)
    given = table.mean(axis=others).reshape(-1, table.shape[-1])  # p(y | x_T)
    marginal = given.mean(axis=0)
    value = float(_entropies(marginal) - _entropies(given).mean())
    return max(0.0, value), float(given.max(axis=1).mean())


def _entropies(given: Floats) -> Floats:
    logs = np.log(given, out=np.zeros_like(given), where=given > 0)
    return np.asarray(-(given * logs).sum(axis=-1), dtype=np.float64)
