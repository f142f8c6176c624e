"""Small MultiBench data: prepared data sets, and files in exactly the layouts that are released."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from vlalign.multibench import Prepared, PreparedSplit, write_prepared

SIZES = {"train": 12, "valid": 5, "test": 6}


def made_up_split(title: str, count: int, classes: int | None = 3, seed: int = 0) -> PreparedSplit:
    """vision [N, 4, 3] without padding, audio [N, 6, 2] of 1 to 6 frames, labels."""
    draw = torch.Generator().manual_seed(seed + len(title))
    lengths = torch.randint(1, 7, (count,), generator=draw)
    audio = torch.randn(count, 6, 2, generator=draw) * (torch.arange(6) < lengths[:, None])[:, :, None]
    labels = torch.randn(count, generator=draw) if classes is None else torch.arange(count) % classes
    return PreparedSplit(
        {"vision": torch.randn(count, 4, 3, generator=draw), "audio": audio},
        {"audio": lengths},
        labels,
        [f"{title}-{row}" for row in range(count)],
    )


def made_up(folder: Path, classes: int | None = 3, **values: Any) -> Prepared:
    """A small prepared data set of noise."""
    splits = {title: made_up_split(title, count, classes) for title, count in SIZES.items()}
    task = "sentiment" if classes is None else "classification"
    given: dict[str, Any] = {
        "name": "made-up", "task": task, "classes": classes, "pool": "mean", "splits": splits, "about": {"seed": 0}
    }  # fmt: skip
    return write_prepared(folder, **(given | values))
