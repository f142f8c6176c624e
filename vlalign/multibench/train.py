"""Training of MultiBench encoders of one shape side by side.

The best checkpoint is the first with the best accuracy on the validation split for classes, or the smallest L1 loss
for numbers (released code of arXiv 2502.16282). The loop is :func:`vlalign.study.ensembles.train`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.multibench.encoder import Encoder, initialise
from vlalign.multibench.shape import Shape
from vlalign.study.ensembles import Dropout, Ensemble, Trained, train

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
        """Return the first samples."""
        return Samples(self.x[:count], None if self.lengths is None else self.lengths[:count], self.labels[:count])

    def to(self, device: torch.device) -> Samples:
        """Return the same on a device."""
        lengths = None if self.lengths is None else self.lengths.to(device)
        return Samples(self.x.to(device), lengths, self.labels.to(device))

    def batch(self, rows: Sequence[Tensor]) -> tuple[Tensor, Tensor | None, Tensor]:
        """Return tokens [S, B, T, features], lengths and labels [S, B] at the rows [B] of each member."""
        x = self.x.new_empty(len(rows), len(rows[0]), *self.x.shape[1:])
        for out, places in zip(x, rows, strict=True):
            torch.index_select(self.x, 0, places, out=out)
        places = torch.stack(list(rows))
        return x, None if self.lengths is None else self.lengths[places], self.labels[places]


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
) -> Trained[Encoder]:
    """Train an encoder for each seed, on the device of the samples.

    Args:
        shape: of each.
        splits: train, valid and test.
        task: classification, sentiment or regression.
        seeds: of the start, the order of the samples, and dropout.
        learning_rate, weight_decay, epochs, batch, clip, dropout: the same for all.
        tick: called after every epoch.
    """
    samples, valid, _ = splits
    device = samples.x.device
    ensemble = initialise(shape, seeds, device)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    masks = Dropout(dropout, seeds, device) if dropout else None

    def batches() -> Iterator[tuple[Tensor, Tensor | None, Tensor]]:
        orders = [torch.randperm(len(samples), generator=generator).to(device) for generator in generators]
        for rows in zip(*(order.split(batch) for order in orders), strict=True):
            yield samples.batch(rows)

    def loss(batch: tuple[Tensor, Tensor | None, Tensor]) -> Tensor:
        x, lengths, labels = batch
        return _loss(ensemble.module(x, lengths, masks), labels, task)

    def score() -> Tensor:
        outputs = outputs_of(ensemble, valid)
        return performance(outputs, valid.labels, task) if task == "classification" else -_l1(outputs, valid.labels)

    best, epoch = train(
        ensemble, epochs=epochs, batches=batches, loss=loss, score=score,
        learning_rates=[learning_rate] * len(seeds), weight_decays=[weight_decay] * len(seeds), clip=clip, tick=tick,
    )  # fmt: skip
    chosen = Ensemble(ensemble.make, best)
    performances = [performance(outputs_of(chosen, split), split.labels, task) for split in splits]
    return Trained(chosen, epoch, torch.stack(performances, dim=1))


@torch.no_grad()
def outputs_of(ensemble: Ensemble[Encoder], samples: Samples) -> Tensor:
    """Return outputs [S, N, outputs] of all samples, which all members see."""
    return torch.cat([ensemble.module(x, lengths) for x, lengths in _chunks(ensemble, samples)], dim=1)


@torch.no_grad()
def states_of(ensemble: Ensemble[Encoder], samples: Samples) -> list[Tensor]:
    """Return the pooled state [S, N, width] of all samples after each layer."""
    parts = [ensemble.module.states(x, lengths) for x, lengths in _chunks(ensemble, samples)]
    return [torch.cat(layer, dim=1) for layer in zip(*parts, strict=True)]


def _chunks(ensemble: Ensemble[Encoder], samples: Samples) -> Iterator[tuple[Tensor, Tensor | None]]:
    members, tokens = len(ensemble), samples.x.shape[1]
    size = max(1, _EVALUATED // (members * tokens))
    for i in range(0, len(samples), size):
        lengths = None if samples.lengths is None else samples.lengths[i : i + size].expand(members, -1)
        yield samples.x[i : i + size].expand(members, -1, -1, -1), lengths


def performance(outputs: Tensor, labels: Tensor, task: str) -> Tensor:
    """Return how good outputs [S, N, outputs] are for labels [N]: float64 [S] on the CPU.

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


def _loss(outputs: Tensor, labels: Tensor, task: str) -> Tensor:
    """Return the sum of the members' mean losses, for outputs [S, B, outputs] and labels [S, B]."""
    if task == "classification":
        total = F.cross_entropy(outputs.flatten(0, 1), labels.flatten(), reduction="sum")
    else:
        total = F.l1_loss(outputs[..., 0], labels.to(outputs.dtype), reduction="sum")
    return total / labels.shape[1]
