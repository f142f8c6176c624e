"""Measured similarity of edited captions to the original ones: U counts edits, similarity what they changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from vlalign.data import PairedData
from vlalign.errors import VlalignError
from vlalign.perturb import PerturbedData
from vlalign.uniqueness.analysis import LEAST, FamilyCurve, least_squares

if TYPE_CHECKING:
    from vlalign.store import Run


def stated_similarities(versions: Iterable[PairedData]) -> dict[float, float]:
    """Return the mean similarity at every rate that the file of edited captions states, over the samples of the study.

    Args:
        versions: of the data set, edited by captions_file.

    Raises:
        VlalignError: the file states none for a rate or a sample.
    """
    from vlalign.data.edits import read_edits

    means = {}
    for data in versions:
        if isinstance(data, PerturbedData):
            edit = data.applied[0]
            file = read_edits(edit.parameters["file"])
            stated = file.similarities.get(edit.rate, {})
            if missing := [name for name in data.ids if name not in stated]:
                raise VlalignError(
                    f"--axis similarity: {file.name} states no similarity of {missing[0]!r} at {edit.rate:g} %: name a "
                    "sentence encoder, such as --encoder demo-minilm-l6"
                )
            means[edit.rate] = sum(stated[name] for name in data.ids) / len(data)
    return means


def measured_similarities(runs: Mapping[float, Run]) -> dict[float, float]:
    """Return the mean cosine of every edited caption to the original one at each rate above 0.

    Args:
        runs: of a sentence encoder, averages over tokens, by rate; its last layer is compared.
    """
    from torch.nn.functional import cosine_similarity

    last = runs[0.0].layers[-1].name
    original = runs[0.0].load(last)
    return {
        rate: float(cosine_similarity(run.load(last).double(), original.double(), dim=1).mean())
        for rate, run in runs.items()
        if rate > 0
    }


def about_similarity(curves: Sequence[FamilyCurve], similarities: Mapping[float, float]) -> list[str]:
    """Describe how far edited captions are from the original ones, and whether alignment follows that or U.

    Args:
        curves: of the families.
        similarities: by rate, those at 0 included; empty without edits of captions.
    """
    edited = sorted(rate for rate in similarities if rate > 0)
    if not edited:
        return []
    ends = [f"{similarities[rate]:.3f} at {rate:g} %" for rate in dict.fromkeys((edited[0], edited[-1]))]
    texts = [f"mean cosine of edited to original captions: {', '.join(ends)}"]
    for curve in curves:
        places = [similarities[rate] for rate in curve.rates if rate in similarities]
        if LEAST <= len(places) == len(curve.rates):
            fit = least_squares(places, curve.maxima)[2]
            if fit is not None and curve.r2 is not None:
                texts.append(
                    f"{curve.family}: a straight line against measured similarity has r² = {fit:.3f}, against U "
                    f"{curve.r2:.3f}"
                )
    return texts
