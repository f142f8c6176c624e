"""Parts of Markdown pages."""

from __future__ import annotations

from collections.abc import Sequence

from vlalign.display import visible


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts; upright bars in them become slashes, since no way to write them works everywhere."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(visible(cell).replace('|', '/') for cell in line)} |" for line in lines)
