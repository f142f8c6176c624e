"""What is printed on a console or drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from rich.console import Console


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
        pixels = np.asarray(image.convert("RGB"))
    return len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20 and pixels.shape[1] < 3000
