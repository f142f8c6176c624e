"""Pages of a report: their parts as data, and the HTML file or Markdown text that is made of them.

The HTML comes from ``templates/page.html``, which escapes every text: names of models may hold anything. A page is one
file that needs nothing but itself: pictures inside, no script, light and dark, narrow and wide.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.display import html_text, visible
from vlalign.display.tables import markdown_table
from vlalign.errors import VlalignError
from vlalign.files import write_whole

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
_PAPER, _INK = 27.0, 228.0  # brightness of dark figures' ground (--raise of page.css) and lines
_COLOURFUL = 0.4  # saturation from which a colour stays on dark pages


class Part:
    """A part of a page; one without contents is false, and left out."""

    @property
    def kind(self) -> str:
        """The name of the macro in ``templates/parts.html`` that renders it."""
        return type(self).__name__.lower()

    def __bool__(self) -> bool:
        """Return whether it has contents."""
        return any(bool(value) for value in vars(self).values())


Parts = Sequence[Part | None]


@dataclass(frozen=True)
class Paragraph(Part):
    """A paragraph; ``style`` is a class of the style sheet."""

    text: str
    style: str = ""


@dataclass(frozen=True)
class Bullets(Part):
    """A list of texts."""

    items: Sequence[str]


@dataclass(frozen=True)
class Terms(Part):
    """Terms and their values."""

    pairs: Mapping[str, str]


@dataclass(frozen=True)
class Code(Part):
    """Preformatted text, such as a command or a file; ``wrap`` breaks lines that are longer than the page."""

    text: str
    wrap: bool = False
    style: str = ""


@dataclass(frozen=True)
class Table(Part):
    """A table of texts whose first column names the rows.

    Attributes:
        caption: what it shows.
        columns: the names of all columns, that of the rows first.
        rows: texts; what follows a line break in a cell is set small below it.
        left: columns of words, aligned to the left as the first one is; the others hold numbers.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.rows)


@dataclass(frozen=True)
class Figure(Part):
    """A PNG file, described for those who cannot see it, with its caption; dark pages show it in dark colours.

    Narrow screens scroll sideways instead of shrinking it below four fifths of its size.
    """

    path: Path
    alt: str
    caption: str = ""

    def read(self) -> dict[str, Any]:
        """Return the file and its dark form in base64, and the size to show them at in CSS pixels.

        Raises:
            VlalignError: the file cannot be read.
        """
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise VlalignError(f"cannot read the figure {self.path}: {error.strerror or error}") from error
        width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))  # the header of every PNG
        size = {"width": width * 20 // 25, "height": height * 20 // 25, "least": width * 16 // 25}
        light, dark = (base64.b64encode(form).decode() for form in (data, dark_png(data)))
        return {"light": light, "dark": dark, **size}


@dataclass(frozen=True)
class Section(Part):
    """Parts below a heading."""

    title: str
    parts: Parts

    def __bool__(self) -> bool:
        return any(self.parts)


class Details(Section):
    """Parts that are shown on request, below their title."""


@dataclass(frozen=True)
class Page:
    """A whole page."""

    title: str
    parts: Parts


def dark_png(data: bytes) -> bytes:
    """Return a PNG file for dark pages: greys are inverted between the page's paper and ink, colours stay.

    Raises:
        VlalignError: the file is no picture.
    """
    import numpy as np
    from PIL import Image

    try:
        picture = np.asarray(Image.open(BytesIO(data)).convert("RGB"), dtype=np.float32)
    except OSError as error:
        raise VlalignError(f"a figure is damaged: {error}") from error
    most, least = picture.max(-1, keepdims=True), picture.min(-1, keepdims=True)
    colour = np.clip((most - least) / np.maximum(most, 1) / _COLOURFUL, 0, 1)  # [H, W, 1]: 0 for greys
    grey = _INK + (_PAPER - _INK) * least / 255
    shown = Image.fromarray((colour * picture + (1 - colour) * grey).round().astype(np.uint8))
    file = BytesIO()
    shown.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()


def html(page: Page) -> str:
    """Return a page as HTML.

    Raises:
        VlalignError: a figure cannot be read.
    """
    return templates().get_template("page.html").render(page=page, style=asset("page.css"))


def save_html(page: Page, path: Path) -> Path:
    """Write a page as HTML, whole or not at all; return the path.

    Raises:
        VlalignError: a figure cannot be read, or the file cannot be written.
    """
    return write_whole(path, html(page).encode("utf-8", errors="replace"))


def markdown(page: Page, folder: Path) -> str:
    """Return a page as Markdown whose figures are linked relative to ``folder``."""
    return "\n\n".join([f"# {markdown_text(page.title)}", *_markdown(page.parts, folder)]) + "\n"


def _markdown(parts: Parts, folder: Path) -> list[str]:
    """Return the blocks of the parts that have contents."""
    blocks: list[str] = []
    for part in filter(None, parts):
        match part:
            case Details():
                blocks.append(f"<details>\n<summary>{markdown_text(part.title)}</summary>")
                blocks += [*_markdown(part.parts, folder), "</details>"]
            case Section():
                blocks += [f"## {markdown_text(part.title)}", *_markdown(part.parts, folder)]
            case Paragraph():
                blocks.append(markdown_text(part.text))
            case Bullets():
                blocks.append("\n".join(f"- {markdown_text(item)}" for item in part.items))
            case Terms():
                blocks.append(markdown_table(["", ""], [map(markdown_text, pair) for pair in part.pairs.items()]))
            case Code():
                blocks.append(f"```\n{visible(part.text, lines=True)}\n```")
            case Figure():
                blocks.append(f"![{markdown_text(part.alt)}]({part.path.relative_to(folder).as_posix()})")
                blocks += [markdown_text(part.caption)] if part.caption else []
            case Table():
                blocks.append(markdown_text(part.caption))
                blocks.append(markdown_table(part.columns, [map(markdown_text, row) for row in part.rows]))
    return blocks


def markdown_text(text: str) -> str:
    """Return a text without effect as HTML in Markdown; line breaks become ``<br>``.

    >>> markdown_text("<b>")
    '&lt;b&gt;'
    """
    return html_text(text, quote=False).replace("\n", "<br>")


def asset(name: str) -> str:
    """Return a file of the templates' folder, such as a style sheet or a script, as it is."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


@cache
def templates() -> Environment:
    """Return the templates: every value is escaped, hidden characters are shown, numbers stay with % and =."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup, escape

    def shown(value: object) -> object:
        if not isinstance(value, str):
            return value
        return re.sub(r" (?:(?<=\d )(?=%)|(?=[=≤] )|(?<=[=≤] ))", "\u00a0", visible(value, lines=True))

    def finalize(value: object) -> object:
        return value if hasattr(value, "__html__") else shown(value)

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), autoescape=True, undefined=StrictUndefined, finalize=finalize,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "raw": Markup,
        "verbatim": lambda text: escape(visible(text, lines=True)),
    }
    return environment
