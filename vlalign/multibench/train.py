"""Training of encoders of one shape side by side, each with its own order, dropout and best checkpoint.

Each member ends where it would end alone: AdamW (Loshchilov & Hutter 2019), gradient-norm clipping over all of its
parameters, and the first checkpoint that is best on the validation split: by accuracy for classes, by L1 loss for
numbers (released code of arXiv 2502.16282).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vlalign.multibench.encoder import Stack
from vlalign.multibench.passes import Dropout, Passes
from vlalign.multibench.shape import Shape

_EVALUATED = 16_384  # tokens at a time, of all members together, where nothing is kept for a backward pass


@dataclass(frozen=True)
class Samples:
    """One modality of one split.

    Attributes:
        x: float32 [N, T, features].
        lengths: int64 [N], tokens that count; None for all.
        labels: int64 [N] classes, or float32 [N].
    """

    x: Tensor
    lengths: Tensor | None
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def first(self, count: int | None) -> Samples:
        """The first samples."""
        return Samples(self.x[:count], None if self.lengths is None else self.lengths[:count], self.labels[:count])

    def to(self, device: torch.device) -> Samples:
        """The same on a device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Samples(self.x.to(device), lengths, self.labels.to(device))

    def batch(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Tokens [S, B, T, features], lengths and labels [S, B] at the rows [B] of each member."""
        x = self.x.new_empty(len(rows), len(rows[0]), *self.x.shape[1:])
        for out, places in zip(x, rows, strict=True):
            torch.index_select(self.x, 0, places, out=out)
        places = torch.stack(list(rows))
        return x, None if self.lengths is None else self.lengths[places], self.labels[places]


@dataclass(frozen=True)
class Trained:
    """Best checkpoints of S members, and of each …

    Attributes:
        parameters: the checkpoints.
        epoch: int64 [S], the epoch they are of, from 1; 0 where training diverged before the first was finite.
        performance: float64 [S, 3] on train, valid and test, see :func:`performance`.
    """

    parameters: Stack
    epoch: Tensor
    performance: Tensor


def train_ensemble(
    shape: Shape,
    splits: Sequence[Samples],
    *,
    task: str,
    seeds: Sequence[int],
    learning_rate: float,
    weight_decay: float,
    epochs: int,
    batch: int = 64,
    clip: float = 8.0,
    dropout: float = 0.1,
    tick: Callable[[], None] = lambda: None,
) -> Trained:
    """Train an encoder for each seed, on the device of the samples.

    Args:
        shape: of each.
        splits: train, valid and test.
        task: classification, sentiment or regression.
        seeds: of start, order of the samples, and dropout.
        learning_rate, weight_decay, epochs, batch, clip, dropout: of all.
        tick: called after every epoch.
    """
    train, valid, _ = splits
    device = train.x.device
    parameters = Stack.initialise(shape, seeds, device)
    gradients, best = parameters.like(), parameters.like()
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    masks = Dropout(dropout, seeds, device) if dropout else None
    passes, evaluation = Passes(parameters, gradients, masks), Passes(parameters)
    step = _Step(passes, learning_rate, weight_decay, clip, task)
    score = torch.full((len(seeds),), -torch.inf, dtype=torch.float64)
    epoch_of = torch.zeros(len(seeds), dtype=torch.int64)
    for epoch in range(1, epochs + 1):
        orders = [torch.randperm(len(train), generator=generator).to(device) for generator in generators]
        for rows in zip(*(order.split(batch) for order in orders), strict=True):
            step(*train.batch(rows))
        outputs = outputs_of(evaluation, valid)
        found = performance(outputs, valid.labels, task) if task == "classification" else -_l1(outputs, valid.labels)
        better = found > score
        best.flat[better] = parameters.flat[better]
        score[better], epoch_of[better] = found[better], epoch
        tick()
    chosen = Passes(best)
    performances = [performance(outputs_of(chosen, split), split.labels, task) for split in splits]
    return Trained(best, epoch_of, torch.stack(performances, dim=1))


class _Step:
    """Steps of training. On CUDA a step of full size is recorded once and replayed: it is hundreds of small kernels,
    and launching them one by one takes several times as long as they do."""

    _WARM = 3  # steps before the recording, in which libraries prepare themselves

    def __init__(self, passes: Passes, learning_rate: float, weight_decay: float, clip: float, task: str) -> None:
        assert passes.g is not None
        self.passes, self.gradients, self.clip, self.task = passes, passes.g.flat, clip, task
        self.cuda = self.gradients.is_cuda
        passes.p.flat.grad = self.gradients
        self.optimiser = torch.optim.AdamW(
            [passes.p.flat], lr=learning_rate, weight_decay=weight_decay, fused=True, capturable=self.cuda
        )
        self._taken = 0
        self._graph: Any = None
        self._inputs: list[Tensor | None] = []

    def __call__(self, *batch: Tensor | None) -> None:
        """One step with tokens [S, B, T, features], lengths [S, B] or None, and labels [S, B]."""
        self._taken += 1
        if not self.cuda or self._taken <= self._WARM:
            self._run(*batch)
            return
        if self._graph is None:
            self._inputs = [None if one is None else one.clone() for one in batch]
            self._graph = torch.cuda.CUDAGraph()
            for generator in self.passes.dropout.generators if self.passes.dropout else ():
                self._graph.register_generator_state(generator)
            with torch.cuda.graph(self._graph):
                self._run(*self._inputs)
        if any(
            a is not None and b is not None and a.shape != b.shape for a, b in zip(self._inputs, batch, strict=True)
        ):
            self._run(*batch)  # the last batch of an epoch
            return
        for kept, now in zip(self._inputs, batch, strict=True):
            if kept is not None and now is not None:
                kept.copy_(now)
        self._graph.replay()

    def _run(self, x: Tensor | None, lengths: Tensor | None, labels: Tensor | None) -> None:
        assert x is not None
        assert labels is not None
        self.passes.backward(_gradient(self.passes.forward(x, lengths), labels, self.task))
        norms = torch.linalg.vector_norm(self.gradients, dim=1, keepdim=True)
        self.gradients.mul_((self.clip / (norms + 1e-6)).clamp_(max=1.0))
        self.optimiser.step()


def outputs_of(passes: Passes, samples: Samples) -> Tensor:
    """Outputs [S, N, outputs] of all samples, which all members see."""
    return torch.cat([passes.forward(x, lengths) for x, lengths in _chunks(passes, samples)], dim=1)


def states_of(passes: Passes, samples: Samples) -> list[Tensor]:
    """The pooled state [S, N, width] of all samples after each layer."""
    parts = [passes.states(x, lengths) for x, lengths in _chunks(passes, samples)]
    return [torch.cat(layer, dim=1) for layer in zip(*parts, strict=True)]


def _chunks(passes: Passes, samples: Samples) -> list[tuple[Tensor, Tensor | None]]:
    members, tokens = len(passes.p), samples.x.shape[1]
    size = max(1, _EVALUATED // (members * tokens))
    lengths = samples.lengths
    return [
        (
            samples.x[i : i + size].expand(members, -1, -1, -1),
            None if lengths is None else lengths[i : i + size].expand(members, -1),
        )
        for i in range(0, len(samples), size)
    ]


def performance(outputs: Tensor, labels: Tensor, task: str) -> Tensor:
    """How good outputs [S, N, outputs] are for labels [N]: float64 [S] on the CPU.

    Classification: accuracy. Sentiment: accuracy of the sign, where zero counts as not positive. Regression: R², the
    share of the labels' variance that is explained; at most 1, and 0 for their mean (NaN for constant labels).
    """
    if task == "classification":
        return (outputs.argmax(dim=2) == labels).double().mean(dim=1).cpu()
    values = outputs[..., 0].double()
    if task == "sentiment":
        return ((values > 0) == (labels > 0)).double().mean(dim=1).cpu()
    truth = labels.double()
    return (1 - (values - truth).square().sum(dim=1) / (truth - truth.mean()).square().sum()).cpu()


def _l1(outputs: Tensor, labels: Tensor) -> Tensor:
    return (outputs[..., 0].double() - labels.double()).abs().mean(dim=1).cpu()


def _gradient(outputs: Tensor, labels: Tensor, task: str) -> Tensor:
    """Of the mean loss of each member, with regard to its outputs [S, B, outputs]."""
    if task == "classification":
        delta = torch.softmax(outputs, dim=2)
        places = labels.unsqueeze(2)
        return delta.scatter_add_(2, places, delta.new_full((1, 1, 1), -1).expand_as(places)).div_(outputs.shape[1])
    return torch.sign(outputs - labels.unsqueeze(2)).div_(outputs.shape[1])
