"""Report of perturbed data: the contact sheet, captions before and after, and measured facts."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from vlalign.display import visible
from vlalign.display.figures import COLOURS, new_figure, save
from vlalign.errors import VlalignError
from vlalign.paths import user_path
from vlalign.report.console import table

if TYPE_CHECKING:
    from vlalign.data import PairedData
    from vlalign.perturb import ImageFacts, Operation, TextFacts

SIDE, GAP = 1.7, 0.14  # of a picture, between pictures, in inches
_FONT, _LINE = 7, 0.125  # points, and inches from line to line
_JOINERS = dict.fromkeys((0x200D, 0xFE0F))  # figures draw the parts of a joined emoji side by side: each takes room
_TEXT = 0.17  # inches from a picture to its caption
_CELLS = 30  # half-width characters that fit below a picture
_LINES = 9  # of a caption, at most
_LARGEST = 400  # pixels of a picture's longer side in the figure
_MOST = 60  # samples in a sheet
_ENDINGS = (".png", ".jpg", ".pdf", ".svg")
# whichever of these is installed draws what the default font lacks
_FONTS = ("Noto Sans CJK JP", "Noto Sans", "Hiragino Sans", "MS Gothic", "Arial Unicode MS", "Noto Emoji")


def operations_table(operations: Iterable[Operation]) -> Table:
    """Return name, modality, effect and parameters with their defaults of each operation."""
    columns = ("operation", "edits", "effect", "parameters")
    rows = [
        [
            operation.name, {"text": "texts", "vision": "images"}[operation.modality], operation.summary,
            ", ".join(f"{key}={'FILE' if value is None else value}" for key, value in operation.parameters.items()),
        ]
        for operation in operations
    ]  # fmt: skip
    result = table(columns, rows, left=columns)
    result.columns[0].no_wrap = True
    return result


def captions_table(versions: Mapping[str, PairedData], rows: Sequence[int]) -> Table:
    """Return the captions of some rows in every version (label: data), one below the other."""
    result = table(("sample", "", "caption"), left=("caption",), no_wrap=True)
    result.columns[0].no_wrap, result.columns[0].max_width = True, 28
    for row in rows:
        for i, (label, data) in enumerate(versions.items()):
            assert data.captions is not None
            text = _plain(data.captions[row])
            shown = Text(text) if text else Text("(empty)" if not data.captions[row] else "(blank)", style="dim")
            result.add_row(visible(data.ids[row]) if not i else "", label, shown, end_section=i == len(versions) - 1)
    return result


def facts_table(facts: Mapping[str, tuple[TextFacts | None, ImageFacts | None]]) -> Group:
    """Return the measured facts, a row per version: a table of captions and one of images, where they exist."""
    texts = {label: text for label, (text, _) in facts.items() if text is not None}
    images = {label: image for label, (_, image) in facts.items() if image is not None}
    tables = []
    if texts:
        tokens = any(text.tokens_after is not None for text in texts.values())
        columns = ["", "captions changed", "characters", "change", "empty", "blank", *(["tokens"] if tokens else [])]
        tables.append(table(columns, no_wrap=True))
        for label, text in texts.items():
            tables[-1].add_row(
                label, f"{text.changed} of {text.n}", f"{text.characters_before} → {text.characters_after}",
                _signed(-text.removed), str(text.empty), str(text.blank),
                *([f"{text.tokens_before} → {text.tokens_after}"] if tokens else []),
            )  # fmt: skip
    if images:
        rows = [
            [
                label,
                str(image.n),
                f"{image.changed:.1f} %",
                f"{image.difference:.1f} of 255",
                f"{image.shorter_side:g} px",
            ]
            for label, image in images.items()
        ]
        columns = ["", "images measured", "pixels changed", "mean change", "median shorter side"]
        tables.append(table(columns, rows, no_wrap=True))
    for one in tables:
        one.columns[0].justify, one.columns[0].no_wrap = "right", True
    return Group(*tables)


def _signed(percent: float) -> str:
    """Return such as −9.2 % or +3.0 %.

    >>> _signed(-9.21), _signed(-0.0), _signed(3)
    ('−9.2 %', '0.0 %', '+3.0 %')
    """
    return f"{percent:+.1f} %".replace("-", "\N{MINUS SIGN}") if round(percent, 1) else "0.0 %"


def save_sheet(
    versions: Mapping[str, PairedData], rows: Sequence[int], path: str | Path, *, captions: bool, title: str = ""
) -> Path:
    """Draw the pictures of some rows (down) in every version (across) with their captions; return the path.

    Args:
        versions: data sets of the same samples by label, such as "unedited" and "10 %".
        rows: of the samples to draw.
        path: .png, .jpg, .pdf or .svg.
        captions: write captions below the pictures.
        title: heading of the sheet.

    Raises:
        VlalignError: too many samples, an unknown ending, or the file cannot be written.
    """
    path = check_sheet(path, len(rows))
    written = [data.captions if captions and data.captions is not None else None for data in versions.values()]
    texts = [[wrap(_plain(known[row])) if known else [] for known in written] for row in rows]
    first = next(iter(versions.values()))
    sides = [SIDE * min(1.0, picture.height / picture.width) for picture in map(first.image, rows)]
    heights = [side + _LINE * max(map(len, line)) + 0.32 for side, line in zip(sides, texts, strict=True)]
    left = 0.12
    width = left + len(versions) * (SIDE + GAP)
    heading = textwrap.wrap(visible(title), int(11 * width))
    top = 0.4 + 0.16 * len(heading)
    height = top + sum(heights)
    figure = new_figure(width, height)
    figure.set_layout_engine("none")
    fonts = _fonts()

    def write(x: float, y: float, text: str, **style: Any) -> None:
        style = {"fontsize": _FONT, "va": "top", "ha": "left", "parse_math": False, "family": fonts} | style
        figure.text(x / width, 1 - y / height, text, **style)

    for k, line in enumerate(heading):
        write(left, 0.1 + 0.16 * k, line, fontsize=9)
    y = top
    for i, row in enumerate(rows):
        for j, (label, data) in enumerate(versions.items()):
            x = left + j * (SIDE + GAP)
            if not i:
                write(x + SIDE / 2, y - 0.2, label, fontsize=9, ha="center", fontweight="bold")
            _draw(figure, data.image(row), (x / width, 1 - (y + sides[i]) / height, SIDE / width, sides[i] / height))
            if not j:
                write(x, y + sides[i] + 0.05, _short(data.ids[row]), color=COLOURS[2], fontsize=6)
            for k, line in enumerate(texts[i][j]):
                write(x, y + sides[i] + _TEXT + k * _LINE, line)
            if captions and not texts[i][j]:
                write(x, y + sides[i] + _TEXT, "(empty)", color=COLOURS[2], style="italic")
        y += heights[i]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from")
        return save(figure, path)


def check_sheet(path: str | Path, samples: int) -> Path:
    """Return the path, after a check that a sheet of ``samples`` can be drawn to it; see :func:`save_sheet`."""
    path = user_path(path)
    if path.suffix.lower() not in _ENDINGS:
        raise VlalignError(f"the contact sheet is drawn as {', '.join(_ENDINGS)}: {path} ends in none of these")
    if not path.absolute().parent.is_dir():
        raise VlalignError(f"cannot write the contact sheet {path}: its folder {path.parent} does not exist")
    if samples > _MOST:
        raise VlalignError(f"a contact sheet holds up to {_MOST} samples, not {samples}: show fewer, or leave it out")
    return path


def wrap(text: str) -> list[str]:
    """Return the lines of a text below a picture; wide characters count twice, and ``…`` replaces what does not fit.

    >>> wrap("a red kite over the sea, seen from far away")
    ['a red kite over the sea, seen', 'from far away']
    """
    text = text.translate(_JOINERS)
    lines = [line.plain.rstrip() for line in Text(text).wrap(Console(), _CELLS, overflow="fold")] if text else []
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], lines[_LINES - 1][: _CELLS - 2].rstrip() + " …"]


def _plain(text: str) -> str:
    """Return a caption on one line, safe to print."""
    return visible(" ".join(text.split()))


def _short(name: str) -> str:
    name = visible(name)
    return name if len(name) <= _CELLS else f"…{name[1 - _CELLS :]}"


def _draw(figure: Any, picture: Any, place: tuple[float, float, float, float]) -> None:
    """Draw a picture in its own proportions, at the foot of its place, with a thin frame."""
    picture = picture.copy()
    picture.thumbnail((_LARGEST, _LARGEST))
    axes = figure.add_axes(place, anchor="S")
    axes.imshow(picture)
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set(color="#bbbbbb", linewidth=0.6)


def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    known = {entry.name for entry in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _FONTS if name in known)]
