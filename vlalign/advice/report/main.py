"""Title, findings, main table and main figure of advice, for results that show themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vlalign.advice.analysis import of_control
from vlalign.advice.arms import PAIRS
from vlalign.advice.encoder import USES
from vlalign.display.figures import COLOURS, font_size, new_figure, on_paper, plain
from vlalign.display.format import interval, plural, signed
from vlalign.display.result import Texts

if TYPE_CHECKING:
    from vlalign.advice.results import AdviceResult


def title_of(result: AdviceResult) -> str:
    """Return the number of samples and what is scored."""
    return f"advice on {plural(result.facts['samples'], 'sample')}, {result.score_name}"


def findings_of(result: AdviceResult, metric: str | None = None) -> list[str]:
    """Return the verdict for each use."""
    return [f"{result.use_name(verdict.use)}: {verdict.text}" for verdict in result.verdicts]


def main_table(result: AdviceResult, metric: str | None = None) -> Texts:
    """Return the difference in the score to λ = 0 of true pairs, with its interval, a row for each use and λ."""
    rows = [
        [
            result.use_name(use),
            f"{row['weight']:g}",
            signed(row["effect"], 4),
            interval(row["low"], row["high"], between=" to "),
        ]
        for use in USES
        for row in of_control(result.effects, use, PAIRS).query("weight > 0").to_dict("records")
    ]
    return Texts(["use", "λ", f"{result.score_name} − that at λ = 0", "95 % interval"], rows)


def draw_main(result: AdviceResult, axes: Any = None, metric: str | None = None) -> Any:
    """Draw the difference in the score to λ = 0 of true pairs against λ, with intervals, a line for each use.

    Args:
        result: of the study.
        axes: Matplotlib axes (default: those of a new figure).
        metric: not used: advice has one score.

    Returns:
        The axes.
    """
    if axes is None:
        axes = new_figure(6.4, 2.4 if on_paper() else 4.0).add_subplot()
    axes.axhline(0, color=COLOURS[2], linewidth=0.8, linestyle=":")
    for i, use in enumerate(USES):
        rows = of_control(result.effects, use, PAIRS).query("weight > 0")
        at = [place + 0.1 * (i - 1) for place in range(len(rows))]
        ends = [rows["effect"] - rows["low"], rows["high"] - rows["effect"]]
        colour, label = COLOURS[i % len(COLOURS)], result.use_name(use)
        axes.errorbar(at, rows["effect"], yerr=ends, fmt="-o", color=colour, markersize=3.5, capsize=2, label=label)
        axes.set_xticks(range(len(rows)), labels=[f"{weight:g}" for weight in rows["weight"]])
    axes.set_xlabel("weight λ of the contrastive term", fontsize=font_size(9))
    axes.set_ylabel(f"{result.score_name}, difference to λ = 0", fontsize=font_size(9))
    plain(axes)
    axes.legend(frameon=False, fontsize=font_size(7))
    return axes
