"""The passes of a stack against torch's modules and autograd, and the masks of dropout."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.multibench_study import module_of, random_stack

from vlalign.multibench.passes import Buffers, Dropout, Layer, Passes
from vlalign.multibench.shape import POOLS, Shape

CPU = torch.device("cpu")


@given(
    st.builds(
        Shape, st.integers(1, 5), st.integers(1, 6), st.integers(2, 6), st.integers(1, 3), st.integers(1, 4),
        st.sampled_from(POOLS),
    ),
    st.integers(1, 3), st.integers(1, 5), st.booleans(), st.integers(0, 2**16),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_passes_equal_torch(shape: Shape, members: int, batch: int, ragged: bool, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    stack = random_stack(shape, members)
    gradients = stack.like()
    passes = Passes(stack, gradients)
    x = torch.randn(members, batch, shape.tokens, shape.features, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, shape.tokens + 1, (members, batch), generator=generator) if ragged else None
    out = passes.forward(x, lengths)
    delta = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    passes.backward(delta)
    for m in range(members):
        encoder = module_of(stack, m).train()  # eval would take torch's fast path
        own = None if lengths is None else lengths[m]
        expected = encoder(x[m], own)
        torch.testing.assert_close(out[m], expected)
        (expected * delta[m]).sum().backward()
        for name, parameter in encoder.named_parameters():
            torch.testing.assert_close(gradients[name][m], parameter.grad, msg=name)
        found = Passes(stack).states(x, lengths)
        for layer, states in zip(found, encoder.states(x[m], own), strict=True):
            torch.testing.assert_close(layer[m], states)


@pytest.mark.parametrize("queries", [4, 1])
def test_dropout_is_that_of_torch_for_the_same_masks(queries: int) -> None:
    """A layer by autograd, from the definition, with the masks that were drawn."""
    shape = Shape(3, 4, 5, 1, 2)
    stack = random_stack(shape, 2)
    gradients = stack.like()
    drawn: list[list[torch.Tensor]] = []

    class Recording(Dropout):
        def fill(self, *masks: torch.Tensor) -> None:
            super().fill(*masks)
            drawn.append([mask.clone() for mask in masks])

    dropout = Recording(0.4, [1, 2], CPU)
    layer = Layer(stack.layer(0), gradients.layer(0), Buffers(stack.flat), Buffers(stack.flat), dropout)
    x = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    out = layer.forward(x.detach(), None, queries)
    dx = layer.backward(torch.ones_like(out))
    for m in range(2):
        p = {name: value[m].clone().requires_grad_() for name, value in stack.layer(0).items()}
        a, b, c, d = (mask[m] * dropout.scale for mask in drawn[0])
        q, k, v = (
            x[m] @ w.T + bias
            for w, bias in zip(
                p["self_attn.in_proj_weight"].split(5), p["self_attn.in_proj_bias"].split(5), strict=True
            )
        )
        attention = torch.softmax(q[:, :queries] @ k.mT / 5**0.5, dim=-1) * a.view(3, queries, 4)
        mixed = attention @ v @ p["self_attn.out_proj.weight"].T + p["self_attn.out_proj.bias"]
        h = x[m][:, :queries] + mixed * b.view(mixed.shape)
        h = torch.nn.functional.layer_norm(h, (5,), p["norm1.weight"], p["norm1.bias"])
        inner = torch.relu(h @ p["linear1.weight"].T + p["linear1.bias"]) * c.view(h.shape)
        h = h + (inner @ p["linear2.weight"].T + p["linear2.bias"]) * d.view(h.shape)
        expected = torch.nn.functional.layer_norm(h, (5,), p["norm2.weight"], p["norm2.bias"])
        torch.testing.assert_close(out[m], expected)
        (gx,) = torch.autograd.grad(expected.sum(), x, retain_graph=True)
        torch.testing.assert_close(dx[m], gx[m])
        for name, value in p.items():
            (grad,) = torch.autograd.grad(expected.sum(), value, retain_graph=True)
            torch.testing.assert_close(gradients.layer(0)[name][m], grad, msg=name)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.03])
def test_masks_drop_as_many_as_they_should_and_keep_the_mean(probability: float) -> None:
    dropout = Dropout(probability, [3], CPU)
    drawn = []
    for _ in range(200):
        pair = torch.empty(1, 999), torch.empty(1, 1501)
        dropout.fill(*pair)
        drawn += pair
    masks = torch.cat(drawn, dim=1)
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    n = masks.numel()
    assert abs(float((masks == 0).double().mean()) - probability) < 5 * np.sqrt(probability * (1 - probability) / n)
    assert float(masks.mean()) * dropout.scale == pytest.approx(1, abs=0.01)


def test_a_members_masks_depend_on_its_seed_alone() -> None:
    together, alone = Dropout(0.1, [1, 2, 3], CPU), Dropout(0.1, [2], CPU)
    for _ in range(3):
        three, one = (torch.empty(3, 10), torch.empty(3, 2, 7)), (torch.empty(1, 10), torch.empty(1, 2, 7))
        together.fill(*three)
        alone.fill(*one)
        for a, b in zip(three, one, strict=True):
            assert torch.equal(a[1:2], b)
    two = torch.empty(2, 200)
    Dropout(0.1, [1, 2], CPU).fill(two)
    assert not torch.equal(two[0], two[1])


def test_buffers_are_used_again() -> None:
    buffers = Buffers(torch.zeros(1, dtype=torch.float64))
    first = buffers.get("a", 4, 3).fill_(7)
    assert first.dtype == torch.float64
    assert buffers.get("a", 2, 5).data_ptr() == first.data_ptr()
    assert buffers.get("b", 4, 3).data_ptr() != first.data_ptr()
    assert buffers.get("a", 40).shape == (40,)


def test_passes_do_not_disturb_what_they_returned() -> None:
    stack = random_stack(Shape(3, 4, 5, 3, 2), 2)
    passes = Passes(stack)
    x, y = (torch.randn(2, 3, 4, 3, dtype=torch.float64) for _ in range(2))
    out, states = passes.forward(x), passes.states(x)
    copies = [one.clone() for one in (out, *states)]
    passes.forward(y), passes.states(y)
    assert all(torch.equal(a, b) for a, b in zip((out, *states), copies, strict=True))
