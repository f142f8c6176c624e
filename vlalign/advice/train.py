"""Training of cells: every arm of a seed and fold sees the same samples, batches and steps.

A step has ``batch`` labelled samples and as many pairs without labels, so the arm without the term sees these too, with
weight 0. Members are validated at up to 30 moments; the checkpoint is the first with the best mean validation score of
the three heads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.advice.arms import Arm
from vlalign.advice.cells import Cell, Trained
from vlalign.advice.config import ExperimentOptions
from vlalign.advice.data import Ints, PairedData
from vlalign.advice.encoder import Batch, Shape, initialise, step_loss
from vlalign.arrays import varying_columns
from vlalign.errors import VlalignError
from vlalign.metrics import get_metric
from vlalign.stats.null import generator
from vlalign.study.ensembles import Ensemble, train

_RANKS = (1, 5)  # of retrieval
_ROUNDS = 30  # times that members are validated at most
_MATCHED = 2048  # test pairs of retrieval and alignment at most, drawn at random
_EQUAL = 1e-6  # difference of cosines that rounding may cause


def shape_of(config: ExperimentOptions, data: PairedData, depth: int) -> Shape:
    """Return the shape of the encoders."""
    return Shape((data.x[0].shape[1], data.x[1].shape[1]), config.width, depth, config.hidden, len(data.classes) or 1)


def rounds(config: ExperimentOptions) -> list[int]:
    """Return the steps before each validation, which add up to ``steps``; the first ones have one more if need be.

    >>> rounds(ExperimentOptions(steps=31))[:3]
    [2, 1, 1]
    """
    count = min(_ROUNDS, config.steps)
    return [config.steps // count + (i < config.steps % count) for i in range(count)]


@dataclass(frozen=True, eq=False)
class _Samples:
    """Samples of several cells on the device: features of both modalities, and targets with each cell's mean and sd.

    Attributes:
        x, extra: features [N, D] and [M, D] of each modality.
        mean, sd: of each modality [C, 1, D], of what each cell trains on.
        target: int64 or float32 [N].
        centre, spread: float32 [C, 1] of a regression target, else 0 and 1.
    """

    x: tuple[Tensor, Tensor]
    extra: tuple[Tensor, Tensor]
    mean: list[Tensor]
    sd: list[Tensor]
    target: Tensor
    centre: Tensor
    spread: Tensor

    @classmethod
    def of(cls, data: PairedData, trains: Sequence[Tensor], device: torch.device) -> _Samples:
        means, sds = [], []
        for x, extra in zip(data.x, data.extra, strict=True):
            seen = [torch.cat([x[rows], extra]) for rows in trains]
            varies = torch.stack([varying_columns(part) for part in seen])
            sd = torch.stack([part.double().std(0, unbiased=False) for part in seen])
            means.append(torch.stack([part.double().mean(0) for part in seen]).float().unsqueeze(1).to(device))
            sds.append(sd.where(varies, 1.0).float().unsqueeze(1).to(device))
        centre, spread = torch.zeros(len(trains), 1), torch.ones(len(trains), 1)
        if not data.classes:
            centre = torch.stack([data.target[rows].mean() for rows in trains]).unsqueeze(1)
            spread = torch.stack([data.target[rows].std() for rows in trains]).unsqueeze(1)
        sides, more = ((pair[0].to(device), pair[1].to(device)) for pair in (data.x, data.extra))
        return cls(sides, more, means, sds, data.target.to(device), centre.to(device), spread.to(device))

    def features(self, labelled: Tensor, extra: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return standardised features [C, B, D] of both modalities: samples [C, L], then pairs [C, B − L]."""
        sides = []
        for m in range(2):
            rows = self.x[m][labelled]
            if extra is not None:
                rows = torch.cat([rows, self.extra[m][extra]], 1)
            sides.append((rows - self.mean[m]) / self.sd[m])
        return sides[0], sides[1]

    def of_cell(self, cell: int, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised features [1, n, D] of samples [n], as a cell sees them."""
        a, b = ((self.x[m][rows] - self.mean[m][cell]) / self.sd[m][cell] for m in range(2))
        return a.unsqueeze(0), b.unsqueeze(0)

    def targets(self, rows: Tensor) -> Tensor:
        """Return the targets [C, L] of samples, as cells train on them."""
        chosen = self.target[rows]
        return (chosen - self.centre) / self.spread if chosen.is_floating_point() else chosen

    def scores(self, cell: int, rows: Tensor, outputs: Sequence[Tensor]) -> Tensor:
        """Return scores float32 [A, 3, n] of outputs [A, n, K] of the heads; see :class:`.cells.Trained`."""
        target = self.target[rows]
        if not target.is_floating_point():
            return torch.stack([(out.argmax(2) == target).float() for out in outputs], 1)
        predicted = torch.stack([out[:, :, 0] for out in outputs], 1) * self.spread[cell] + self.centre[cell]
        return 1 - (predicted - target).square() / self.target.var(correction=0)


class _Batches:
    """Batches before the next validation; each cell draws from a separate generator."""

    def __init__(
        self, config: ExperimentOptions, data: PairedData, samples: _Samples, trains: Sequence[Tensor],
        randoms: Sequence[np.random.Generator],
    ) -> None:  # fmt: skip
        self.samples, self.randoms = samples, list(randoms)
        self.labelled = [_Stream(rows.numpy(), random) for rows, random in zip(trains, randoms, strict=True)]
        more = np.arange(len(data.extra[0]))
        self.extra = [_Stream(more, random) for random in randoms] if len(more) else []
        self.strata = data.strata.numpy()
        self.sizes = min(config.batch, *map(len, trains)), min(config.batch, len(more))
        self.rounds = iter(rounds(config))

    def __call__(self) -> Iterator[Batch]:
        device = self.samples.target.device
        labelled, more = self.sizes
        for _ in range(next(self.rounds)):
            rows = np.stack([stream.take(labelled) for stream in self.labelled])
            extra = np.stack([stream.take(more) for stream in self.extra]) if self.extra else None
            shuffled = np.stack([random.permutation(labelled + more) for random in self.randoms])
            within = np.stack(
                [_within(self.strata[mine], random) for mine, random in zip(rows, self.randoms, strict=True)]
            )
            chosen = torch.from_numpy(rows).to(device)
            yield Batch(
                self.samples.features(chosen, None if extra is None else torch.from_numpy(extra).to(device)),
                self.samples.targets(chosen),
                torch.from_numpy(shuffled).to(device),
                torch.from_numpy(within).to(device),
            )


class _Stream:
    """Sample numbers in random order, again and again."""

    def __init__(self, rows: Ints, random: np.random.Generator) -> None:
        self.rows, self.random = rows, random
        self.left = rows[:0]

    def take(self, count: int) -> Ints:
        """Return the next ``count`` numbers, all different; the last ones of an order that are fewer are dropped."""
        if len(self.left) < count:
            self.left = self.random.permutation(self.rows)
        taken, self.left = self.left[:count], self.left[count:]
        return taken


def _within(strata: Ints, random: np.random.Generator) -> Ints:
    """Return a random permutation of positions that keeps the stratum of each."""
    order = np.empty(len(strata), dtype=np.int64)
    order[np.argsort(strata, kind="stable")] = np.lexsort((random.random(len(strata)), strata))
    return order


def train_cells(
    config: ExperimentOptions,
    data: PairedData,
    cells: Sequence[Cell],
    arms: Sequence[Arm],
    depth: int,
    device: torch.device,
    tick: Callable[[], None] = lambda: None,
) -> list[Trained]:
    """Train all arms of several cells together; a cell's results do not depend on the others.

    Args:
        config: settings of the experiment.
        data: the samples.
        cells: seeds and folds.
        arms: of every cell, that without the term first.
        depth: of the encoders.
        device: where to compute.
        tick: called after every validation.

    Raises:
        VlalignError: training diverged.
    """
    parts = [[torch.from_numpy(rows) for rows in data.folds(cell.seed, config.folds)[cell.fold]] for cell in cells]
    samples = _Samples.of(data, [rows for rows, _, _ in parts], device)
    randoms = [generator("advice cell", cell.seed, cell.fold) for cell in cells]
    ensemble = initialise(shape_of(config, data, depth), randoms, len(arms), device)
    batches = _Batches(config, data, samples, [rows for rows, _, _ in parts], randoms)

    def step(batch: Batch) -> Tensor:
        return step_loss(ensemble.module, batch, arms, config.temperature)

    def validate(flat: Tensor) -> list[Tensor]:
        """Return mean scores [A, 3] of each cell on its validation samples."""
        return [_evaluate(flat, cell, rows)[0].mean(2) for cell, (_, rows, _) in enumerate(parts)]

    def _evaluate(flat: Tensor, cell: int, rows: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return scores [A, 3, n] and embeddings [A, n, width] of samples by a cell's members."""
        module = Ensemble(ensemble.make, flat[cell * len(arms) : (cell + 1) * len(arms)]).module
        with torch.no_grad():
            z = module.embed(samples.of_cell(cell, rows.to(device)))
            return samples.scores(cell, rows.to(device), module.predict(z)), z

    best, epoch = train(
        ensemble,
        epochs=len(rounds(config)),
        batches=batches,
        loss=step,
        score=lambda: torch.cat(validate(ensemble.flat)).mean(1).double().cpu(),
        learning_rates=[config.learning_rate] * len(ensemble),
        weight_decays=[config.weight_decay] * len(ensemble),
        clip=config.clip,
        tick=tick,
    )
    if not bool(epoch.all()) or not bool(torch.isfinite(best).all()):
        raise VlalignError("training diverged: lower learning_rate or clip")
    results = []
    for cell, valid in enumerate(validate(best)):
        test = parts[cell][2]
        score, z = _evaluate(best, cell, test)
        drawn = generator("advice matching", cells[cell].seed, cells[cell].fold).permutation(len(test))[:_MATCHED]
        recall, chance, alignment = _matching([side[:, np.sort(drawn)] for side in z], config.k)
        results.append(
            Trained(
                score.cpu(),
                valid.double().cpu(),
                test,
                epoch[cell * len(arms) : (cell + 1) * len(arms)],
                recall,
                chance,
                alignment,
            )
        )
    return results


def _matching(z: Sequence[Tensor], k: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return recall [A, 2], its chance [2], and mutual-kNN, its mean and sd [A, 3] of embeddings [A, n, width].

    Recall is the mean of both directions; the moments are exact over all pairings (:mod:`vlalign.metrics`).
    """
    a, b = (F.normalize(side, dim=2).cpu() for side in z)
    n = a.shape[1]
    metric: Any = get_metric("mutual_knn", k=min(k, n - 1))
    recall, alignment = [], []
    for first, second in zip(a, b, strict=True):
        similar = first @ second.T
        recall.append(((_recall(similar) + _recall(similar.T)) / 2).tolist())
        x, y = [metric.prepare(first)], [metric.prepare(second)]
        moments = metric.moments(x, y)
        alignment.append([float(metric.grid(x, y)[0, 0]), float(moments.mean[0, 0]), float(moments.sd[0, 0])])
    chance = torch.tensor([min(1.0, top / n) for top in _RANKS], dtype=torch.float64)
    return torch.tensor(recall, dtype=torch.float64), chance, torch.tensor(alignment, dtype=torch.float64)


def _recall(similar: Tensor) -> Tensor:
    """Return the share of rows of cosines [n, n] whose partner, on the diagonal, is the largest, and of the 5 largest.

    Of equal cosines any may come first: a row counts as much as its partner would on average over their orders.
    """
    partner = similar.diagonal().unsqueeze(1)
    above = (similar > partner + _EQUAL).sum(1)
    equal = ((similar - partner).abs() <= _EQUAL).sum(1)  # the partner included
    return torch.stack([((top - above) / equal).clamp(0, 1).double().mean() for top in _RANKS])
