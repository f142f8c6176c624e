"""Training of an ensemble: encoders of one shape, each with its own data, order, rates and best checkpoint.

Each member ends where it would end if it were trained alone: AdamW (Loshchilov & Hutter 2019, decoupled weight decay,
betas 0.9 and 0.999, eps 1e-8), cross-entropy, gradient-norm clipping over all of its parameters, and the first
checkpoint with the best validation accuracy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlalign.synthetic.encoder import Shape, Stack, Workspace

_BETAS = (0.9, 0.999)
_EPS = 1e-8


@dataclass(frozen=True)
class Split:
    """One split of the data of all members.

    Attributes:
        tables: of each member the distinct inputs [R, inputs + 1] that its samples have, each ending in a one; members
            of the same data share one tensor.
        rows: int64 [M, n], the row of each sample in its table.
        labels: int64 [M, n].
    """

    tables: Sequence[Tensor]
    rows: Tensor
    labels: Tensor

    def inputs(self, orders: Sequence[Tensor] | None = None, out: Tensor | None = None) -> Tensor:
        """Inputs [M, n, inputs + 1] of all samples, those of each member in its order [n] of ``orders``.

        A table lies in the processor's cache, all samples of all members do not: so one member after the other.
        """
        count, n = self.rows.shape
        found = self.tables[0].new_empty(count, n, self.tables[0].shape[1]) if out is None else out
        for m, table in enumerate(self.tables):
            rows = self.rows[m] if orders is None else self.rows[m].index_select(0, orders[m])
            torch.index_select(table, 0, rows, out=found[m])
        return found


@dataclass(frozen=True)
class Samples:
    """The data of all members; every member has as many samples in a split."""

    train: Split
    valid: Split
    test: Split


@dataclass(frozen=True)
class Trained:
    """What training gave: ``parameters`` of the best checkpoints, and per member [M] …

    Attributes:
        parameters: the best checkpoints.
        epoch: the epoch they are of, from 1.
        train, valid, test: their accuracy on each split, float64.
    """

    parameters: Stack
    epoch: Tensor
    train: Tensor
    valid: Tensor
    test: Tensor


def train_ensemble(
    shape: Shape,
    samples: Samples,
    *,
    seeds: Sequence[int],
    learning_rates: Sequence[float],
    weight_decays: Sequence[float],
    epochs: int,
    batch: int = 512,
    clip: float = 8.0,
    tick: Callable[[], None] = lambda: None,
) -> Trained:
    """Train all members together, on the device of the samples.

    Args:
        shape: of each member.
        samples: their data.
        seeds: [M], of initialisation and data order: members of the same seed start and go alike.
        learning_rates, weight_decays: [M].
        epochs, batch, clip: of all.
        tick: called after every epoch.
    """
    like = samples.train.tables[0]
    members, n = samples.train.rows.shape
    parameters = Stack(shape, members, like)
    generators = parameters.initialise(seeds)
    stream = [list(dict.fromkeys(seeds)).index(seed) for seed in seeds]
    optimiser = _AdamW(parameters, learning_rates, weight_decays, clip)
    space = Workspace(shape, members, batch, like)
    best, accuracy = parameters.like(), like.new_full((members,), -1.0, dtype=torch.float64)
    best_epoch = torch.zeros(members, dtype=torch.int64, device=like.device)
    inputs, labels = samples.train.inputs(), torch.empty_like(samples.train.labels)
    valid, minus_one = samples.valid.inputs(), like.new_full((), -1.0)
    for epoch in range(1, epochs + 1):
        drawn = [torch.randperm(n, generator=generator).to(like.device) for generator in generators]
        orders = [drawn[i] for i in stream]
        samples.train.inputs(orders, out=inputs)
        for m, order in enumerate(orders):
            torch.index_select(samples.train.labels[m], 0, order, out=labels[m])
        for x, y in zip(inputs.split(batch, dim=1), labels.unsqueeze(1).split(batch, dim=2), strict=True):
            here = space.sized(x.shape[1])
            delta = torch.softmax(here.forward(parameters, x), dim=1)
            delta.scatter_add_(1, y, minus_one.expand(y.shape))
            here.backward(parameters, x, delta.div_(x.shape[1]), optimiser.gradients)
            optimiser.step()
        found = _accuracy(parameters, valid, samples.valid.labels, space)
        better = found > accuracy
        for kept, now in zip(best.layers, parameters.layers, strict=True):
            torch.where(better.view(-1, 1, 1), now, kept, out=kept)
        accuracy = torch.where(better, found, accuracy)
        best_epoch[better] = epoch
        tick()
    train = _accuracy(best, samples.train.inputs(out=inputs), samples.train.labels, space)
    return Trained(
        best, best_epoch, train, accuracy, _accuracy(best, samples.test.inputs(), samples.test.labels, space)
    )


def _accuracy(parameters: Stack, inputs: Tensor, labels: Tensor, space: Workspace) -> Tensor:
    """Share [M], float64, of inputs [M, n, inputs + 1] whose label [M, n] has the largest logit."""
    right = torch.zeros(len(labels), dtype=torch.int64, device=labels.device)
    for x, y in zip(inputs.split(space.batch, dim=1), labels.unsqueeze(1).split(space.batch, dim=2), strict=True):
        logits = space.sized(x.shape[1]).forward(parameters, x)
        right += (logits.gather(1, y) == logits.amax(dim=1, keepdim=True)).sum(dim=(1, 2))
    return right.double() / labels.shape[1]


class _AdamW:
    """AdamW with a learning rate, weight decay and gradient norm of its own for every member."""

    def __init__(self, parameters: Stack, rates: Sequence[float], decays: Sequence[float], clip: float) -> None:
        self.parameters, self.gradients, self.clip = parameters, parameters.like(), clip
        lr, wd = (torch.tensor(values, dtype=torch.float64) for values in (rates, decays))
        self._rate, self._keep = parameters.spread(lr), 1 - parameters.spread(lr * wd)
        self._first, self._second = torch.zeros_like(self._rate), torch.zeros_like(self._rate)
        self._root, self._steps = torch.empty_like(self._rate), 0

    def step(self) -> None:
        """Clip the gradients and move the parameters."""
        self._clip()
        self._steps += 1
        first, second = (1 - beta**self._steps for beta in _BETAS)
        parameters, gradients = self.parameters.flat, self.gradients.flat
        parameters.mul_(self._keep)
        self._first.lerp_(gradients, 1 - _BETAS[0])
        self._second.mul_(_BETAS[1]).addcmul_(gradients, gradients, value=1 - _BETAS[1])
        torch.sqrt(self._second, out=self._root).div_(second**0.5).add_(_EPS)
        torch.div(self._first, self._root, out=self._root).mul_(self._rate)
        parameters.sub_(self._root, alpha=1 / first)

    def _clip(self) -> None:
        """As torch.nn.utils.clip_grad_norm_ for each member; its gradients are those of all rows but constant ones."""
        layers = self.gradients.layers
        for layer in layers[:-1]:
            layer[:, -1] = 0
        squares = sum(layer.flatten(1).square().sum(dim=1) for layer in layers)
        assert isinstance(squares, Tensor)
        scale = (self.clip / (squares.sqrt() + 1e-6)).clamp_(max=1.0)
        if scale.device.type != "cpu" or bool((scale < 1).any()):
            for layer in layers:
                layer.mul_(scale.view(-1, 1, 1))
