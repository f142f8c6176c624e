"""Results that travel: records and sets of them as text, card, frame, LaTeX, Markdown and figure."""

from __future__ import annotations

import re

import matplotlib
import numpy as np
import pytest

import vlalign
from vlalign.errors import VlalignError
from vlalign.scoring import ScoreRecord
from vlalign.scoring.records import ScoreRecords

DRAW = np.random.default_rng(0)
X = DRAW.normal(size=(40, 6))
Y = X + 0.5 * DRAW.normal(size=X.shape)
QUICK = {"k": 5, "permutations": 39, "half_samples": 10}
HOSTILE = "<script>alert(1)</script>$x_1$\x1b[31m"


@pytest.fixture(scope="module")
def record() -> ScoreRecord:
    return vlalign.score([X, X[:, :3]], [Y, Y[:, :2], Y[:, 1:4]], names=("siglip", HOSTILE), **QUICK)


@pytest.fixture(scope="module")
def records() -> ScoreRecords:
    sides = {"siglip": X, HOSTILE: X + 1}, {"bge": Y, "gte": Y[:, :3]}
    return vlalign.score_pairs(*sides, metric=["mutual_knn", "unbiased_cka"], **QUICK)


def test_a_record_is_five_lines(record: ScoreRecord) -> None:
    lines = repr(record).splitlines()
    assert len(lines) == 5
    assert max(map(len, lines)) < 160
    assert "above chance" in lines[1]
    assert f"{record.score:.4f}" in lines[2]
    assert "\x1b" not in repr(record)


def test_the_card_is_escaped_and_holds_the_heat_map(record: ScoreRecord) -> None:
    html = record._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "\x1b" not in html
    assert "above chance" in html
    assert re.search(r'src="data:image/png;base64,[A-Za-z0-9+/=]{1000,}"', html)
    single = vlalign.score(X, Y, **QUICK)
    assert 'alt="score with interval, chance and null"' in single._repr_html_()


def test_the_frame_of_a_record_is_its_matrix(record: ScoreRecord) -> None:
    frame = record.to_frame()
    assert (frame.index.name, list(frame.columns)) == ("siglip", ["layer_0", "layer_1", "layer_2"])
    assert frame.to_numpy().tolist() == record.matrix
    assert frame.to_numpy().max() == record.score


def test_latex_is_escaped_and_has_rules(record: ScoreRecord, records: ScoreRecords) -> None:
    for text in (record.to_latex(), records.to_latex()):
        assert r"\toprule" in text
        assert r"\$x\_1\$" in text
        assert r"$\leq$" in text
        assert all(ord(letter) < 128 for letter in text)
        rows = [line for line in text.splitlines() if line.endswith(r"\\")]
        assert len({line.count("&") for line in rows}) == 1
    assert r"\caption{Alignment}" in records.to_latex(caption="Alignment", label="tab:one")


def test_markdown_has_a_row_for_each_record(records: ScoreRecords) -> None:
    lines = records.to_markdown().splitlines()
    assert len(lines) == 2 + len(records) == 10
    assert lines[0].startswith("| x | y | metric | score |")
    assert "siglip" in repr(records)
    assert "<script" not in records._repr_html_()


def test_every_named_side_is_scored_with_every_other(records: ScoreRecords) -> None:
    assert len(records) == 8
    assert [record.title.split(" × ")[1] for record in records] == ["bge", "gte"] * 4
    assert records[0].matrix == vlalign.score(X, Y, names=("siglip", "bge"), **QUICK).matrix
    assert isinstance(records[:2], ScoreRecords)
    assert records[-1] == list(records)[-1]
    frame = records.to_frame()
    assert len(frame) == 8
    assert frame["score"].tolist() == sorted(frame["score"][:4], reverse=True) + sorted(
        frame["score"][4:], reverse=True
    )
    assert frame["q_value"].notna().all()
    (only,) = vlalign.score_pairs({"a": X, "b": Y}, **QUICK)  # every two of one mapping
    assert only.title == "a × b"
    with pytest.raises(VlalignError, match="two mappings"):
        vlalign.score_pairs([(X, Y)], {"bge": Y}, **QUICK)


def test_plots_are_drawn_on_given_axes(record: ScoreRecord, records: ScoreRecords) -> None:
    figure = matplotlib.figure.Figure()
    left, right = figure.subplots(1, 2)
    assert record.plot(left) is left
    assert records.plot(ax=right) is right
    assert left.get_xlabel() == "siglip" or left.get_ylabel() == "siglip"
    assert len(right.get_yticklabels()) == 8
    assert right.get_xlabel() == "score, N = 40"


def test_points_intervals_and_chance_are_where_they_belong(records: ScoreRecords) -> None:
    first = max(records[:4], key=lambda record: record.score)
    axes = ScoreRecords([first]).plot()
    assert first.interval is not None
    assert first.null is not None
    (bar,) = axes.containers
    point, _, (line,) = bar
    assert point.get_xdata().tolist() == [first.score]
    np.testing.assert_allclose(line.get_segments()[0][:, 0], [first.interval["low"], first.interval["high"]])
    marks = {line.get_label(): line.get_xdata()[0] for line in axes.lines if not line.get_label().startswith("_")}
    assert marks == {"chance": first.chance, "null's 95% point": first.null["threshold"]}
    assert axes.get_xlabel() == "mutual kNN, N = 40"
