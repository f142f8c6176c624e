"""Encoders of the synthetic study, many of one shape side by side: parameters, initialisation, forward, backward.

An encoder of depth D is D times [Linear, nonlinearity]; a linear head on top classifies. Every Linear is kept as one
matrix that acts on [features, 1], its bias in the last column; the last row of a hidden layer's matrix is [0 … 0, 1],
which hands the one on. Activations are [M, width + 1, B] with the samples last: on a CPU all products are then long
vector operations, however narrow the layers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.synthetic.transforms import linear_init

SLOPE = 0.1  # of the leaky ReLU, as in the reference


@dataclass(frozen=True)
class Nonlinearity:
    """In place, and its derivative from its value; ``hands_on`` a one as a one, or the ones are put back."""

    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor, Tensor], object]  # gradient, value, where the result goes
    hands_on: bool


_grad = torch.ops.aten
NONLINEARITIES = {
    "leaky_relu": Nonlinearity(
        lambda x: F.leaky_relu_(x, SLOPE),
        lambda g, h, out: _grad.leaky_relu_backward.grad_input(g, h, SLOPE, True, grad_input=out),
        True,
    ),
    "relu": Nonlinearity(
        torch.relu_, lambda g, h, out: _grad.threshold_backward.grad_input(g, h, 0, grad_input=out), True
    ),
    "tanh": Nonlinearity(torch.tanh_, lambda g, h, out: _grad.tanh_backward.grad_input(g, h, grad_input=out), False),
    "sigmoid": Nonlinearity(
        torch.sigmoid_, lambda g, h, out: _grad.sigmoid_backward.grad_input(g, h, grad_input=out), False
    ),
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
        """Rows and columns of each layer's matrix, the head's last, ones included."""
        first = (self.width + 1, self.inputs + 1)
        hidden = [(self.width + 1, self.width + 1)] * (self.depth - 1)
        return (first, *hidden, (self.classes, self.width + 1))

    @property
    def parameters(self) -> int:
        """Trained numbers of one encoder with its head."""
        return sum(rows * columns for rows, columns in self.matrices) - sum(c for _, c in self.matrices[:-1])


class Stack:
    """Parameters, or gradients, of M encoders of one shape: one flat buffer [total], viewed layer by layer.

    Args:
        shape: of each encoder.
        count: M.
        like: a tensor of their device and dtype; None for float32 on the CPU.
    """

    def __init__(self, shape: Shape, count: int, like: Tensor | None = None) -> None:
        self.shape, self.count = shape, count
        size = count * sum(rows * columns for rows, columns in shape.matrices)
        self.flat = torch.zeros(size) if like is None else like.new_zeros(size)
        self.layers: list[Tensor] = []
        start = 0
        for rows, columns in shape.matrices:
            size = count * rows * columns
            self.layers.append(self.flat[start : start + size].view(count, rows, columns))
            start += size

    def like(self) -> Stack:
        """Another stack of this shape, zeros."""
        return Stack(self.shape, self.count, self.flat)

    def spread(self, values: Tensor) -> Tensor:
        """Flat like the buffer: the value [M] of each encoder at its trained parameters, 0 at the constant rows."""
        out = self.like()
        for layer in out.layers:
            layer[:] = values.view(-1, 1, 1)
        for layer in out.layers[:-1]:
            layer[:, -1] = 0
        return out.flat

    def initialise(self, seeds: Sequence[int]) -> list[torch.Generator]:
        """Draw the parameters of each encoder from its seed as torch.nn.Linear would, layer by layer.

        Returns:
            A generator for each distinct seed, in order of first appearance, to go on from there.
        """
        drawn: dict[int, tuple[torch.Generator, list[tuple[Tensor, Tensor]]]] = {}
        for seed in dict.fromkeys(seeds):
            generator = torch.Generator().manual_seed(seed)
            drawn[seed] = (
                generator,
                [
                    linear_init(rows - (i < self.shape.depth), columns - 1, generator)
                    for i, (rows, columns) in enumerate(self.shape.matrices)
                ],
            )
        for m, seed in enumerate(seeds):
            for i, (layer, (weight, bias)) in enumerate(zip(self.layers, drawn[seed][1], strict=True)):
                layer[m, : len(bias), :-1], layer[m, : len(bias), -1] = weight, bias
                if i < self.shape.depth:
                    layer[m, -1, -1] = 1
        return [generator for generator, _ in drawn.values()]

    def packed(self) -> Tensor:
        """[M, P]: the matrices of each encoder one after the other, as they are saved."""
        return torch.cat([layer.reshape(self.count, -1) for layer in self.layers], dim=1)

    @classmethod
    def unpacked(cls, shape: Shape, packed: Tensor) -> Stack:
        """The inverse of :meth:`packed`."""
        stack = cls(shape, len(packed), packed)
        sizes = [rows * columns for rows, columns in shape.matrices]
        for layer, part in zip(stack.layers, packed.split(sizes, dim=1), strict=True):
            layer[:] = part.view(layer.shape)
        return stack

    def activations(self, x: Tensor) -> list[Tensor]:
        """Values [M, N, width] after the nonlinearity of each layer, for inputs [M, N, inputs + 1] ending in a one."""
        space = Workspace(self.shape, self.count, x.shape[1], self.flat)
        space.forward(self, x)
        return [h[:, :-1].mT.contiguous() for h in space.hidden]


class Workspace:
    """Buffers for batches of ``batch`` samples, and the passes that use them.

    Args:
        shape, count, like: as :class:`Stack`.
        batch: samples at a time.
    """

    def __init__(self, shape: Shape, count: int, batch: int, like: Tensor) -> None:
        self.shape, self.count, self.batch = shape, count, batch
        self._others: dict[int, Workspace] = {batch: self}
        size = (count, shape.width + 1, batch)
        self.hidden = [like.new_empty(size) for _ in range(shape.depth)]
        self._deltas = [like.new_empty(size) for _ in range(2)]
        self._function = NONLINEARITIES[shape.nonlinearity]

    def sized(self, batch: int) -> Workspace:
        """The workspace for batches of another size, such as the last one of an epoch."""
        if batch not in self._others:
            other = Workspace(self.shape, self.count, batch, self.hidden[0])
            other._others = self._others
            self._others[batch] = other
        return self._others[batch]

    def forward(self, parameters: Stack, x: Tensor) -> Tensor:
        """Logits [M, classes, B] of inputs [M, B, inputs + 1] whose last feature is one."""
        h = x.mT
        for matrix, out in zip(parameters.layers, self.hidden, strict=False):
            h = self._function.forward(torch.bmm(matrix, h, out=out))
            if not self._function.hands_on:
                h[:, -1] = 1
        return torch.bmm(parameters.layers[-1], h)

    def backward(self, parameters: Stack, x: Tensor, delta: Tensor, gradients: Stack) -> None:
        """Fill ``gradients`` from the gradient ``delta`` [M, classes, B] of the logits of the last forward pass.

        The constant rows of the matrices get values that mean nothing: leave them out.
        """
        torch.bmm(delta, self.hidden[-1].mT, out=gradients.layers[-1])
        here, there = self._deltas
        torch.bmm(parameters.layers[-1].mT, delta, out=here)
        for i in reversed(range(self.shape.depth)):
            self._function.backward(here, self.hidden[i], here)
            torch.bmm(here, self.hidden[i - 1].mT if i else x, out=gradients.layers[i])
            if i:
                torch.bmm(parameters.layers[i].mT, here, out=there)
                here, there = there, here
