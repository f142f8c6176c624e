"""More than two modalities: the decomposition of every pair, and what each modality adds to the others together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vlalign.config import plain
from vlalign.decomposition.classifiers import Folds
from vlalign.decomposition.intervals import estimates, scale_of
from vlalign.decomposition.options import InformationOptions
from vlalign.decomposition.predictions import Ints, Places, fold_numbers
from vlalign.decomposition.program import Floats
from vlalign.decomposition.result import (
    NOTES,
    Estimate,
    InformationResult,
    JsonResult,
    draw_estimates,
    estimate_row,
)
from vlalign.decomposition.samples import Samples
from vlalign.display.result import Card, Texts

if TYPE_CHECKING:
    import pandas as pd

_OF_PAIR = {"R": "redundant: in {0} and in {1}", "U1": "in {0}, not in {1}", "U2": "in {1}, not in {0}"}
_OF_PAIR |= {"S": "only in both together", "C": "in the part they share"}


@dataclass(frozen=True, repr=False)
class SeveralInformation(JsonResult):
    """Information of three modalities or more about a label, estimated from samples.

    Attributes:
        pairs: decomposition of every two modalities, by their names joined by a comma.
        joint: I(y; all modalities).
        added: what a modality adds to all others together, by its name: I(y; x3 | x1, x2) = I123 − I12 for the third.
        names: of the modalities: x1, x2, x3 …
    """

    pairs: dict[str, InformationResult]
    joint: Estimate
    added: dict[str, Estimate]
    names: list[str]

    @property
    def _any(self) -> InformationResult:
        return next(iter(self.pairs.values()))

    @property
    def options(self) -> InformationOptions:
        """Options of the estimate."""
        return self._any.options

    def labels_text(self, digits: int) -> str:
        """Return the number of classes and their entropy."""
        return self._any.labels_text(digits)

    @property
    def samples(self) -> int:
        """Number of samples."""
        return self._any.samples

    def samples_text(self) -> str:
        """Return the number of samples, and of their groups."""
        return self._any.samples_text()

    def rows(self) -> dict[tuple[str, str], tuple[str, Estimate]]:
        """Return every value with its meaning, by modalities and name."""
        rows: dict[tuple[str, str], tuple[str, Estimate]] = {}
        for title, pair in self.pairs.items():
            names = title.split(", ")
            for name, key in zip(names, ("I1", "I2"), strict=True):
                rows.setdefault((name, "I"), (f"{name} alone", pair.estimates[key]))
        for title, pair in self.pairs.items():
            names = title.split(", ")
            rows[title, "I"] = "both", pair.estimates["I12"]
            rows |= {(title, key): (text.format(*names), pair.estimates[key]) for key, text in _OF_PAIR.items()}
        everyone = ", ".join(self.names)
        rows[everyone, "I"] = "all together", self.joint
        for name, one in self.added.items():
            others = " and ".join(other for other in self.names if other != name)
            rows[everyone, f"+{name}"] = f"what {name} adds to {others}", one
        return rows

    def lines(self) -> list[str]:
        """Return samples, classes and H(Y), then what each modality adds."""
        values = ", ".join(
            f"{name} {one.value:.3f}{'' if one.detected else ' (not detected)'}" for name, one in self.added.items()
        )
        title = f"{len(self.names)} modalities, {self.samples_text()}, {self.labels_text(2)}"
        return [title, f"all together {self.joint.value:.3f}; each adds to the others: {values}"]

    def card(self) -> Card:
        """Return the card: the table, the figure of :meth:`plot`, and notes."""
        alt = "bars of every value with intervals and nulls"
        return Card(f"Information about the label: {self.lines()[0]}", [], self.texts(), self.figure(), alt, NOTES)

    def texts(self) -> Texts:
        """Return the table that LaTeX and Markdown show: a row for each value."""
        rows = [[of, name, *estimate_row(meaning, one)] for (of, name), (meaning, one) in self.rows().items()]
        columns = ["modalities", "", "information about the label", self.options.units, "95 % interval", "null"]
        return Texts(columns, rows, left=columns[1:3])

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each value, with its meaning, interval, null, p-value and whether it is detected."""
        import pandas as pd

        return pd.DataFrame(
            [
                {"modalities": of, "": name, "information": meaning, **asdict(one)}
                for (of, name), (meaning, one) in self.rows().items()
            ]
        ).set_index(["modalities", ""])

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {
            "names": self.names,
            "pairs": {title: pair.as_dict() for title, pair in self.pairs.items()},
            "joint": asdict(self.joint),
            "added": {name: asdict(one) for name, one in self.added.items()},
            "options": plain(self.options),
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw bars of every value but C with intervals, and nulls as lines.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        shown = {
            f"{of}: {meaning}" if name != "I" or of not in self.names else meaning: one
            for (of, name), (meaning, one) in self.rows().items()
            if name != "C"
        }
        return draw_estimates(shown, self.options.units, self.lines()[0], ax)


class Source(Protocol):
    """Held-out predictions from any set of modalities: classifiers, clusters or regressions."""

    rate: float  # what is missed, in gains from half of the samples to all
    misfit: float  # what is missed though more samples gain nothing, in informations
    samples: Samples
    options: InformationOptions
    folds: Folds

    def scores(self, places: Places, order: Ints) -> Floats:
        """Return scores [N], whose mean is the information of modalities about the labels in an order."""

    def growth(self, places: Places) -> Floats:
        """Return by how much scores are above those from half as many samples [N]."""


def several(source: Source, pair: Callable[[int, int], InformationResult]) -> SeveralInformation:
    """Estimate every pair and what each modality adds to the others.

    Args:
        source: of predictions.
        pair: decomposition of the modalities at two places.
    """
    everyone = tuple(range(len(source.samples.views)))
    names = [f"x{i + 1}" for i in everyone]
    pairs = {f"{names[i]}, {names[j]}": pair(i, j) for i, j in combinations(everyone, 2)}
    sets = [everyone, *(tuple(j for j in everyone if j != i) for i in everyone)]
    growths = np.stack([source.growth(places) for places in sets])
    informations = np.stack([source.scores(places, np.arange(source.samples.labels.numel())) for places in sets])

    def scores(order: Ints) -> Floats:
        joint, *others = (source.scores(places, order) for places in sets)
        return np.stack([joint, *(joint - other for other in others)])

    def missed(rows: Ints) -> tuple[Floats, Floats]:
        growth, information = (np.maximum(each[:, rows].mean(axis=1), 0) for each in (growths, informations))
        joint, *others = source.rate * growth + source.misfit * information
        return np.array([0.0, *others]), np.full(len(sets), joint)

    entropy = next(iter(pairs.values())).label_entropy
    most = np.inf if entropy is None else entropy / scale_of(source.options)
    made = estimates(
        ["all", *names], scores, fold_numbers(source.folds), missed, most, source.options, units=source.samples.units
    )
    return SeveralInformation(pairs, made.pop("all"), made, names)
