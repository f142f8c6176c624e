"""Encoders: passes of one and of many equal torch's, padding is without effect, ensembles hold state dicts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.multibench_study import module_of, random_ensemble, samples_of
from torch import nn

from vlalign.multibench.encoder import Encoder, initialise, parameters_of, stack
from vlalign.multibench.shape import Shape
from vlalign.study.ensembles import Dropout

SHAPES = st.builds(
    Shape, st.integers(1, 6), st.integers(1, 7), st.integers(1, 8), st.integers(1, 4), st.integers(1, 5),
    st.sampled_from(["cls", "mean", "mean-padded"]),
)  # fmt: skip


def test_names_of_parameters_are_those_of_stored_encoders() -> None:
    shape = Shape(5, 7, 6, 1, 2)
    assert parameters_of(shape) == {name: tuple(value.shape) for name, value in Encoder(shape).state_dict().items()}
    assert list(parameters_of(shape)) == [
        "cls_token", "pos_embedding", "proj.weight", "proj.bias", "transformer.layers.0.self_attn.in_proj_weight",
        "transformer.layers.0.self_attn.in_proj_bias", "transformer.layers.0.self_attn.out_proj.weight",
        "transformer.layers.0.self_attn.out_proj.bias",
        *(f"transformer.layers.0.{name}.{part}" for name in ("linear1", "linear2", "norm1", "norm2")
          for part in ("weight", "bias")),
        "head.weight", "head.bias",
    ]  # fmt: skip


def test_layers_are_those_of_torch() -> None:
    shape = Shape(5, 7, 6, 3, 2, "mean")
    encoder = Encoder(shape).eval()
    for layer in encoder.transformer.layers:
        assert type(layer) is nn.TransformerEncoderLayer
        assert (layer.self_attn.num_heads, layer.linear1.out_features, layer.norm_first) == (1, 6, False)
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
    ensemble = initialise(shape, [3, 4, 3])
    torch.manual_seed(3)
    alone = Encoder(shape).state_dict()
    assert all(torch.equal(ensemble.state(0)[name], value) for name, value in alone.items())
    assert torch.equal(ensemble.flat[0], ensemble.flat[2])
    assert not torch.equal(ensemble.flat[0], ensemble.flat[1])
    layers = ensemble.module.transformer.layers
    assert torch.equal(layers[0].linear1.weight, layers[2].linear1.weight)


def test_drawing_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    initialise(Shape(5, 7, 6, 1, 2), [1, 2])
    assert torch.equal(torch.rand(3), expected)


@given(SHAPES, st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_an_ensemble_is_its_state_dicts(shape: Shape, members: int) -> None:
    ensemble = random_ensemble(shape, members)
    again = stack(shape, [ensemble.state(m) for m in range(members)])
    assert torch.equal(again.flat, ensemble.flat)
    assert {name: tuple(value.shape) for name, value in again.state(0).items()} == parameters_of(shape)
    assert samples_of(shape, 2, ragged=True).x.shape == (2, shape.tokens, shape.features)


@given(SHAPES, st.integers(1, 3), st.integers(1, 5), st.booleans(), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_passes_equal_torch(shape: Shape, members: int, batch: int, ragged: bool, seed: int) -> None:
    """Outputs, states and gradients of members together, of an encoder alone, and of torch's modules."""
    generator = torch.Generator().manual_seed(seed)
    ensemble = random_ensemble(shape, members)
    x = torch.randn(members, batch, shape.tokens, shape.features, generator=generator, dtype=torch.float64)
    lengths = torch.randint(1, shape.tokens + 1, (members, batch), generator=generator) if ragged else None
    out, states = ensemble.module(x, lengths), ensemble.module.states(x, lengths)
    delta = torch.randn(out.shape, generator=generator, dtype=torch.float64)
    (out * delta).sum().backward()
    for m in range(members):
        reference = module_of(ensemble, m).train()  # eval would take torch's fast path
        alone = Encoder(shape).double()
        alone.load_state_dict(ensemble.state(m))
        own = None if lengths is None else lengths[m]
        expected = reference(x[m], own)
        torch.testing.assert_close(out[m], expected)
        torch.testing.assert_close(alone(x[m], own), expected)
        (expected * delta[m]).sum().backward()
        for name, parameter in reference.named_parameters():
            gradient = ensemble.module.get_parameter(name).grad
            assert gradient is not None
            torch.testing.assert_close(gradient[m], parameter.grad, msg=name)
        every = zip(states, alone.states(x[m], own), reference.states(x[m], own), strict=True)
        for together, single, states_of_torch in every:
            torch.testing.assert_close(together[m], states_of_torch)
            torch.testing.assert_close(single, states_of_torch)


@pytest.mark.parametrize("pool", ["cls", "mean"])
def test_dropout_is_that_of_torch_for_the_same_masks(pool: str) -> None:
    """A layer from the definition, with the masks that were drawn."""
    shape = Shape(5, 4, 5, 1, 5, pool)
    ensemble = random_ensemble(shape, 2)
    drawn: list[torch.Tensor] = []

    class Recording(Dropout):
        def __call__(self, *arguments: Any) -> list[torch.Tensor]:
            drawn.extend(super().__call__(*arguments))
            return drawn

    x = torch.randn(2, 3, 4, 5, dtype=torch.float64)
    out = ensemble.module(x, None, Recording(0.4, [1, 2], torch.device("cpu")))
    tokens, queries = (5, 1) if shape.cls else (4, 4)
    for m in range(2):
        encoder = module_of(ensemble, m)
        h = encoder.proj(x[m])
        if shape.cls:
            h = torch.cat([encoder.cls_token.expand(3, 1, 5), h], dim=1)
        h = h + encoder.pos_embedding
        a, b, c, d = (mask.view(2, 3, queries, -1)[m] for mask in drawn)
        layer: Any = encoder.transformer.layers[0]
        q, k, v = nn.functional.linear(h, layer.self_attn.in_proj_weight, layer.self_attn.in_proj_bias).chunk(3, dim=-1)
        attention = torch.softmax(q[:, :queries] @ k.mT / 5**0.5, dim=-1) * a
        assert a.shape == (3, queries, tokens)
        h = layer.norm1(h[:, :queries] + layer.self_attn.out_proj(attention @ v) * b)
        h = layer.norm2(h + layer.linear2(torch.relu(layer.linear1(h)) * c) * d)
        torch.testing.assert_close(out[m], encoder.head(h.mean(dim=1)))
