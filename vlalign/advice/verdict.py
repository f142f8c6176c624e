"""Verdict for each use of the encoders: align, do not align, or no difference that the samples could show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlalign.advice.analysis import of_control
from vlalign.advice.arms import SHUFFLED, WITHIN_CLASS
from vlalign.advice.encoder import USES
from vlalign.advice.information import part
from vlalign.display.format import interval, signed

if TYPE_CHECKING:
    import pandas as pd

ALIGN, AVOID, NO_DIFFERENCE = "align", "do not align", "no difference"


@dataclass(frozen=True)
class Verdict:
    """Answer for one use.

    Attributes:
        use: "both", "first" or "second": the modalities at test time.
        decision: "align", "do not align" or "no difference".
        weight: λ that the numbers are of: the best on validation of those that gain; the one that loses most; or the
            best on validation.
        effect: difference in the score to λ = 0, with ``low`` and ``high`` for all λ and uses at once.
        detectable: smallest effect at this λ that would have been seen with a probability of 80 %.
        gains, losses: λ whose interval lies above and below 0.
        reason: what the controls show, and what the modalities know about the label.
        instead: what to try.
    """

    use: str
    decision: str
    weight: float
    effect: float
    low: float
    high: float
    detectable: float
    gains: list[float]
    losses: list[float]
    reason: str
    instead: str

    @property
    def text(self) -> str:
        """The verdict in a sentence with its numbers."""
        numbers = f"{signed(self.effect, 3)} ({interval(self.low, self.high, 3, ' to ')})"
        if self.decision == ALIGN:
            also = f"; λ = {_list(self.losses)} loses" if self.losses else ""
            return f"align with λ ≈ {self.weight:g}: {numbers}{also}"
        if self.decision == AVOID:
            return f"do not align with λ = {_list(self.losses)}: {numbers} at λ = {self.weight:g}"
        return (
            f"makes no difference that these samples could show: {numbers} at λ = {self.weight:g}; an effect of "
            f"{self.detectable:.3f} would have been seen"
        )


def decide(effects: pd.DataFrame, facts: Mapping[str, Any]) -> list[Verdict]:
    """Return the verdict for each use; it depends on intervals alone, which hold for all λ and uses at once.

    Args:
        effects: of :func:`vlalign.advice.analysis.effect_table`.
        facts: ``names`` of the modalities, and ``information`` about the label, if it is known.
    """
    return [_decide(effects, use, list(facts["names"]), facts.get("information", {})) for use in USES]


def _decide(effects: pd.DataFrame, use: str, names: list[str], information: Mapping[str, Any]) -> Verdict:
    rows = of_control(effects, use)
    rows = rows[rows["weight"] > 0]
    gains, losses = rows[rows["low"] > 0], rows[rows["high"] < 0]
    if len(gains):
        decision, row = ALIGN, gains.loc[gains["valid"].idxmax()]
    elif len(losses):
        decision, row = AVOID, losses.loc[losses["effect"].idxmin()]
    else:
        decision, row = NO_DIFFERENCE, rows.loc[rows["valid"].idxmax()]
    weight = float(row["weight"])
    controls = {}
    for control in (SHUFFLED, WITHIN_CLASS):
        of = of_control(effects, use, control)
        controls[control] = of[of["weight"] == weight].iloc[0]
    reason = {ALIGN: _why_gain, AVOID: _why_loss, NO_DIFFERENCE: lambda _: ""}[decision](controls)
    if reason and "estimates" in information:
        reason += f"; information about the label: {_known(decision, use, names, information)}"
    return Verdict(
        use, decision, weight, float(row["effect"]), float(row["low"]), float(row["high"]), float(row["detectable"]),
        [float(value) for value in gains["weight"]], [float(value) for value in losses["weight"]],
        reason, _instead(decision, use, names, losses, rows),
    )  # fmt: skip


def _why_gain(controls: Mapping[str, pd.Series[Any]]) -> str:
    shuffled, within = controls[SHUFFLED], controls[WITHIN_CLASS]
    if shuffled["pairing_low"] > 0 and within["pairing_low"] > 0:
        return "the pairing: true pairs gain more than random partners, and more than partners of the same class"
    if shuffled["pairing_low"] > 0 and within["low"] > 0:
        return "class information: partners of the same class gain too, and true pairs not measurably more"
    if shuffled["pairing_low"] > 0:
        return "more than a regulariser, as true pairs gain more than random partners; class or pairing is open"
    if shuffled["low"] > 0:
        return "a regulariser: random partners gain too, and true pairs not measurably more"
    return "open: the difference between true pairs and random partners is within its interval"


def _why_loss(controls: Mapping[str, pd.Series[Any]]) -> str:
    shuffled = controls[SHUFFLED]
    if shuffled["pairing_high"] < 0:
        return "the pairing: true pairs lose more than random partners, as the term removes what only one modality has"
    if shuffled["pairing_low"] > 0:
        return "any contrastive term: random partners lose more than true pairs"
    if shuffled["high"] < 0:
        return "any contrastive term: random partners lose too, and true pairs not measurably more"
    return "open: the difference between true pairs and random partners is within its interval"


def _known(decision: str, use: str, names: list[str], information: Mapping[str, Any]) -> str:
    """Return what the modalities know of what a verdict is about."""
    first = part(information, "U1", f"{names[0]} alone")
    second = part(information, "U2", f"{names[1]} alone")
    if decision == ALIGN:
        other = {"both": [first, second], "first": [second], "second": [first]}[use]
        return ", ".join([part(information, "R", "in both"), *other])
    together = part(information, "S", "only both together")
    return ", ".join({"both": [first, second, together], "first": [first], "second": [second]}[use])


def _instead(decision: str, use: str, names: list[str], losses: pd.DataFrame, rows: pd.DataFrame) -> str:
    fuse = "train each modality alone and fuse late" if use == "both" else "train it alone"
    if decision == AVOID:
        smaller = rows[rows["weight"] < losses["weight"].min()]
        below = (
            f"; λ up to {smaller['weight'].max():g} shows no difference, effects up to "
            f"{smaller['detectable'].max():.3f} may be unseen" if len(smaller) else ""
        )  # fmt: skip
        return f"{fuse}, or align only some of the dimensions and keep the others for the modality{below}"
    if decision == ALIGN:
        return "more pairs without labels, which the term uses and the task does not"
    return f"more labelled samples, if an effect below {rows['detectable'].max():.3f} matters; otherwise {fuse}"


def _list(weights: list[float]) -> str:
    """Return weights for a sentence.

    >>> _list([1.0, 2.0, 4.0]), _list([0.5])
    ('1, 2, 4', '0.5')
    """
    return ", ".join(f"{weight:g}" for weight in weights)
