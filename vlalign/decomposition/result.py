"""Estimates of information with their intervals and nulls, as a table, a figure, files and HTML."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.config import plain
from vlalign.decomposition.options import InformationOptions
from vlalign.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("I1", "I2", "I12", "R", "U1", "U2", "S")
MEANINGS = {
    "I1": "x1 about the label",
    "I2": "x2 about the label",
    "I12": "both about the label",
    "R": "redundant: in x1 and in x2",
    "U1": "in x1 alone",
    "U2": "in x2 alone",
    "S": "only in both together",
}
NOTES = (
    "R depends on what each modality knows about the label, not on which samples are paired: it can be large where "
    "nothing is shared.",
    "I1, I2 and I12 are lower bounds: what the classifiers can use, closer with more samples. What the classifier of "
    "one modality misses counts as the other's alone, so a small U1 or U2 can be detected where nothing is unique.",
)


@dataclass(frozen=True)
class Estimate:
    """One value with its uncertainty, in the units of the result.

    Attributes:
        value: estimate, at least 0.
        low, high: 95 % interval, from resampled samples.
        null: 95 % quantile with shuffled labels.
        p: share of shuffles with a value at least as large, the estimate included.
        detected: p is at most 0.05 and the interval is above 0.002 nats, the resolution of the computation.
    """

    value: float
    low: float
    high: float
    null: float
    p: float
    detected: bool


@dataclass(frozen=True)
class InformationResult:
    """Decomposed information of two modalities about a label, estimated from samples.

    Attributes:
        estimates: by name: I1, I2, I12, R, U1, U2 and S, see :class:`vlalign.decomposition.Decomposition`.
        independent_synergy: S if x1 and x2 were independent within each class.
        label_entropy: H(Y), the most that can be known.
        options: of the estimate.
        samples: number of samples.
        widths: number of features of each modality.
        classes: names of the labels.
        models: classifier chosen in each fold, for ``x1``, ``x2`` and ``both``.
    """

    estimates: dict[str, Estimate]
    independent_synergy: float
    label_entropy: float
    options: InformationOptions
    samples: int
    widths: tuple[int, ...]
    classes: list[str]
    models: dict[str, list[str]]

    def __getattr__(self, name: str) -> Estimate:
        if name in NAMES:
            return self.estimates[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __repr__(self) -> str:
        values = ", ".join(
            f"{name}={one.value:.3f}{'' if one.detected else ' (not detected)'}" for name, one in self.estimates.items()
        )
        return f"InformationResult({values}, units={self.options.units!r}, samples={self.samples})"

    def _repr_html_(self) -> str:
        return str(self.table().to_html(float_format="%.3f"))

    def table(self) -> pd.DataFrame:
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
            "widths": list(self.widths),
            "classes": self.classes,
            "models": self.models,
            "options": plain(self.options),
        }

    def save(self, path: str | Path) -> Path:
        """Write a record (JSON) and return its path.

        Raises:
            VlalignError: the file cannot be written.
        """
        return write_whole(Path(path), (json.dumps(self.as_dict(), indent=1, ensure_ascii=False) + "\n").encode())

    def figure(self) -> Any:
        """Return a Matplotlib figure: bars of R, U1, U2 and S with intervals, and nulls as lines."""
        from vlalign.display.figures import COLOURS, new_figure
        from vlalign.display.figures import plain as plain_axes

        figure = new_figure(6.4, 2.6)
        axes = figure.subplots()
        names = ["R", "U1", "U2", "S"]
        for i, name in enumerate(reversed(names)):
            one = self.estimates[name]
            colour = COLOURS[0] if one.detected else "#bbbbbb"
            axes.barh(i, one.value, color=colour, height=0.6)
            axes.plot([one.low, one.high], [i, i], color="black", linewidth=1.2)
            axes.plot([one.null, one.null], [i - 0.35, i + 0.35], color=COLOURS[1], linewidth=1.5)
            end = max(one.high, one.value, one.null)
            text = f" {one.value:.2f}" if one.detected else f" {one.value:.2f}, not detected"
            axes.text(end, i, text, va="center", fontsize=8)
        labels = {"R": "in both (R)", "U1": "x1 alone (U1)", "U2": "x2 alone (U2)", "S": "only together (S)"}
        axes.set_yticks(range(4), [labels[name] for name in reversed(names)], fontsize=8)
        axes.set_xlim(
            0, 1.3 * max(0.02, *(max(self.estimates[name].high, self.estimates[name].value) for name in names))
        )
        axes.set_xlabel(
            f"information about the label, {self.options.units}; line: 95 % interval, orange: null", fontsize=8
        )
        most = f"H(Y) = {self.label_entropy:.2f} {self.options.units}"
        plain_axes(axes, f"{self.samples:,} samples, {len(self.classes)} classes: {most}")
        return figure
