"""Transformer encoders of the MultiBench study, as one torch module."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache, partial
from threading import Lock

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlalign.multibench.shape import Shape
from vlalign.study.ensembles import Dropout, Ensemble

_drawing = Lock()  # torch.nn draws from the one global generator


class Encoder(nn.Module):
    """The encoder of arXiv 2502.16282's MultiBench study, with its head.

    Linear to the width, learned positions, post-norm :class:`torch.nn.TransformerEncoderLayer` with one head, ReLU and
    feed-forward layers of the same width. The layers start equal, as :class:`torch.nn.TransformerEncoder` copies them.

    The passes take one encoder, or S encoders whose parameters have a leading axis [S, …]
    (:class:`vlalign.study.ensembles.Ensemble`): [(S,) …] covers both.

    Args:
        shape: of it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        d = shape.width
        self.proj = nn.Linear(shape.features, d)
        layer = nn.TransformerEncoderLayer(d, nhead=1, dim_feedforward=d, dropout=0.0, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, shape.depth, enable_nested_tensor=False)
        if shape.cls:
            self.cls_token = nn.Parameter(torch.randn(1, 1, d))
        self.pos_embedding = nn.Parameter(torch.randn(1, shape.cls + shape.tokens, d))
        self.head = nn.Linear(d, shape.outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None, dropout: Dropout | None = None) -> Tensor:
        """Return outputs [(S,) B, outputs] for tokens.

        Args:
            x: tokens [(S,) B, T, features].
            lengths: int64 [(S,) B], how many of the first tokens count; None for all.
            dropout: masks of training; None for none.
        """
        h, padding, weights = self._embed(x, lengths)
        for i in range(self.shape.depth):
            h = self._layer(i, h, padding, dropout)
        return _affine(_pool(h, weights), self.head.weight, self.head.bias)

    def states(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """Return the pooled state [(S,) B, width] after each layer."""
        h, padding, weights = self._embed(x, lengths)
        states = []
        for i in range(self.shape.depth):
            h = self._layer(i, h, padding, None)
            states.append(_pool(h, weights))
        return states

    def _embed(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Return what the first layer and the pooling need.

        States [(S,) B, T', width], what is added to the logits of attention [S·B, 1, T'] (-inf at padding), and the
        weights [S·B, 1, T'] of tokens in the pooled state, None for the added token.
        """
        *lead, t, _ = x.shape
        h = _affine(x.flatten(-3, -2), self.proj.weight, self.proj.bias).view(*lead, t, -1)
        if self.shape.cls:
            h = torch.cat([self.cls_token.expand(*lead, 1, -1), h], dim=-2)
        h = h + self.pos_embedding[..., : h.shape[-2], :]
        t = h.shape[-2]
        padding = weights = None
        if lengths is not None:
            counts = lengths.reshape(-1, 1, 1)
            token = torch.arange(t, device=x.device) < counts + self.shape.cls
            padding = h.new_zeros(token.shape).masked_fill_(~token, -torch.inf)
            weights = token.to(h.dtype) / counts
        if self.shape.cls:
            return h, padding, None
        if weights is None or self.shape.pool == "mean-padded":
            weights = h.new_full((h.shape[:-2].numel(), 1, t), 1 / t)
        return h, padding, weights

    def _layer(self, i: int, x: Tensor, padding: Tensor | None, dropout: Dropout | None) -> Tensor:
        """Return states [(S,) B, Q, width] after a layer.

        Of all tokens; where the added token is pooled, of that token alone after the last layer: no other one reaches
        the output.
        """
        layer, attention = self.transformer.layers[i], self.transformer.layers[i].self_attn
        *lead, b, t, d = x.shape
        q = 1 if self.shape.cls and i == self.shape.depth - 1 else t
        rows, first = x.reshape(*lead, b * t, d), x[..., :q, :].reshape(*lead, b * q, d)
        weights, biases = attention.in_proj_weight.split(d, dim=-2), attention.in_proj_bias.split(d, dim=-1)
        queries, keys, values = (
            _affine(side, weight, bias).view(-1, n, d)
            for side, n, weight, bias in zip((first, rows, rows), (q, t, t), weights, biases, strict=True)
        )
        masks = dropout(x, (len(keys), q, t), *3 * [first.shape]) if dropout else 4 * [None]
        if padding is None:
            logits = torch.bmm(queries * d**-0.5, keys.mT)
        else:
            logits = torch.baddbmm(padding, queries, keys.mT, alpha=d**-0.5)
        mixed = torch.bmm(_drop(torch.softmax(logits, dim=-1), masks[0]), values).view(first.shape)
        mixed = _affine(mixed, attention.out_proj.weight, attention.out_proj.bias)
        h = _norm(first + _drop(mixed, masks[1]), layer.norm1)
        hidden = _drop(torch.relu(_affine(h, layer.linear1.weight, layer.linear1.bias)), masks[2])
        h = _norm(h + _drop(_affine(hidden, layer.linear2.weight, layer.linear2.bias), masks[3]), layer.norm2)
        return h.view(*lead, b, q, d)


def _affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Map x [(S,) n, in] by the weight [(S,) out, in] and bias [(S,) out] of each member."""
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    return torch.baddbmm(bias.unsqueeze(1), x, weight.mT)


def _norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """Normalise x [(S,) n, width], with the weight and bias of each member."""
    normed = F.layer_norm(x, x.shape[-1:], eps=norm.eps)
    return torch.addcmul(norm.bias.unsqueeze(-2), normed, norm.weight.unsqueeze(-2))


def _drop(x: Tensor, mask: Tensor | None) -> Tensor:
    return x if mask is None else x * mask


def _pool(h: Tensor, weights: Tensor | None) -> Tensor:
    """Return the state [(S,) B, width] of the added token, or the mean of states with weights [S·B, 1, T]."""
    if weights is None:
        return h[..., 0, :]
    return torch.bmm(weights, h.flatten(0, -3)).view(*h.shape[:-2], -1)


@lru_cache
def parameters_of(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every parameter of an encoder, in order."""
    with torch.device("meta"):
        return {name: tuple(parameter.shape) for name, parameter in Encoder(shape).named_parameters()}


def stack(
    shape: Shape, states: Sequence[Mapping[str, Tensor]], device: torch.device | None = None
) -> Ensemble[Encoder]:
    """Return an ensemble of encoders from their state dicts."""
    return Ensemble.of(partial(Encoder, shape), states, device)


def initialise(shape: Shape, seeds: Sequence[int], device: torch.device | None = None) -> Ensemble[Encoder]:
    """Return an ensemble of encoders as they start after ``torch.manual_seed(seed)``, for each seed."""
    states = []
    for seed in seeds:
        with _drawing, torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            states.append(Encoder(shape).state_dict())
    return stack(shape, states, device)
