"""Cross-fitted classifiers: p(y|x) of every sample from models that were not fitted on it.

Features are standardised, and also whitened, without labels: tanh and random weights leave directions that decide the
label with a hundredth of the variance of others, which gradient descent on standardised features misses. Per fold, the
other folds are split into parts; each part stops the training of models that were fitted on the rest, so every row of
the other folds has predictions by models that did not see it. On these, weights of the candidates and of p(y) are
chosen, and a temperature, so noise gives p(y). The models of all folds, parts and inputs are trained as a stack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.arrays import varying_columns
from vlalign.decomposition.sample_groups import SampleGroups

_PARTS = 3  # of the other folds
_INPUTS = ("standardised", "whitened")
#: inputs, hidden layers, learning rate and weight decay of the candidates, by name; see _DECAYED
_CANDIDATES: dict[str, tuple[tuple[int, ...], tuple[int, ...], float, float]] = {
    "linear": ((0, 1), (), 0.02, 0.01),
    "network": ((0, 1), (64,), 0.01, 0.3),
    "deep network": ((1,), (64, 64), 0.005, 0.5),
}
_SHRINKAGE = 1e-3  # of whitening, in mean variances
_STRENGTHS = np.concatenate([np.linspace(0, 1.5, 31), [1.75, 2.0, 2.5, 3.0]])  # inverse temperatures
_DECAYED = 2500  # rows; with more, weights decay less, as their number divided by this
_BATCH, _MOST_STEPS, _LEAST_STEPS, _PASSES = 128, 2500, 200, 20
_PATIENCE = 0.25  # of all steps
_MOST_TO_STOP = 2048  # rows of a part that stop the training: they are copied for every model


@dataclass(frozen=True)
class Folds:
    """Cross-fitting of N samples: per fold and part, the rows to fit on and to choose with; per fold those to predict.

    Attributes:
        labels: [N], from 0 to K − 1.
        fit, choose: rows [folds, parts, rows], of equal numbers.
        predict: rows of each fold; together all rows.
        prior: log p(y) [folds, K] of the rows to fit on and to choose with.
    """

    labels: Tensor
    fit: Tensor
    choose: Tensor
    predict: tuple[Tensor, ...]
    prior: Tensor

    def halved(self) -> Folds:
        """Return the same folds with half of the rows to fit on; units are in random order."""
        return replace(self, fit=self.fit[..., : self.fit.shape[-1] // 2])


def make_folds(labels: Tensor, count: int, seed: int, units: SampleGroups | None = None) -> Folds:
    """Split samples into folds, and those of the other folds into parts, each with its share of every class.

    Args:
        labels: [N], from 0 to K − 1.
        count: number of folds.
        seed: of the order of samples.
        units: of the samples, which are in one fold and part each, with one label; None for samples that stand alone.
    """
    draw = torch.Generator().manual_seed(seed)
    units = units or SampleGroups(np.arange(len(labels)))
    label = labels[units.first]

    def by_class(some: Tensor) -> Tensor:
        """Return units class after class, in random order within: every n-th one is a stratified sample."""
        some = some[torch.randperm(len(some), generator=draw)]
        return some[label[some].argsort(stable=True)]

    def rows_of(some: Tensor) -> Tensor:
        return torch.from_numpy(units.rows(some.numpy()))

    order = by_class(torch.arange(len(label)))
    predict = [order[i::count].sort().values for i in range(count)]
    fit, choose, prior = [], [], []
    for predicted in predict:
        others = torch.ones(len(label), dtype=torch.bool)
        others[predicted] = False
        rest = by_class(others.nonzero().ravel())
        part = torch.arange(len(rest)) % _PARTS
        fit += [rest[part != i] for i in range(_PARTS)]
        choose += [rest[part == i] for i in range(_PARTS)]
        counts = labels[rows_of(rest)].bincount(minlength=int(labels.max()) + 1)
        prior.append((counts / counts.sum()).log())
    trimmed = []
    for parts in (fit, choose):
        shuffled = [rows_of(one[torch.randperm(len(one), generator=draw)]) for one in parts]
        least = min(map(len, shuffled))
        trimmed.append(torch.stack([rows[:least] for rows in shuffled]).unflatten(0, (count, _PARTS)))
    return Folds(labels, trimmed[0], trimmed[1], tuple(map(rows_of, predict)), torch.stack(prior))


@dataclass(frozen=True)
class Predictions:
    """Predictions of models of each fold.

    Attributes:
        chosen: log p(y|x) [folds, parts × rows, K] of the rows to choose with, by models that were not fitted on them.
        every: log p(y|x) [N, K] of every sample, by the models of its fold.
    """

    chosen: Tensor
    every: Tensor


def candidates(x: Tensor, folds: Folds, seed: int) -> dict[str, Predictions]:
    """Return the predictions of every candidate, by name.

    Args:
        x: features [N, D].
        folds: of the samples.
        seed: of initial weights and batches.
    """
    inputs = prepared(x)
    result = {}
    for i, (name, (kinds, hidden, rate, decay)) in enumerate(_CANDIDATES.items()):
        weights = _train(inputs[list(kinds)], folds, hidden, rate, decay, seed + i)
        for at, k in enumerate(kinds):
            some = [weight[at].unflatten(0, folds.fit.shape[:2]) for weight in weights]
            with torch.no_grad():
                chosen, every = [], torch.empty(len(x), folds.prior.shape[1])
                for f, rows in enumerate(folds.predict):
                    mine = [weight[f] for weight in some]
                    chosen.append(_logs(mine, inputs[k][folds.choose[f]], folds.prior[f]).flatten(0, 1))
                    logs = _logs(mine, inputs[k][rows].expand(len(mine[0]), -1, -1), folds.prior[f])
                    every[rows] = logs.logsumexp(dim=0) - math.log(len(logs))
            result[f"{name}, {_INPUTS[k]}"] = Predictions(torch.stack(chosen), every)
    return result


def combined(options: dict[str, Predictions], folds: Folds) -> tuple[Predictions, list[dict[str, float]]]:
    """Return the mixture of predictions and of p(y), tempered, and its weights in each fold.

    Weights (by expectation and maximisation) and temperature have the least cross-entropy on the rows to choose with.
    """
    every = torch.empty_like(next(iter(options.values())).every)
    chosen, weights = [], []
    for f, rows in enumerate(folds.predict):
        prior = folds.prior[f]
        labels = folds.labels[folds.choose[f].ravel()]
        known = torch.stack([one.chosen[f] for one in options.values()] + [prior.expand(len(labels), -1)])
        right = known[:, torch.arange(len(labels)), labels].double()  # [candidates, rows]
        weight = torch.full((len(right),), 1 / len(right), dtype=torch.float64)
        for _ in range(200):
            weight = (right + weight.log()[:, None]).softmax(dim=0).mean(dim=1)
        log_weight = weight.log().float()[:, None, None]
        mixed = (known + log_weight).logsumexp(dim=0)
        strengths = [_strengthened(mixed, prior, strength) for strength in _STRENGTHS]
        best = int(torch.stack([F.nll_loss(logs, labels) for logs in strengths]).argmin())
        chosen.append(strengths[best])
        new = torch.stack([one.every[rows] for one in options.values()] + [prior.expand(len(rows), -1)])
        every[rows] = _strengthened((new + log_weight).logsumexp(dim=0), prior, _STRENGTHS[best])
        weights.append(dict(zip([*options, "p(y)"], weight.tolist(), strict=True)))
    return Predictions(torch.stack(chosen), every), weights


def product(first: Predictions, second: Predictions, folds: Folds) -> Predictions:
    """Return p(y|x1) p(y|x2) / p(y), normalised: right where x1 and x2 are independent given y."""
    chosen = (first.chosen + second.chosen - folds.prior[:, None]).log_softmax(dim=-1)
    return Predictions(chosen, (first.every + second.every - priors(folds)).log_softmax(dim=-1))


def priors(folds: Folds) -> Tensor:
    """Return log p(y) [N, K] that the models of each sample's fold start from."""
    result = torch.empty(len(folds.labels), folds.prior.shape[1])
    for f, rows in enumerate(folds.predict):
        result[rows] = folds.prior[f]
    return result


