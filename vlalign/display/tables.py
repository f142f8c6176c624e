"""Tables as CSV, which no spreadsheet runs as formulas, as Markdown and as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display import visible
from vlalign.files import write_whole

if TYPE_CHECKING:
    import pandas as pd

#: what a spreadsheet reads as the start of a formula, half or full width; ; and | are separators in some countries
_FORMULA = re.compile(r"""(^|[;|])([\s"'`]*)(?=[=+\-@＝＋－＠﹦﹢﹣﹫])""")
#: characters that LaTeX does not set as they are, beside those that pandas escapes
_LATEX = {
    r"D\_φ": r"$D_\phi$",
    "≤": r"$\leq$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "ρ": r"$\rho$",
    "φ": r"$\phi$",
    "λ": r"$\lambda$",
    "²": "$^2$",
    "…": r"\dots{}",
}
_NUMBER = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?")


def csv_text(table: pd.DataFrame, float_format: str | None = None) -> str:
    """Return a table as CSV, without its index.

    Numbers stay as they are. In texts, control characters and line ends become visible escape codes, and an apostrophe
    precedes what a spreadsheet would read as a formula.

    Args:
        table: any table; the names of its columns are untrusted texts, too.
        float_format: format of floating-point numbers, such as "%.4f" (default: all digits).
    """
    import pandas as pd

    safe = table.copy()
    for name in table.columns:
        if table[name].dtype == object or str(table[name].dtype) in ("str", "string", "category"):
            safe[name] = pd.Series(map(safe_cell, table[name]), table.index, dtype=object)  # 0 beside None stays 0
    safe.columns = [safe_cell(str(name)) for name in table.columns]
    return str(safe.to_csv(index=False, float_format=float_format, lineterminator="\n"))


def write_csv(path: Path, table: pd.DataFrame, float_format: str | None = None) -> Path:
    """Write :func:`csv_text`, whole or not at all; return ``path``.

    Raises:
        VlalignError: the file cannot be written.
    """
    data = csv_text(table, float_format).encode()
    return write_whole(path, data)


def safe_cell(value: Any) -> Any:
    r"""Return a value as a cell of a table: no text is a formula, and each stays on its line.

    >>> [safe_cell(one) for one in ("=1+1", "a\r=1+1", 'a;"=1+1', "-0.5", -0.5, None)]
    ["'=1+1", 'a\\r=1+1', 'a;\'"=1+1', '-0.5', -0.5, None]
    """
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub(r"\1'\2", visible(value))


def markdown_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a Markdown table of texts; upright bars in them become slashes, as no escape for them works everywhere.

    >>> print(markdown_table(["a", "b"], [["1|2", "3"]]))
    | a | b |
    | --- | --- |
    | 1/2 | 3 |
    """
    head, *body = ([visible(cell).replace("|", "/") for cell in line] for line in (columns, *rows))
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body))


def latex_table(
    columns: Sequence[str], rows: Iterable[Sequence[str]], left: Collection[str] = (), **options: Any
) -> str:
    r"""Return a LaTeX table with the rules of the package booktabs.

    Every text is escaped, and signs that need mathematics are in mathematics.

    Args:
        columns: their names.
        rows: cells of each row.
        left: columns of words beside the first one; the others hold numbers.
        **options: of pandas' ``to_latex``, such as caption and label.

    >>> print(latex_table(["a_1", "ρ"], [["50%", "−0.5"]]).splitlines()[2])
    a\_1 & $\rho$ \\
    """
    import pandas as pd

    sides = "".join("l" if i == 0 or name in left else "r" for i, name in enumerate(columns))
    table = pd.DataFrame([list(map(visible, row)) for row in rows], columns=list(map(visible, columns)))
    text = table.to_latex(**{"index": False, "escape": True, "column_format": sides, **options})
    return re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match[0]], str(text))
