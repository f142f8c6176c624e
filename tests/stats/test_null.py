"""The permutation null: valid p-values although the best layer pair is picked by looking."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from support.metrics import GramCorrelation, Unpaired

from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn
from vlalign.scoring import score
from vlalign.stats import null as null_module
from vlalign.stats.null import Null, permutation_null, permutations


def test_p_value_by_hand() -> None:
    null = Null(np.array([0.1, 0.3, 0.2, 0.3]), observed=0.3, seed=0)
    assert null.p_value == 3 / 5
    summary = null.summary()
    assert summary["permutations"] == 4
    assert summary["mean"] == pytest.approx(0.225)
    assert summary["max"] == 0.3
    assert Null(np.array([0.1]), 0.2, 0).summary()["sd"] == 0.0


def test_maxima_equal_scoring_each_permutation() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = ([torch.randn(30, 6, generator=generator) for _ in range(count)] for count in (3, 2))
    metric = MutualKnn(4)
    prepared = [[metric.prepare(layer) for layer in side] for side in (x, y)]
    null = permutation_null(metric, *prepared, n=30, observed=0.2, count=7, seed=5)
    order = np.concatenate(list(permutations(30, 7, 5, 7)))
    slow = []
    for permutation in order:
        moved = [layer[torch.from_numpy(permutation)] for layer in y]
        slow.append(score(x, moved, k=4, preset="none", permutations=0).score)
    assert null.maxima.tolist() == slow


def test_permutations_depend_on_seed_and_size_only(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(permutations(20, 9, 1, 9)))
    assert np.array_equal(whole, np.concatenate(list(permutations(20, 9, 1, 2))))
    assert np.array_equal(whole[:4], np.concatenate(list(permutations(20, 4, 1, 4))))
    assert not np.array_equal(whole, np.concatenate(list(permutations(20, 9, 2, 9))))
    assert (np.sort(whole, axis=1) == np.arange(20)).all()
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    before = score(x, x, k=2, permutations=9).null
    monkeypatch.setattr(null_module, "_CHUNK_BYTES", 1)
    assert score(x, x, k=2, permutations=9).null == before


def test_p_values_are_uniform_without_alignment() -> None:
    generator = torch.Generator().manual_seed(1)
    values = []
    for trial in range(120):
        x, y = torch.randn(40, 3, 6, generator=generator), torch.randn(40, 4, 6, generator=generator)
        values.append(score(x, y, k=4, permutations=39, half_samples=0, seed=trial).p_value)
    found = np.array(values, dtype=float)
    for level in (0.05, 0.1, 0.25, 0.5):
        share, sd = (found <= level).mean(), (level * (1 - level) / len(found)) ** 0.5
        assert share <= level + 3 * sd  # valid
        assert share >= level - 3 * sd - 0.12  # scores are discrete: ties make p-values a little large, no more
    assert found.min() >= 1 / 40


def test_alignment_is_found(pair: tuple[list[torch.Tensor], list[torch.Tensor]]) -> None:
    record = score(*pair, k=5, permutations=199)
    assert record.p_value == 1 / 200
    assert (record.best["x"]["name"], record.best["y"]["name"]) == ("layer_1", "layer_1")


def test_no_permutations_is_an_error_here() -> None:
    with pytest.raises(VlalignError, match="at least 1"):
        permutation_null(MutualKnn(1), [], [], n=3, observed=0.0, count=0)


def gram_sides(generator: torch.Generator, n: int = 16) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Two unrelated layers a side, prepared."""
    sides = [[GramCorrelation().prepare(torch.randn(n, 3, generator=generator)) for _ in range(2)] for _ in range(2)]
    return sides[0], sides[1]


