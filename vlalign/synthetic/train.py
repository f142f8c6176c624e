"""Training of an ensemble: encoders of one shape, each with its own data, order, rates and best checkpoint.

The loss is the cross-entropy; the best checkpoint is the first with the best validation accuracy. The loop is
:func:`vlalign.study.ensembles.train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.study.ensembles import Ensemble, Trained, train
from vlalign.synthetic.encoder import Encoder, Shape, initialise


@dataclass(frozen=True)
class Split:
    """One split of the data of all members.

    Attributes:
        tables: of each member the distinct inputs [R, inputs] that its samples have; members of the same data share
            one tensor.
        rows: int64 [M, n], the row of each sample in its table.
        labels: int64 [M, n].
    """

    tables: Sequence[Tensor]
    rows: Tensor
    labels: Tensor

    def first(self, count: int) -> Split:
        """Return the first samples of every member."""
        return Split(self.tables, self.rows[:, :count], self.labels[:, :count])

    def inputs(self, orders: Sequence[Tensor] | None = None, out: Tensor | None = None) -> Tensor:
        """Return inputs [M, n, inputs] of all samples, those of each member in its order [n] of ``orders``.

        A table fits into the processor's cache, all samples of all members do not: so one member after the other.
        """
        count, n = self.rows.shape
        inputs = self.tables[0].new_empty(count, n, self.tables[0].shape[1]) if out is None else out
        for m, table in enumerate(self.tables):
            rows = self.rows[m] if orders is None else self.rows[m].index_select(0, orders[m])
            torch.index_select(table, 0, rows, out=inputs[m])
        return inputs


@dataclass(frozen=True)
class Samples:
    """The data of all members; a split has equally many samples for every member."""

    train: Split
    valid: Split
    test: Split


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
) -> Trained[Encoder]:
    """Train all members together, on the device of the samples.

    Args:
        shape: of each member.
        samples: their data.
        seeds: [M], of initialisation and data order: members of the same seed share both.
        learning_rates, weight_decays: [M].
        epochs, batch, clip: the same for all.
        tick: called after every epoch.
    """
    like = samples.train.tables[0]
    n = samples.train.rows.shape[1]
    ensemble, generators = initialise(shape, seeds, like)
    inputs, labels = samples.train.inputs(), torch.empty_like(samples.train.labels)
    valid = samples.valid.inputs()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        drawn = {each: torch.randperm(n, generator=each).to(like.device) for each in dict.fromkeys(generators)}
        orders = [drawn[generator] for generator in generators]
        samples.train.inputs(orders, out=inputs)
        for m, order in enumerate(orders):
            torch.index_select(samples.train.labels[m], 0, order, out=labels[m])
        yield from zip(inputs.split(batch, dim=1), labels.split(batch, dim=1), strict=True)

    def loss(pair: tuple[Tensor, Tensor]) -> Tensor:
        x, y = pair
        return F.cross_entropy(ensemble.module(x.mT), y, reduction="sum") / y.shape[1]

    best, epoch = train(
        ensemble, epochs=epochs, batches=batches, loss=loss,
        score=lambda: _accuracy(ensemble, valid, samples.valid.labels, batch),
        learning_rates=learning_rates, weight_decays=weight_decays, clip=clip, tick=tick,
    )  # fmt: skip
    chosen = Ensemble(ensemble.make, best)
    accuracies = [
        _accuracy(chosen, x, split.labels, batch)
        for x, split in (
            (samples.train.inputs(out=inputs), samples.train),
            (valid, samples.valid),
            (samples.test.inputs(), samples.test),
        )
    ]
    return Trained(chosen, epoch, torch.stack(accuracies, dim=1))


@torch.no_grad()
def _accuracy(ensemble: Ensemble[Encoder], inputs: Tensor, labels: Tensor, batch: int) -> Tensor:
    """Return the share [M], float64 on the CPU, of inputs [M, n, inputs] whose label [M, n] has the largest logit."""
    right = torch.zeros(len(labels), dtype=torch.int64, device=labels.device)
    for x, y in zip(inputs.split(batch, dim=1), labels.unsqueeze(1).split(batch, dim=2), strict=True):
        logits = ensemble.module(x.mT)
        right += (logits.gather(1, y) == logits.amax(dim=1, keepdim=True)).sum(dim=(1, 2))
    return (right.double() / labels.shape[1]).cpu()
