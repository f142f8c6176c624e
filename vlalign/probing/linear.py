"""Linear models with an L2 penalty, for all penalties and targets at once: ridge and logistic regression.

Features are standardised by the training samples and divided by √D, so that a penalty means the same at every width.
They are rotated to their principal axes, of which n samples have at most n: there ridge regression has a closed form,
and dividing each axis by the square root of its curvature makes logistic regression quick for every penalty.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vlalign.arrays import varying_columns

_STEPS = 60  # of L-BFGS, at most
_CURVATURE = 0.25  # of the logistic loss, at most
_SMALLEST = 1e-7  # share of the variance of an axis that is kept


@dataclass(frozen=True)
class Axes:
    """Principal axes of training samples.

    Attributes:
        train: coordinates of the training samples [n, r].
        curvature: mean square of each coordinate [r].
    """

    train: Tensor
    curvature: Tensor
    _mean: Tensor
    _scale: Tensor
    _rotation: Tensor

    def coordinates(self, x: Tensor) -> Tensor:
        """Return the coordinates [m, r] of other samples [m, D]."""
        return ((x - self._mean) / self._scale) @ self._rotation


def principal_axes(x: Tensor) -> Axes:
    """Return the axes of training samples [n, D], float32; features that are constant up to rounding count 0."""
    mean, spread = x.mean(dim=0), x.std(dim=0, correction=0)
    scale = torch.where(varying_columns(x), spread * x.shape[1] ** 0.5, torch.inf)
    z = (x - mean) / scale
    n, width = z.shape
    gram = z @ z.T if n < width else z.T @ z
    values, vectors = torch.linalg.eigh(gram)
    kept = values > _SMALLEST * values.sum().clamp_min(1e-30)
    values, vectors = values[kept], vectors[:, kept]
    rotation = z.T @ (vectors / values.sqrt()) if n < width else vectors
    train = z @ rotation
    return Axes(train, train.square().mean(dim=0), mean, scale, rotation)


def ridge(axes: Axes, y: Tensor, strengths: Sequence[float]) -> tuple[Tensor, Tensor]:
    """Minimise mean (y − t·w − b)² + λ ‖w‖² for every penalty λ.

    Args:
        axes: of the training samples.
        y: numbers [n, C], float64.
        strengths: S penalties.

    Returns:
        Weights [S, r, C], float32, and intercepts [S, C], float64.
    """
    intercept = y.mean(dim=0)
    products = axes.train.T @ (y - intercept).float() / len(y)
    penalties = torch.tensor(strengths, device=y.device)[:, None, None]
    return products / (axes.curvature[:, None] + penalties), intercept.expand(len(strengths), -1)


def logistic(axes: Axes, y: Tensor, strengths: Sequence[float], joint: bool) -> tuple[Tensor, Tensor]:
    """Minimise the mean cross-entropy + λ/2 ‖w‖² for every penalty λ, by L-BFGS.

    Args:
        axes: of the training samples.
        y: bool [n, C]: whether a sample has each class.
        strengths: S penalties.
        joint: one class a sample (softmax); else a separate problem for each label, in which samples with it weigh
            (n − p)/p, with p of the n samples having it, as ``pos_weight`` does.

    Returns:
        Weights [S, r, C] and intercepts [S, C].
    """
    t, n = axes.train, len(y)
    target = y[:, None].to(t.dtype)  # [n, 1, C]
    positives = target.sum(dim=0)
    weight = torch.ones_like(target) if joint else torch.where(target > 0, (n - positives) / positives, 1.0)
    start = (positives / n).log() if joint else torch.zeros_like(positives)  # [1, C]
    penalties = torch.tensor(strengths, dtype=t.dtype, device=t.device)[:, None]  # [S, 1]
    mass = weight.mean(dim=0)  # [1, C]
    step = (_CURVATURE * axes.curvature[:, None, None] * mass + penalties).rsqrt()  # [r, S, C]
    v = torch.zeros_like(step, requires_grad=True)
    b = start.repeat(len(strengths), 1).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [v, b], max_iter=_STEPS, history_size=10, line_search_fn="strong_wolfe", tolerance_grad=1e-6,
        tolerance_change=1e-7,
    )  # fmt: skip

    def loss() -> Tensor:
        """Set the gradients by hand: one product with the samples for the outputs, and one for the weights."""
        with torch.no_grad():
            w = v * step
            outputs = (t @ w.flatten(1)).view(n, *w.shape[1:]) + b
            if joint:
                logs = outputs.log_softmax(dim=-1)
                value = -(logs * target).sum()
                slope = (logs.exp_() - target) / n
            else:
                value = (weight * (torch.nn.functional.softplus(outputs) - target * outputs)).sum()
                slope = weight * (outputs.sigmoid_() - target) / n
            v.grad = ((t.T @ slope.flatten(1)).view_as(w) + penalties * w) * step
            b.grad = slope.sum(dim=0)
            return value / n + 0.5 * (penalties * w.square()).sum()

    optimizer.step(loss)
    return (v * step).detach().transpose(0, 1), b.detach()


def outputs_of(model: tuple[Tensor, Tensor], t: Tensor) -> Tensor:
    """Return outputs [S, m, C] at coordinates [m, r] of a model with weights [S, r, C] and intercepts [S, C]."""
    weights, intercepts = model
    return torch.einsum("mr,src->smc", t, weights) + intercepts[:, None]