def test_moments_of_every_pair_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    metric = GramCorrelation()
    x, y = gram_sides(torch.Generator().manual_seed(0))
    null = permutation_null(metric, x, y, n=16, observed=0.1, count=70, stop_after=None)
    values = metric.permuted(x, y, np.concatenate(list(permutations(16, 70, 0, 70))))
    np.testing.assert_allclose(null.pair_mean, values.mean(axis=0), atol=1e-14)
    assert null.maxima.tolist() == values.max(axis=(1, 2)).tolist()
    monkeypatch.setattr(null_module, "_CHUNK_BYTES", 8 * 16 * 3)
    again = permutation_null(metric, x, y, n=16, observed=0.1, count=70, stop_after=None)
    assert np.array_equal(again.pair_mean, null.pair_mean)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_stopping_early(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    metric = GramCorrelation()
    x, y = gram_sides(torch.Generator().manual_seed(0))
    whole = permutation_null(metric, x, y, n=16, observed=0.1, count=200, stop_after=None)
    assert not whole.stopped
    assert whole.p_value == (1 + (whole.maxima >= 0.1).sum()) / 201
    end = int(np.flatnonzero(whole.maxima >= 0.1)[4]) + 1
    monkeypatch.setattr(null_module, "_STOP_CHUNK", chunk)
    null = permutation_null(metric, x, y, n=16, observed=0.1, count=200, stop_after=5)
    assert (null.stopped, null.asked, len(null.maxima)) == (True, 200, end)
    assert null.maxima.tolist() == whole.maxima[:end].tolist()
    assert null.p_value == 5 / end
    assert (null.summary()["stopped"], null.summary()["permutations"], null.summary()["asked"]) == (True, end, 200)
    numpy_score = permutation_null(metric, x, y, n=16, observed=np.float64(0.1), count=200, stop_after=5)
    assert json.dumps(numpy_score.summary()) == json.dumps(null.summary())
    never = permutation_null(metric, x, y, n=16, observed=2.0, count=30, stop_after=5)
    assert (never.stopped, never.p_value) == (False, 1 / 31)
    last = permutation_null(metric, x, y, n=16, observed=0.1, count=end, stop_after=5)  # at the last one asked for
    assert (last.stopped, last.p_value) == (True, null.p_value)


def test_sequential_p_values_are_uniform() -> None:
    generator = torch.Generator().manual_seed(2)
    found = []
    for trial in range(300):
        x, y = gram_sides(generator, 8)
        observed = float(GramCorrelation().grid(x, y).max())
        options = {"n": 8, "observed": observed, "seed": trial, "count": 39, "stop_after": 4}
        found.append(permutation_null(GramCorrelation(), x, y, **options).p_value)
    values = np.array(found)
    for level in (1 / 40, 2 / 40, 4 / 39, 4 / 20, 4 / 10, 4 / 6):  # values that the p-value can take
        assert abs((values <= level).mean() - level) <= 3 * (level * (1 - level) / len(values)) ** 0.5


def test_threshold_and_calibrated_score() -> None:
    maxima = np.arange(1, 100) / 1000  # 0.001 ... 0.099
    null = Null(maxima, observed=0.5, seed=0)
    assert null.threshold(0.05) == 0.095  # number ⌈0.95 · 100⌉ = 95 of 100
    assert null.calibrated(0.05) == pytest.approx((0.5 - 0.095) / (1 - 0.095))
    assert null.calibrated(0.05, s_max=0.5) == 1.0
    assert null.threshold(0.005) == 0.5  # too few permutations: the largest of all, the score itself
    assert null.calibrated(0.005) == 0.0
    assert null.calibrated(0.05, s_max=0.095) == 0.0
    assert Null(maxima, observed=0.05, seed=0).calibrated() == 0.0
    summary = null.summary(alpha=0.1)
    assert (summary["alpha"], summary["threshold"]) == (0.1, 0.09)
    assert json.loads(json.dumps(summary)) == summary
    for alpha in (0.0, 1.0, 2.0):
        with pytest.raises(VlalignError, match="alpha"):
            null.threshold(alpha)


def test_calibrated_score_is_rarely_above_zero_without_alignment() -> None:
    generator = torch.Generator().manual_seed(3)
    above = 0
    for trial in range(300):
        x, y = gram_sides(generator, 8)
        observed = float(GramCorrelation().grid(x, y).max())
        null = permutation_null(GramCorrelation(), x, y, n=8, observed=observed, count=19, seed=trial, stop_after=None)
        above += null.calibrated(0.1) > 0
    assert above / 300 <= 0.1 + 3 * (0.09 / 300) ** 0.5


def test_ties_up_to_rounding_count() -> None:
    assert Null(np.array([0.3 - 1e-16, 0.3 + 1e-16, 0.2]), observed=0.3, seed=0).reached == 2


def test_block_permutations() -> None:
    groups = np.array([5, 5, 2, 9, 9, 2, 7, 7, 7, 1])
    found = np.concatenate(list(permutations(10, 300, 0, 7, groups=groups)))
    assert (np.sort(found, axis=1) == np.arange(10)).all()
    pairs = [{0, 1}, {2, 5}, {3, 4}]
    seen = set()
    for order in found:
        for rows in pairs:
            assert {int(order[i]) for i in rows} in pairs
        assert {int(order[i]) for i in (6, 7, 8)} == {6, 7, 8}  # the only group of three stays in place
        assert order[9] == 9
        seen.add(tuple(order.tolist()))
    assert len(seen) > 150  # 3! · 2³ · 3! = 288 possible
    assert np.array_equal(found[:50], np.concatenate(list(permutations(10, 50, 0, 50, groups=groups * 3 + 1))))


def test_groups_of_one_are_no_restriction() -> None:
    free = np.concatenate(list(permutations(12, 5, 3, 5)))
    assert np.array_equal(free, np.concatenate(list(permutations(12, 5, 3, 5, groups=np.arange(12)[::-1]))))


def test_groups_that_cannot_be_exchanged() -> None:
    with pytest.raises(VlalignError, match=r"no two of the 3 groups have the same size \(sizes 1, 2, 3\)"):
        permutations(6, 5, 0, 5, groups=[0, 1, 1, 2, 2, 2])
    with pytest.raises(VlalignError, match="whole numbers"):
        permutations(6, 5, 0, 5, groups=[0, 1])


def test_block_permutations_are_valid_where_free_ones_are_not() -> None:
    """Four captions an image: rows of y repeat, and rows of x nearly; images of x and y are unrelated."""
    generator = torch.Generator().manual_seed(4)
    metric, labels, trials = GramCorrelation(), np.repeat(np.arange(8), 4), 200
    free, block = [], []
    for trial in range(trials):
        sides = [torch.randn(8, 5, generator=generator).repeat_interleave(4, 0) for _ in range(2)]
        sides[0] = sides[0] + 0.05 * torch.randn(32, 5, generator=generator)
        x, y = ([metric.prepare(side)] for side in sides)
        options = {"n": 32, "observed": metric.grid(x, y).max(), "count": 19, "seed": trial, "stop_after": None}
        free.append(permutation_null(metric, x, y, **options).p_value)
        null = permutation_null(metric, x, y, groups=labels, **options)
        assert null.blocks == null.summary()["blocks"] == 8
        block.append(null.p_value)
    assert np.mean(np.array(free) <= 0.05) > 0.9
    for level in (0.05, 0.1, 0.25, 0.5):
        share, sd = np.mean(np.array(block) <= level), (level * (1 - level) / trials) ** 0.5
        assert abs(share - level) <= 3 * sd


def test_what_has_no_null() -> None:
    x, y = gram_sides(torch.Generator().manual_seed(0))
    with pytest.raises(VlalignError, match="unpaired does not depend on the pairing"):
        permutation_null(Unpaired(), x, y, n=16, observed=0.1)
    with pytest.raises(VlalignError, match="not finite"):
        permutation_null(GramCorrelation(), x, y, n=16, observed=float("nan"), count=3)
    with pytest.raises(VlalignError, match="not finite"):
        permutation_null(GramCorrelation(), [x[0] * float("nan")], y, n=16, observed=0.1, count=3)
    with pytest.raises(VlalignError, match="1 or more"):
        permutation_null(GramCorrelation(), x, y, n=16, observed=0.1, stop_after=0)
