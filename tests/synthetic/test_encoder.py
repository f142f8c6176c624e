"""Stacks of encoders against torch.nn modules with the same weights, one at a time."""

from __future__ import annotations

import pytest
import torch
from support.synthetic import encoder, hidden, linears, member, numbers
from torch import Tensor, nn

from vlalign.synthetic.encoder import NONLINEARITIES, Shape, Stack, Workspace

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


def random_stack(shape: Shape, count: int = 3, like: Tensor = DOUBLE) -> Stack:
    stack = Stack(shape, count, like)
    stack.initialise([4, 1, 9][:count])
    return stack


def inputs(shape: Shape, count: int, batch: int, seed: int = 0) -> Tensor:
    """[M, B, inputs + 1] float64, the last feature one."""
    x = torch.randn(count, batch, shape.inputs + 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x[..., -1] = 1
    return x


@pytest.mark.parametrize("shape", EVERY)
def test_logits_and_activations_are_those_of_torch(shape: Shape) -> None:
    stack, x = random_stack(shape), inputs(shape, 3, 17)
    logits = Workspace(shape, 3, 17, x).forward(stack, x)
    layers = stack.activations(x)
    assert logits.shape == (3, shape.classes, 17)
    assert len(layers) == shape.depth
    for m in range(3):
        network = member(stack, m)
        with torch.no_grad():
            assert torch.allclose(logits[m].T, network(x[m, :, :-1]), rtol=0, atol=1e-12)
        for found, expected in zip(layers, hidden(network, x[m, :, :-1]), strict=True):
            assert found.shape == (3, 17, shape.width)
            assert torch.allclose(found[m], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("shape", EVERY)
def test_gradients_are_those_of_autograd(shape: Shape) -> None:
    stack, x = random_stack(shape), inputs(shape, 3, 23)
    y = torch.randint(shape.classes, (3, 23), generator=torch.Generator().manual_seed(1))
    space, gradients = Workspace(shape, 3, 23, x), stack.like()
    logits = space.forward(stack, x).requires_grad_()
    loss = sum(nn.functional.cross_entropy(logits[m].T, y[m]) for m in range(3))
    assert isinstance(loss, Tensor)
    loss.backward()
    assert logits.grad is not None
    space.backward(stack, x, logits.grad, gradients)
    for m in range(3):
        network = member(stack, m)
        nn.functional.cross_entropy(network(x[m, :, :-1]), y[m]).backward()
        for layer, found in zip(linears(network), gradients.layers, strict=True):
            assert layer.weight.grad is not None
            assert layer.bias.grad is not None
            expected = torch.cat([layer.weight.grad, layer.bias.grad[:, None]], dim=1)
            assert torch.allclose(found[m, : layer.out_features], expected, rtol=0, atol=1e-12)
            assert expected.abs().max() > 1e-6


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_passes_can_be_repeated_and_batches_resized(name: str) -> None:
    """Buffers are used again: what an earlier, larger batch left there is of no effect."""
    shape = Shape(4, 5, 3, 3, name)
    stack, x = random_stack(shape), inputs(shape, 3, 12)
    space = Workspace(shape, 3, 12, x)
    whole = space.forward(stack, x).clone()
    small = space.sized(5)
    assert small is space.sized(5) is not space
    assert small.sized(12) is space
    assert torch.allclose(small.forward(stack, x[:, 4:9]), whole[:, :, 4:9], rtol=0, atol=1e-12)
    gradients, again = stack.like(), stack.like()
    delta = torch.ones(3, 3, 5, dtype=torch.float64)
    small.backward(stack, x[:, 4:9], delta, gradients)
    assert torch.equal(space.forward(stack, x), whole)
    small.forward(stack, x[:, 4:9])
    small.backward(stack, x[:, 4:9], delta, again)
    assert torch.equal(gradients.flat, again.flat)


@pytest.mark.parametrize("like", [torch.zeros(1), DOUBLE], ids=["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_initial_parameters_are_those_of_torch(shape: Shape, like: Tensor) -> None:
    seeds = [7, 3, 7, 0]
    stack = Stack(shape, 4, like)
    generators = stack.initialise(seeds)
    assert len(generators) == 3
    for m, seed in enumerate(seeds):
        torch.manual_seed(seed)
        network = encoder(shape)
        assert torch.equal(numbers(member(stack, m)), numbers(network).to(like.dtype))
    for seed, generator in zip([7, 3, 0], generators, strict=True):  # each goes on where torch's own is
        torch.manual_seed(seed)
        encoder(shape)
        assert torch.equal(torch.randperm(9, generator=generator), torch.randperm(9))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_constant_rows_hand_the_one_on(shape: Shape) -> None:
    stack = random_stack(shape)
    for layer in stack.layers[:-1]:
        assert (layer[:, -1, :-1] == 0).all()
        assert (layer[:, -1, -1] == 1).all()
    trained = stack.spread(torch.ones(3, dtype=torch.float64))
    assert int(trained.sum()) == 3 * shape.parameters
    assert shape.parameters == sum(part.numel() for part in encoder(shape).parameters())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_packing_round_trips(shape: Shape) -> None:
    stack = random_stack(shape)
    packed = stack.packed()
    assert packed.shape == (3, sum(rows * columns for rows, columns in shape.matrices))
    assert packed.dtype == torch.float64
    assert torch.equal(Stack.unpacked(shape, packed).flat, stack.flat)
    one = Stack.unpacked(shape, packed[1:2])
    assert torch.equal(numbers(member(one, 0)), numbers(member(stack, 1)))
    x = inputs(shape, 3, 6)
    for alone, together in zip(one.activations(x[1:2]), stack.activations(x), strict=True):
        assert torch.allclose(alone[0], together[1], rtol=0, atol=1e-12)


def test_spread_gives_every_encoder_its_own_value() -> None:
    stack = random_stack(SHAPES[1])
    values = torch.tensor([0.5, 2.0, 8.0], dtype=torch.float64)
    spread = stack.like()
    spread.flat.copy_(stack.spread(values))
    for layer, last in zip(spread.layers, [*[False] * SHAPES[1].depth, True], strict=True):
        for m in range(3):
            trained = layer[m] if last else layer[m, :-1]
            assert (trained == values[m]).all()
            assert last or (layer[m, -1] == 0).all()


def test_shapes() -> None:
    assert Shape(12, 12, 1, 4).matrices == ((13, 13), (4, 13))
    assert Shape(12, 5, 3, 4).matrices == ((6, 13), (6, 6), (6, 6), (4, 6))
    assert Shape(12, 12, 10, 4).parameters == 10 * 12 * 13 + 4 * 13
