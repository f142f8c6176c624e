"""What the figures have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlalign.errors import VlalignError

COLOURS = ("#0072B2", "#D55E00", "#666666")  # told apart by colour-blind eyes too


def new_figure(width: float, height: float) -> Any:
    """A figure that is drawn to a file, without a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Any, path: str | Path) -> Path:
    """Write a figure; returns the path.

    Raises:
        VlalignError: the file cannot be written.
    """
    try:
        figure.savefig(path)
    except OSError as error:
        raise VlalignError(f"cannot write the figure {path}: {error.strerror or error}") from error
    return Path(path)
