"""Two encoders with their heads, many of one shape as one torch module, and the loss of every arm."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vlalign.advice.arms import WITHIN_CLASS, Arm
from vlalign.study.ensembles import Ensemble

_TINY = 1e-37  # below the smallest share of a row whose partner has a cosine above 0.15, at any temperature
USES = ("both", "first", "second")


@dataclass(frozen=True)
class Shape:
    """Shape of two encoders and three heads.

    Attributes:
        inputs: widths of the features of both modalities.
        width: of the embeddings.
        depth: layers of each encoder; 1 is a linear map.
        hidden: width of the layers between.
        outputs: classes, or 1 for regression.
    """

    inputs: tuple[int, int]
    width: int
    depth: int
    hidden: int
    outputs: int


class TwoEncoders(nn.Module):
    """Encoders of two modalities, a head on each embedding, and one on both.

    The passes take members whose parameters have a leading axis (:class:`vlalign.study.ensembles.Ensemble`). Members
    of one cell are neighbours and see the same samples.

    Args:
        shape: of it.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(_layers(width, shape) for width in shape.inputs)
        self.heads = nn.ModuleList(nn.Linear(shape.width * count, shape.outputs) for count in (2, 1, 1))

    def embed(self, x: Sequence[Tensor]) -> list[Tensor]:
        """Return embeddings [S, B, width] of both modalities from features [C, B, D] of S / C members each."""
        return [self._encode(side, layers) for side, layers in zip(x, self.encoders, strict=True)]

    def predict(self, z: Sequence[Tensor]) -> list[Tensor]:
        """Return outputs [S, B, K] from both embeddings, from the first alone and from the second alone."""
        return [_affine(head, part) for head, part in zip(self.heads, (torch.cat(list(z), 2), *z), strict=True)]

    def _encode(self, x: Tensor, layers: Any) -> Tensor:
        first, *others = layers
        cells, batch, _ = x.shape
        members, width, _ = first.weight.shape
        together = first.weight.reshape(cells, -1, x.shape[2])  # members of a cell as one wide layer
        h = torch.bmm(x, together.mT).view(cells, batch, members // cells, width)
        h = h.transpose(1, 2).reshape(members, batch, width) + first.bias.unsqueeze(1)
        for layer in others:
            h = _affine(layer, F.leaky_relu(h, 0.1))
        return h


def _layers(width: int, shape: Shape) -> nn.ModuleList:
    widths = [width, *[shape.hidden] * (shape.depth - 1), shape.width]
    return nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))


def _affine(layer: Any, x: Tensor) -> Tensor:
    """Map x [S, B, in] by a layer with weights [S, out, in] and biases [S, out]."""
    return torch.baddbmm(layer.bias.unsqueeze(1), x, layer.weight.mT)


def initialise(
    shape: Shape, generators: Sequence[np.random.Generator], arms: int, device: torch.device
) -> Ensemble[TwoEncoders]:
    """Return members of equal start in each cell: uniform within 1/√inputs, as torch's Linear, drawn by cell."""
    with torch.device("meta"):
        single = TwoEncoders(shape)
    starts = []
    for generator in generators:
        parts = {}
        for name, layer in single.named_modules():
            if isinstance(layer, nn.Linear):
                bound = 1 / math.sqrt(layer.in_features)
                parts[f"{name}.weight"] = generator.uniform(-bound, bound, layer.weight.numel())
                parts[f"{name}.bias"] = generator.uniform(-bound, bound, layer.bias.numel())
        starts.append(np.concatenate([parts[name] for name, _ in single.named_parameters()]))
    flat = torch.from_numpy(np.stack(starts)).float().repeat_interleave(arms, dim=0)
    return Ensemble(lambda: TwoEncoders(shape), flat.to(device))


@dataclass(frozen=True)
class Batch:
    """Samples of one step, of C cells; the labelled ones come first.

    Attributes:
        x: features of both modalities [C, B, D].
        target: classes int64 or values float32 [C, L] of the labelled samples.
        shuffled: permutation [C, B] of the partners.
        within: permutation [C, L] of the labelled partners that keeps the class.
    """

    x: tuple[Tensor, Tensor]
    target: Tensor
    shuffled: Tensor
    within: Tensor


def step_loss(module: TwoEncoders, batch: Batch, arms: Sequence[Arm], temperature: float) -> Tensor:
    """Return the sum over members of task loss + weight · contrastive term.

    The task loss is the mean of the three heads' cross-entropies (or half squared errors) on the labelled samples.
    """
    z = module.embed(batch.x)
    cells, labelled = batch.target.shape
    target = batch.target.unsqueeze(1).expand(cells, len(arms), labelled).reshape(-1)
    loss = z[0].new_zeros(())
    for out in module.predict([side[:, :labelled] for side in z]):
        rows = out.flatten(0, 1)
        if target.is_floating_point():
            loss = loss + 0.5 * F.mse_loss(rows[:, 0], target, reduction="sum") / labelled
        else:
            loss = loss + F.cross_entropy(rows, target, reduction="sum") / labelled
    loss = loss / len(USES)
    a, b = (F.normalize(side, dim=2).unflatten(0, (cells, len(arms))) for side in z)
    for control in dict.fromkeys(arm.control for arm in arms if arm.weight > 0):
        which = [i for i, arm in enumerate(arms) if arm.control == control and arm.weight > 0]
        first, last = which[0], which[-1] + 1  # neighbours
        mine, other = a[:, first:last], b[:, first:last]
        if control == WITHIN_CLASS:
            mine, other = mine[:, :, :labelled], other[:, :, :labelled]
            other = _reordered(other, batch.within)
        elif control:
            other = _reordered(other, batch.shuffled)
        weights = z[0].new_tensor([arm.weight for arm in arms[first:last]])
        loss = loss + (contrast(mine, other, temperature) * weights).sum()
    return loss


def contrast(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Return the symmetric contrastive loss [C, A] of rows a, b [C, A, B, width] of length 1 (arXiv 2103.00020).

    ½ [CE(a bᵀ / τ, I) + CE(b aᵀ / τ, I)], means over rows; τ is the temperature.
    """
    most = 1 / temperature  # the largest possible entry: one exp is enough for both softmaxes
    scaled = a * most
    matched = (scaled * b).sum(3).mean(2)
    shares = torch.baddbmm(a.new_tensor(-most), scaled.flatten(0, 1), b.flatten(0, 1).mT).exp()
    sums = [shares.sum(axis).clamp_min(_TINY).log().mean(1).view_as(matched) for axis in (2, 1)]
    return 0.5 * (sums[0] + sums[1]) + most - matched


def _reordered(rows: Tensor, order: Tensor) -> Tensor:
    """Return rows [C, A, B, width] in the order [C, B] of their cell."""
    return rows.gather(2, order[:, None, :, None].expand(rows.shape[:2] + order.shape[1:] + rows.shape[3:]))
