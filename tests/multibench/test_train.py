"""Training: ensembles end where their members end alone, and where an ordinary loop of torch ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.multibench_study import samples_of, trained_alone

from vlalign.multibench.encoder import Encoder, initialise
from vlalign.multibench.shape import Shape
from vlalign.multibench.train import Samples, outputs_of, performance, states_of, train_ensemble
from vlalign.study.ensembles import Ensemble

OPTIONS: dict[str, Any] = {"learning_rate": 3e-3, "weight_decay": 0.05, "epochs": 3, "batch": 16, "clip": 0.5}


def splits_of(shape: Shape, ragged: bool, numbers: bool, dtype: torch.dtype = torch.float64) -> list[Samples]:
    return [
        samples_of(shape, count, ragged=ragged, numbers=numbers, dtype=dtype, seed=i)
        for i, count in enumerate((50, 30, 20))
    ]


@pytest.mark.parametrize("task", ["classification", "sentiment"])
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("depth", [1, 3])
def test_ends_where_torch_ends(task: str, ragged: bool, depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = task != "classification"
    shape = Shape(4, 5, 6, depth, 1 if numbers else 3, "mean" if numbers else "cls")
    splits = splits_of(shape, ragged, numbers)
    in_double(monkeypatch)
    found = train_ensemble(shape, splits, task=task, seeds=[11, 12], dropout=0.0, **OPTIONS)
    for m, seed in enumerate((11, 12)):
        state, epoch = trained_alone(shape, splits, task=task, seed=seed, **OPTIONS)
        assert int(found.epoch[m]) == epoch
        for name, value in state.items():
            torch.testing.assert_close(found.ensemble.state(m)[name], value, atol=1e-9, rtol=1e-7, msg=name)


def in_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start in float64: two loops then differ by rounding that stays small."""
    monkeypatch.setattr("vlalign.multibench.train.initialise", start_in_double)


def start_in_double(shape: Shape, seeds: Sequence[int], device: torch.device | None = None) -> Ensemble[Encoder]:
    start = initialise(shape, seeds, device)
    return Ensemble(start.make, start.flat.double())


def test_who_is_trained_together_changes_nothing_but_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(4, 5, 6, 2, 3)
    splits = splits_of(shape, True, False)
    in_double(monkeypatch)
    together = train_ensemble(shape, splits, task="classification", seeds=[1, 2, 3], **OPTIONS)
    for m, seed in enumerate((1, 2, 3)):
        alone = train_ensemble(shape, splits, task="classification", seeds=[seed], **OPTIONS)
        torch.testing.assert_close(together.ensemble.flat[m], alone.ensemble.flat[0], atol=1e-10, rtol=1e-8)
        assert torch.equal(together.performance[m], alone.performance[0])
    assert not torch.equal(together.ensemble.flat[0], together.ensemble.flat[1])


def test_dropout_acts_in_training_alone() -> None:
    shape = Shape(4, 5, 6, 2, 3)
    splits = splits_of(shape, False, False, torch.float32)
    options = {**OPTIONS, "epochs": 1}
    without = train_ensemble(shape, splits, task="classification", seeds=[1], dropout=0.0, **options)
    with_it = train_ensemble(shape, splits, task="classification", seeds=[1], dropout=0.3, **options)
    assert not torch.equal(without.ensemble.flat, with_it.ensemble.flat)
    assert torch.equal(outputs_of(with_it.ensemble, splits[2]), outputs_of(with_it.ensemble, splits[2]))


def test_the_checkpoint_is_the_first_of_the_best_epochs() -> None:
    """Labels that nothing predicts: accuracy on few samples repeats, and later equals do not replace the first."""
    shape = Shape(4, 5, 6, 1, 3)
    splits = splits_of(shape, False, False, torch.float32)
    seen: list[float] = []
    for epochs in range(1, 8):
        found = train_ensemble(
            shape, splits, task="classification", seeds=[1], **{**OPTIONS, "epochs": epochs, "learning_rate": 1e-5}
        )
        seen.append(float(found.performance[0, 1]))
        assert int(found.epoch) == 1 + seen.index(max(seen))


@pytest.mark.parametrize("size", [3, 7, 10_000])
def test_evaluation_does_not_depend_on_its_batches(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape(4, 5, 6, 2, 3)
    samples = samples_of(shape, 23, ragged=True)
    ensemble = start_in_double(shape, [0, 1])
    expected, states = outputs_of(ensemble, samples), states_of(ensemble, samples)
    monkeypatch.setattr("vlalign.multibench.train._EVALUATED", size)
    torch.testing.assert_close(outputs_of(ensemble, samples), expected)
    for a, b in zip(states_of(ensemble, samples), states, strict=True):
        assert a.shape == (2, 23, 6)
        torch.testing.assert_close(a, b)


@given(st.lists(st.sampled_from([-2.0, -0.5, 0.0, 0.25, 3.0]), min_size=3, max_size=9), st.integers(0, 99))
def test_zero_is_not_positive(labels: list[float], seed: int) -> None:
    outputs = torch.randn(2, len(labels), 1, generator=torch.Generator().manual_seed(seed))
    outputs[:, 0] = 0.0
    found = performance(outputs, torch.tensor(labels), "sentiment")
    for m in range(2):
        right = [(float(out) > 0) == (label > 0) for out, label in zip(outputs[m, :, 0], labels, strict=True)]
        assert float(found[m]) == pytest.approx(sum(right) / len(right))


def test_regression_is_scored_by_the_explained_variance() -> None:
    labels = torch.tensor([1.0, 2.0, 4.0])
    outputs = torch.stack([labels, labels.mean().expand(3), labels - 1]).unsqueeze(2)
    squares = (3 / (labels - labels.mean()).square().sum()).item()
    assert performance(outputs, labels, "regression").tolist() == pytest.approx([1.0, 0.0, 1 - squares])
