"""Page of a uniqueness study."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.display.format import DASH, durations, interval, metric_title, number
from vlalign.report.page import Bullets, Details, Figure, Page, Paragraph, Part, Section, Table
from vlalign.report.study import study_page
from vlalign.uniqueness.analysis import LEAST
from vlalign.uniqueness.report.comparison import published_table
from vlalign.uniqueness.report.text import (
    curve_rho,
    edits_text,
    metric_name,
    notes_of,
    p_value_text,
    point_of,
    rate_text,
    readable_fits,
    similarity_source,
)
from vlalign.uniqueness.sentences import about_fits

if TYPE_CHECKING:
    from vlalign.uniqueness import UniquenessResult

_FEW = 4  # findings about performance that are listed with the others


def uniqueness_page(result: UniquenessResult, figures: Mapping[str, Path]) -> Page:
    """Return the page.

    Args:
        result: of the study.
        figures: those that were drawn (PNG): alignment, similarity, performance, and layer maps by the titles of their
            pairs.
    """
    of_fits = about_fits(result.fits)
    apart = of_fits if len(of_fits) > _FEW else []  # one of every model would push the figures off the screen
    metric, settings = metric_name(result), f"{result.config.get('out', '')}/config.yaml"
    maps = [
        Figure(
            path,
            f"Heat maps of {title}: {metric} of every pair of layers, one map for every U.",
            f"{title}: {metric} of every pair of layers at every U; framed: the largest.",
        )
        for title, path in figures.items()
        if title not in ("alignment", "similarity", "performance")
    ]
    return study_page(
        f"Uniqueness: {edits_text(result)}",
        _facts(result),
        [finding for finding in result.findings if finding not in apart],
        [
            Section(
                "Alignment against U",
                [
                    _alignment(result, figures.get("alignment")),
                    _similarity(result, figures.get("similarity")),
                    _maxima(result),
                ],
            ),
            Section(
                "Alignment against performance",
                [
                    _performance(result, figures.get("performance")),
                    published_table(result),
                    Details(f"Findings of all {len(apart)} models", [Bullets(apart)]),
                ],
            ),
            Section("Layers", maps),
            Section("Effects of the edits", _edits(result)),
            Section("Definitions", [Paragraph(text) for text in _definitions(result)]),
            Section("Points", [Bullets(notes_of(result)), _points(result)]),
        ],
        definition=f"U is the requested rate of edits: {edits_text(result)}, in percent.",
        command=f"vlalign study uniqueness --config {shlex.quote(settings)}",
        config=result.config,
        environment=result.environment,
    )


def _facts(result: UniquenessResult) -> dict[str, str]:
    config = result.config
    metric, k = str(config.get("metric")), config.get("k")
    k_text = f", k = {k}" if "knn" in metric and k is not None and ":" not in metric else ""
    facts = {
        "operation": f"{config.get('op')}, seed {config.get('seed')}",
        "U": ", ".join(f"{rate:g}" for rate in sorted({point.rate for point in result.points})) + " %",
        "data": f"{result.data.get('name')}, N = {result.data.get('n')}",
    }
    for side in ("x", "y"):
        facts[f"models {side}"] = ", ".join(dict.fromkeys(getattr(point, side) for point in result.points))
    facts["metric"] = f"{metric_title(metric)}{k_text}, preset platonic"
    if config.get("preset") == "robust":
        facts["features"] = "preset robust: averages without tokens of a very large norm"
    return facts | ({"time": durations(result.seconds)} if result.seconds else {})


def _alignment(result: UniquenessResult, path: Path | None) -> Part:
    if path is None:
        return Paragraph("No pair of models has a score, so there is no figure.")
    ends = "; ".join(
        f"{curve.family} from {number(curve.maxima[0], 3)} at {rate_text(curve.rates[0])} to "
        f"{number(curve.maxima[-1], 3)} at {rate_text(curve.rates[-1])}{', ' * bool(rho := curve_rho(curve))}{rho}"
        for curve in result.curves
    )
    return Figure(
        path,
        f"Line charts of the best {metric_name(result)} against U, a panel for every family. Largest of all pairs: "
        f"{ends}.",
        "Thin: pairs of models, each with its best layers. Thick: the largest of all pairs of a family, with the 95 % "
        "interval of that pair. Dashed: the 95 % point of its null; dotted: chance. ρ: Spearman's correlation of U and "
        "the largest; its interval treats the values as independent draws.",
    )


def _similarity(result: UniquenessResult, path: Path | None) -> Part | None:
    if path is None:
        return None
    values = ", ".join(f"{value:.3f} at {rate_text(rate)}" for rate, value in sorted(result.similarities.items()))
    return Figure(
        path,
        f"Line charts of the largest {metric_name(result)} of each family against U and against the mean cosine of "
        f"edited to original captions: {values}.",
        f"The same maxima against U and against the mean cosine of edited to original captions, "
        f"{similarity_source(result)}.",
    )


def _maxima(result: UniquenessResult) -> Table:
    """Return the maxima: a row for each rate, a column for each family."""
    cells: dict[tuple[float, str], str] = {}
    for curve in result.curves:
        for i, rate in enumerate(curve.rates):
            point = point_of(result, curve, i)
            below = [interval(point.low, point.high, 3)] if point.low is not None else []
            if point.p_value is not None:
                below.append(f"p {p_value_text(point.p_value, result)}")
            cells[rate, curve.family] = "\n".join([number(curve.maxima[i]), ", ".join(below)])
    families = [curve.family for curve in result.curves]
    return Table(
        "Largest alignment of each family at each U, with the 95 % interval and p of its pair",
        ["U", *families],
        [
            [rate_text(rate), *(cells.get((rate, family), DASH) for family in families)]
            for rate in sorted({rate for rate, _ in cells})
        ],
    )


def _edits(result: UniquenessResult) -> list[Part]:
    """Return what was measured of the edits, a row for each rate."""
    if not result.edits:
        return [Paragraph("Nothing was edited.")]
    texts = any(fact.left is not None for fact in result.edits)
    measures = ["captions changed", "characters left", "empty or blank"] if texts else ["pixels changed"]
    rows = [
        [rate_text(fact.rate), f"{fact.changed:.1f} %", f"{fact.left:.1f} %", str(fact.blank)]
        if fact.left is not None
        else [rate_text(fact.rate), f"{fact.pixels:.1f} %"]
        for fact in result.edits
    ]
    if result.similarities:
        measures.append("cosine to the original")
        rows = [[*row, number(fact.similarity, 3)] for row, fact in zip(rows, result.edits, strict=True)]
    notes = list(dict.fromkeys(note for fact in result.edits for note in fact.notes))
    caption = "Measured on all captions" if texts else "Measured on some images, evenly chosen"
    return [Table(caption, ["U", *measures], rows), Bullets(notes)]


def _performance(result: UniquenessResult, path: Path | None) -> Part | None:
    """Return the figure, or that there is nothing to show; None where a finding names the missing language models."""
    if not result.fits:
        return Paragraph("No pair has both a score and a performance, which is the loss of a causal language model.")
    if path is None:
        return None
    shown = readable_fits(result)
    few = [f"{fit.x} at {rate_text(fit.rate)}" for fit in result.fits if fit not in shown]
    left_out = f" Left out, with fewer than {LEAST} language models: {', '.join(few)}." if few else ""
    return Figure(
        path,
        "Scatter plots of the performance of language models against their alignment, a column of panels for every "
        "model they are aligned with and a row for every U.",
        "Performance: −bits per byte of the captions as edited. Line: least squares of performance on alignment; "
        f"ρ: Spearman's correlation over the language models, with its 95 % interval.{left_out}",
    )


def _definitions(result: UniquenessResult) -> list[str]:
    return [
        f"U is the requested rate of edits ({edits_text(result)}). It counts edits, not information, so rates of "
        "different operations cannot be compared. Edits remove what the sides share, and most of them also make data "
        "unlike the models' training data; caption_swap is the control that leaves every caption fluent. Alignment is "
        f"the largest {metric_name(result)} over all pairs of layers of two models.",
        "Chance is the mean of the best pair of layers when the samples are paired at random. The null's 95 % point "
        "and p use the largest value over all layers under random pairings, so they account for selecting the layers, "
        "but not for selecting the best pair of models. The 95 % interval is that of the best pair of layers, kept "
        "fixed, on random halves of the samples.",
    ]


def _points(result: UniquenessResult) -> Details:
    columns = ["models x × y", "U", "score", "95 % interval", "p", "calibrated", "chance", "null's 95 % point"]
    columns += ["layers x × y", "− bits per byte", "unedited", "N", "note"]
    rows = [
        [
            point.title,
            rate_text(point.rate),
            number(point.score),
            interval(point.low, point.high),
            p_value_text(point.p_value, result),
            number(point.calibrated),
            number(point.chance),
            number(point.threshold),
            DASH if point.x_layer is None else f"{point.x_layer} × {point.y_layer}",
            number(point.performance, 3),
            number(point.performance_unedited, 3),
            str(point.n),
            point.note or DASH,
        ]
        for point in result.points
    ]
    table = Table("Every pair of models at every U", columns, rows, left=("layers x × y", "note"))
    return Details(f"All {len(rows)} points", [table])
