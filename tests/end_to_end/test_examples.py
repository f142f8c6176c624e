"""The notebooks in examples/ run, and show what their text announces."""

from __future__ import annotations

from typing import Any

import nbformat
from end_to_end.conftest import ROOT
from nbclient import NotebookClient


def outputs(cell: Any) -> dict[str, Any]:
    """The data of all outputs of a cell, by MIME type; printed text under its stream."""
    found: dict[str, Any] = {}
    for output in cell.outputs:
        found |= output.get("data", {}) | ({output.name: output.text} if output.output_type == "stream" else {})
    return found


def test_the_notebook_shows_card_frame_and_plot() -> None:
    notebook = nbformat.read(ROOT / "examples" / "embeddings.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)  # outputs are not committed
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    shown = [outputs(cell) for cell in notebook.cells if cell.cell_type == "code"]
    card, frame, table, plot, latex = shown[1:]
    assert "vlalign-card" in card["text/html"]
    assert "data:image/png;base64," in card["text/html"]
    assert "above chance" in card["text/plain"]
    assert "layer_2" in frame["text/html"]
    assert table["text/plain"].count("bge") == 2
    assert len(plot["image/png"]) > 10_000
    assert r"\toprule" in latex["stdout"]
    assert not any("stderr" in cell for cell in shown)
