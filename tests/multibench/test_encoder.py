"""Encoders: torch's layers, masks that leave padding without effect, stacks that hold state dicts."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.multibench_study import random_stack, samples_of
from torch import nn

from vlalign.multibench.encoder import Encoder, Stack
from vlalign.multibench.shape import POOLS, Shape

SHAPES = st.builds(
    Shape, st.integers(1, 6), st.integers(1, 7), st.integers(1, 8), st.integers(1, 4), st.integers(1, 5),
    st.sampled_from(POOLS),
)  # fmt: skip


@given(SHAPES)
def test_a_shape_knows_the_parameters_of_its_encoder(shape: Shape) -> None:
    state = Encoder(shape).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == shape.parameters
    assert list(state) != []
    assert shape.size == sum(value.numel() for value in state.values())


def test_layers_are_those_of_torch() -> None:
    shape = Shape(5, 7, 6, 3, 2, "mean")
    encoder = Encoder(shape).eval()
    for layer in encoder.transformer.layers:
        assert type(layer) is nn.TransformerEncoderLayer
        assert (layer.self_attn.num_heads, layer.linear1.out_features, layer.norm_first) == (1, 6, False)
        assert layer.dropout.p == 0.1
    x = torch.randn(4, 7, 5)
    expected = encoder.head(encoder.transformer(encoder.proj(x) + encoder.pos_embedding).mean(dim=1))
    torch.testing.assert_close(encoder(x), expected)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_padding_changes_no_output(pool: str) -> None:
    shape = Shape(5, 7, 6, 3, 2, pool)
    encoder = Encoder(shape).eval()
    x, lengths = torch.randn(9, 7, 5), torch.tensor([1, 2, 3, 4, 5, 6, 7, 7, 3])
    out = encoder(x, lengths)
    garbage = x.clone()
    for row, length in zip(garbage, lengths, strict=True):
        row[length:] = 1e3
    torch.testing.assert_close(encoder(garbage, lengths), out)
    for i, length in enumerate(lengths):  # as if there were no padding at all
        torch.testing.assert_close(encoder(x[i : i + 1, :length]), out[i : i + 1], atol=1e-5, rtol=1e-4)


def test_the_mean_with_padding_counts_padding_as_the_released_code_does() -> None:
    encoder = Encoder(Shape(5, 7, 6, 1, 2, "mean-padded")).eval()
    x, lengths = torch.randn(3, 7, 5), torch.tensor([2, 4, 7])
    padding = torch.arange(7) >= lengths[:, None]
    h = encoder.transformer(encoder.proj(x) + encoder.pos_embedding, src_key_padding_mask=padding)
    torch.testing.assert_close(encoder(x, lengths), encoder.head(h.mean(dim=1)))


def test_layers_start_equal_and_seeds_differ() -> None:
    shape = Shape(5, 7, 6, 3, 2)
    stack = Stack.initialise(shape, [3, 4, 3])
    torch.manual_seed(3)
    alone = Encoder(shape).state_dict()
    assert all(torch.equal(stack.state(0)[name], value) for name, value in alone.items())
    assert torch.equal(stack.flat[0], stack.flat[2])
    assert not torch.equal(stack.flat[0], stack.flat[1])
    assert torch.equal(stack.layer(0)["linear1.weight"], stack.layer(2)["linear1.weight"])


def test_drawing_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    Stack.initialise(Shape(5, 7, 6, 1, 2), [1, 2])
    assert torch.equal(torch.rand(3), expected)


@given(SHAPES, st.integers(1, 3))
def test_a_stack_is_its_state_dicts(shape: Shape, members: int) -> None:
    stack = random_stack(shape, members)
    again = Stack.of(shape, [stack.state(m) for m in range(members)])
    assert torch.equal(again.flat, stack.flat)
    assert samples_of(shape, 2, ragged=True).x.shape == (2, shape.tokens, shape.features)
