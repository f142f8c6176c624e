"""The console that tables are printed on."""

from __future__ import annotations

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text


def console() -> Console:
    """Standard output; as wide as needed when it is not a terminal, so that paths and tables are not cut in logs."""
    found = Console(highlight=False, emoji=False)
    return found if found.is_terminal else Console(highlight=False, emoji=False, width=max(found.width, 120))


def titled(title: str, table: Table) -> Group:
    """A table below its title, which may be wider."""
    return Group(Text(title, style="bold"), table)
