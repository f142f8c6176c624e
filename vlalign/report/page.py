"""One HTML file that needs nothing but itself: pictures inside, no script, light and dark, narrow and wide.

The functions that return HTML escape every text they are given, so that names of models may hold anything.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from string import Template

from vlalign.display import html_text
from vlalign.errors import VlalignError
from vlalign.files import write_whole

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --dim: #59616b; --paper: #fbfbfa; --rule: #d9dce0;
  --mark: #0b5c94; --shade: #f1f2f4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e6e9; --dim: #9ea6b0; --paper: #15181c;
  --rule: #373d45; --mark: #7cc0f2; --shade: #242930 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI",
  "DejaVu Sans", sans-serif; -webkit-text-size-adjust: 100% }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem 1rem 4rem }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .75rem; overflow-wrap: anywhere }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 2.5rem 0 .6rem; padding-top: .6rem;
  border-top: 1px solid var(--rule) }
p, ul { max-width: 46rem } ul { padding-left: 1.2rem } li { margin: .3rem 0; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; margin: 0 }
dt { color: var(--dim) } dd { margin: 0; overflow-wrap: anywhere }
.dim, figcaption, caption { color: var(--dim); font-size: .875rem }
.wide { overflow-x: auto; max-width: 100%; -webkit-overflow-scrolling: touch }
.wide:focus-visible, summary:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px }
figure { margin: 1rem 0 } figcaption { max-width: 46rem; margin-top: .4rem }
figure .wide { background: #fff; border: 1px solid var(--rule); border-radius: 6px; padding: .5rem }
figure img { display: block; height: auto; max-width: 100%; margin: 0 auto }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums }
caption { text-align: left; padding: 0 0 .4rem; position: sticky; left: 0; max-width: min(calc(100vw - 2.5rem), 66rem) }
  th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap;
  border-bottom: 1px solid var(--rule); vertical-align: top }
thead th { color: var(--dim); font-weight: 600 } th[scope=row], .word { text-align: left }
tbody th { font-weight: 600 } td small { display: block; color: var(--dim) }
tbody tr:hover { background: var(--shade) }
pre { background: var(--shade); border: 1px solid var(--rule); border-radius: 6px; padding: .75rem; overflow-x: auto;
  font: .8125rem/1.45 ui-monospace, "DejaVu Sans Mono", monospace; margin: .5rem 0 }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere }
details { margin: 1rem 0 } summary { cursor: pointer; color: var(--mark); font-weight: 600 }
@media (max-width: 40rem) { main { padding: 1rem .75rem 3rem } h1 { font-size: 1.35rem }
  dl { grid-template-columns: 1fr; gap: 0 } dd { margin-bottom: .5rem }
  figure img { max-width: none; width: max(100%, var(--least)) } }
@media print { body { background: #fff; color: #000 } h2, figure, tr { break-inside: avoid } }
"""

_PAGE = Template(
    """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>$title</title>
<style>$style</style>
</head>
<body>
<main>
<h1>$title</h1>
$body
</main>
</body>
</html>
"""
)


def page(title: str, parts: Iterable[str]) -> str:
    """A whole page of ``parts`` (HTML) below its title (text)."""
    return _PAGE.substitute(title=_text(title), style=_STYLE, body="\n".join(part for part in parts if part))


def section(title: str, *parts: str) -> str:
    """A heading and what stands below it (HTML); nothing where that is empty."""
    inside = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{_text(title)}</h2>\n{inside}\n</section>" if inside else ""


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of text; ``kind`` is a class of the style sheet."""
    return f"<p{_class(kind)}>{_text(text)}</p>"


def bullets(items: Sequence[str]) -> str:
    """A list of texts."""
    return "<ul>\n" + "\n".join(f"<li>{_text(item)}</li>" for item in items) + "\n</ul>" if items else ""


def terms(pairs: Mapping[str, str]) -> str:
    """Terms and what they stand for."""
    return "<dl>\n" + "\n".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in pairs.items()) + "\n</dl>"


def code(text: str, *, wrap: bool = False) -> str:
    """Text as it stands, such as a file or a command; ``wrap``: broken where it is longer than the page."""
    return f'<pre tabindex="0"{_class("wrap" if wrap else "")}><code>{html_text(text)}</code></pre>'


def details(summary: str, *parts: str) -> str:
    """What is shown when it is asked for."""
    inside = "\n".join(part for part in parts if part)
    return f"<details>\n<summary>{_text(summary)}</summary>\n{inside}\n</details>"


def picture(path: str | Path, alt: str, caption: str = "") -> str:
    """A PNG file as a figure, its bytes inside. Narrow screens scroll sideways instead of shrinking it to nothing.

    Raises:
        VlalignError: the file cannot be read.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise VlalignError(f"cannot read the figure {path}: {error.strerror or error}") from error
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))  # the header of every PNG
    below = f"\n<figcaption>{_text(caption)}</figcaption>" if caption else ""
    least = f"--least: {width * 12 // 25}px"  # three quarters of its size
    return (
        f'<figure>\n<div class="wide" tabindex="0" role="region" aria-label="figure" style="{least}">'
        f'<img src="data:image/png;base64,{base64.b64encode(data).decode()}" alt="{_text(alt)}" '
        f'width="{width * 16 // 25}" height="{height * 16 // 25}"></div>{below}\n</figure>'
    )


def table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """A table of texts whose first column names the rows.

    Args:
        caption: what it shows.
        columns: the names of all columns, that of the rows first.
        rows: texts; what follows a line break in one is set small below it.
        left: columns of words, aligned to the left; the first one always is, the others hold numbers.
    """
    kinds = [_class("word" if i == 0 or column in left else "") for i, column in enumerate(columns)]
    head = "".join(f'<th scope="col"{kind}>{_text(column)}</th>' for column, kind in zip(columns, kinds, strict=True))
    body = "\n".join(
        f'<tr><th scope="row">{_cell(row[0])}</th>'
        + "".join(f"<td{kind}>{_cell(cell)}</td>" for cell, kind in zip(row[1:], kinds[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="table"><table>\n<caption>{_text(caption)}</caption>'
        f"\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table></div>"
    )


def save_page(text: str, path: str | Path) -> Path:
    """Write a page, whole or not at all; returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    path = Path(path)
    write_whole(path, text.encode("utf-8", errors="replace"))
    return path


def _text(text: str) -> str:
    """Escaped, and with percent signs that stay with their numbers."""
    return re.sub(r"(?<=\d) %", "\u00a0%", html_text(text))


def _cell(text: str) -> str:
    first, _, rest = text.partition("\n")
    return _text(first) + (f"<small>{_text(rest)}</small>" if rest else "")


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
