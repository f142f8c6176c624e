"""Small synthetic studies, and encoders as anyone would write them: torch.nn modules, trained one at a time."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vlalign.study.ensembles import Ensemble
from vlalign.synthetic import SyntheticConfig, SyntheticData, Task
from vlalign.synthetic.encoder import Encoder, Shape

SMALL: dict[str, Any] = {
    "uniqueness": (0, 5), "phi_depths": (1, 3), "depths": (1, 2), "seeds": (0, 7), "samples": 512, "epochs": (2, 3),
    "batch": 100, "align_samples": 48, "metrics": ("unbiased_cka", "mutual_knn:k=5"), "cpu": True,
}  # fmt: skip

#: small enough to enumerate: two and three modalities, synergy, uneven splits, label noise
TINY: dict[str, tuple[Task, int]] = {
    "all shared": (Task(shared_bits=3, unique_bits=1, relevant_bits=3, classes=3), 0),
    "one bit each": (Task(shared_bits=2, unique_bits=2, relevant_bits=3, classes=3), 2),
    "all unique": (Task(shared_bits=1, unique_bits=2, relevant_bits=3, classes=2), 3),
    "noisy": (Task(shared_bits=2, unique_bits=2, relevant_bits=3, classes=3, label_noise=0.3), 1),
    "uneven": (Task(shared_bits=2, unique_bits=3, relevant_bits=4, classes=3, unique_split=(3, 1)), 3),
    "synergy": (Task(shared_bits=2, unique_bits=2, relevant_bits=3, classes=3, synergy=1), 1),
    "synergy alone": (Task(shared_bits=1, unique_bits=2, relevant_bits=2, classes=3, synergy=2), 0),
    "three": (Task(modalities=3, shared_bits=2, unique_bits=1, relevant_bits=3, classes=3), 2),
    "three uneven, synergy, noise": (
        Task(
            modalities=3, shared_bits=2, unique_bits=2, relevant_bits=4, classes=3, synergy=1,
            unique_split=(0, 1, 1), label_noise=0.1, temperature=0.2,
        ),
        2,
    ),
}  # fmt: skip


def small(out: object = "synthetic-runs/small", **values: Any) -> SyntheticConfig:
    """A study whose cells train in a few hundredths of a second."""
    return SyntheticConfig(**{**SMALL, "out": str(out), **values})


def states(task: Task) -> Iterator[tuple[tuple[int, ...], list[tuple[int, ...]]]]:
    """Shared bits and each modality's own bits, of every state."""
    own = list(product((0, 1), repeat=task.unique_bits))
    for shared in product((0, 1), repeat=task.shared_bits):
        for chosen in product(own, repeat=task.modalities):
            yield shared, list(chosen)


def number(bits: tuple[int, ...]) -> int:
    """Of bits, the first one most significant."""
    value = 0
    for bit in bits:
        value = 2 * value + bit
    return value


def bits_of(data: SyntheticData, modality: int) -> np.ndarray:
    """What a modality sees of each sample, decoded by hand from the number of its state."""
    shared, own, modalities = data.config.shared_bits, data.config.unique_bits, data.config.modalities
    rows = []
    for state in data.states:
        text = f"{state:0{shared + own * modalities}b}"
        start = shared + modality * own
        rows.append([int(bit) for bit in text[:shared] + text[start : start + own]])
    return np.array(rows)


FUNCTIONS = {
    "leaky_relu": lambda: nn.LeakyReLU(0.1),
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def encoder(shape: Shape) -> nn.Sequential:
    """[Linear, nonlinearity] as many times as it is deep, and the head: drawn from torch's global generator."""
    layers: list[nn.Module] = []
    for i in range(shape.depth):
        layers += [nn.Linear(shape.width if i else shape.inputs, shape.width), FUNCTIONS[shape.nonlinearity]()]
    return nn.Sequential(*layers, nn.Linear(shape.width, shape.classes))


def linears(network: nn.Sequential) -> list[nn.Linear]:
    """Its linear layers, the head last."""
    return [layer for layer in network if isinstance(layer, nn.Linear)]


def member(ensemble: Ensemble[Encoder], m: int) -> nn.Sequential:
    """One encoder of an ensemble."""
    network = encoder(ensemble.module.shape).to(ensemble.flat.dtype)
    with torch.no_grad():
        for layer, ours in zip(linears(network), (*ensemble.module.layers, ensemble.module.head), strict=True):
            layer.weight.copy_(ours.weight[m])
            layer.bias.copy_(ours.bias[m])
    return network


def numbers(network: nn.Sequential) -> Tensor:
    """All parameters of an encoder in one vector, layer by layer."""
    return torch.cat([part.detach().flatten() for layer in linears(network) for part in (layer.weight, layer.bias)])


def hidden(network: nn.Sequential, x: Tensor) -> list[Tensor]:
    """Values after each nonlinearity, as forward hooks see them."""
    seen: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda module, given, value: seen.append(value.detach()))
        for layer in network
        if not isinstance(layer, nn.Linear)
    ]
    with torch.no_grad():
        network(x)
    for hook in hooks:
        hook.remove()
    return seen


def accuracy(network: nn.Sequential, x: Tensor, y: Tensor) -> float:
    """Share of inputs whose label has the largest logit."""
    with torch.no_grad():
        return float((network(x).argmax(dim=1) == y).double().mean())


def trained_alone(
    shape: Shape,
    splits: list[tuple[Tensor, Tensor]],
    *,
    seed: int,
    rate: float,
    decay: float,
    epochs: int,
    batch: int,
    clip: float,
) -> tuple[nn.Sequential, int, list[float], list[float]]:
    """An encoder trained by an ordinary loop on (inputs, labels) of train, validation and test.

    Returns:
        The first checkpoint with the best validation accuracy; its epoch, from 1; its accuracy on each split; and the
        norm of every gradient before it was clipped.
    """
    (x, y), (valid_x, valid_y), _ = splits
    torch.manual_seed(seed)
    network = encoder(shape).to(x.dtype)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=decay)
    best, best_epoch, best_accuracy = copy.deepcopy(network), 0, -1.0
    norms = []
    for epoch in range(1, epochs + 1):
        for chosen in torch.randperm(len(x)).split(batch):
            optimiser.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            norms.append(float(nn.utils.clip_grad_norm_(network.parameters(), clip)))
            optimiser.step()
        found = accuracy(network, valid_x, valid_y)
        if found > best_accuracy:
            best, best_epoch, best_accuracy = copy.deepcopy(network), epoch, found
    return best, best_epoch, [accuracy(best, *split) for split in splits], norms


def entropy(probabilities: Any) -> float:
    """In nats."""
    given = np.asarray(list(probabilities), dtype=float)
    return float(-sum(p * np.log(p) for p in given if p > 0))
