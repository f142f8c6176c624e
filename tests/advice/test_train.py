"""Training of the arms: the loss is the one written out, and arms and cells do not depend on each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.advice import QUICK, data
from torch import Tensor
from torch.nn import functional as F

from vlalign.advice.arms import PAIRS, SHUFFLED, WITHIN_CLASS, Arm, all_arms
from vlalign.advice.cells import Cell, Trained
from vlalign.advice.config import AdviceConfig
from vlalign.advice.encoder import Batch, Shape, contrast, initialise, step_loss
from vlalign.advice.train import _matching, train_cells

CPU = torch.device("cpu")


def trained(cells: list[Cell], arms: list[Arm], **more: Any) -> list[Trained]:
    config = AdviceConfig(**QUICK)
    return train_cells(config, data(**more), cells, arms, 2, CPU)


def clip_loss(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """The symmetric contrastive loss as papers write it."""
    logits = 1 / temperature * F.normalize(a, dim=1) @ F.normalize(b, dim=1).T
    aim = torch.arange(len(a))
    return 0.5 * (F.cross_entropy(logits, aim) + F.cross_entropy(logits.T, aim))


@pytest.mark.parametrize("temperature", [1.0, 0.07, 0.01])
def test_contrast_equals_two_cross_entropies(temperature: float) -> None:
    a, b = torch.randn(2, 2, 3, 20, 6, generator=torch.Generator().manual_seed(0))
    b = a + 0.3 * b
    loss = contrast(F.normalize(a, dim=3), F.normalize(b, dim=3), temperature)
    for i in range(2):
        for j in range(3):
            assert float(loss[i, j]) == pytest.approx(float(clip_loss(a[i, j], b[i, j], temperature)), 1e-4, 3e-5)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_loss_is_that_of_each_member_alone(depth: int) -> None:
    arms = all_arms([0, 0.5, 2])
    shape = Shape((5, 7), 4, depth, 6, 3)
    ensemble = initialise(shape, [np.random.default_rng(seed) for seed in (0, 1)], len(arms), CPU)
    draw = torch.Generator().manual_seed(3)
    ensemble.flat.add_(0.1 * torch.randn(ensemble.flat.shape, generator=draw))
    x = torch.randn(2, 9, 5, generator=draw), torch.randn(2, 9, 7, generator=draw)
    target = torch.randint(3, (2, 6), generator=draw)
    shuffled = torch.stack([torch.randperm(9, generator=draw) for _ in range(2)])
    within = torch.stack([torch.randperm(6, generator=draw) for _ in range(2)])
    total = 0.0
    for i in range(len(ensemble)):
        cell, arm = divmod(i, len(arms))
        state = ensemble.state(i)

        def run(name: str, value: Tensor, state: dict[str, Tensor] = state) -> Tensor:
            return F.linear(value, state[f"{name}.weight"], state[f"{name}.bias"])

        z = []
        for m in range(2):
            h = run(f"encoders.{m}.0", x[m][cell])
            for layer in range(1, depth):
                h = run(f"encoders.{m}.{layer}", F.leaky_relu(h, 0.1))
            z.append(h)
        for head, value in enumerate((torch.cat(z, 1), *z)):
            total += float(F.cross_entropy(run(f"heads.{head}", value[:6]), target[cell])) / 3
        order = {PAIRS: torch.arange(9), SHUFFLED: shuffled[cell], WITHIN_CLASS: within[cell]}[arms[arm].control]
        term = clip_loss(z[0][: len(order)], z[1][order], 0.1)
        total += arms[arm].weight * float(term)
    loss = step_loss(ensemble.module, Batch(x, target, shuffled, within), arms, 0.1).detach()
    assert float(loss) == pytest.approx(total, rel=1e-4)


def test_members_of_a_cell_start_alike() -> None:
    ensemble = initialise(Shape((5, 7), 4, 1, 6, 2), [np.random.default_rng(0), np.random.default_rng(1)], 3, CPU)
    assert torch.equal(ensemble.flat[0], ensemble.flat[2])
    assert not torch.equal(ensemble.flat[2], ensemble.flat[3])


def test_a_cell_does_not_depend_on_the_others() -> None:
    arms = all_arms([0, 1])
    together = trained([Cell(0, 0), Cell(3, 1)], arms, unlabelled=30)
    for cell, result in zip([Cell(0, 0), Cell(3, 1)], together, strict=True):
        (alone,) = trained([cell], arms, unlabelled=30)
        for name, value in vars(result).items():
            assert torch.allclose(value.double(), getattr(alone, name).double(), atol=1e-4), name


def test_arms_of_one_weight_are_equal_and_the_controls_are_not() -> None:
    arms = [Arm(0.0), Arm(1.0), Arm(1.0), Arm(1.0, SHUFFLED), Arm(1.0, WITHIN_CLASS)]
    (result,) = trained([Cell(0, 0)], arms, unlabelled=30)
    assert torch.equal(result.alignment[1], result.alignment[2])
    rows = result.alignment[[0, 1, 3, 4], 0].tolist()
    assert len(set(rows)) == 4


@pytest.mark.parametrize("steps", [1, 29, 31, 59, 89, 90, 449])
def test_all_steps_are_trained(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    monkeypatch.setattr("vlalign.advice.train.step_loss", lambda module, batch, *_: taken.append(1) or _zero(module))
    ticks: list[int] = []
    config = AdviceConfig(**{**QUICK, "steps": steps})
    train_cells(config, data(), [Cell(0, 0)], [Arm(0.0)], 1, CPU, lambda: ticks.append(len(taken)))
    assert len(taken) == ticks[-1] == steps
    assert len(ticks) == min(30, steps)
    assert max(np.diff([0, *ticks])) - min(np.diff([0, *ticks])) <= 1


def _zero(module: torch.nn.Module) -> Tensor:
    return sum((0 * one.sum() for one in module.parameters()), torch.zeros(()))


def test_recall_breaks_ties_at_random() -> None:
    a, b = torch.randn(2, 1, 200, 6, generator=torch.Generator().manual_seed(0))
    draw = np.random.default_rng(0)
    recall = _matching([a, a + 0.5 * b], 10)[0]
    similar = (F.normalize(a[0], dim=1) @ F.normalize((a + 0.5 * b)[0], dim=1).T).numpy()
    for i, top in enumerate((1, 5)):  # without ties: the share of partners with fewer than top above them
        hits = [(part > np.diag(part)[:, None]).sum(1) < top for part in (similar, similar.T)]
        assert float(recall[0, i]) == pytest.approx(np.mean(hits))
    groups = torch.arange(200) % 4
    for classes, size in ((torch.eye(4)[groups], 50), (torch.ones(200, 8), 200), (torch.zeros(200, 8), 200)):
        recall, chance, _ = _matching([classes[None], classes[None]], 10)
        assert recall[0].tolist() == pytest.approx([1 / size, 5 / size])
    assert recall[0].tolist() == pytest.approx(chance.tolist())  # collapsed
    mixed = torch.nn.functional.one_hot(torch.arange(200) // 3).float() + 1e-8 * torch.randn(200, 67)  # rounding
    similar = (F.normalize(mixed, dim=1) @ F.normalize(mixed, dim=1).T).numpy().round(5)
    orders = [np.lexsort((draw.random(200), -row)).tolist().index(i) for i, row in enumerate(similar) for _ in range(9)]
    recall = _matching([mixed[None], mixed[None]], 10)[0]
    assert recall[0].tolist() == pytest.approx([np.mean(np.array(orders) < top) for top in (1, 5)], abs=0.05)


def test_retrieval_is_of_random_test_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []
    monkeypatch.setattr("vlalign.advice.train._MATCHED", 8)
    monkeypatch.setattr("vlalign.advice.train._matching", lambda z, k: seen.append(z[0][0]) or 3 * (torch.zeros(2),))
    for most in (8, 8, 100):
        monkeypatch.setattr("vlalign.advice.train._MATCHED", most)
        trained([Cell(0, 0)], [Arm(0.0)])
    some, again, everyone = seen
    assert torch.equal(some, again)
    assert len(everyone) == 20
    rows = [int((everyone == row).all(1).nonzero()) for row in some]
    assert rows == sorted(set(rows)) != list(range(8))


def test_a_regression_scores_r_squared() -> None:
    from support.advice import arrays

    from vlalign.advice.data import make_data

    x1, x2, _ = arrays(90)
    y = x1 @ np.arange(1.0, 6)
    config = AdviceConfig(**{**QUICK, "steps": 60, "learning_rate": 0.02})
    results = train_cells(config, make_data(x1, x2, y), [Cell(0, 0)], [Arm(0.0)], 1, CPU)
    both, first, second = results[0].score.mean(2)[0].tolist()
    assert both > 0.8
    assert first > 0.9 > second
