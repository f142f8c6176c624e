"""The permutation null: valid p-values although the best layer pair is picked by looking."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn
from vlalign.score import null as null_module
from vlalign.score import score
from vlalign.score.null import Null, permutation_null, permutations


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
    for trial in range(200):
        x, y = torch.randn(40, 3, 6, generator=generator), torch.randn(40, 4, 6, generator=generator)
        values.append(score(x, y, k=4, permutations=39, seed=trial).p_value)
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
