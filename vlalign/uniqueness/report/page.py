"""The page of a uniqueness study."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.report import page
from vlalign.report.format import duration
from vlalign.uniqueness.report.text import (
    edits_text,
    interval_text,
    metric_name,
    notes_of,
    number,
    p_value_text,
    point_of,
    rate_text,
    rho_text,
)
from vlalign.uniqueness.sentences import about_fits

if TYPE_CHECKING:
    from vlalign.uniqueness import UniquenessResult

_FEW = 4  # findings about performance that stand with the others


def uniqueness_page(
    result: UniquenessResult,
    command: str,
    alignment: Path | None = None,
    performance: Path | None = None,
    layers: Mapping[str, Path] | None = None,
) -> str:
    """The page as HTML.

    Args:
        result: of the study.
        command: that makes it again.
        alignment, performance: their figures (PNG), if they were drawn.
        layers: figures of layer maps, under the titles of their pairs.

    Raises:
        VlalignError: a figure cannot be read.
    """
    of_fits = about_fits(result.fits)
    apart = of_fits if len(of_fits) > _FEW else []  # one of every model would push the figures off the screen
    settings, made_with = (_yaml(part) for part in (result.config, result.environment))
    return page.page(
        f"Uniqueness: {edits_text(result)}",
        [
            page.terms(_measured(result)),
            page.section("Findings", page.bullets([finding for finding in result.findings if finding not in apart])),
            page.section("Alignment against U", _alignment(result, alignment), _maxima(result)),
            page.section(
                "Alignment against performance",
                _performance(result, performance),
                page.details(f"Findings of all {len(apart)} models", page.bullets(apart)) if apart else "",
            ),
            page.section(
                "Layers",
                *(
                    page.picture(
                        path,
                        f"Heat maps of {title}: {metric_name(result)} of every pair of layers, one map for every U.",
                        f"{title}: {metric_name(result)} of every pair of layers at every U; framed: the largest.",
                    )
                    for title, path in (layers or {}).items()
                ),
            ),
            page.section("What the edits did", _edits(result)),
            page.section("What is what", *(page.paragraph(text) for text in _definitions(result))),
            page.section("Points", page.bullets(notes_of(result)), _points(result)),
            page.section(
                "How it was made",
                page.paragraph("The command that makes it again:"),
                page.code(command, wrap=True),
                page.details("Settings", page.code(settings)),
                page.details("Environment", page.code(made_with)),
            ),
        ],
    )


def _measured(result: UniquenessResult) -> dict[str, str]:
    config = result.config
    k = f", k = {config['k']}" if "knn" in str(config.get("metric")) and config.get("k") is not None else ""
    found = {
        "operation": f"{config.get('op')}, seed {config.get('seed')}",
        "U": ", ".join(f"{rate:g}" for rate in sorted({point.rate for point in result.points})) + " %",
        "data": f"{result.data.get('name')}, N = {result.data.get('n')}",
    }
    for side in ("x", "y"):
        found[f"models {side}"] = ", ".join(dict.fromkeys(getattr(point, side) for point in result.points))
    found["metric"] = f"{config.get('metric')}{k}, preset {config.get('preset')}"
    if result.seconds:
        found["time"] = ", ".join(f"{stage} {duration(seconds)}" for stage, seconds in result.seconds.items())
    return found


def _alignment(result: UniquenessResult, path: Path | None) -> str:
    if path is None:
        return page.paragraph("No pair of models has a score, so there is no figure.")
    told = "; ".join(
        f"{curve.family} from {number(curve.maxima[0], 3)} at {rate_text(curve.rates[0])} to "
        f"{number(curve.maxima[-1], 3)} at {rate_text(curve.rates[-1])}, {rho_text(curve.rho, curve.reason)}"
        for curve in result.curves
    )
    return page.picture(
        path,
        f"Line charts of the best {metric_name(result)} against U, a panel for every family. Largest of all pairs: "
        f"{told}.",
        "Thin: pairs of models, each with its best layers. Thick: the largest of all pairs of a family, with the 95 % "
        "interval of that pair. Dashed: the 95 % point of its null; dotted: chance. ρ: Spearman's correlation of U and "
        "the largest, with an interval that takes the values for independent draws.",
    )


def _maxima(result: UniquenessResult) -> str:
    """Rates down, families across."""
    cells: dict[tuple[float, str], str] = {}
    for curve in result.curves:
        for i, rate in enumerate(curve.rates):
            point = point_of(result, curve, i)
            below = [interval_text(point.low, point.high)] if point.low is not None else []
            if point.p_value is not None:
                below.append(f"p {p_value_text(point.p_value, result)}")
            cells[rate, curve.family] = "\n".join([number(curve.maxima[i]), ", ".join(below)])
    if not cells:
        return ""
    families = [curve.family for curve in result.curves]
    return page.table(
        "Largest alignment of each family at each U, with the 95 % interval and the p-value of its pair",
        ["U", *families],
        [
            [rate_text(rate), *(cells.get((rate, family), "–") for family in families)]
            for rate in sorted({rate for rate, _ in cells})
        ],
    )


def _edits(result: UniquenessResult) -> str:
    """Rates down, what was measured across."""
    if not result.edits:
        return page.paragraph("Nothing was edited.")
    texts = any(fact.left is not None for fact in result.edits)
    what = ["captions changed", "characters left", "empty or blank"] if texts else ["pixels changed"]
    rows = [
        [f"{fact.changed:.1f} %", f"{fact.left:.1f} %", str(fact.blank)]
        if fact.left is not None
        else [f"{fact.pixels:.1f} %"]
        for fact in result.edits
    ]
    return page.table(
        "What the edits did",
        ["U", *what],
        [[rate_text(fact.rate), *row] for fact, row in zip(result.edits, rows, strict=True)],
    ) + page.bullets(list(dict.fromkeys(note for fact in result.edits for note in fact.notes)))


def _performance(result: UniquenessResult, path: Path | None) -> str:
    if path is None:
        return page.paragraph(
            "No pair here has a score and a performance, which is the loss of a causal language model."
        )
    return page.picture(
        path,
        "Scatter plots of alignment against the performance of language models, a row of panels for every model they "
        "are aligned with and a column for every U.",
        "Performance: −bits per byte of the captions as edited. From five language models on, line: least squares, ρ: "
        "Spearman's correlation over them.",
    )


def _definitions(result: UniquenessResult) -> list[str]:
    return [
        f"U is the rate of edits ({edits_text(result)}), as asked for: it counts edits, not information, so rates of "
        "different operations cannot be compared. Edits take away what the sides share, and most of them also make "
        "data that the models were not made for; caption_swap is the control that leaves every caption fluent. "
        f"Alignment is the largest {metric_name(result)} over all pairs of layers of two models.",
        "Chance is the mean of the best pair of layers when the samples are paired at random. The null's 95 % point "
        "and p are of the largest over all layers under random pairings, so the choice of layers is paid for; that of "
        "the best pair of models is not. The 95 % interval is of the best pair of layers, which is held, from half of "
        "the samples at a time.",
    ]


def _points(result: UniquenessResult) -> str:
    columns = ["models x × y", "U", "score", "95 % interval", "p", "calibrated", "chance", "null's 95 % point"]
    columns += ["layers x × y", "− bits per byte", "unedited", "N", "note"]
    rows = [
        [
            point.title,
            rate_text(point.rate),
            number(point.score),
            interval_text(point.low, point.high, 4) or "–",
            p_value_text(point.p_value, result),
            number(point.calibrated),
            number(point.chance),
            number(point.threshold),
            "–" if point.x_layer is None else f"{point.x_layer} × {point.y_layer}",
            number(point.performance, 3),
            number(point.performance_unedited, 3),
            str(point.n),
            point.note or "–",
        ]
        for point in result.points
    ]
    return page.details(
        f"All {len(rows)} points",
        page.table("Every pair of models at every U", columns, rows, left=("layers x × y", "note")),
    )


def _yaml(values: Mapping[str, Any]) -> str:
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=100).rstrip()
