"""Groups, ranks, q-values and names of a leaderboard."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from support.board import collected, made_up, run_of, small_grid

from vlalign.report.leaderboard.board import ALL, Board, Group, Ranking, group_titles, make_board
from vlalign.scoring import ScoreRecord
from vlalign.scoring.tables import texts
from vlalign.stats.fdr import benjamini_hochberg

EDIT = {"operation": "char_delete", "rate": 30, "seed": 0, "version": 1}


def ranking_of(board: Board, group: Group, name: str) -> Ranking:
    (found,) = [one for one in group.rankings if one.reference != ALL and board.models[one.reference].name == name]
    return found


def shown(board: Board, ranking: Ranking) -> list[tuple[str, tuple[int, int] | None]]:
    return [(board.model(row.entry, row.model).name, row.rank) for row in ranking.rows]


def test_models_are_ranked_by_alignment_to_a_reference() -> None:
    board = make_board(collected(*small_grid()))
    assert [len(group.entries) for group in board.groups] == [8, 1]
    ranking = ranking_of(board, board.groups[0], "vision-a")
    assert shown(board, ranking) == [
        ("text-a", (1, 2)),
        ("text-b", (1, 2)),
        ("text-c", (3, 3)),
        ("text-d", (4, 4)),
    ]
    assert shown(board, ranking_of(board, board.groups[0], "text-c")) == [("vision-a", (1, 2)), ("vision-b", (1, 2))]
    assert board.groups[0].rankings[0].reference == ranking.reference
    assert board.groups[0].rankings[-1].reference == ALL
    assert len(board.groups[0].rankings[-1].rows) == 8


OTHERS = {
    "N": made_up(n=61),
    "k": made_up(k=6),
    "metric": made_up(metric="linear_predictivity"),
    "preset": made_up(preset="cosine"),
    "content": made_up(y_run={"content": "e" * 64}),
    "caption": made_up(y_run={"caption": 1}),
    "edits": made_up(y_run={"edits": [EDIT]}),
    "rate": made_up(y_run={"edits": [{**EDIT, "rate": 40}]}),
    "seed": made_up(y_run={"edits": [{**EDIT, "seed": 1}]}),
    "modality": made_up(modalities=("text", "text")),
    "tensors": made_up(tensors=True),
    **{
        f"groups {digest}": dataclasses.replace(
            made_up(),
            pairing={"by": "id", "groups": {"source": "f", "groups": 9, "largest": 2, "sha256": digest * 64}},
        )
        for digest in "ab"
    },
    "concat": dataclasses.replace(
        made_up(), axes={side: [*made_up().axes[side][:-1], {"index": -1, "name": "all"}] for side in ("x", "y")}
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_differs_in_one_condition_stands_apart(name: str) -> None:
    others = [one for other, one in OTHERS.items() if other != name]
    board = make_board(collected(made_up(), OTHERS[name], *others))
    assert not board.invalid
    assert [len(group.entries) for group in board.groups] == [1] * (len(OTHERS) + 1)
    titles = [group.conditions.title for group in board.groups]
    assert len(set(titles)) >= len(titles) - 2  # seeds and metrics' hidden settings are in the id


def test_the_same_data_read_from_elsewhere_are_the_same() -> None:
    board = make_board(collected(made_up(), made_up(y="text-b", y_run={"source": "elsewhere"})))
    assert len(board.groups) == 1


def test_tensors_are_compared_with_nothing() -> None:
    board = make_board(collected(made_up(tensors=True), made_up(tensors=True), made_up("v2", "t2", tensors=True)))
    assert [len(group.entries) for group in board.groups] == [1, 1, 1]
    assert not any(group.conditions.known for group in board.groups)


def test_without_an_interval_no_rank_is_claimed() -> None:
    board = make_board(
        collected(made_up(y="a", value=0.9, half=None), made_up(y="b", value=0.5), made_up(y="c", value=0.1))
    )
    ranking = ranking_of(board, board.groups[0], "vision-a")
    assert shown(board, ranking) == [("a", None), ("b", (1, 1)), ("c", (2, 2))]


def test_q_values_are_those_of_one_reference() -> None:
    p_values = [0.01, 0.04, 0.03, 0.5]
    records = [made_up(y=f"t{i}", value=0.9 - i / 10, p=p) for i, p in enumerate(p_values)]
    board = make_board(collected(*records, made_up("vision-b", "t0", p=0.9)))
    rows = ranking_of(board, board.groups[0], "vision-a").rows
    assert [row.q for row in rows] == pytest.approx(benjamini_hochberg(p_values).tolist())


def test_the_fuller_record_of_a_pair_is_shown_and_the_other_told() -> None:
    few = made_up(value=0.4)
    few = dataclasses.replace(few, null={**(few.null or {}), "asked": 19})
    board = make_board(collected(few, made_up(value=0.5), made_up(value=0.5)))
    (group,) = board.groups
    assert [entry.record.score for entry in group.entries] == [0.5]
    assert [(one.path, one.shown.path, one.same) for one in board.duplicates] == [
        ("0002.json", "0001.json", True),
        ("0000.json", "0001.json", False),
    ]


def test_exchanged_sides_are_one_pair_only_for_symmetric_metrics() -> None:
    def both(metric: str) -> list[ScoreRecord]:
        return [
            made_up("a", "b", modalities=("text", "text"), metric=metric),
            made_up("b", "a", modalities=("text", "text"), metric=metric),
        ]

    board = make_board(collected(*both("mutual_knn")))
    assert (len(board.entries), len(board.duplicates)) == (1, 1)
    board = make_board(collected(*both("linear_predictivity")))
    assert (len(board.entries), len(board.duplicates)) == (2, 0)
    references = [(one.reference, one.side) for one in board.groups[0].rankings if one.reference != ALL]
    assert len(set(references)) == 4
    assert {side for _, side in references} == {"x", "y"}


def test_runs_of_one_model_are_told_apart() -> None:
    board = make_board(collected(made_up(), made_up(y_run={"quantization": "nf4"})))
    names = {model.name for model in board.models.values()}
    assert names == {"vision-a", "text-a (float32)", "text-a (nf4)"}
    pools = [made_up(), made_up(y_run={"pooling": "mean-nosink"})]
    named = ["text-a (mean)", "text-a (mean-nosink)"]
    assert {model.name for model in make_board(collected(*pools)).models.values()} == {"vision-a", *named}
    assert sorted(row[1] for row in texts(pools).rows) == named
    assert texts(pools[:1]).rows[0][:2] == ["vision-a", "text-a"]
    board = make_board(collected(made_up(), made_up(y_run={"source": "elsewhere"})))
    names = {model.name for model in board.models.values()}
    assert names == {"vision-a", "text-a (made-up)", "text-a (elsewhere)"}
    board = make_board(collected(made_up(), made_up(y_run={"content": "e" * 64})))
    hashes = [run_of("text-a", "text", content=content)["hash"][:8] for content in ("", "e" * 64)]
    assert {model.name for model in board.models.values()} == {"vision-a", *(f"text-a@{one}" for one in hashes)}


def test_groups_are_called_by_what_differs() -> None:
    board = make_board(collected(made_up(), made_up(y="text-b"), made_up(y_run={"caption": 1}), made_up(k=7)))
    assert group_titles(board.groups)[0] == "caption 0"
    assert sorted(group_titles(board.groups)[1:])[0] == "caption 1"
    board = make_board(collected(made_up(), made_up(n=59), made_up(y_run={"content": "e" * 64})))
    titles = group_titles(board.groups)
    assert "N = 59" in titles
    assert any("eeeeeeee" in title for title in titles)


def test_families_and_parameters_come_from_the_registry() -> None:
    board = make_board(collected(made_up("dinov2-small", "bloomz-560m"), made_up("dinov2-small", "unheard-of")))
    found = {model.name: (model.family, model.params) for model in board.models.values()}
    assert found == {
        "dinov2-small": ("dinov2", 22_056_192),
        "bloomz-560m": ("bloomz", 559_214_592),
        "unheard-of": ("unheard-of", None),
    }


def test_above_chance() -> None:
    (entry,) = make_board(collected(made_up(value=0.5))).entries
    chance = entry.record.chance
    assert chance is not None
    assert entry.corrected == pytest.approx((0.5 - chance) / (1 - chance))


FLAWED: dict[str, dict[str, Any]] = {
    "null": {"null": {"p_value": 0.1, "calibrated": None}},
    "p": {"null": {**(made_up().null or {}), "p_value": 1.5}},
    "asked": {"null": {**(made_up().null or {}), "asked": "x"}},
    "interval": {"interval": {"low": 0.6, "high": 0.4}},
    "huge interval": {"interval": {"low": 0.1, "high": 10**400}},
    "huge score": {"best": {**made_up().best, "score": 10**400}},
    "performance": {"performance": {"x": None, "y": 2.3}},
    "huge performance": {"performance": {"x": None, "y": {"bits_per_byte": 10**400}}},
}


@pytest.mark.parametrize("name", FLAWED)
def test_a_record_that_fails_on_the_board_is_listed_and_stops_no_other(name: str) -> None:
    broken = dataclasses.replace(made_up(y="text-b"), **FLAWED[name])
    board = make_board(collected(made_up(), broken))
    assert len(board.entries) == 1
    assert [(one.path, "not a whole score record" in one.reason) for one in board.invalid] == [("0001.json", True)]
