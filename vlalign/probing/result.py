"""Results of linear probes: scores of every layer, of the chosen one and of each class, for one model or several."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from vlalign.display.format import interval, number, plural
from vlalign.display.result import Card, Result, Texts
from vlalign.display.tables import markdown_table
from vlalign.errors import VlalignError
from vlalign.probing.options import TITLES
from vlalign.scoring.record import write_json

if TYPE_CHECKING:
    import pandas as pd

_SHOWN = 12  # models in a terminal
_KINDS = {"classes": "class", "labels": "label", "regression": "number"}


@dataclass(frozen=True, repr=False)
class ProbeResult(Result):
    """Probes of all layers of one model. All fields are JSON values.

    Attributes:
        model, modality: of the features.
        run: hash and key of the run, of several splits that of the test split; None for arrays.
        labels: name of the labels.
        task: classes, labels or regression.
        score: main score, by which layers and penalties were chosen.
        n, tested: number of samples, and of those that were tested.
        parts: samples of each fold to train, to choose (valid) and to test with.
        split: how samples came into these parts.
        layers: of each layer index, name, width, mean main score on validation (``valid``), the one of all test samples
            (``test``) with its 95 % interval, and the penalties chosen in each fold.
        best: position of the layer that validation chose in each fold.
        scores: of these layers on the test samples, by name: value, low, high, and chance: the best to expect of
            a prediction that knows no features (see :func:`vlalign.probing.scores.chance_level`).
        classes: the same of each class, label or number: F1 and AUPRC, or R².
        options, environment, seconds: of the computation.
    """

    model: str
    modality: str | None
    run: dict[str, Any] | None
    labels: str
    task: str
    score: str
    n: int
    tested: int
    parts: dict[str, list[int]]
    split: str
    layers: list[dict[str, Any]]
    best: list[int]
    scores: dict[str, dict[str, Any]]
    classes: list[dict[str, Any]]
    options: dict[str, Any]
    environment: dict[str, Any]
    seconds: float

    @property
    def value(self) -> float:
        """Main score of the chosen layers on the test samples."""
        return float(self.scores[self.score]["value"])

    @property
    def best_layer(self) -> str:
        """Name of the layer that most folds chose."""
        return str(self.layers[Counter(self.best).most_common(1)[0][0]]["name"])

    @property
    def performance(self) -> dict[str, float]:
        """The main score under the name by which scores and leaderboards show it."""
        return {f"{TITLES[self.score]} of {self.labels}": self.value}

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ProbeResult:
        """Return the result that :meth:`as_dict` gave.

        Raises:
            VlalignError: an entry is missing.
        """
        names = [field.name for field in fields(cls)]
        if missing := [name for name in names if name not in data]:
            raise VlalignError(f"the stored probes lack {', '.join(missing)}: probe again with --force")
        return cls(**{name: data[name] for name in names})

    def save(self, path: str | Path) -> Path:
        """Write the result as JSON, whole or not at all, and return the path.

        Raises:
            VlalignError: the file cannot be written.
        """
        return write_json(path, self.as_dict(), "result of probes")

    def lines(self) -> list[str]:
        """Return model and labels, the scores of the chosen layer, and how they were measured."""
        return [f"{self.labels} from {self.model}", *self._facts().values()]

    def card(self) -> Card:
        """Return the card: scores, layers and how they were measured, and the scores of all layers as a figure."""
        figure = self.plot().figure if len(self.layers) > 1 else None
        facts = Texts([], list(self._facts().items()))
        return Card(f"{self.labels} from {self.model}", [], facts, figure, f"{TITLES[self.score]} of every layer")

    def texts(self) -> Texts:
        """Return the table that LaTeX and Markdown show: one row for each class, label or number."""
        return class_texts([self])

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each layer: its score on validation and test samples, and the interval."""
        import pandas as pd

        return pd.DataFrame([{"model": self.model, **layer, "chosen_in_folds": self.best.count(i)}
                             for i, layer in enumerate(self.layers)]).drop(columns="strengths")  # fmt: skip

    def class_frame(self) -> pd.DataFrame:
        """Return one row for each class, label or number, with its scores and their intervals."""
        import pandas as pd

        return pd.DataFrame([{"model": self.model, **row} for row in self.classes])

    def plot(self, ax: Any = None) -> Any:
        """Draw the main score of every layer on validation and test samples, with intervals and the chance level.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        from vlalign.probing.figures import draw_layers

        return draw_layers(self, ax)

    def _facts(self) -> dict[str, str]:
        chosen = Counter(self.best)
        folds = f" in {chosen.most_common(1)[0][1]} of {len(self.best)} folds" if len(self.best) > 1 else ""
        of = f"{plural(len(self.classes), _KINDS[self.task])}".replace("classs", "classes")
        cross = f"{len(self.best)} folds, " if len(self.best) > 1 else ""
        return {
            "scores": "; ".join(score_text(self, name) for name in self.scores),
            "layer": f"{self.best_layer} of {plural(len(self.layers), 'layer')}, chosen on validation{folds}",
            "measured": f"{of}, {plural(self.tested, 'test sample')} of {self.n:,} ({cross}split: {self.split})",
        }


class ProbeResults(Result, Sequence[ProbeResult]):
    """Probes of several models: a sequence with a table, a figure, LaTeX and Markdown."""

    def __init__(self, results: Iterable[ProbeResult]) -> None:
        self._results = list(results)

    def __len__(self) -> int:
        return len(self._results)

    @overload
    def __getitem__(self, index: int) -> ProbeResult: ...
    @overload
    def __getitem__(self, index: slice) -> ProbeResults: ...
    def __getitem__(self, index: int | slice) -> ProbeResult | ProbeResults:
        return ProbeResults(self._results[index]) if isinstance(index, slice) else self._results[index]

    def __iter__(self) -> Iterator[ProbeResult]:
        return iter(self._results)

    def lines(self) -> list[str]:
        """Return the number of models, and the rows of the table."""
        table = self.texts()
        return [str(len(self)), *markdown_table(table.columns, table.rows[:_SHOWN]).splitlines()]

    def card(self) -> Card:
        """Return the card: the table of models, and their scores as a figure."""
        figure = self.plot().figure if self else None
        return Card(plural(len(self), "probed model"), [], self.texts(), figure, "scores of models with intervals")

    def texts(self) -> Texts:
        """Return one row for each model, best first: layer and scores with the interval of the main one."""
        return model_texts(list(self))

    def to_frame(self) -> pd.DataFrame:
        """Return one row for each model with all scores of the chosen layer and their intervals."""
        import pandas as pd

        rows = []
        for one in self:
            row = {"model": one.model, "modality": one.modality, "labels": one.labels, "layer": one.best_layer}
            for name, score in one.scores.items():
                row |= {name: score["value"], **{f"{name}_{part}": score[part] for part in ("low", "high", "chance")}}
            rows.append(row | {"n": one.n, "tested": one.tested})
        return pd.DataFrame(rows)

    def class_frame(self) -> pd.DataFrame:
        """Return one row for each model and class, label or number, with its scores and their intervals."""
        import pandas as pd

        return pd.concat([one.class_frame() for one in self], ignore_index=True) if self else pd.DataFrame()

    def plot(self, ax: Any = None) -> Any:
        """Draw the main score of each model with its interval and the chance level.

        Args:
            ax: Matplotlib axes (default: those of a new figure).

        Returns:
            The axes.
        """
        from vlalign.probing.figures import draw_models

        return draw_models(list(self), ax)


def score_text(result: ProbeResult, name: str, digits: int = 3) -> str:
    """Return a score with its interval and chance level."""
    one = result.scores[name]
    spread = interval(one["low"], one["high"], digits, " to ")
    return f"{TITLES[name]} {number(one['value'], digits)} ({spread}), chance {number(one['chance'], digits)}"


def model_texts(results: Sequence[ProbeResult]) -> Texts:
    """Return the table of models, best first."""
    if not results:
        return Texts([], [])
    first = results[0]
    others = [name for name in first.scores if name != first.score]
    columns = ["model", "layer", TITLES[first.score], "95 % interval", "chance", *(TITLES[name] for name in others)]
    rows = []
    for one in sorted(results, key=lambda one: -one.value):
        main = one.scores[first.score]
        rows.append([
            one.model, one.best_layer, number(main["value"], 3), interval(main["low"], main["high"], 3),
            number(main["chance"], 3), *(number(one.scores[name]["value"], 3) for name in others),
        ])  # fmt: skip
    return Texts(columns, rows, ["layer"])


def class_texts(results: Sequence[ProbeResult]) -> Texts:
    """Return the table of classes, labels or numbers, with a column for each model; a dash where a model has none."""
    first = results[0]
    names = ("r2",) if first.task == "regression" else ("f1", "auprc")
    titles = TITLES | {"f1": "F1"}
    counted = [] if first.task == "regression" else ["samples"]
    several = len(results) > 1
    columns = [_KINDS[first.task], *counted]
    for one in results:
        for name in names[: 1 if several else None]:
            columns += [f"{titles[name]}, {one.model}" if several else titles[name]]
            columns += [] if several else [f"interval of {titles[name]}"]
    rows = []
    by_name = [{row["class"]: row for row in one.classes} for one in results]
    for title in dict.fromkeys(name for known in by_name for name in known):
        own = [known.get(title, {}) for known in by_name]
        cells = [str(title)]
        if counted:
            sizes = [row["samples"] for row in own if row]
            cells.append(f"{sizes[0]:,}" if len(set(sizes)) == 1 else f"{min(sizes):,} to {max(sizes):,}")
        for row in own:
            for name in names[: 1 if several else None]:
                cells += [number(row.get(name), 3)]
                cells += [] if several else [interval(row[f"{name}_low"], row[f"{name}_high"], 3)]
        rows.append(cells)
    return Texts(columns, rows)
