"""Estimated time of probes, from a trial on random features."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter

import torch

from vlalign.probing.probe import Planned
from vlalign.scoring.layers import find_device


def estimate_probes(planned: Sequence[Planned], *, force: bool = False) -> tuple[list[float], int]:
    """Return the seconds of each model that is not stored (0 for the others), and how many are stored.

    One fold of random features as wide as the widest layer is fitted for each number of samples and width; its time is
    scaled to all layers and folds.

    Args:
        planned: models.
        force: whether stored results count as missing.
    """
    known: dict[tuple[int, int], float] = {}
    seconds = []
    for one in planned:
        if not force and one.stored() is not None:
            seconds.append(0.0)
            continue
        width = max(int(layer["width"]) for layer in one.features.axis)
        shape = (one.features.n, width)
        if shape not in known:
            device = find_device(one.options.device)
            x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(device or "cpu")
            one.fit(x[:, :2], one.folds[0])  # warms up
            start = perf_counter()
            one.fit(x, one.folds[0])
            known[shape] = perf_counter() - start
        seconds.append(known[shape] * len(one.features.axis) * len(one.folds))
    return seconds, seconds.count(0.0)
