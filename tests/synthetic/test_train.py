"""Ensembles: every member ends where an ordinary training loop of torch ends that trains it alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest
import torch
from support.synthetic import accuracy, encoder, member, numbers, small, trained_alone
from torch import Tensor

from vlalign.study.ensembles import Trained
from vlalign.synthetic import SyntheticStudy
from vlalign.synthetic.encoder import NONLINEARITIES, Encoder, Shape
from vlalign.synthetic.train import Samples, Split, train_ensemble


@dataclass(frozen=True)
class Member:
    """One encoder of an ensemble."""

    uniqueness: int
    phi_depth: int
    seed: int
    rate: float
    decay: float


MEMBERS = (
    Member(0, 1, 3, 1e-2, 0.0),
    Member(0, 1, 8, 1e-2, 0.0),  # another seed
    Member(5, 1, 3, 1e-2, 0.0),  # another uniqueness
    Member(0, 3, 3, 5e-3, 0.1),  # another φ and rates
    Member(5, 3, 11, 3e-2, 1.0),  # all different
    Member(5, 1, 3, 1e-3, 1e-4),  # as the third, other rates
)
CLIP = 0.25  # some gradients are longer, some shorter
STUDY = SyntheticStudy(small(samples=512))
LEAKY = Shape(12, 9, 2, 4)  # narrower than its inputs


@cache
def samples_of(members: tuple[Member, ...], dtype: torch.dtype) -> Samples:
    """The samples of a study; the last batch of 100 of its 358 training samples is a ragged one."""
    found = STUDY.samples(1, [(one.uniqueness, one.phi_depth) for one in members])

    def converted(split: Split) -> Split:
        tables = {id(table): table.to(dtype) for table in split.tables}
        return replace(split, tables=[tables[id(table)] for table in split.tables])

    return Samples(*map(converted, (found.train, found.valid, found.test)))


def splits_of(samples: Samples, m: int) -> list[tuple[Tensor, Tensor]]:
    """Inputs and labels of one member, of train, validation and test."""
    return [(split.tables[m][split.rows[m]], split.labels[m]) for split in (samples.train, samples.valid, samples.test)]


def together(
    members: Sequence[Member], shape: Shape = LEAKY, dtype: torch.dtype = torch.float64, **values: Any
) -> Trained[Encoder]:
    return train_ensemble(
        shape,
        samples_of(tuple(members), dtype),
        seeds=[one.seed for one in members],
        learning_rates=[one.rate for one in members],
        weight_decays=[one.decay for one in members],
        **{"epochs": 4, "batch": 100, "clip": CLIP, **values},
    )


def alone(one: Member, shape: Shape = LEAKY, dtype: torch.dtype = torch.float64, **values: Any) -> Any:
    return trained_alone(
        shape,
        splits_of(samples_of(MEMBERS, dtype), MEMBERS.index(one)),
        seed=one.seed,
        rate=one.rate,
        decay=one.decay,
        **{"epochs": 4, "batch": 100, "clip": CLIP, **values},
    )


def accuracies(trained: Trained[Encoder], m: int) -> list[float]:
    return trained.performance[m].tolist()


@pytest.mark.parametrize(
    "shape",
    [LEAKY, Shape(12, 12, 1, 4), Shape(12, 17, 4, 4), *(Shape(12, 8, 2, 4, name) for name in NONLINEARITIES)],
    ids=str,
)
def test_members_end_where_they_would_end_alone(shape: Shape) -> None:
    ensemble = together(MEMBERS, shape)
    clipped = []
    for m, one in enumerate(MEMBERS):
        network, epoch, expected, norms = alone(one, shape)
        assert torch.allclose(numbers(member(ensemble.ensemble, m)), numbers(network), rtol=0, atol=1e-10)
        assert int(ensemble.epoch[m]) == epoch
        assert accuracies(ensemble, m) == expected
        assert len(norms) == 4 * 4
        clipped += [norm > CLIP for norm in norms]
    assert 0.05 < sum(clipped) / len(clipped) < 0.95


@pytest.mark.parametrize("shape", [LEAKY, Shape(12, 12, 4, 4, "tanh")], ids=str)
def test_members_in_single_precision_are_as_exact_as_torch_is(shape: Shape) -> None:
    """Rounding takes both away from training in double precision, the ensemble hardly farther than torch's own loop."""
    found, exact = together(MEMBERS, shape, torch.float32), together(MEMBERS, shape)
    assert found.ensemble.flat.dtype == torch.float32
    for m, one in enumerate(MEMBERS):
        network, epoch, expected, _ = alone(one, shape, torch.float32)
        true = numbers(member(exact.ensemble, m))
        ours = (numbers(member(found.ensemble, m)) - true).abs().max()
        theirs = (numbers(network) - true).abs().max()
        assert ours < 4 * theirs + 1e-6
        assert theirs < 4 * one.rate  # a gradient that rounding takes across zero moves a number by up to two steps
        assert int(found.epoch[m]) == epoch
        assert accuracies(found, m) == pytest.approx(expected, abs=1.5 / 77)  # a sample that lies on a border


