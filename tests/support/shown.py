"""What is printed on a console or drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from PIL import Image
from rich.console import Console

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def text_of(shown: object, width: int = 80) -> str:
    """The text of something that is printed, or of all that a function prints on the console it is given."""
    console = Console(width=width, highlight=False)
    with console.capture() as captured:
        if callable(shown):
            shown(console)
        else:
            console.print(shown)
    return captured.get()


def drawn(path: Path | None) -> bool:
    """Whether a figure has contents, and is not too wide."""
    assert path is not None
    with Image.open(path) as image:
        return colours(image) > 20 and image.width < 3000


def colours(image: Image.Image) -> int:
    """The number of different colours of an image."""
    return len(image.convert("RGB").getcolors(image.width * image.height))


@contextmanager
def figures_sketched() -> Iterator[None]:
    """Write figures without drawing them, which takes seconds: for tests in which other tests look at them."""
    from matplotlib.figure import Figure

    with mock.patch.object(Figure, "savefig", sketched):
        yield


def sketched(self: Figure, path: str | Path, *, format: str | None = None, **_: object) -> None:
    """Write a file without drawing: a ``Figure.savefig`` for tests in which figures are not the point."""
    format = format or Path(path).suffix[1:]
    if format == "svg":
        Path(path).write_text("<svg/>", encoding="utf-8")
    else:
        Image.new("RGB", (4, 3), "white").save(path, format)
