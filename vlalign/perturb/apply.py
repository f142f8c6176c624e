"""Perturbed data sets: the same ids in the same order, with edited captions or pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from vlalign.data.paired import PairedData, sha256_of
from vlalign.errors import VlalignError
from vlalign.perturb.perturbation import Perturbation

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class PerturbedData(PairedData):
    """A data set with edited captions and images; :func:`perturb_data` returns it. Can be pickled.

    Captions are edited already, images on demand. ``identity`` stays that of the unedited data;
    :func:`describe_perturbations` is what the edits add to the run key.
    """

    applied: tuple[Perturbation, ...] = ()
    original: PairedData | None = field(default=None, repr=False)

    def image(self, i: int) -> Image:
        """Return image i as RGB, edited on demand. Raises VlalignError if its file has since become unreadable."""
        picture = super().image(i)
        for perturbation in self.applied:
            if perturbation.modality == "vision":
                picture = perturbation.image(self.ids[i], picture)
        return picture


def check_perturbations(perturbations: Sequence[Perturbation]) -> tuple[Perturbation, ...]:
    """Return the perturbations with a rate above 0, in order.

    Raises:
        VlalignError: an operation is repeated: it would draw the same positions again; or captions_file comes after
            another edit of texts, which it would discard.
    """
    names = [perturbation.name for perturbation in perturbations]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise VlalignError(f"{twice[0]} is given {names.count(twice[0])} times: give each operation once")
    edits = tuple(perturbation for perturbation in perturbations if perturbation.rate > 0)
    texts = [perturbation.name for perturbation in edits if perturbation.modality == "text"]
    if "captions_file" in texts[1:]:
        raise VlalignError(f"captions_file would discard the edits of {texts[0]} before it: give captions_file first")
    return edits


def applied(data: PairedData) -> tuple[Perturbation, ...]:
    """Return the perturbations of a data set, in order."""
    return data.applied if isinstance(data, PerturbedData) else ()


def perturb_data(data: PairedData, perturbations: Sequence[Perturbation], *, allow_empty: bool = False) -> PairedData:
    """Return the data set with every perturbation applied in the given order; the data itself if all rates are 0.

    Args:
        data: opened for every modality to edit; edits of earlier calls are kept.
        perturbations: each operation once.
        allow_empty: allow captions without characters.

    Raises:
        VlalignError: a text operation without captions, an image operation without images, captions left empty, or a
            captions file that does not fit.
    """
    if not check_perturbations(perturbations):
        return data
    if isinstance(data, PerturbedData) and data.original is not None:
        perturbations = [*data.applied, *perturbations]
        data = data.original
    edits = check_perturbations(perturbations)
    captions = data.captions
    for perturbation in edits:
        if perturbation.modality == "vision" and not data.has_images:
            raise VlalignError(f"{perturbation.name} edits images, but {data.name} was opened without: leave it out")
        if perturbation.modality == "text":
            if captions is None:
                raise VlalignError(
                    f"{perturbation.name} edits texts, but {data.name} was opened without captions: leave it out"
                )
            captions = perturbation.texts(data.ids, captions)
    if captions is not None and not allow_empty:
        empty = [name for name, text in zip(data.ids, captions, strict=True) if not text]
        if empty:
            raise VlalignError(
                f"{' + '.join(map(str, edits))} leaves {len(empty)} of {len(data)} captions empty, first "
                f"{empty[0]!r}: lower the rate, or keep them with --allow-empty"
            )
    kept = {f.name: getattr(data, f.name) for f in fields(PairedData)} | {"captions": captions}
    return PerturbedData(**kept, applied=edits, original=data)


def describe_perturbations(data: PairedData, modality: str) -> list[dict[str, Any]]:
    """Return the run key's description of a modality's edits: operations, rates and seeds, and a hash of edited texts.

    Edits of the other modality do not change its features, so they are left out: an unedited side shares its features
    with ordinary runs.
    """
    edits = [perturbation.describe() for perturbation in applied(data) if perturbation.modality == modality]
    if edits and modality == "text":
        assert data.captions is not None
        parts = (part.encode() for pair in zip(data.ids, data.captions, strict=True) for part in pair)
        edits.append({"captions": sha256_of(parts)})
    return edits
