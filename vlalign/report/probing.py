"""Report of linear probes: tables on the console, files and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType

from vlalign.display.figures import on_paper, save
from vlalign.display.format import duration, interval, number, plural
from vlalign.display.tables import write_csv
from vlalign.errors import VlalignError
from vlalign.probing.correlation import correlate, correlation_frame
from vlalign.probing.result import ProbeResults, class_texts, score_text
from vlalign.report.console import FittedTable, facts, notes, table, titled
from vlalign.report.forms import Form, formatted, records_of
from vlalign.scoring.resume import records_in

if TYPE_CHECKING:
    from vlalign.probing.correlation import ProbeCorrelation
    from vlalign.probing.probe import Planned

_CLASSES = 30  # shown; the file has all
_MODELS = 3  # of the table of classes; the file has all


def show_probes(
    results: ProbeResults, records: str | None, folder: Path, console: Console, *, figures: str | None, form: Form
) -> None:
    """Write probes.csv, classes.csv, layers.csv and figures, and print the scores of the models.

    Args:
        results: of all models.
        records: folder of score records to correlate with; None for none.
        folder: of the tables and figures.
        console: to print on.
        figures: kind of the figures; None for no figures.
        form: of standard output; all but text is a table of the models alone.

    Raises:
        VlalignError: the folder cannot be written, or the records are of too few of the models.
    """
    import pandas as pd

    correlations = [] if records is None else _correlations(results, records)
    layers = pd.concat([one.to_frame() for one in results], ignore_index=True)
    frame = results.to_frame()
    files = [write_csv(folder / "probes.csv", frame), write_csv(folder / "classes.csv", results.class_frame())]
    files.append(write_csv(folder / "layers.csv", layers))
    if correlations:
        files.append(write_csv(folder / "correlations.csv", correlation_frame(correlations)))
    if figures:
        end = f"{'.paper' if on_paper() else ''}.{figures}"
        drawn = results.plot() if len(results) > 1 else results[0].plot()
        files.append(save(drawn.figure, folder / f"probes{end}"))
    if form != "text":
        document = {"probes": [one.as_dict() for one in results], "correlations": records_of(
            correlation_frame(correlations)) if correlations else []}  # fmt: skip
        print(formatted(form, results.texts(), frame, document), end="")
        return
    _show(results, correlations, console)
    for path in files:
        console.print(f"{'figure' if path.suffix != '.csv' else 'table':<9} {path}", soft_wrap=True)


def plan_table(planned: Sequence[Planned], seconds: Sequence[float], stored: int) -> RenderableType:
    """Return what ``--dry-run`` shows: samples, folds and time of each model."""
    rows = [
        [
            one.features.title, f"{len(one.features.axis)}", f"{one.features.n:,}", f"{len(one.targets.names)}",
            f"{len(one.folds)}", f"≈ {duration(time)}" if time else "stored",
        ]
        for one, time in zip(planned, seconds, strict=True)
    ]  # fmt: skip
    columns = ("model", "layers", "samples", planned[0].targets.task, "folds", "time")
    lines = [f"{stored} of {plural(len(planned), 'model')} already stored"] if stored else []
    lines.append(f"≈ {duration(sum(seconds))} in all, scaled from one fold of random features")
    return Group(titled(f"plan: probes of {plural(len(planned), 'model')}", FittedTable(columns, rows)), *notes(lines))


def plan_document(planned: Sequence[Planned], seconds: Sequence[float], stored: int) -> dict[str, Any]:
    """Return a plan as JSON values: samples, folds and time of each model, 0 s for stored ones."""
    models = [
        {
            "model": one.features.title, "layers": len(one.features.axis), "samples": one.features.n,
            "task": one.targets.task, "targets": len(one.targets.names), "folds": len(one.folds), "seconds": time,
        }
        for one, time in zip(planned, seconds, strict=True)
    ]  # fmt: skip
    return {"models": models, "stored": stored}


def _correlations(results: ProbeResults, records: str) -> list[ProbeCorrelation]:
    if not Path(records).is_dir():
        raise VlalignError(f"{records} is no folder of score records: write them with `vlalign score`")
    correlations = correlate(list(results), records_in(Path(records)).values())
    if not correlations:
        raise VlalignError(
            f"{records} has no scores of five or more of these models with the same reference, under the same "
            "conditions: score them first"
        )
    return correlations


def _show(results: ProbeResults, correlations: Sequence[ProbeCorrelation], console: Console) -> None:
    first = results[0]
    if len(results) == 1:
        rows: list[tuple[str, Any]] = [("model", first.model)]
        rows += [("score" if name == first.score else "", score_text(first, name)) for name in first.scores]
        rows += [(name, text) for name, text in first._facts().items() if name != "scores"]
        console.print(facts(rows))
    else:
        texts = results.texts()
        shown = FittedTable(texts.columns, texts.rows, left=texts.left, omit=texts.columns[:4:-1])
        console.print(titled(f"{first.labels} from {plural(len(results), 'model')}", shown))
        measured = {one._facts()["measured"] for one in results}
        samples = measured.pop() if len(measured) == 1 else "models differ in samples (n and tested in probes.csv)"
        console.print(*notes([f"{samples}; layers chosen on validation samples"]), sep="\n")
    best = sorted(results, key=lambda one: -one.value)[:_MODELS]
    classes = class_texts(best)
    shown = FittedTable(classes.columns, classes.rows[:_CLASSES], omit=classes.columns[:2:-1])
    console.print(titled(f"every {classes.columns[0]}", shown))
    if len(classes.rows) > _CLASSES:
        console.print(*notes([f"and {len(classes.rows) - _CLASSES} more in classes.csv"]), sep="\n")
    if correlations:
        _show_correlations(correlations, console)


def _show_correlations(correlations: Sequence[ProbeCorrelation], console: Console) -> None:
    rows = []
    for one in correlations:
        spread = interval(one.result.low, one.result.high, 2, " to ")
        counts = f"{one.result.n} of {one.result.families}", f"{len(one.references)}"
        numbers = number(one.result.rho, 2), spread, number(one.result.slope, 3)
        alignment = ", ".join(filter(None, [one.metric, one.conditions]))
        rows.append([one.of, one.modality, alignment, *numbers, *counts])
    columns = ["performance", "models", "alignment", "ρ", "95 % interval", "slope", "models of families", "references"]
    console.print(titled("Does alignment predict performance?", table(columns, rows, left=columns[1:3])))
    text = "ρ and slope are means over references; the interval counts families of models (jackknife), three or more."
    console.print(*notes([text]), sep="\n")
