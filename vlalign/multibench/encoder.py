"""Transformer encoders: the module that a checkpoint fills, and the parameters of many of one shape side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from threading import Lock

import torch
from torch import Tensor, nn

from vlalign.multibench.shape import LAYER, Shape

_drawing = Lock()  # torch.nn draws from the one global generator


class Encoder(nn.Module):
    """The encoder of arXiv 2502.16282's MultiBench study, with its head.

    Linear to the width, learned positions, post-norm :class:`torch.nn.TransformerEncoderLayer` with one head, ReLU and
    feed-forward layers of the same width. The layers start equal, as :class:`torch.nn.TransformerEncoder` copies them.

    Args:
        shape: of it.
        dropout: probability.
    """

    def __init__(self, shape: Shape, dropout: float = 0.1) -> None:
        super().__init__()
        self.shape = shape
        d = shape.width
        self.proj = nn.Linear(shape.features, d)
        layer = nn.TransformerEncoderLayer(d, nhead=1, dim_feedforward=d, dropout=dropout, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, shape.depth, enable_nested_tensor=False)
        if shape.cls:
            self.cls_token = nn.Parameter(torch.randn(1, 1, d))
        self.pos_embedding = nn.Parameter(torch.randn(1, shape.cls + shape.tokens, d))
        self.head = nn.Linear(d, shape.outputs)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Outputs [N, outputs] of tokens [N, T, features], of which the first ``lengths`` [N] count."""
        return self.head(self.states(x, lengths)[-1])

    def states(self, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """The pooled state [N, width] after each layer."""
        h = self.proj(x)
        if self.shape.cls:
            h = torch.cat([self.cls_token.expand(len(x), 1, -1), h], dim=1)
        h = h + self.pos_embedding[:, : h.shape[1]]
        padding = weights = None
        if lengths is not None:
            padding = torch.arange(h.shape[1], device=x.device) >= (lengths[:, None] + self.shape.cls)
            weights = (~padding).to(h.dtype)[..., None] / lengths[:, None, None]
        found = []
        for layer in self.transformer.layers:
            h = layer(h, src_key_padding_mask=padding)
            if self.shape.cls:
                found.append(h[:, 0])
            elif weights is None or self.shape.pool == "mean-padded":
                found.append(h.mean(dim=1))
            else:
                found.append((h * weights).sum(dim=1))
        return found


class Stack:
    """Parameters, or gradients, of S encoders of one shape: one buffer [S, size], viewed parameter by parameter.

    Args:
        shape: of each encoder.
        flat: the buffer.
    """

    def __init__(self, shape: Shape, flat: Tensor) -> None:
        self.shape, self.flat = shape, flat
        self.views: dict[str, Tensor] = {}
        start = 0
        for name, size in shape.parameters.items():
            end = start + prod(size)
            self.views[name] = flat[:, start:end].view(len(flat), *size)
            start = end

    def __len__(self) -> int:
        return len(self.flat)

    def __getitem__(self, name: str) -> Tensor:
        return self.views[name]

    def layer(self, i: int) -> dict[str, Tensor]:
        """The parameters of one layer, under their names in it."""
        return {name: self.views[f"transformer.layers.{i}.{name}"] for name in LAYER}

    def like(self) -> Stack:
        """Another stack of this shape, zeros."""
        return Stack(self.shape, torch.zeros_like(self.flat))

    def state(self, member: int) -> dict[str, Tensor]:
        """The state dict of one member, for :class:`Encoder`; views."""
        return {name: view[member] for name, view in self.views.items()}

    @classmethod
    def initialise(cls, shape: Shape, seeds: Sequence[int], device: torch.device | None = None) -> Stack:
        """Parameters as :class:`Encoder` has them after ``torch.manual_seed(seed)``, for each seed."""
        states = []
        for seed in seeds:
            with _drawing, torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                states.append(Encoder(shape).state_dict())
        return cls.of(shape, states, device)

    @classmethod
    def of(cls, shape: Shape, states: Sequence[Mapping[str, Tensor]], device: torch.device | None = None) -> Stack:
        """A stack of encoders from their state dicts."""
        flat = torch.stack([torch.cat([state[name].reshape(-1) for name in shape.parameters]) for state in states])
        return cls(shape, flat.to(device))
