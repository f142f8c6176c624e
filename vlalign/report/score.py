"""Report of scores: the summary of one record, the table of many, files and figures."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from rich import box
from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.display.figures import FigureKind, on_paper
from vlalign.display.format import duration, number, plural, size, truncated
from vlalign.display.tables import write_csv
from vlalign.errors import VlalignError
from vlalign.files import check_space
from vlalign.report.console import FittedTable, facts, table, titled
from vlalign.report.console import notes as note_lines
from vlalign.report.forms import Form, formatted, records_of
from vlalign.report.full import in_depth
from vlalign.scoring.beside import Baselines, has_baseline, pairs_text
from vlalign.scoring.collect import read_record
from vlalign.scoring.record_figures import drawable, save_curves, save_null, save_record, save_scores
from vlalign.scoring.resume import records_in
from vlalign.scoring.samples import file_beside, write_beside
from vlalign.scoring.summary import measured, score_facts, spread_text, verdict
from vlalign.scoring.tables import frame, texts

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord
    from vlalign.scoring.estimate import Estimate


_FIGURES = ("", ".null", ".curves")  # of a record, before the ending: the layer pairs, the null and the curves
_PAPER = ".paper"  # before the ending of figures in that style
_NOTES = 8  # shown below a table of many


def show_records(
    scores: Iterable[ScoreRecord],
    folder: Path,
    console: Console,
    *,
    figures: str | None = "png",
    full: bool = False,
    form: Form = "text",
) -> list[ScoreRecord]:
    """Write a JSON record per pair as soon as it is computed, then its figures; print one summary or a table of all.

    ``full`` prints every record in depth and draws its null and curves too. Several records are also drawn in one
    figure. If the folder then holds several records, including those of earlier calls, a table ``scores.csv`` of all is
    written. q-values (false discovery rate) are over the rows of a table: here those of ``scores``, whatever else the
    folder holds, and in ``scores.csv`` all.

    Args:
        scores: computed one by one.
        folder: of records and figures.
        console: to print on.
        figures: kind of the figures, one of png, pdf and svg; None for no figures.
        full: whether to show everything.
        form: of standard output; all but text is a table of the records alone.

    Raises:
        VlalignError: the folder cannot be written (raised before the first record is computed).
    """
    check_space(folder)
    full_text = full and form == "text"
    records: list[ScoreRecord] = []
    paths: list[Path] = []

    def draw_last(alone: bool = False) -> list[Path]:
        drawn = records and figures and (alone or not has_baseline(records[-1]))  # one figure of all is enough of these
        return save_figures(records[-1], paths[-1], full, str(figures)) if drawn else []

    for record in scores:
        draw_last()
        path = folder / record.filename
        if not _is_saved(record, path):
            for name in _FIGURES:  # those of an earlier record must not survive a kill before the new ones are drawn
                for style, kind in product(("", _PAPER), get_args(FigureKind)):
                    path.with_suffix(f"{name}{style}.{kind}").unlink(missing_ok=True)
            write_beside(record, path)
            record.save(path)
        if full_text:
            console.print(summary(record, Baselines(records).lines(record)))
            console.print(in_depth(record))
        records.append(record)
        paths.append(path)
    everything = records_in(folder, dict(zip(paths, records, strict=True)))
    baselines = Baselines(everything.values())
    of_models = [record for record in records if not has_baseline(record)]
    if form == "text" and not full and len(of_models or records) == 1:
        one = (of_models or records)[0]
        console.print(summary(one, baselines.lines(one)))  # before its figure, in a second
    made = draw_last(alone=len(records) == 1)
    scores_csv = folder / "scores.csv"
    if len(everything) > 1 or scores_csv.exists():
        save_table(list(everything.values()), scores_csv, [path.name for path in everything])
    end = f"{_PAPER if on_paper() else ''}.{figures}"
    together = [save_scores(records, folder / f"scores{end}")] if figures and len(records) > 1 else []
    if form != "text":
        print(_as_table(records, form), end="")
        return records
    if len(records) == 1:
        samples = [("samples", file) for file in (file_beside(paths[0]),) if file.exists()]
        for name, path in [("record", paths[0]), *samples, *(("figure", path) for path in made)]:
            console.print(f"{name:10}{path}", highlight=False, soft_wrap=True)
        return records
    console.print(records_table(records))
    notes = [*_beside_notes(of_models, baselines), *grouped_notes(of_models or records)]
    for note in notes[:_NOTES]:
        console.print(Text(f"note  {note}", style="yellow"))
    if len(notes) > _NOTES:
        console.print(f"and {len(notes) - _NOTES} more notes in the records (checks, notes)")
    console.print(f"records  {len(records)} in {folder}", highlight=False, soft_wrap=True)
    for name, path in [("table", scores_csv), *(("figure", path) for path in together)]:
        console.print(f"{name:9}{path}", highlight=False, soft_wrap=True)
    return records


def _as_table(records: Sequence[ScoreRecord], form: Form) -> str:
    """Return the records as a table in one of the forms for other programs."""
    rows = frame(records)
    document = records_of(rows.assign(verdict=[verdict(records[i]) for i in rows.index])) if form == "json" else None
    return formatted(form, texts(records), rows, document)


def _is_saved(record: ScoreRecord, path: Path) -> bool:
    """Return whether the file holds this very record."""
    try:
        return path.exists() and read_record(path) == record
    except VlalignError:
        return False


def save_figures(record: ScoreRecord, path: Path, full: bool, kind: str = "png") -> list[Path]:
    """Save a record's figure beside its file where it is missing; in full also its null and its curves.

    Returns:
        Their paths.
    """
    figures = [save_record, save_null if full and record.null is not None else None]
    figures.append(save_curves if full and drawable(record) else None)
    paths = []
    for save, name in zip(figures, _FIGURES, strict=True):
        if save is not None:
            paths.append(path.with_suffix(f"{name}{_PAPER if on_paper() else ''}.{kind}"))
            if not paths[-1].exists():
                save(record, paths[-1])
    return paths


def _beside_notes(records: Sequence[ScoreRecord], baselines: Baselines) -> list[str]:
    """Return what baselines reach beside several pairs of models, and how many of these pairs are above that.

    A pair is above the best trivial pair where the low end of its interval is.
    """
    texts: dict[str, list[ScoreRecord]] = {}
    for record in records if len(records) > 1 else ():
        if text := pairs_text(baselines.trivial(record)) or baselines.text(record):
            texts.setdefault(text, []).append(record)
    lines = []
    for text, own in texts.items():
        trivial = baselines.trivial(own[0])
        known = [one.interval["low"] for one in own if one.interval is not None]
        above = sum(low > trivial[0].score for low in known) if trivial else 0
        lines.append(f"trivial pairs on the same samples: {text}" if trivial else text)
        lines[-1] += (
            f"; the intervals of {above} of {len(known)} pairs of models are above" if trivial and known else ""
        )
    beside = [(record, pairs[0]) for record in records for pairs in baselines.beside_one(record)]
    beaten = {id(record): (record, best) for record, best in beside if best.score >= record.score}
    if beaten and len(records) > 1:
        record, best = next(iter(beaten.values()))
        lines.append(
            f"{len(beaten)} of {len(records)} pairs of models score no more than with a baseline in place of one "
            f"model, such as {record.title}: {best.title} has {number(best.score)}"
        )
    return lines


def summary(record: ScoreRecord, beside: Sequence[str] = ()) -> Panel:
    """Return the best pair, how far above chance it is, and what was compared.

    Args:
        record: of the pair.
        beside: what baselines reach, see :meth:`vlalign.scoring.beside.Baselines.lines`.
    """
    rows: list[tuple[str, RenderableType]] = list(score_facts(record).items())
    rows[0] = "verdict", Text(rows[0][1], style="bold")  # type: ignore[arg-type]
    rows[1] = "score", Text.assemble((number(record.score), "bold"), spread_text(record))
    rows[2:2] = [("beside", line) for line in beside]
    rows.append(("measured", measured(record)))
    for side in ("x", "y"):
        values = record.measured(side)
        model = getattr(record, side)["model"]
        probes = [name for name in values if name not in ("bits_per_byte", "truncated")]
        rows += [("performance", f"{model}: {values[name]:.3f} {name}") for name in probes]
        if values.get("bits_per_byte") is not None:
            note = truncated(values.get("truncated") or 0)
            rows.append(("performance", f"{model}: {values['bits_per_byte']:.3f} bits per byte{note}"))
    rows += [("note", Text(note, style="yellow")) for note in record.checks["notes"]]
    return Panel(facts(rows), title=Text(visible(record.title)), expand=False, box=box.ROUNDED)


def save_table(records: Sequence[ScoreRecord], path: Path, files: Sequence[str] | None = None) -> Path:
    """Write one line per record as CSV, best first within each metric; ``files`` are the names of the records' files.

    Raises:
        VlalignError: the file cannot be written.
    """
    table = frame(records)
    if files is not None:
        table["record"] = [files[i] for i in table.index]
    return write_csv(path, table)


def records_table(records: Sequence[ScoreRecord]) -> RenderableType:
    """Return one row per record, best first within each metric; q-values are those of all records together."""
    rows = texts(records)
    numbers = (("best layers",), ("score", "interval"), ("chance", "calibrated"), ("p", "q"))
    shown = FittedTable(
        rows.columns, rows.rows, left=rows.left, stacks=(("x", "y", "metric"), *numbers),
        omit=("N", "chance", "best layers", "calibrated", "q", "p"),
    )  # fmt: skip
    return shown if "x" in rows.columns else titled(visible(records[0].title), shown)


def estimate_table(estimates: Sequence[Estimate], planned: int, out: str) -> RenderableType:
    """Return what ``--dry-run`` shows: time and disk of the scores that are missing of those planned."""
    rows = [
        [one.metric, f"{one.pairs:,}", f"{one.layer_pairs:,}", f"≈ {duration(one.seconds)}", size(one.bytes)]
        for one in estimates
    ]
    missing, seconds = sum(one.pairs for one in estimates), sum(one.seconds for one in estimates)
    lines = [f"{planned - missing} of {plural(planned, 'score')} already in {out}"] if missing < planned else []
    lines.append(f"{out}: ≈ {size(sum(one.bytes for one in estimates))} to write, ≈ {duration(seconds)} in all")
    lines.append("times are rough: scaled from a trial with a few layers of random features")
    columns = ("metric", "to do", "layer pairs", "time", "disk")
    return Group(titled(f"plan: {plural(planned, 'score')}", FittedTable(columns, rows)), *note_lines(lines))


def grouped_notes(records: Sequence[ScoreRecord]) -> list[str]:
    """Return the notes on all records; those of several pairs that differ only in layers and numbers are one line."""
    kinds: dict[str, dict[str, set[str]]] = {}
    for record in records:
        models = "|".join(re.escape(side["model"]) for side in (record.x, record.y))
        for note in record.checks["notes"]:
            kind = re.sub(r"\d[\d.,]*", "#", re.sub(f"^.*? of ({models})(?=: | give )", "", note))
            kinds.setdefault(kind, {}).setdefault(note, set()).add(record.title)
    lines: list[str] = []
    for same in kinds.values():
        pairs = len(set().union(*same.values()))
        example = "for example, " if len(same) > 1 else ""
        lines += same if pairs == 1 else [f"{pairs} pairs: {example}{next(iter(same))}"]
    return lines


def stages_table(stages: Sequence[tuple[str, float]]) -> Table:
    """Return how long each stage took, and all of them together."""
    rows = [(name, duration(seconds)) for name, seconds in stages]
    result = table(("stage", "time"), rows, show_footer=True)
    for column, footer in zip(result.columns, ("all", duration(sum(s for _, s in stages))), strict=True):
        column.footer = footer
    return result
