"""Figures of a uniqueness study."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.shown import drawn
from support.study import made_up_points, made_up_record, made_up_study, study_of

from vlalign.perturb import OPERATIONS
from vlalign.stats.correlations import rho_text
from vlalign.uniqueness import UniquenessResult
from vlalign.uniqueness.report import figures as uniqueness_figures
from vlalign.uniqueness.report.figures import save_alignment_vs_u, save_layer_maps, save_performance
from vlalign.uniqueness.report.text import chosen_models, edits_text


@pytest.fixture(scope="module")
def usual() -> UniquenessResult:
    return made_up_study(2, 2)


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The figures that are drawn."""
    made: list[Any] = []
    new_figure = uniqueness_figures.new_figure

    def kept(*size: float) -> Any:
        made.append(new_figure(*size))
        return made[-1]

    monkeypatch.setattr(uniqueness_figures, "new_figure", kept)
    return made


def shown(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.get_visible()]


@pytest.mark.parametrize(
    ("families", "models", "rates", "languages", "panels"),
    [(1, 1, (0,), 1, 1), (5, 2, (0, 10, 30, 50, 70, 90), 6, 5)],
)
def test_studies_of_any_size(
    families: int, models: int, rates: Any, languages: int, panels: int, figures: list[Any], tmp_path: Path
) -> None:
    result = made_up_study(families, models, tuple(rates), languages)
    assert drawn(save_alignment_vs_u(result, tmp_path / "a.png"))
    assert len(shown(figures[0])) == panels
    assert len(shown(figures[0])[0].lines) == models * languages + 3  # pairs, their maximum, null, chance
    x, y = result.curves[0].best[0]
    assert drawn(save_layer_maps(result, made_up_record, tmp_path / "l.png", x, y))
    assert len(shown(figures[1])) == len(rates) + 1  # and the colour bar
    if languages >= 5:
        assert drawn(save_performance(result, tmp_path / "p.png"))
        assert len(shown(figures[2])) == min(4, families * models) * min(5, len(rates))
    else:
        assert save_performance(result, tmp_path / "p.png") is None


@pytest.mark.usefixtures("sketched_figures")
def test_alignment_shows_what_was_found(usual: UniquenessResult, figures: list[Any], tmp_path: Path) -> None:
    save_alignment_vs_u(usual, tmp_path / "a.png")
    for axes, curve in zip(figures[0].axes, usual.curves, strict=True):
        thick = max(axes.lines, key=lambda line: line.get_linewidth())
        assert thick.get_ydata() == pytest.approx(curve.maxima)
        assert axes.get_title(loc="left") == f"{curve.family}\n{rho_text(curve.rho, curve.reason)}"
        assert axes.get_ylim() == figures[0].axes[0].get_ylim()
    assert figures[0].get_supxlabel() == "characters deleted from captions (%)"
    legend = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert legend == ["largest of all pairs", "its 95 % interval", "null's 95 % point", "chance", "llm-1b", "llm-2b"]


@pytest.mark.usefixtures("sketched_figures")
def test_alignment_predicts_performance(figures: list[Any], tmp_path: Path) -> None:
    result = made_up_study(1, 1, (0, 50), 6)
    fit = result.fits[0]
    save_performance(result, tmp_path / "many.png")
    axes = figures[0].axes[0]
    assert axes.get_title(loc="left").startswith(f"vision-a-1, U = 0 %\nslope {fit.performance_slope:.3g}, ρ = ")
    assert figures[0].get_supxlabel() == "mutual kNN of the best layers"
    assert figures[0].get_supylabel().startswith("performance: ")
    assert axes.collections[0].get_offsets().T.tolist() == [fit.scores, fit.performances]
    (line,) = axes.lines
    assert (np.diff(line.get_ydata()) / np.diff(line.get_xdata())).item() == pytest.approx(fit.performance_slope)
    assert [text.get_text() for text in axes.texts] == ["1", "2", "3", "4", "5", "6"]
    assert figures[0].legends[0].get_texts()[5].get_text() == "6  llm-6b"


