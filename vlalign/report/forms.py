"""Forms of results on standard output: text for people, or one table or JSON document and nothing else."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal

from vlalign.display import visible
from vlalign.display.result import Texts
from vlalign.display.tables import csv_text, latex_table, markdown_table

if TYPE_CHECKING:
    import pandas as pd

Form = Literal["text", "latex", "markdown", "csv", "json"]


def formatted(form: Form, texts: Texts, frame: pd.DataFrame, document: Any) -> str:
    """Return results in a form for other programs, with a line end.

    Args:
        form: latex or markdown for ``texts``, csv for ``frame``, json for ``document``.
        texts: table of texts.
        frame: numbers.
        document: JSON values.
    """
    if form == "latex":
        return latex_table(**vars(texts))
    if form == "markdown":
        return markdown_table(texts.columns, texts.rows) + "\n"
    return csv_text(frame) if form == "csv" else json_text(document)


def json_text(document: Any) -> str:
    r"""Return JSON values as an indented document; characters that act on a terminal are escaped.

    >>> print(json_text({"name": "é\u202e"}), end="")
    {
     "name": "é\u202e"
    }
    """
    return visible_json(json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def visible_json(text: str) -> str:
    """Return a JSON document with escape codes for characters that are invisible or act on a terminal."""

    def escaped(match: re.Match[str]) -> str:
        return match[0] if visible(match[0]) == match[0] else json.dumps(match[0])[1:-1]

    return re.sub(r"[^\n -~]", escaped, text)


def records_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a data frame as JSON values; missing ones are None."""
    rows: list[dict[str, Any]] = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return rows
