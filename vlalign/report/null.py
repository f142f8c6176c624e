"""The histogram of a permutation null."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.report.figures import COLOURS, named, new_figure, save
from vlalign.report.format import p_text

if TYPE_CHECKING:
    from vlalign.scoring import ScoreRecord


def save_null(record: ScoreRecord, path: str | Path) -> Path:
    """Draws the maxima of a record's null, their 95 % point and the score, as a PNG. Returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    null = record.null
    assert null is not None
    figure = new_figure(6.4, 3.2)
    axes = figure.add_subplot()
    axes.hist(null["maxima"], bins=min(20, max(5, len(null["maxima"]) // 10)), color=COLOURS[2])
    axes.axvline(null["threshold"], color=COLOURS[0], linestyle="--", label=f"{1 - null['alpha']:.0%} point")
    axes.axvline(record.score, color=COLOURS[1], linewidth=2, label=f"score {record.score:.4f}")
    if record.chance is not None:
        axes.axvline(record.chance, color=COLOURS[2], linestyle=":", label=f"chance {record.chance:.4f}")
    axes.set_xlabel(f"largest {record.metric['name'].replace('_', '-')} over all layer pairs")
    axes.set_ylabel("random pairings")
    pairings = f"{null['permutations']} random pairings, p {_equals(record)}"
    axes.set_title(f"{named(record.title, 90)}\n{pairings}", fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return save(figure, path)


def _equals(record: ScoreRecord) -> str:
    text = p_text(record)
    return text if text.startswith("≤") else f"= {text}"
