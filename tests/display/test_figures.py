"""Style of figures: width and size of text on paper, fonts of PDF files, and what the command line refuses."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.text import Text
from support.multibench_results import made_up_multibench
from support.study import made_up_study
from support.synthetic_results import made_up_result

import vlalign
from vlalign.display.figures import check_figure, figure_style, new_figure, on_paper, save
from vlalign.display.result import Result
from vlalign.errors import VlalignError
from vlalign.scoring.compare import compare

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(40, 6))
LAYERS = [X + i * DRAW.normal(size=X.shape) for i in (0.3, 1, 3)]
OTHERS = [X + i * DRAW.normal(size=X.shape) for i in (0.5, 1, 3)]
HOSTILE = "<script>$x_1$\x1b[31m"
RESULTS = {
    "record": lambda: vlalign.score(LAYERS, OTHERS, names=("siglip", HOSTILE), k=5, permutations=39, half_samples=4),
    "comparison": lambda: compare(LAYERS, OTHERS, reference=X, k=5, half_samples=10),
    "uniqueness": lambda: made_up_study(2, 1),
    "synthetic": made_up_result,
    "multibench": made_up_multibench,
}


@pytest.fixture(scope="module", params=list(RESULTS))
def result(request: pytest.FixtureRequest) -> Result:
    made: Result = RESULTS[request.param]()
    return made


def test_every_result_shows_itself(result: Result) -> None:
    lines = repr(result).splitlines()
    assert 2 <= len(lines) <= 5
    assert lines[0].startswith(type(result).__name__)
    html = result._repr_html_()
    assert "<script" not in html
    assert "\x1b" not in html + repr(result)
    assert 'src="data:image/png;base64,' in html
    latex, markdown = result.to_latex(caption="Alignment"), result.to_markdown()
    assert r"\toprule" in latex
    assert r"\caption{Alignment}" in latex
    assert latex.isascii()
    rows = len(result.texts().rows)
    assert latex.count(r"\\") == rows + 1
    assert len(markdown.splitlines()) == rows + 2
    assert len(result.to_frame())


def test_plots_are_drawn_on_given_axes_and_on_paper(result: Result) -> None:
    axes = matplotlib.figure.Figure().subplots()
    assert result.plot(axes) is axes
    assert axes.has_data()
    with figure_style("paper"):
        figure = result.plot().figure
    assert figure.get_figwidth() == 3.25
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    assert {text.get_fontsize() for text in texts} == {8.0}
    assert not [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center") if axes.get_title(loc)]


def test_the_style_ends_with_its_block(tmp_path: Path) -> None:
    size = matplotlib.rcParams["font.size"]
    with figure_style("paper"):
        assert on_paper()
    assert not on_paper()
    assert matplotlib.rcParams["font.size"] == size
    figure = new_figure(6.4, 2)
    figure.add_subplot().set_title("title")
    assert b"/FontFile2" in save(figure, tmp_path / "a.pdf").read_bytes()  # TrueType


def test_endings_and_folders_are_checked_before_the_work(tmp_path: Path) -> None:
    assert check_figure(tmp_path / "new" / "a.PDF").name == "a.PDF"
    with pytest.raises(VlalignError, match=r"ends in none of these"):
        check_figure("a.jpg")
    (tmp_path / "file").write_text("")
    with pytest.raises(VlalignError, match="cannot write"):
        check_figure(tmp_path / "file" / "a.png")
