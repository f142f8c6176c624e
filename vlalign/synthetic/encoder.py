"""Encoders of the synthetic study: many of one shape as one torch module, and the form in which they are stored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlalign.study.ensembles import Ensemble
from vlalign.synthetic.transforms import linear_init

SLOPE = 0.1  # of the leaky ReLU, as in the reference

#: in place
NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "leaky_relu": partial(F.leaky_relu, negative_slope=SLOPE, inplace=True),
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
}


@dataclass(frozen=True)
class Shape:
    """The shape of an encoder with its head."""

    inputs: int
    width: int
    depth: int
    classes: int
    nonlinearity: str = "leaky_relu"

    @cached_property
    def matrices(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each stored matrix, the head's last; see :func:`pack`."""
        first = (self.width + 1, self.inputs + 1)
        hidden = [(self.width + 1, self.width + 1)] * (self.depth - 1)
        return (first, *hidden, (self.classes, self.width + 1))


class Encoder(nn.Module):
    """Encoders of depth D: D times [Linear, nonlinearity], and a linear head that classifies.

    The passes take M encoders whose parameters have a leading axis [M, …] (:class:`vlalign.study.ensembles.Ensemble`).
    Samples are the last axis: on a CPU all products are then long vector operations, however narrow the layers.

    Args:
        shape: of it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape, self.nonlinearity = shape, NONLINEARITIES[shape.nonlinearity]
        self.layers = nn.ModuleList(
            nn.Linear(shape.width if i else shape.inputs, shape.width) for i in range(shape.depth)
        )
        self.head = nn.Linear(shape.width, shape.classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits [M, classes, B] of inputs [M, inputs, B]."""
        return _affine(self.head, self.states(x)[-1])

    def states(self, x: Tensor) -> list[Tensor]:
        """Return the values [M, width, B] after the nonlinearity of each layer."""
        states = []
        for layer in self.layers:
            x = self.nonlinearity(_affine(layer, x))
            states.append(x)
        return states


def _affine(layer: Any, x: Tensor) -> Tensor:
    """Map x [M, in, B] by a layer with weights [M, out, in] and biases [M, out]."""
    return torch.baddbmm(layer.bias.unsqueeze(2), layer.weight, x)


def initialise(
    shape: Shape, seeds: Sequence[int], like: Tensor | None = None
) -> tuple[Ensemble[Encoder], list[torch.Generator]]:
    """Return encoders whose parameters are drawn as torch.nn.Linear draws them, layer by layer.

    Args:
        shape: of each encoder.
        seeds: [M]; equal seeds draw equal parameters.
        like: a tensor of their device and dtype; None for float32 on the CPU.

    Returns:
        The encoders, and for each of them the generator that goes on after its draws, which equal seeds share.
    """
    generators = {seed: torch.Generator().manual_seed(seed) for seed in seeds}
    drawn = {
        seed: torch.cat(
            [
                part.flatten()
                for i, (rows, columns) in enumerate(shape.matrices)
                for part in linear_init(rows - (i < shape.depth), columns - 1, generator)
            ]
        )
        for seed, generator in generators.items()
    }
    flat = torch.stack([drawn[seed] for seed in seeds])
    return Ensemble(partial(Encoder, shape), flat if like is None else flat.to(like)), [generators[s] for s in seeds]


def pack(ensemble: Ensemble[Encoder]) -> Tensor:
    """Return the parameters of encoders as they are stored: [M, P], one matrix of a layer after the other.

    A matrix acts on [features, 1]: its last column is the bias, and the last row of a hidden layer's matrix is
    [0 … 0, 1].
    """
    module, parts = ensemble.module, []
    for layer in (*module.layers, module.head):
        matrix = torch.cat([layer.weight.detach(), layer.bias.detach().unsqueeze(2)], dim=2)
        if layer is not module.head:
            matrix = F.pad(matrix, (0, 0, 0, 1))
            matrix[:, -1, -1] = 1
        parts.append(matrix.flatten(1))
    return torch.cat(parts, dim=1)


def unpack(shape: Shape, packed: Tensor) -> Ensemble[Encoder]:
    """Return the encoders that :func:`pack` stored."""
    parts = []
    sizes = [rows * columns for rows, columns in shape.matrices]
    for i, ((rows, columns), part) in enumerate(zip(shape.matrices, packed.split(sizes, dim=1), strict=True)):
        matrix = part.view(len(packed), rows, columns)[:, : rows - (i < shape.depth)]
        parts += [matrix[..., :-1].flatten(1), matrix[..., -1]]
    return Ensemble(partial(Encoder, shape), torch.cat(parts, dim=1))


@torch.no_grad()
def activations(ensemble: Ensemble[Encoder], x: Tensor) -> list[Tensor]:
    """Return the values [M, N, width] after the nonlinearity of each layer, for inputs [M, N, inputs]."""
    return [h.mT.contiguous() for h in ensemble.module.states(x.mT)]