def prepared(x: Tensor) -> Tensor:
    """Return features [2, N, D]: standardised, and whitened; labels have no part in it."""
    varies, x = varying_columns(x), x.double()
    scale = torch.where(varies, x.std(dim=0), torch.inf)  # constant columns become 0
    x = (x - x.mean(dim=0)) / scale
    if x.shape[1] <= len(x):
        variances, axes = torch.linalg.eigh(x.T @ x / len(x))
    else:
        _, singular, axes = torch.linalg.svd(x, full_matrices=False)
        variances, axes = singular**2 / len(x), axes.T
    shrunk = (variances.clamp_min(0) + _SHRINKAGE * x.square().mean()).sqrt()
    return torch.stack([x, x @ axes / shrunk @ axes.T]).float()


def _strengthened(logs: Tensor, prior: Tensor, strength: float) -> Tensor:
    """Return log p(y|x) with its distance to log p(y) multiplied; 0 gives p(y)."""
    return (prior + strength * (logs - prior)).log_softmax(dim=-1)


def _train(inputs: Tensor, folds: Folds, hidden: tuple[int, ...], rate: float, decay: float, seed: int) -> list[Tensor]:
    """Train a model for each input, fold and part; return each at its best step on the rows to choose with.

    Returns:
        Weights [inputs, folds × parts, in, out] and biases [inputs, folds × parts, 1, out] of each layer.
    """
    kinds, _, width = inputs.shape
    fit, choose = folds.fit.flatten(0, 1), folds.choose.flatten(0, 1)[:, :_MOST_TO_STOP]
    (models, rows), classes = fit.shape, folds.prior.shape[1]
    draw = torch.Generator().manual_seed(seed)
    sizes = [width, *hidden, classes]
    weights = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        start = torch.randn(kinds * models, n_in, n_out, generator=draw) * math.sqrt(2 / n_in)
        weights += [start * (i < len(hidden)), torch.zeros(kinds * models, 1, n_out)]  # the last layer: 0, so p(y)
    for weight in weights:
        weight.requires_grad_()
    batch, decay = min(_BATCH, rows), decay * min(1, _DECAYED / rows)
    optimizer = torch.optim.AdamW(
        [{"params": weights[0::2], "weight_decay": decay}, {"params": weights[1::2], "weight_decay": 0.0}], lr=rate
    )
    steps = min(_MOST_STEPS, max(_LEAST_STEPS, _PASSES * rows // batch))
    every = max(5, steps // 50)
    labels, chosen = folds.labels[fit], folds.labels[choose].repeat(kinds, 1)
    prior = folds.prior.repeat_interleave(folds.fit.shape[1], dim=0)[:, None].repeat(kinds, 1, 1)
    choose_x = inputs[:, choose].flatten(0, 1)
    best, kept = torch.full((kinds * models,), torch.inf), [w.detach().clone() for w in weights]
    since = torch.zeros(kinds * models)
    model = torch.arange(models)[:, None]
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                loss = -_logs(weights, choose_x, prior).gather(2, chosen[..., None]).mean(dim=(1, 2))
            active = since <= _PATIENCE * steps
            better = active & (loss < best - 1e-5)
            best = torch.where(better, loss, best)
            for keep, weight in zip(kept, weights, strict=True):
                keep[better] = weight.detach()[better]
            since = torch.where(better, 0, since + every)
            if not active.any():
                break
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / (steps + 1))
        at = torch.randint(rows, (models, batch), generator=draw)
        logs = _logs(weights, inputs[:, fit[model, at]].flatten(0, 1), prior)
        optimizer.zero_grad()
        F.nll_loss(logs.flatten(0, 1), labels[model, at].repeat(kinds, 1).ravel(), reduction="sum").div(
            batch
        ).backward()
        optimizer.step()
    return [keep.unflatten(0, (kinds, models)) for keep in kept]


def _logs(weights: Sequence[Tensor], x: Tensor, prior: Tensor) -> Tensor:
    """Return log p(y|x) [models, N, K]; models with weights 0 in the last layer give the prior."""
    for i in range(0, len(weights), 2):
        x = torch.baddbmm(weights[i + 1], x, weights[i])
        if i + 2 < len(weights):
            x = F.gelu(x, approximate="tanh")
    return (x + prior).log_softmax(dim=-1)