def test_another_number_of_steps_and_samples() -> None:
    """One batch an epoch, batches of one size, batches of one sample."""
    for values in ({"batch": 358}, {"batch": 1000}, {"batch": 179}, {"batch": 1, "epochs": 1}):
        ensemble = together(MEMBERS[:2], **values)
        for m, one in enumerate(MEMBERS[:2]):
            network, epoch, expected, _ = alone(one, **values)
            assert torch.allclose(numbers(member(ensemble.ensemble, m)), numbers(network), rtol=0, atol=1e-10)
            assert int(ensemble.epoch[m]) == epoch
            assert accuracies(ensemble, m) == expected


def test_clipping_is_by_each_member_of_its_own() -> None:
    free, clipped = together(MEMBERS[:2], clip=1e9), together(MEMBERS[:2], clip=1e-3)
    for m, one in enumerate(MEMBERS[:2]):
        for ensemble, clip in ((free, 1e9), (clipped, 1e-3)):
            network, *_ = alone(one, clip=clip)
            assert torch.allclose(numbers(member(ensemble.ensemble, m)), numbers(network), rtol=0, atol=1e-9)
        assert not torch.allclose(numbers(member(free.ensemble, m)), numbers(member(clipped.ensemble, m)))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_an_ensemble_is_as_many_ensembles_of_one(dtype: torch.dtype) -> None:
    ensemble = together(MEMBERS, dtype=dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    for m, one in enumerate(MEMBERS):
        single = together([one], dtype=dtype)
        found, expected = numbers(member(ensemble.ensemble, m)), numbers(member(single.ensemble, 0))
        assert torch.allclose(found, expected, rtol=0, atol=tolerance)
        assert ensemble.epoch[m] == single.epoch[0]
        assert accuracies(ensemble, m) == accuracies(single, 0)


def test_the_order_of_members_is_of_no_effect() -> None:
    forward, backward = together(MEMBERS), together(MEMBERS[::-1])
    assert torch.allclose(forward.ensemble.flat, backward.ensemble.flat.flip(0), rtol=0, atol=1e-12)
    assert torch.equal(forward.epoch, backward.epoch.flip(0))


def test_members_alike_stay_alike_and_others_part() -> None:
    twins = (MEMBERS[0], MEMBERS[4], MEMBERS[0])
    found = together(twins).ensemble.flat
    assert torch.equal(found[0], found[2])
    every = together(MEMBERS).ensemble.flat
    for m in range(len(MEMBERS)):
        for other in range(m):
            assert (every[m] - every[other]).abs().max() > 1e-3


def test_members_of_one_seed_start_alike_and_see_one_order() -> None:
    """After a step so small that nothing moves, parameters are those that the seed draws."""
    frozen = [replace(one, rate=1e-12, decay=0.0) for one in MEMBERS]
    found = together(frozen, epochs=1)
    for m, one in enumerate(MEMBERS):
        torch.manual_seed(one.seed)
        expected = numbers(encoder(LEAKY)).double()
        assert torch.allclose(numbers(member(found.ensemble, m)), expected, rtol=0, atol=1e-9)
    packed = found.ensemble.flat
    assert torch.allclose(packed[0], packed[2], atol=1e-9)
    assert not torch.allclose(packed[0], packed[1], atol=1e-2)


def test_orders_are_drawn_anew_every_epoch_and_for_every_seed() -> None:
    class Seen(Split):
        """Keeps the orders that it is asked for."""

        def inputs(self, orders: Sequence[Tensor] | None = None, out: Tensor | None = None) -> Tensor:
            if orders is not None:
                seen.append([order.clone() for order in orders])
            return super().inputs(orders, out)

    seen: list[list[Tensor]] = []
    plain = samples_of(MEMBERS, torch.float64)
    train_ensemble(
        LEAKY, replace(plain, train=Seen(**vars(plain.train))), seeds=[one.seed for one in MEMBERS],
        learning_rates=[1e-3] * 6, weight_decays=[0.0] * 6, epochs=3, batch=100,
    )  # fmt: skip
    assert len(seen) == 3
    for m, one in enumerate(MEMBERS):
        torch.manual_seed(one.seed)
        encoder(LEAKY)
        for epoch in range(3):
            assert torch.equal(seen[epoch][m], torch.randperm(358))
    assert torch.equal(seen[0][0], seen[0][2])
    assert not torch.equal(seen[0][0], seen[0][1])
    assert not torch.equal(seen[0][0], seen[1][0])


def test_the_first_best_checkpoint_is_kept() -> None:
    """The same parameters, and the same accuracy, in every epoch: the first one is the best."""
    still = together([replace(one, rate=1e-14, decay=0.0) for one in MEMBERS], epochs=3)
    assert still.epoch.tolist() == [1] * 6
    longer = together(MEMBERS, epochs=12)
    assert 1 < longer.epoch.min() < 12
    for m, one in enumerate(MEMBERS):  # what follows the best epoch is of no effect
        until = together([one], epochs=int(longer.epoch[m]))
        assert torch.allclose(longer.ensemble.flat[m], until.ensemble.flat[0], rtol=0, atol=1e-9)
        assert accuracies(longer, m) == accuracies(until, 0)


def test_ticks_come_after_every_epoch_and_global_generators_are_left_alone() -> None:
    torch.manual_seed(1)
    before, ticks = torch.get_rng_state(), []
    together(MEMBERS[:1], epochs=5, tick=lambda: ticks.append(1))
    assert len(ticks) == 5
    assert torch.equal(torch.get_rng_state(), before)


def test_accuracies_are_those_of_the_checkpoint() -> None:
    found, samples = together(MEMBERS), samples_of(MEMBERS, torch.float64)
    for m in range(len(MEMBERS)):
        network = member(found.ensemble, m)
        assert accuracies(found, m) == [accuracy(network, *split) for split in splits_of(samples, m)]
    assert found.performance.dtype == torch.float64
    assert found.performance.shape == (6, 3)


def test_training_teaches() -> None:
    shape = Shape(12, 12, 2, 4)
    samples = samples_of(MEMBERS, torch.float32)
    found = train_ensemble(
        shape, samples, seeds=[3] * 6, learning_rates=[1e-2] * 6, weight_decays=[0.0] * 6, epochs=25, batch=100
    )
    assert found.performance[:2, 0].min() > 0.75
    assert found.performance[:, 0].min() > 0.5
    assert found.performance[:2, 2].min() > 0.65


def test_data_of_a_study_are_the_samples_of_its_splits() -> None:
    samples = samples_of(MEMBERS, torch.float32)
    for m, one in enumerate(MEMBERS):
        data = STUDY.data(one.uniqueness)
        features = data.features(1, one.phi_depth)
        for (x, y), rows in zip(splits_of(samples, m), data.splits.values(), strict=True):
            assert torch.equal(x, features[torch.from_numpy(rows)])
            assert y.tolist() == data.labels[rows].tolist()
    shared = samples.train.tables
    assert shared[0] is shared[1]
    assert shared[0] is not shared[2]
    orders = [torch.randperm(358) for _ in MEMBERS]
    ordered, plain = samples.train.inputs(orders), samples.train.inputs()
    for m, order in enumerate(orders):
        assert torch.equal(ordered[m], plain[m][order])


def test_weight_decay_is_decoupled() -> None:
    """A member without gradients shrinks by 1 − lr · decay a step, its biases too."""
    found = together([Member(0, 1, 3, 1e-2, 0.5)], epochs=1, batch=358, clip=1e-300)
    torch.manual_seed(3)
    expected = numbers(encoder(LEAKY)).double() * (1 - 1e-2 * 0.5)
    assert torch.allclose(numbers(member(found.ensemble, 0)), expected, rtol=0, atol=1e-9)


def test_labels_that_never_occur() -> None:
    shape = Shape(12, 6, 1, 7)  # three classes more than there are
    ensemble = together(MEMBERS[:1], shape)
    network, epoch, expected, _ = alone(MEMBERS[0], shape)
    assert torch.allclose(numbers(member(ensemble.ensemble, 0)), numbers(network), rtol=0, atol=1e-10)
    assert (int(ensemble.epoch[0]), accuracies(ensemble, 0)) == (epoch, expected)
