"""Arms of the experiment: weights of the contrastive term, with true pairs and with two controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PAIRS, SHUFFLED, WITHIN_CLASS = "", "shuffled", "within class"
CONTROLS = (PAIRS, SHUFFLED, WITHIN_CLASS)


@dataclass(frozen=True)
class Arm:
    """One way of training.

    Attributes:
        weight: λ of the contrastive term.
        control: "" for true pairs, "shuffled" for pairs shuffled in each batch (what is left is a regulariser),
            "within class" for labelled pairs shuffled within their class (what is left is class information).
    """

    weight: float
    control: str = PAIRS


def all_arms(weights: Sequence[float]) -> list[Arm]:
    """Return the arm without the term first, then every control at every weight above 0.

    >>> [(arm.weight, arm.control) for arm in all_arms([0, 1])]
    [(0.0, ''), (1, ''), (1, 'shuffled'), (1, 'within class')]
    """
    return [Arm(0.0), *(Arm(weight, control) for control in CONTROLS for weight in weights if weight > 0)]
