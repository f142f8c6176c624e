"""Ensembles: views of one buffer; masks, rates, clipping and the best checkpoint of each member."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vlalign.errors import VlalignError
from vlalign.study.ensembles import Dropout, Ensemble, Trained, train

CPU = torch.device("cpu")
LIKE = torch.empty(0)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.03])
def test_masks_drop_as_many_as_they_should_and_keep_the_mean(probability: float) -> None:
    dropout = Dropout(probability, [3], CPU)
    masks = torch.cat([mask for _ in range(200) for mask in dropout(LIKE, (1, 999), (1, 1501))], dim=1)
    assert len(masks.unique()) == 2
    n = masks.numel()
    assert abs(float((masks == 0).double().mean()) - probability) < 5 * np.sqrt(probability * (1 - probability) / n)
    assert float(masks.mean()) == pytest.approx(1, abs=0.01)


def test_a_members_masks_depend_on_its_seed_alone() -> None:
    together, alone = Dropout(0.1, [1, 2, 3], CPU), Dropout(0.1, [2], CPU)
    for _ in range(3):
        for a, b in zip(together(LIKE, (3, 10), (6, 7)), alone(LIKE, (1, 10), (2, 7)), strict=True):
            assert torch.equal(a.view(3, -1)[1], b.view(-1))
    (two,) = Dropout(0.1, [1, 2], CPU)(LIKE, (2, 200))
    assert not torch.equal(two[0], two[1])


def lines(count: int) -> Ensemble[nn.Linear]:
    """Encoders y = w x + b."""
    torch.manual_seed(0)
    return Ensemble.of(lambda: nn.Linear(3, 1), [nn.Linear(3, 1).double().state_dict() for _ in range(count)])


def test_parameters_are_views_of_one_buffer() -> None:
    ensemble = lines(2)
    assert ensemble.flat.shape == (2, 4)
    assert ensemble.module.weight.shape == (2, 1, 3)
    ensemble.flat[1] = torch.arange(4.0)
    assert ensemble.state(1)["weight"].tolist() == [[0, 1, 2]]
    assert ensemble.module.bias[1].tolist() == [3]
    assert len(ensemble) == 2


def fit(
    ensemble: Ensemble[nn.Linear], scores: Sequence[Sequence[float]] = (), **values: float
) -> tuple[Tensor, Tensor]:
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    rest = iter(scores or [[epoch] * len(ensemble) for epoch in range(9)])

    def loss(batch: Tensor) -> Tensor:
        return (
            (torch.einsum("ni,soi->sn", batch, ensemble.module.weight) + ensemble.module.bias - 1)
            .square()
            .mean(1)
            .sum()
        )

    options: dict[str, list[float]] = {"learning_rates": [0.1, 0.1, 0.01], "weight_decays": [0.0, 0.0, 0.3]}
    return train(
        ensemble, epochs=len(scores) or 4, batches=lambda: x.split(2), loss=loss,
        score=lambda: torch.tensor(next(rest), dtype=torch.float64), clip=0.5, tick=lambda: None, **options,
    )  # fmt: skip


def test_members_of_other_rates_end_where_torch_ends() -> None:
    ensemble, alone = lines(3), lines(3)
    best, epoch = fit(ensemble)
    assert epoch.tolist() == [4] * 3
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for m, (rate, decay) in enumerate([(0.1, 0.0), (0.1, 0.0), (0.01, 0.3)]):
        line = nn.Linear(3, 1).double()
        line.load_state_dict(alone.state(m))
        optimiser = torch.optim.AdamW(line.parameters(), lr=rate, weight_decay=decay)
        for _ in range(4):
            for batch in x.split(2):
                optimiser.zero_grad()
                (line(batch) - 1).square().mean().backward()
                nn.utils.clip_grad_norm_(line.parameters(), 0.5)
                optimiser.step()
        torch.testing.assert_close(best[m], nn.utils.parameters_to_vector(line.parameters()).detach())


def test_the_first_best_checkpoint_of_each_member_is_kept() -> None:
    nan = float("nan")
    best, epoch = fit(lines(3), [[1, 2, nan], [3, 2, nan], [3, 1, nan]])
    assert epoch.tolist() == [2, 1, 0]
    assert torch.equal(best[1], fit(lines(3), [[1, 1, 1]])[0][1])
    assert torch.equal(best[0], fit(lines(3), [[1, 1, 1], [2, 2, 2]])[0][0])


def test_members_that_diverged_are_named() -> None:
    trained = Trained(lines(3), torch.tensor([1, 0, 3]), torch.zeros(3, 3))
    trained.check(0, "a")
    with pytest.raises(VlalignError, match=r"training diverged \(b\): lower learning_rate or clip"):
        trained.check(1, "b")
    trained.ensemble.flat[2, 0] = torch.inf
    with pytest.raises(VlalignError, match=r"training diverged \(c\)"):
        trained.check(2, "c")
