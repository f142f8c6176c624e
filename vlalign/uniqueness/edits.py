"""Measured effects of the edits of a study at every rate, which may differ from the U that was set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from vlalign.data import PairedData
from vlalign.perturb import PerturbedData, image_facts, notes, text_facts

_IMAGES = 32  # looked at, spread evenly


@dataclass(frozen=True)
class EditFacts:
    """Measured effects of the edits at one rate on one side.

    Attributes:
        rate: percent, as set.
        changed: captions (or images, of those looked at) that changed, in percent.
        left: characters of all captions, in percent of those before; None for images.
        pixels: pixels changed, in percent; None for texts.
        blank: captions without characters, or of white space only.
        notes: limits of the edits.
        similarity: mean cosine of the edited captions to the original ones; None where it was not asked for.
    """

    rate: float
    changed: float
    left: float | None
    pixels: float | None
    blank: int
    notes: list[str]
    similarity: float | None = None


def measure_edits(versions: Iterable[PairedData], similarities: Mapping[float, float] | None = None) -> list[EditFacts]:
    """Measure every edited version of a data set with one perturbation each, by rate; with similarities if known."""
    facts = {}
    for data in versions:
        if isinstance(data, PerturbedData) and len(data.applied) == 1:
            rate = data.applied[0].rate
            facts[rate] = replace(_measured(data), similarity=(similarities or {}).get(rate))
    return [facts[rate] for rate in sorted(facts)]


def _measured(data: PerturbedData) -> EditFacts:
    edit = data.applied[0]
    if edit.modality == "vision":
        step = max(1, len(data) // _IMAGES)
        images = image_facts(data, range(0, len(data), step)[:_IMAGES])
        share = 100 * images.differing / images.n
        return EditFacts(edit.rate, share, None, images.changed, 0, notes(data, images))
    assert data.original is not None
    texts = text_facts(data.original.captions or [], data.captions or [])
    left = 100 - texts.removed
    return EditFacts(
        edit.rate, 100 * texts.changed / texts.n, left, None, texts.empty + texts.blank, notes(data)
    )  # fmt: skip


def similarities(facts: Iterable[EditFacts]) -> dict[float, float]:
    """Return the mean cosine of edited to original captions by rate, 1 at 0; empty where it was not measured."""
    known = {fact.rate: fact.similarity for fact in facts if fact.similarity is not None}
    return {0.0: 1.0} | known if known else {}


def about_edits(facts: Sequence[EditFacts]) -> list[str]:
    """Return sentences about rates at which nothing was edited."""
    idle = [f"{fact.rate:g}" for fact in facts if fact.changed == 0]
    if not idle:
        return []
    return [f"nothing was changed at {', '.join(idle)} %: these scores are those of unedited data, whatever U is"]
