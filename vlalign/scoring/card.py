"""The card of a score record in a notebook: verdict, facts and heat map, every text escaped."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

from vlalign.display import visible
from vlalign.scoring.record_figures import heat_map
from vlalign.scoring.summary import measured, score_facts, verdict

if TYPE_CHECKING:
    from vlalign.scoring.record import ScoreRecord


def card(record: ScoreRecord) -> str:
    """Return the card of a record as HTML."""
    from jinja2 import Environment

    template = Path(__file__).with_name("card.html").read_text(encoding="utf-8")
    facts = {name: text for name, text in score_facts(record).items() if name != "verdict"}
    figure = ""
    if len(record.axes["x"]) * len(record.axes["y"]) > 1:
        content = io.BytesIO()
        heat_map(record).savefig(content, format="png", dpi=110)
        figure = base64.b64encode(content.getvalue()).decode()
    return (
        Environment(autoescape=True)
        .from_string(template)
        .render(
            title=visible(record.title),
            verdict=visible(verdict(record)),
            facts={name: visible(text) for name, text in (facts | {"measured": measured(record)}).items()},
            figure=figure,
            alt=f"heat map of {len(record.axes['x'])} × {len(record.axes['y'])} layer pairs",
            notes=[visible(note) for note in record.checks.get("notes", [])],
        )
    )
