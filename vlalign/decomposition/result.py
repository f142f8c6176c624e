"""Estimates of information with their intervals and nulls, as a table, a figure, files and HTML."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.config import plain
from vlalign.decomposition.options import InformationOptions
from vlalign.display.format import interval, number
from vlalign.display.result import Card, Result, Texts
from vlalign.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("I1", "I2", "I12", "R", "U1", "U2", "S", "C")
MEANINGS = {
    "I1": "x1 about the label",
    "I2": "x2 about the label",
    "I12": "both about the label",
    "R": "redundant: in x1 and in x2",
    "U1": "in x1 alone",
    "U2": "in x2 alone",
    "S": "only in both together",
    "C": "in the part they share",
}
_SHORT = {"R": "in both (R)", "U1": "x1 alone (U1)", "U2": "x2 alone (U2)", "S": "only together (S)"}
NOTES = (
    "R depends on what each modality knows about the label, not on which samples are paired: it can be large where "
    "nothing is shared. C knows the pairing: it is the information, at most, in linear directions that vary together "
    "in x1 and x2, which alignment and contrastive losses follow.",
    "I1, I2 and I12 are lower bounds: what these predictions of the label can use. Intervals include what more samples "
    "may add (how much the second half of them added, extrapolated) and, but for the closed form, 2 % of each "
    "information for what no number of samples would teach, on both sides: what is missed of one modality counts as "
    "the other modality's alone.",
)


@dataclass(frozen=True)
class Estimate:
    """One value with its uncertainty, in the units of the result.

    Attributes:
        value: estimate, at least 0.
        low, high: 95 % interval from resampled samples, widened by what classifiers miss.
        null: 95 % quantile with shuffled labels; of S, the larger of it and of that with x2 shuffled within classes.
        p: share of shuffles with a value at least as large, the estimate included; of S, the larger of both.
        detected: p is at most 0.05 and the interval is above 0.002 nats, the resolution of the computation.
    """

    value: float
    low: float
    high: float
    null: float
    p: float
    detected: bool


class JsonResult(Result):
    """Base of results of estimates: also ``table()`` and a record as JSON."""

    @abstractmethod
    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""

    @abstractmethod
    def samples_text(self) -> str:
        """Return the number of samples, and of their groups."""

    @abstractmethod
    def labels_text(self, digits: int) -> str:
        """Return the number of classes and their entropy."""

    def table(self) -> pd.DataFrame:
        """Return the data frame of :meth:`to_frame`."""
        return self.to_frame()

    def save(self, path: str | Path) -> Path:
        """Write a record (JSON) and return its path.

        Raises:
            VlalignError: the file cannot be written.
        """
        return write_whole(Path(path), (json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n").encode())


def estimate_row(meaning: str, one: Estimate) -> list[str]:
    """Return the cells of a table about a value: its meaning, the value, its interval and its null."""
    value = number(one.value, 3) if one.detected else "not detected"
    return [meaning, value, interval(one.low, one.high, 3), number(one.null, 3)]


def draw_estimates(shown: Mapping[str, Estimate], units: str, title: str, ax: Any) -> Any:
    """Draw bars of values by their names, with intervals, and nulls as lines; return the axes.

    Args:
        shown: values, from above.
        units: of the values.
        title: of the figure.
        ax: Matplotlib axes; None for those of a new figure.
    """
    from vlalign.display.figures import COLOURS, font_size, new_figure
    from vlalign.display.figures import plain as plain_axes

    axes = new_figure(6.4, 1.2 + 0.35 * len(shown)).subplots() if ax is None else ax
    estimates = list(reversed([*shown.values()]))
    for i, one in enumerate(estimates):
        axes.barh(i, one.value, color=COLOURS[0] if one.detected else "#bbbbbb", height=0.6)
        axes.plot([one.low, one.high], [i, i], color="black", linewidth=1.2)
        axes.plot([one.null, one.null], [i - 0.35, i + 0.35], color=COLOURS[1], linewidth=1.5)
        text = f" {one.value:.2f}" if one.detected else f" {one.value:.2f}, not detected"
        axes.text(max(one.high, one.value, one.null), i, text, va="center", fontsize=font_size(8))
    axes.set_yticks(range(len(shown)), list(reversed([*shown])), fontsize=font_size(8))
    axes.set_xlim(0, 1.3 * max(0.02, *(max(one.high, one.value) for one in estimates)))
    axes.set_xlabel(f"information about the label, {units}; black: 95 % interval, orange: null", fontsize=font_size(8))
    plain_axes(axes, title)
    return axes


@dataclass(frozen=True, repr=False)
class InformationResult(JsonResult):
    """Decomposed information of two modalities about a label, estimated from samples.

    Attributes:
        estimates: by name: I1, I2, I12, R, U1, U2 and S, see :class:`vlalign.decomposition.Decomposition`, and C, the
            information in the directions that x1 and x2 share; also attributes of the result.
        missed: by name, by how much the estimate may be too small since classifiers miss some.
        independent_synergy: S if x1 and x2 were independent within each class.
        label_entropy: H(Y), the most that can be known; None for a regression target in closed form.
        options: of the estimate.
        samples: number of samples.
        widths: number of features of each modality.
        classes: names of the labels.
        correlations: held-out correlation of each direction that x1 and x2 share.
        models: mean weight of each candidate, for ``x1``, ``x2`` and ``both``.
        groups: number of groups of the samples; None where each stands alone.
    """

    estimates: dict[str, Estimate]
    missed: dict[str, float]
    correlations: list[float]
    independent_synergy: float
    label_entropy: float | None
    options: InformationOptions
    samples: int
    widths: tuple[int, ...]
    classes: list[str]
    models: dict[str, dict[str, float]]
    groups: int | None = None

    def __getattr__(self, name: str) -> Estimate:
        if name in NAMES:
            return self.estimates[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def lines(self) -> list[str]:
        """Return samples, classes and H(Y), then the values."""
        values = [
            ", ".join(
                f"{name} {self.estimates[name].value:.3f}{'' if self.estimates[name].detected else ' (not detected)'}"
                for name in names
            )
            for names in (NAMES[:3], NAMES[3:])
        ]
        return [f"{self.samples_text()}, {self.labels_text(2)}", *values]

    def samples_text(self) -> str:
        """Return the number of samples, and of their groups."""
        return f"{self.samples:,} samples{'' if self.groups is None else f' in {self.groups:,} groups'}"

    def labels_text(self, digits: int) -> str:
        """Return the number of classes and their entropy."""
        if self.label_entropy is None:
            return "a regression target"
        return f"{len(self.classes)} classes, H(Y) = {self.label_entropy:.{digits}f} {self.options.units}"

    def card(self) -> Card:
        """Return the card: values with their meanings and intervals, the figure of :meth:`plot`, and notes."""
        title, *_ = self.lines()
        alt = "bars of R, U1, U2 and S with intervals and nulls"
        return Card(f"Information about the label: {title}", [], self.texts(), self.figure(), alt, NOTES)

    def texts(self) -> Texts:
        """Return the table that LaTeX and Markdown show: a row for each value."""
        rows = [[name, *estimate_row(MEANINGS[name], one)] for name, one in self.estimates.items()]
        columns = ["", "information about the label", self.options.units, "95 % interval", "null"]
        return Texts(columns, rows, left=columns[1:2])

    def to_frame(self) -> pd.DataFrame:
        """Return a row for each value, with its meaning, interval, null, p-value and whether it is detected."""
        import pandas as pd

        rows = [{"": name, "information": MEANINGS[name], **asdict(one)} for name, one in self.estimates.items()]
        return pd.DataFrame(rows).set_index("")

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return {
            "estimates": {name: asdict(one) for name, one in self.estimates.items()},
            "independent_synergy": self.independent_synergy,
            "label_entropy": self.label_entropy,
            "units": self.options.units,
            "samples": self.samples,
            "groups": self.groups,
            "widths": list(self.widths),
            "classes": self.classes,
            "missed": self.missed,
            "correlations": self.correlations,
            "models": self.models,
            "options": plain(self.options),
        }

    def plot(self, ax: Any = None) -> Any:
        """Draw bars of R, U1, U2 and S with intervals, and nulls as lines.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        shown = {text: self.estimates[name] for name, text in _SHORT.items()}
        return draw_estimates(shown, self.options.units, self.lines()[0], ax)
