"""Ensembles of encoders against torch.nn modules with the same weights, one at a time."""

from __future__ import annotations

import pytest
import torch
from support.synthetic import encoder, hidden, linears, member, numbers
from torch import Tensor, nn

from vlalign.study.ensembles import Ensemble
from vlalign.synthetic.encoder import NONLINEARITIES, Encoder, Shape, activations, initialise, pack, unpack

SHAPES = [
    Shape(5, 5, 1, 3),
    Shape(5, 5, 3, 4),
    Shape(7, 4, 2, 2),
    Shape(3, 6, 4, 5),
]
EVERY = [
    pytest.param(Shape(s.inputs, s.width, s.depth, s.classes, name), id=f"{name}-{s.inputs}-{s.width}x{s.depth}")
    for name in NONLINEARITIES
    for s in SHAPES
]
DOUBLE = torch.zeros(1, dtype=torch.float64)


def random_encoders(shape: Shape) -> Ensemble[Encoder]:
    return initialise(shape, [4, 1, 9], DOUBLE)[0]


def inputs(shape: Shape, count: int, batch: int) -> Tensor:
    """[M, B, inputs] float64."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(count, batch, shape.inputs, dtype=torch.float64, generator=generator)


@pytest.mark.parametrize("shape", EVERY)
def test_logits_and_activations_are_those_of_torch(shape: Shape) -> None:
    ensemble, x = random_encoders(shape), inputs(shape, 3, 17)
    logits = ensemble.module(x.mT)
    layers = activations(ensemble, x)
    assert logits.shape == (3, shape.classes, 17)
    assert len(layers) == shape.depth
    for m in range(3):
        network = member(ensemble, m)
        with torch.no_grad():
            assert torch.allclose(logits[m].T, network(x[m]), rtol=0, atol=1e-12)
        for found, expected in zip(layers, hidden(network, x[m]), strict=True):
            assert found.shape == (3, 17, shape.width)
            assert torch.allclose(found[m], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", EVERY)
def test_gradients_are_those_of_torch(shape: Shape) -> None:
    """The nonlinearities act in place."""
    ensemble, x = random_encoders(shape), inputs(shape, 3, 23)
    y = torch.randint(shape.classes, (3, 23), generator=torch.Generator().manual_seed(1))
    nn.functional.cross_entropy(ensemble.module(x.mT), y, reduction="sum").backward()
    for m in range(3):
        network = member(ensemble, m)
        nn.functional.cross_entropy(network(x[m]), y[m], reduction="sum").backward()
        ours = (*ensemble.module.layers, ensemble.module.head)
        for layer, found in zip(linears(network), ours, strict=True):
            for name, parameter in layer.named_parameters():
                gradient = found.get_parameter(name).grad
                assert gradient is not None
                assert parameter.grad is not None
                assert torch.allclose(gradient[m], parameter.grad, rtol=0, atol=1e-12)
                assert parameter.grad.abs().max() > 1e-6


@pytest.mark.parametrize("like", [torch.zeros(1), DOUBLE], ids=["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_initial_parameters_are_those_of_torch(shape: Shape, like: Tensor) -> None:
    seeds = [7, 3, 7, 0]
    ensemble, generators = initialise(shape, seeds, like)
    assert generators[0] is generators[2]
    for m, seed in enumerate(seeds):
        torch.manual_seed(seed)
        network = encoder(shape)
        assert torch.equal(numbers(member(ensemble, m)), numbers(network).to(like.dtype))
        assert torch.equal(ensemble.flat[m], numbers(network).to(like.dtype))
    for seed, generator in {7: generators[0], 3: generators[1], 0: generators[3]}.items():
        torch.manual_seed(seed)
        encoder(shape)
        assert torch.equal(torch.randperm(9, generator=generator), torch.randperm(9))  # as torch's own goes on


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packing_round_trips(shape: Shape) -> None:
    ensemble = random_encoders(shape)
    packed = pack(ensemble)
    assert packed.shape == (3, sum(rows * columns for rows, columns in shape.matrices))
    assert packed.dtype == torch.float64
    assert torch.equal(unpack(shape, packed).flat, ensemble.flat)
    second = unpack(shape, packed[1:2])
    assert torch.equal(numbers(member(second, 0)), numbers(member(ensemble, 1)))
    x = inputs(shape, 3, 6)
    for alone, together in zip(activations(second, x[1:2]), activations(ensemble, x), strict=True):
        assert torch.allclose(alone[0], together[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_packed_encoder_is_matrices_that_act_on_inputs_and_a_one(shape: Shape) -> None:
    ensemble, x = random_encoders(shape), inputs(shape, 3, 6)
    h = torch.cat([x, torch.ones(3, 6, 1)], dim=2).mT
    parts = pack(ensemble).split([rows * columns for rows, columns in shape.matrices], dim=1)
    for i, (part, size) in enumerate(zip(parts, shape.matrices, strict=True)):
        matrix = part.view(3, *size)
        if i < shape.depth:
            assert (matrix[:, -1, :-1] == 0).all()
            assert (matrix[:, -1, -1] == 1).all()
        h = matrix @ h
        if i < shape.depth:
            h = nn.functional.leaky_relu(h, 0.1)
    assert torch.allclose(h, ensemble.module(x.mT), rtol=0, atol=1e-12)


def test_shapes() -> None:
    assert Shape(12, 12, 1, 4).matrices == ((13, 13), (4, 13))
    assert Shape(12, 5, 3, 4).matrices == ((6, 13), (6, 6), (6, 6), (4, 6))
