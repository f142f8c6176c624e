"""What the edits of a study did, measured at every rate: U is asked for, this is what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vlalign.data import PairedData
from vlalign.perturb import PerturbedData, image_facts, notes, text_facts

_IMAGES = 32  # looked at, spread evenly


@dataclass(frozen=True)
class EditFacts:
    """What the edits at one rate did to one side.

    Attributes:
        rate: percent, as asked for.
        changed: captions (or images, of those looked at) that are not what they were, in percent.
        left: characters of all captions, in percent of those before; None for images.
        pixels: pixels changed, in percent; None for texts.
        blank: captions without characters, or of white space only.
        notes: what the edits could not do.
    """

    rate: float
    changed: float
    left: float | None
    pixels: float | None
    blank: int
    notes: list[str]


def measure_edits(versions: Iterable[PairedData]) -> list[EditFacts]:
    """The facts of every edited version of a data set with one perturbation each, by rate."""
    found = {}
    for data in versions:
        if isinstance(data, PerturbedData) and len(data.applied) == 1:
            found[data.applied[0].rate] = _measured(data)
    return [found[rate] for rate in sorted(found)]


def _measured(data: PerturbedData) -> EditFacts:
    edit = data.applied[0]
    if edit.modality == "vision":
        step = max(1, len(data) // _IMAGES)
        images = image_facts(data, range(0, len(data), step)[:_IMAGES])
        return EditFacts(edit.rate, 100.0 * (images.changed > 0), None, images.changed, 0, notes(data, images))
    assert data.original is not None
    texts = text_facts(data.original.captions or [], data.captions or [])
    left = 100 - texts.removed
    return EditFacts(
        edit.rate, 100 * texts.changed / texts.n, left, None, texts.empty + texts.blank, notes(data)
    )  # fmt: skip


def about_edits(facts: Sequence[EditFacts]) -> list[str]:
    """Rates at which nothing, or much less than all, was edited, as sentences."""
    idle = [f"{fact.rate:g}" for fact in facts if fact.changed == 0]
    if not idle:
        return []
    return [f"nothing was changed at {', '.join(idle)} %: scores there are those of unedited data, whatever U says"]
