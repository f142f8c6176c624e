"""Measured effects of perturbations on a data set: characters removed, tokens, changed pixels, and notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from vlalign.data.paired import PairedData
from vlalign.perturb.apply import PerturbedData
from vlalign.perturb.captions import swap_order
from vlalign.perturb.draws import share
from vlalign.perturb.perturbation import Perturbation
from vlalign.perturb.text import clusters, words

LARGE = 512  # pixels of the shorter side; models read 224 to 518
_SHRUNK = {"pixel_delete", "pixel_noise"}
_BY_WORD = {"word_delete": 1, "word_shuffle": 2}  # fewest words that an edit needs


@dataclass(frozen=True)
class TextFacts:
    """Counts of captions before and after.

    Attributes:
        n: captions.
        characters_before, characters_after: in all captions, as grapheme clusters.
        changed: captions that differ.
        empty: captions without characters. blank: captions of white space only.
        tokens_before, tokens_after: in all captions; None without a tokenizer.
    """

    n: int
    characters_before: int
    characters_after: int
    changed: int
    empty: int
    blank: int
    tokens_before: int | None = None
    tokens_after: int | None = None

    @property
    def unchanged(self) -> int:
        """Number of captions that are the same."""
        return self.n - self.changed

    @property
    def removed(self) -> float:
        """Share of the characters that were removed, in percent; below 0 if texts grew."""
        return 100 * (1 - self.characters_after / self.characters_before) if self.characters_before else 0.0


@dataclass(frozen=True)
class ImageFacts:
    """Measured changes of images.

    Attributes:
        n: measured images.
        changed: pixels that differ, in percent, averaged over images.
        difference: absolute change of a value (0 to 255), averaged over all pixels of an image, then over images.
        shorter_side: median over images, in pixels. large: images with a shorter side above 512 pixels.
        differing: images that differ.
    """

    n: int
    changed: float
    difference: float
    shorter_side: float
    large: int
    differing: int


def text_facts(
    before: Sequence[str], after: Sequence[str], encode: Callable[[Sequence[str]], list[list[int]]] | None = None
) -> TextFacts:
    """Count captions before and after an edit, in the same order.

    ``encode`` returns the token ids of texts, such as that of ``vlalign.models.tokenizer.load_tokenizer``; empty texts
    count 0.

    >>> text_facts(["one two"], ["one"]).removed
    57.14285714285714
    """
    counts = [[len(clusters(text)) for text in texts] for texts in (before, after)]
    tokens: list[int | None] = [None, None]
    if encode is not None:
        tokens = [
            sum(map(len, encode(known))) if (known := [text for text in texts if text]) else 0
            for texts in (before, after)
        ]
    return TextFacts(
        n=len(before),
        characters_before=sum(counts[0]),
        characters_after=sum(counts[1]),
        changed=sum(old != new for old, new in zip(before, after, strict=True)),
        empty=sum(not text for text in after),
        blank=sum(bool(text) and not text.strip() for text in after),
        tokens_before=tokens[0],
        tokens_after=tokens[1],
    )


def image_facts(data: PairedData, rows: Sequence[int]) -> ImageFacts:
    """Measure the images of some rows of a perturbed data set; one image is held at a time.

    Raises:
        ValueError: no rows.
        VlalignError: opened without images, or a file has become unreadable.
    """
    import numpy as np

    if not len(rows):
        raise ValueError("image_facts needs rows")
    original = unedited(data)
    changed, difference, sides = [], [], []
    for row in rows:
        old, new = (np.asarray(which.image(row), dtype=np.int16) for which in (original, data))
        change = np.abs(new - old)
        changed.append(float(change.any(-1).mean()))
        difference.append(float(change.mean()))
        sides.append(min(old.shape[:2]))
    return ImageFacts(
        n=len(rows),
        changed=100 * sum(changed) / len(rows),
        difference=sum(difference) / len(rows),
        shorter_side=float(median(sides)),
        large=sum(side > LARGE for side in sides),
        differing=sum(share > 0 for share in changed),
    )


def unedited(data: PairedData) -> PairedData:
    """Return the data set before its perturbations; itself if it has no perturbations."""
    return data.original if isinstance(data, PerturbedData) and data.original is not None else data


def notes(data: PairedData, images: ImageFacts | None = None) -> list[str]:
    """Return notes about an edited data set, a line each; empty for data without perturbations."""
    if not isinstance(data, PerturbedData):
        return []
    before, lines = unedited(data).captions, []
    for perturbation in data.applied:
        if perturbation.modality == "text" and before is not None:
            lines += _text_notes(perturbation, data.ids, before)
        elif perturbation.name in _SHRUNK and images is not None and images.large:
            lines.append(
                f"{perturbation.name}: {images.large} of {images.n} images have a shorter side above {LARGE} pixels; "
                "models shrink them first, which averages edits of pixels away (patch_delete is not affected)"
            )
    applied = [perturbation for perturbation in data.applied if perturbation.modality == "text"]
    if before is not None and data.captions is not None and applied and applied[0].name != "caption_swap":
        same = sum(old == new for old, new in zip(before, data.captions, strict=True))
        if same:
            lines.append(f"{' + '.join(map(str, applied))}: {same} of {data.n} captions are unchanged")
    return lines


def _text_notes(perturbation: Perturbation, ids: Sequence[str], before: Sequence[str]) -> list[str]:
    """Return notes about captions that an operation cannot edit, judged by the unedited captions."""
    n, lines = len(before), []
    if (least := _BY_WORD.get(perturbation.name)) is not None:
        counts = [len(words(text)) for text in before]
        short = sum(share(count, perturbation.rate) < least for count in counts)
        single = sum(count < 2 for count in counts)
        if short:
            lines.append(
                f"{perturbation}: {short} of {n} captions have too few words for this rate to take {least}"
                + (f" ({single} of them one word)" if single and least == 2 else "")
            )
    if perturbation.name == "caption_swap":
        source = swap_order(ids, perturbation.rate, perturbation.seed)
        swapped = [row for row in range(n) if source[row] != row]
        same = sum(before[row] == before[source[row]] for row in swapped)
        if same:
            lines.append(f"{perturbation}: {same} of {len(swapped)} swapped captions got a caption of the same text")
        if not swapped:
            lines.append(f"{perturbation}: no caption is swapped, {share(n, perturbation.rate)} of {n} is too few")
    return lines
