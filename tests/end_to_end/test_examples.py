"""The notebooks in examples/ run, and show what their text announces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from end_to_end.conftest import ROOT
from jupyter_client.manager import KernelManager
from nbclient import NotebookClient

#: notebook -> what each of its code cells shows: a part of its text or HTML, the kind of a picture, or nothing
SHOWN: dict[str, list[str]] = {
    "embeddings": ["", "above chance", "layer_2", "bge", "image/png", r"\toprule"],
    "categories": [
        "",
        "weak",
        "no better than pairs shuffled inside",
        "6 categories",
        "strong",
        "6 categories",
    ],
    "advice": ["", "(not detected)", "both modalities: do not align with λ = 4", "image/png"],
    "uniqueness": ["U = 8: modality 1 knows 0.37", "unbiased CKA over encoders is 0.", "unbiased_cka", "image/png"],
}


#: run before each notebook: forgets what the one before left, silences tqdm where no widgets are installed, and spares
#: `advise` its estimate of information, which takes most of its time
PREPARE = """%reset -f
import warnings
import vlalign.advice.study
warnings.filterwarnings("ignore", message="IProgress not found")
vlalign.advice.study.estimate = lambda data, folder: {"refused": "left out here"}
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelManager]:
    """One kernel for all notebooks: it imports the libraries once."""
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    yield manager
    manager.shutdown_kernel(now=True)


def output(cell: Any) -> str:
    """Return all that a cell shows as one text, without the data of pictures; fail on messages of errors."""
    found = []
    for one in cell.outputs:
        assert one.get("name") != "stderr", one.text
        for kind, data in one.get("data", {"text/plain": one.get("text", "")}).items():
            found.append(kind if kind.startswith("image/") else data)
    return "\n".join(found)


def test_every_notebook_is_listed() -> None:
    assert {path.stem for path in (ROOT / "examples").glob("*.ipynb")} == set(SHOWN)


@pytest.mark.parametrize("name", SHOWN)
def test_the_notebook_shows(name: str, kernel: KernelManager) -> None:
    notebook = nbformat.read(ROOT / "examples" / f"{name}.ipynb", as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)  # outputs are not committed
    notebook.cells.insert(0, nbformat.v4.new_code_cell(PREPARE))
    NotebookClient(notebook, km=kernel, timeout=280).execute()
    assert len(cells) == len(SHOWN[name])
    for cell, part in zip(cells, SHOWN[name], strict=True):
        assert part in output(cell), cell.source
