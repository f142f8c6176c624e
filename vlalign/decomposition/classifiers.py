"""Cross-fitted classifiers: p(y|x) of every sample from models that were not fitted on it.

Per fold, a linear model and two small networks are trained on part of the other folds; the rest of these folds chooses
the stopping point, the model and its temperature. All start at p(y), to which the temperature may return them, so noise
gives p(y). The models of all folds are trained together, as a stack.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_INNER = 0.2  # share of the other folds that chooses
#: hidden layers, learning rate and weight decay of the candidates, by name
_CANDIDATES: dict[str, tuple[tuple[int, ...], float, float]] = {
    "linear": ((), 0.02, 0.0),
    "network": ((64,), 0.01, 0.1),
    "deep network": ((128, 128), 0.005, 1.0),
}
_POOL = "pooled networks"  # mean of the two networks' posteriors
_STRENGTHS = np.concatenate([np.linspace(0, 1.5, 31), [1.75, 2.0, 2.5, 3.0]])  # inverse temperatures
_MOST_STEPS, _LEAST_STEPS, _PASSES = 2500, 300, 60
_PATIENCE = 0.2  # of all steps


@dataclass(frozen=True)
class Folds:
    """Cross-fitting of N samples: per fold, the rows to fit on, to choose with, and to predict.

    Attributes:
        labels: [N], from 0 to K − 1.
        fit, choose: rows [folds, rows], of equal numbers in every fold.
        predict: rows of each fold; together all rows.
        prior: log p(y) [folds, K] of the rows to fit on and to choose with.
    """

    labels: Tensor
    fit: Tensor
    choose: Tensor
    predict: tuple[Tensor, ...]
    prior: Tensor


def make_folds(labels: Tensor, count: int, seed: int) -> Folds:
    """Split samples into folds, and those of the other folds into two parts, each with its share of every class.

    Args:
        labels: [N], from 0 to K − 1.
        count: number of folds.
        seed: of the order of samples.
    """
    draw = torch.Generator().manual_seed(seed)

    def by_class(rows: Tensor) -> Tensor:
        """Return the rows class after class, in random order within: every n-th one is a stratified sample."""
        rows = rows[torch.randperm(len(rows), generator=draw)]
        return rows[labels[rows].argsort(stable=True)]

    order = by_class(torch.arange(len(labels)))
    predict = tuple(order[i::count].sort().values for i in range(count))
    fit, choose, prior = [], [], []
    for rows in predict:
        others = torch.ones(len(labels), dtype=torch.bool)
        others[rows] = False
        rest = by_class(others.nonzero().ravel())
        is_chosen = torch.zeros(len(rest), dtype=torch.bool)
        is_chosen[:: round(1 / _INNER)] = True
        fit.append(rest[~is_chosen])
        choose.append(rest[is_chosen])
        counts = labels[rest].bincount(minlength=int(labels.max()) + 1)
        prior.append((counts / counts.sum()).log())
    trimmed = [
        torch.stack([rows[torch.randperm(len(rows), generator=draw)][: min(map(len, part))] for rows in part])
        for part in (fit, choose)
    ]
    return Folds(labels, trimmed[0], trimmed[1], predict, torch.stack(prior))


def held_out(x: Tensor, folds: Folds, seed: int) -> tuple[Tensor, list[str]]:
    """Return log p(y|x) [folds, N, K] from the model of every fold, and the name of that model.

    Args:
        x: features [N, D], or [folds, N, D] where every fold has different ones.
        folds: of the samples.
        seed: of initial weights and batches.
    """
    x = x.float()
    views = x if x.ndim == 3 else x.expand(len(folds.fit), *x.shape)
    fold = torch.arange(len(folds.fit))[:, None]
    rows = views[fold, folds.fit]
    mean, scale = rows.mean(dim=1, keepdim=True), rows.std(dim=1, keepdim=True)
    scale = torch.where(scale > 1e-6 * (1 + mean.abs()), scale, torch.inf)  # constant columns become 0
    fit, choose = ((views[fold, part] - mean) / scale for part in (folds.fit, folds.choose))
    logs = []
    for i, (hidden, rate, decay) in enumerate(_CANDIDATES.values()):
        weights = _train(fit, choose, folds, hidden, rate, decay, seed + i)
        every = []
        for f in range(len(views)):
            with torch.no_grad():
                inputs = ((views[f] - mean[f]) / scale[f])[None]
                every.append(_logs([weight[f : f + 1] for weight in weights], inputs, folds.prior[f, None, None]))
        logs.append(tempered(torch.cat(every), folds))
    logs.append(tempered(torch.stack(logs[1:]).logsumexp(dim=0).log_softmax(dim=-1), folds))
    best = torch.stack([choice_losses(option, folds) for option in logs]).argmin(dim=0)
    names = [*_CANDIDATES, _POOL]
    return torch.stack(logs)[best, torch.arange(len(best))], [names[i] for i in best]


def choice_losses(logs: Tensor, folds: Folds) -> Tensor:
    """Return the cross-entropy [folds] on the rows that choose, of log p(y|x) [folds, N, K]."""
    chosen = logs[torch.arange(len(logs))[:, None], folds.choose]
    return -chosen.gather(2, folds.labels[folds.choose][..., None]).mean(dim=(1, 2))


def tempered(logs: Tensor, folds: Folds) -> Tensor:
    """Return log p(y|x) [folds, N, K] moved to or from p(y), each fold by what the rows that choose prefer."""
    prior = folds.prior[:, None]
    options = [strengthened(logs, prior, strength) for strength in _STRENGTHS]
    best = torch.stack([choice_losses(option, folds) for option in options]).argmin(dim=0)
    return torch.stack([strengthened(logs[f], prior[f], _STRENGTHS[i]) for f, i in enumerate(best)])


def strengthened(logs: Tensor, prior: Tensor, strength: float) -> Tensor:
    """Return log p(y|x) with its distance to log p(y) multiplied; 0 gives p(y)."""
    return (prior + strength * (logs - prior)).log_softmax(dim=-1)


def joint(both: Tensor, first: Tensor, second: Tensor, folds: Folds) -> Tensor:
    """Return log p(y|x1,x2) [folds, N, K]: the best of a model of both, their product, and each alone.

    The product p(y|x1) p(y|x2) / p(y) is right where x1 and x2 are independent given y.
    """
    product = tempered((first + second - folds.prior[:, None]).log_softmax(dim=-1), folds)
    options = torch.stack([both, product, first, second])
    best = torch.stack([choice_losses(option, folds) for option in options]).argmin(dim=0)
    return options[best, torch.arange(len(best))]


def predictions(logs: Tensor, folds: Folds) -> tuple[Tensor, Tensor]:
    """Return log p(y|x) [N, K] of every sample by the model that did not see it, and log p(y) [N, K] beside it."""
    result, prior = torch.empty_like(logs[0]), torch.empty_like(logs[0])
    for f, rows in enumerate(folds.predict):
        result[rows], prior[rows] = logs[f, rows], folds.prior[f]
    return result, prior


def _train(
    fit: Tensor, choose: Tensor, folds: Folds, hidden: tuple[int, ...], rate: float, decay: float, seed: int
) -> list[Tensor]:
    """Train a stack of models, one a fold, and return each at its best step on the rows that choose."""
    count, rows, width = fit.shape
    classes = folds.prior.shape[1]
    draw = torch.Generator().manual_seed(seed)
    sizes = [width, *hidden, classes]
    weights = []
    for i, (n_in, n_out) in enumerate(pairwise(sizes)):
        start = torch.randn(count, n_in, n_out, generator=draw) * math.sqrt(2 / n_in)
        weights += [start * (i < len(hidden)), torch.zeros(count, 1, n_out)]  # the last layer starts at 0: p(y)
    for weight in weights:
        weight.requires_grad_()
    optimizer = torch.optim.AdamW(
        [{"params": weights[0::2], "weight_decay": decay}, {"params": weights[1::2], "weight_decay": 0.0}], lr=rate
    )
    batch = min(256, rows)
    steps = min(_MOST_STEPS, max(_LEAST_STEPS, _PASSES * rows // batch))
    every = max(5, steps // 100)
    labels, targets = folds.labels[folds.fit], folds.labels[folds.choose]
    prior = folds.prior[:, None]
    fold = torch.arange(count)[:, None]
    best, kept, since = torch.full((count,), torch.inf), [w.detach().clone() for w in weights], 0
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                loss = -_logs(weights, choose, prior).gather(2, targets[..., None]).mean(dim=(1, 2))
            better = loss < best - 1e-5
            best = torch.where(better, loss, best)
            for keep, weight in zip(kept, weights, strict=True):
                keep[better] = weight.detach()[better]
            since = 0 if better.any() else since + every
            if since > _PATIENCE * steps:
                break
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / (steps + 1))
        at = torch.randint(rows, (count, batch), generator=draw)
        logs = _logs(weights, fit[fold, at], prior)
        optimizer.zero_grad()
        F.nll_loss(logs.reshape(-1, classes), labels[fold, at].ravel(), reduction="sum").div(batch).backward()
        optimizer.step()
    return kept


def _logs(weights: Sequence[Tensor], x: Tensor, prior: Tensor) -> Tensor:
    """Return log p(y|x) [models, N, K]; models with weights 0 in the last layer give the prior."""
    for i in range(0, len(weights), 2):
        x = torch.baddbmm(weights[i + 1], x, weights[i])
        if i + 2 < len(weights):
            x = F.relu(x)
    return (x + prior).log_softmax(dim=-1)