@pytest.mark.usefixtures("sketched_figures")
def test_panels_with_few_models_are_left_out(figures: list[Any], tmp_path: Path) -> None:
    points = made_up_points(1, 1, (0, 50, 90), 5)
    points = [replace(point, score=None) if point.rate == 50 and point.y == "llm-1b" else point for point in points]
    save_performance(study_of(points), tmp_path / "p.png")
    assert [axes.get_title(loc="left").split("\n")[0] for axes in shown(figures[0])] == [
        "vision-a-1, U = 0 %", "vision-a-1, U = 90 %",
    ]  # fmt: skip


def test_no_performance_draws_nothing(tmp_path: Path) -> None:
    assert save_performance(made_up_study(1, 1, performances=False), tmp_path / "p.png") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("sketched_figures")
def test_language_models_may_be_on_side_x(figures: list[Any], tmp_path: Path) -> None:
    points = [
        dataclasses.replace(
            point, x=point.y, y=point.x, x_family=point.y_family, y_family=point.x_family, performance_of="x"
        )
        for point in made_up_points(1, 2, (0, 50), 5)
    ]
    save_performance(study_of(points), tmp_path / "p.png")
    titles = [axes.get_title(loc="left").split(",")[0] for axes in figures[0].axes]
    assert titles == ["vision-a-1", "vision-a-2"] * 2


@pytest.mark.parametrize("shape", [(12, 31), (31, 12), (1, 1), (12, 81)])
def test_layer_maps_share_one_scale_and_mark_the_best(
    shape: tuple[int, int], figures: list[Any], tmp_path: Path
) -> None:
    result = made_up_study(1, 2, (0, 10, 20, 90))
    asked = []

    def load(point: Any) -> Any:
        asked.append(point)
        return None if point.rate == 10 else made_up_record(point, *shape)

    assert drawn(save_layer_maps(result, load, tmp_path / "l.png", "vision-a-2", "llm-2b"))
    assert {point.title for point in asked} == {"vision-a-2 × llm-2b"}
    maps = [axes for axes in shown(figures[0]) if axes.images]
    assert [axes.get_title(loc="left")[:8] for axes in maps] == ["U = 0 %:", "U = 20 %", "U = 90 %"]
    assert len({axes.images[0].get_clim() for axes in maps}) == 1
    for axes in maps:
        values = np.asarray(axes.images[0].get_array())
        assert values.shape == shape  # of side x, which is vision, whatever the lengths
        row, column = np.unravel_index(values.argmax(), values.shape)
        assert axes.patches[-1].get_xy() == (column - 0.5, row - 0.5)


def test_layer_maps_without_records(usual: UniquenessResult, tmp_path: Path) -> None:
    assert save_layer_maps(usual, lambda point: None, tmp_path / "l.png", "vision-a-1", "llm-1b") is None
    assert save_layer_maps(usual, made_up_record, tmp_path / "l.png", "vision-a-1", "nobody") is None


def test_every_operation_has_words() -> None:
    for name in OPERATIONS:
        study = made_up_study(1, 1, (0,), config={"op": f"{name}:grid=8"})
        assert re.search("(captions|images)(?! of)", edits_text(study)), name
        both = replace(study, data={**study.data, "reads": {"x": "text", "y": "text"}})
        assert re.search("(captions|images) of y", edits_text(both)), name
    assert "my_op" in edits_text(made_up_study(1, 1, (0,), config={"op": "my_op"}))


def test_the_best_models_of_families_are_chosen_first() -> None:
    points = made_up_points(3, 3, (0, 50))
    names = list(dict.fromkeys(point.x for point in points))
    assert chosen_models(points, names, 9) == names
    assert chosen_models(points, names, 3) == ["vision-a-3", "vision-b-3", "vision-c-3"]
    assert chosen_models(points, names, 4) == ["vision-a-2", "vision-a-3", "vision-b-3", "vision-c-3"]
