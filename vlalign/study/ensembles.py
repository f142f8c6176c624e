"""Ensembles: encoders of one shape that are trained side by side, and the training loop that studies share.

An ensemble is one module whose parameters have a leading axis of members; its operations are batched over that axis.
Each member ends where it would end if it were trained alone: AdamW (Loshchilov & Hutter 2019, decoupled weight decay),
gradient-norm clipping over all of its parameters, its own order, dropout masks and rates, and the first checkpoint
with its best validation score.

Measured on one thread of a CPU with three transformers of 4 layers (49 tokens, width 16, batch 64): a batched step
takes 0.8 times as long as ``torch.vmap`` over the single encoder, or as the three one after the other.
``torch.compile`` is not used: it compiles for minutes for each shape of an encoder, which trains for minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from vlalign.errors import VlalignError

M = TypeVar("M", bound=nn.Module)


class Ensemble(Generic[M]):
    """S encoders of one shape.

    Args:
        make: makes one encoder; called on the meta device, so that it draws nothing.
        flat: parameters [S, P] of all, those of a member in the order of the encoder's ``parameters()``.

    Attributes:
        module: the encoder with parameters [S, …], which are views of ``flat``.
        flat: the parameters.
    """

    def __init__(self, make: Callable[[], M], flat: Tensor) -> None:
        self.make, self.flat = make, flat
        with torch.device("meta"):
            self.module = make()
        single = list(self.module.named_parameters())
        parts = flat.split([parameter.numel() for _, parameter in single], dim=1)
        for (name, parameter), part in zip(single, parts, strict=True):
            path, _, own = name.rpartition(".")
            setattr(self.module.get_submodule(path), own, nn.Parameter(part.view(len(flat), *parameter.shape)))

    def __len__(self) -> int:
        return len(self.flat)

    def state(self, member: int) -> dict[str, Tensor]:
        """Return the state dict of one member, as views."""
        return {name: parameter.detach()[member] for name, parameter in self.module.named_parameters()}

    @classmethod
    def of(
        cls, make: Callable[[], M], states: Sequence[Mapping[str, Tensor]], device: torch.device | None = None
    ) -> Ensemble[M]:
        """Return an ensemble of encoders from their state dicts."""
        with torch.device("meta"):
            names = [name for name, _ in make().named_parameters()]
        flat = torch.stack([torch.cat([state[name].reshape(-1) for name in names]) for state in states])
        return cls(make, flat.to(device))


class Dropout:
    """Masks of dropout, each member's from its own generator, so they do not depend on the other members.

    On a CPU 16 random bits decide an entry (the probability is exact to 1/131,072); torch's own masks take longer there
    than a layer's products.

    Args:
        probability: of a zero, below 1.
        seeds: of the members.
        device: device of the masks.
    """

    def __init__(self, probability: float, seeds: Sequence[int], device: torch.device) -> None:
        self.level = round(probability * 2**16)
        self.scale = 1 / (1 - self.level / 2**16)
        cpu = device.type == "cpu"
        self._bits = [np.random.Generator(np.random.SFC64(seed)) for seed in seeds] if cpu else []
        self._generators = [] if cpu else [torch.Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, like: Tensor, *shapes: Sequence[int]) -> list[Tensor]:
        """Draw masks of the shapes [S · n, …], of the dtype of ``like``: zeros, and the factor that keeps the mean."""
        masks = [like.new_empty(*shape) for shape in shapes]
        rows = [mask.view(len(self._bits) or len(self._generators), -1) for mask in masks]
        for member, generator in enumerate(self._generators):
            for mask in rows:
                mask[member].bernoulli_(1 / self.scale, generator=generator)
        sizes = [mask.shape[1] for mask in rows]
        for member, bits in enumerate(self._bits):
            drawn = torch.from_numpy(bits.integers(0, 2**64, -(-sum(sizes) // 4), dtype=np.uint64).view(np.int16))
            for mask, part in zip(rows, drawn[: sum(sizes)].split(sizes), strict=True):
                torch.ge(part, self.level - 2**15, out=mask[member])
        return [mask.mul_(self.scale) for mask in masks]


@dataclass(frozen=True)
class Trained(Generic[M]):
    """Best checkpoints of S members.

    Attributes:
        ensemble: the checkpoints.
        epoch: int64 [S], their epochs, from 1; 0 where no epoch had a finite score.
        performance: float64 [S, 3] on train, valid and test.
    """

    ensemble: Ensemble[M]
    epoch: Tensor
    performance: Tensor

    def check(self, member: int, title: str) -> None:
        """Raise VlalignError with the title of a member if it diverged."""
        if not int(self.epoch[member]) or not bool(torch.isfinite(self.ensemble.flat[member]).all()):
            raise VlalignError(f"training diverged ({title}): lower learning_rate or clip")


def train(
    ensemble: Ensemble[M],
    *,
    epochs: int,
    batches: Callable[[], Iterable[Any]],
    loss: Callable[[Any], Tensor],
    score: Callable[[], Tensor],
    learning_rates: Sequence[float],
    weight_decays: Sequence[float],
    clip: float,
    tick: Callable[[], None],
) -> tuple[Tensor, Tensor]:
    """Train all members of an ensemble together.

    Args:
        ensemble: at the start; it is trained in place.
        epochs: number of epochs.
        batches: gives the batches of the next epoch.
        loss: gives the sum of the members' mean losses on a batch.
        score: gives float64 [S] on the CPU on the validation split, larger is better.
        learning_rates, weight_decays: [S].
        clip: largest norm of a member's gradient.
        tick: called after every epoch.

    Returns:
        The parameters [S, P] of the members' first checkpoints with the largest score, and their epochs int64 [S], 0
        without a finite score.
    """
    flat, gradients = ensemble.flat, torch.empty_like(ensemble.flat)
    parameters = list(ensemble.module.parameters())
    optimiser = torch.optim.AdamW(_groups(flat, gradients, learning_rates, weight_decays), fused=True)
    best = flat.clone()
    largest = torch.full((len(flat),), -torch.inf, dtype=torch.float64)
    epoch_of = torch.zeros(len(flat), dtype=torch.int64)
    for epoch in range(1, epochs + 1):
        for batch in batches():
            parts = torch.autograd.grad(loss(batch), parameters)
            torch.cat([part.flatten(1) for part in parts], dim=1, out=gradients)
            norms = torch.linalg.vector_norm(gradients, dim=1, keepdim=True)
            gradients.mul_((clip / (norms + 1e-6)).clamp_(max=1.0))  # as torch.nn.utils.clip_grad_norm_
            optimiser.step()
        now = score()
        better = now > largest
        best[better.to(flat.device)] = flat[better.to(flat.device)]
        largest[better], epoch_of[better] = now[better], epoch
        tick()
    return best, epoch_of


def _groups(
    flat: Tensor, gradients: Tensor, learning_rates: Sequence[float], weight_decays: Sequence[float]
) -> list[dict[str, Any]]:
    """Return a parameter group for each pair of rates: slices of ``flat`` of its members, with their gradients."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    start = 0
    for rates, members in groupby(zip(learning_rates, weight_decays, strict=True)):
        end = start + len(list(members))
        part = flat[start:end]
        part.grad = gradients[start:end]
        groups.setdefault(rates, []).append(part)
        start = end
    return [{"params": parts, "lr": rate, "weight_decay": decay} for (rate, decay), parts in groups.items()]
