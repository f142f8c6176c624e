"""score(): kinds of input, pairing by id, concatenation, reuse, errors."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import vlalign
from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn, mutual_knn
from vlalign.scoring import inputs as sides_module
from vlalign.scoring import score
from vlalign.scoring.batch import score_pairs
from vlalign.scoring.preprocessing import clip_threshold, prepare_platonic

Pair = tuple[list[Tensor], list[Tensor]]
IDS = [f"sample-{i}" for i in range(60)]


def test_matrix_equals_pair_by_pair(pair: Pair) -> None:
    record = score(*pair, k=5, permutations=0)
    (x, _), (y, _) = map(prepare_platonic, pair)
    assert record.matrix == [[mutual_knn(a, b, 5) for b in y] for a in x]
    assert record.null is None
    assert record.p_value is None
    assert record.chance == 5 / 59
    assert record.times_chance == pytest.approx(record.score * 59 / 5)
    assert vlalign.score is score


def test_kinds_of_input_agree() -> None:
    features = torch.randn(30, 3, 8, generator=torch.Generator().manual_seed(0))  # [N, L, D]
    layers = list(features.unbind(1))
    expected = score(layers, layers[0], k=4, permutations=0).matrix
    for x in (features, features.numpy(), tuple(layers), [layer.numpy() for layer in layers], features.double()):
        assert score(x, layers[0].numpy(), k=4, permutations=0).matrix == expected
    assert np.array(expected).shape == (3, 1)


def test_best_is_right_when_nothing_overlaps() -> None:
    x = torch.eye(6)[[0, 0, 1, 1, 2, 2]]
    y = torch.eye(6)[[0, 1, 1, 2, 2, 0]]
    record = score(x, y, k=1, permutations=0)
    assert record.score == 0.0
    assert record.best["x"]["position"] == record.best["y"]["position"] == 0


def test_runs_are_paired_by_id(pair: Pair, make_run: Callable[..., Any]) -> None:
    order = random.Random(0).sample(range(60), 60)
    x = make_run("x", pair[0], IDS, bits=1.25)
    straight = make_run("y", pair[1], IDS)
    shuffled = make_run("y", [layer[order] for layer in pair[1]], [IDS[i] for i in order])
    expected = score(x, straight, k=5, permutations=9)
    found = score(x, shuffled, k=5, permutations=9)
    assert found.matrix == expected.matrix
    assert found.null == expected.null
    assert expected.pairing == {"by": "id", "reordered": False, "groups": None}
    assert found.pairing == {"by": "id", "reordered": True, "groups": None}
    assert found.performance == {"x": {"bits_per_byte": 1.25}, "y": None}
    assert found.x["run"]["hash"] == x.key.hash
    assert found.axes["y"][1] == {"index": 1, "name": "block_1", "width": 9, "convention": "residual"}
    assert score(*pair, k=5, permutations=9).matrix == expected.matrix


def test_mismatched_ids_show_what_is_missing(pair: Pair, make_run: Callable[..., Any]) -> None:
    x = make_run("llama", pair[0], IDS)
    y = make_run("dino", pair[1], [*IDS[:55], *"abcde"])
    with pytest.raises(VlalignError, match=r"llama \(60 samples\) and dino \(60 samples\)") as error:
        score(x, y)
    message = str(error.value)
    assert "5 only in llama ('sample-55', 'sample-56', 'sample-57', …)" in message
    assert "5 only in dino ('a', 'b', 'c', …)" in message
    assert "\n" not in message


def test_row_numbers_of_different_sets_are_not_pairs(pair: Pair, make_run: Callable[..., Any]) -> None:
    rows = [str(i) for i in range(60)]
    one = {"name": "one", "revision": "a", "id_source": "row"}
    x = make_run("x", pair[0], rows, one)
    assert score(x, make_run("y", pair[1], rows, one), k=5, permutations=0).pairing["by"] == "id"
    for other in ({**one, "name": "two"}, {**one, "revision": "b"}):
        with pytest.raises(VlalignError, match="--id-column"):
            score(x, make_run("y", pair[1], rows, other))
    named = {"name": "two", "revision": "b", "id_source": "column"}
    assert score(x, make_run("y", pair[1], rows, named), k=5, permutations=0).n == 60


def test_concatenation_follows_the_reference(pair: Pair) -> None:
    record = score(*pair, k=5, permutations=9, concat=True)
    whole = []
    for side in pair:
        bound = clip_threshold(lambda side=side: side, 0.95)
        whole.append(normalize(torch.cat([layer.clamp(-bound, bound) for layer in side], dim=1), dim=1))
    assert np.array(record.matrix).shape == (4, 3)
    assert record.matrix[-1][-1] == mutual_knn(*whole, 5)
    last = record.axes["x"][-1]
    assert (last["index"], last["name"], last["width"]) == (-1, "all", 19)
    plain = score(*pair, k=5, permutations=0).matrix
    assert [row[:-1] for row in record.matrix[:-1]] == plain


def test_many_pairs_reuse_neighbours(pair: Pair, make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    order = random.Random(1).sample(range(60), 60)
    a, b = make_run("a", pair[0], IDS), make_run("b", pair[1], IDS)
    c = make_run("c", [layer[order] for layer in pair[0]], [IDS[i] for i in order])
    calls = []
    prepare_layer = MutualKnn.prepare
    monkeypatch.setattr(MutualKnn, "prepare", lambda self, layer: calls.append(1) or prepare_layer(self, layer))
    records = list(score_pairs([(a, b), (c, b), (a, c)], k=5, permutations=19, half_samples=0))
    assert len(calls) == 3 + 2 + 3
    assert records[2].score == 1.0
    assert "neighbours" not in records[2].seconds
    singles = [score(*two, k=5, permutations=19) for two in ((a, b), (c, b), (a, c))]
    assert [r.matrix for r in records] == [r.matrix for r in singles]
    assert len({r.filename for r in records}) == 3


def test_large_runs_are_read_layer_by_layer(
    pair: Pair, make_run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    held = score(make_run("x", pair[0], IDS), make_run("y", pair[1], IDS), k=5, permutations=0)
    monkeypatch.setattr(sides_module, "_HELD_BYTES", 0)
    x = make_run("x", pair[0], IDS)
    monkeypatch.setattr(x, "features", lambda: pytest.fail("read as a whole"))
    assert score(x, make_run("y", pair[1], IDS), k=5, permutations=0).matrix == held.matrix
    assert x.reads == 3 * 3 + 1  # norms, threshold, neighbours; and the best layer for its checks and interval


def test_zero_rows_are_counted() -> None:
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    y = x.clone()
    y[3] = 0
    record = score(x, [y, y], k=3, permutations=0)
    assert (record.preprocessing["x"]["zero_rows"], record.preprocessing["y"]["zero_rows"]) == (0, 2)


VARIED = torch.arange(18.0).view(9, 2)
BAD: list[tuple[Any, Any, dict[str, Any], str]] = [
    (torch.ones(9, 2), torch.ones(8, 2), {"k": 2}, "9 rows and y has 8"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 9}, "N=9"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 0}, "k: expected a whole number of at least 1, got 0"),
    (torch.ones(9), torch.ones(9, 2), {"k": 2}, r"\[N, D\]"),
    ([], torch.ones(9, 2), {"k": 2}, "no layers"),
    ([torch.ones(9, 2), torch.ones(8, 2)], torch.ones(9, 2), {"k": 2}, "layer_1"),
    ("dino", torch.ones(9, 2), {"k": 2}, "give a run, an array or a list of arrays, not str"),
    ([["a"]], torch.ones(9, 2), {"k": 2}, "row 0 holds no numbers"),
    (torch.full((9, 2), torch.nan), torch.ones(9, 2), {"k": 2}, "not finite"),
    (VARIED, [VARIED, torch.full((9, 2), torch.inf)], {"k": 2}, "layer_1 of y"),
    (VARIED, torch.full((9, 2), torch.nan), {"k": 2, "preset": "none"}, "layer_0 of y"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "preset": "cosin"}, "cosine"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "metric": "mutual_nn"}, "mutual_knn"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "permutations": -1}, "permutations"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "device": "nowhere"}, "nowhere"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "device": "meta"}, "meta"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "device": 3.5}, "3.5"),
    (
        torch.ones(9, 2),
        torch.ones(9, 2),
        {"k": 2, "preset": None},
        "preset: expected .*, got null",
    ),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2, "seed": "a"}, "seed: expected a whole number of at least 0, got 'a'"),
    (torch.ones(9, 2), torch.ones(9, 2), {"k": 2}, "every layer of x gives all samples the same"),
    (torch.eye(30), VARIED.repeat(4, 1)[:30], {"k": 2}, "quantile of .feature. of x is 0"),
    (VARIED[:3], VARIED[:3], {"k": 1}, "at least 4 samples"),
    (1e-30 * VARIED, VARIED, {"k": 2, "preset": "none"}, "underflow"),
    (VARIED.to_sparse(), VARIED, {"k": 2}, "dense"),
]


@pytest.mark.parametrize(("x", "y", "options", "says"), BAD)
def test_bad_input_is_one_line(x: Any, y: Any, options: dict[str, Any], says: str) -> None:
    with pytest.raises(VlalignError, match=says) as error:
        score(x, y, **options)
    assert "\n" not in str(error.value)


def test_duplicate_ids_and_checks_before_reading(pair: Pair, make_run: Callable[..., Any]) -> None:
    x, y = make_run("x", pair[0], IDS), make_run("y", pair[1], IDS)
    with pytest.raises(VlalignError, match="duplicate"):
        score(make_run("z", pair[0], ["a"] * 60), y)
    with pytest.raises(VlalignError, match="N=60"):
        score_pairs([(x, y)], k=60)
    with pytest.raises(VlalignError, match="do not hold the same ids"):
        score_pairs([(x, y), (x, make_run("w", pair[1], [*IDS[:-1], "other"]))])
    assert x.reads == y.reads == 0


def test_result_does_not_depend_on_threads(pair: Pair) -> None:
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append(score(*pair, k=5, permutations=9, concat=True))
    finally:
        torch.set_num_threads(before)
    assert found[0].matrix == found[1].matrix
    assert found[0].null == found[1].null


def test_layers_of_mixed_precision_are_clipped_alike(pair: tuple[list[Tensor], list[Tensor]]) -> None:
    x = pair[0]
    mixed = [x[0].double(), *x[1:]]
    record = score(mixed, x, k=3, permutations=0)
    thresholds = [record.preprocessing[side]["clip_threshold"] for side in ("x", "y")]
    assert thresholds[0] == pytest.approx(thresholds[1], rel=1e-6)


def test_arrays_of_any_kind_are_taken() -> None:
    values = np.random.default_rng(0).standard_normal((20, 4))
    expected = score(values, values[::-1].copy(), k=np.int64(3), permutations=0).matrix
    frozen = values.astype(">f8")
    frozen.flags.writeable = False
    assert score(frozen, values[::-1].astype(np.longdouble), k=3, permutations=0).matrix == expected


def test_layers_that_tell_no_samples_apart_score_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = ([torch.ones(60, 4), torch.randn(60, 5, generator=generator)] for _ in range(2))
    for metric in ("mutual_knn", "rnx", "cka", "lcs_knn"):
        record = score(x, y, metric=metric, k=5, preset="cosine", permutations=19, half_samples=10, full=True)
        assert (record.best["x"]["name"], record.best["y"]["name"]) == ("layer_1", "layer_1")
        assert [record.matrix[0], [row[0] for row in record.matrix]] == [[0, 0], [0, 0]]
        alone = score(x[1], y[1], metric=metric, k=5, preset="cosine", permutations=0)
        assert record.score == pytest.approx(alone.score, abs=1e-6)
        assert "layer_0 of x gives all samples the same features: scored 0" in record.checks["notes"]
        assert record.score < 0.9


def test_calibration_needs_enough_permutations(pair: Pair) -> None:
    few, enough = (score(*pair, k=5, permutations=count, half_samples=0) for count in (5, 19))
    assert few.calibrated is None
    assert any("at least 19 permutations" in note for note in few.checks["notes"])
    assert enough.calibrated is not None
    assert score(*pair, k=5, permutations=19, half_samples=0, seed=np.int64(3)).null["seed"] == 3


def test_groups_keep_curves_and_notes_quiet(pair: Pair) -> None:
    x, y = ([layer.repeat_interleave(2, dim=0) for layer in side] for side in pair)
    record = score(x, y, k=5, permutations=19, half_samples=4, groups=[i // 2 for i in range(120)], full=True)
    assert record.curves is None
    assert any("cut the groups apart" in note for note in record.checks["notes"])
    assert not any("name the groups" in note for note in record.checks["notes"])
    alone = score(x, y, k=5, permutations=19, half_samples=4)
    assert any("name the groups" in note for note in alone.checks["notes"])
    assert score(x, y, k=5, permutations=19, half_samples=4, groups="exact").pairing["groups"]["groups"] == 60
    one = torch.arange(1.0, 41.0)[:, None]  # identical after normalisation, not as they were extracted
    assert score(one, one, k=2, permutations=0, half_samples=0, groups="exact", preset="none").pairing["groups"] is None


@pytest.mark.parametrize(
    "options",
    [
        {"permutations": 10**30}, {"permutations": 2.0}, {"half_samples": 10**30}, {"half_samples": True},
        {"seed": None}, {"seed": "0"}, {"k": None}, {"k": "3"}, {"k": 3.0}, {"k": 10**5000}, {"preset": 10**5000},
        {"preset": None}, {"device": 10**30}, {"device": "moon"}, {"groups": 3}, {"groups": object()}, {"metric": 3},
        {"metric": []}, {"names": 3}, {"ids": {}},
    ],
    ids=lambda options: next(iter(options)),
)  # fmt: skip
def test_odd_options_are_one_clear_error(options: dict[str, Any]) -> None:
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
    with pytest.raises(VlalignError) as caught:
        score(x, -x, **options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
