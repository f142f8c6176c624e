"""Made-up results of MultiBench studies with planted correlations of alignment and performance."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from vlalign.multibench import MultibenchConfig, MultibenchResult
from vlalign.multibench.published import epochs_of, settings_of

AFFECT = ("vision", "audio", "text")
SHAPES = {"image": [49, 16], "audio": [20, 36], "vision": [50, 20], "text": [50, 300]}
SAMPLES = {"train": 55_000, "valid": 5_000, "test": 10_000}


def planted(draw: np.random.Generator, test: np.ndarray, r: float) -> np.ndarray:
    """Values around 0.4 whose Pearson correlation with ``test`` is exactly ``r``."""
    centred = test - test.mean()
    if not centred.any():
        return np.asarray(0.4 + 0.05 * draw.normal(size=len(test)))
    along = centred / np.linalg.norm(centred)
    noise = draw.normal(size=len(test))
    noise -= noise.mean() + (noise @ along) * along
    mixed = r * along + np.sqrt(1 - r * r) * noise / np.linalg.norm(noise)
    return np.asarray(0.4 + 0.1 * mixed)


def made_up_multibench(
    r: float = 0.9,
    *,
    name: str = "avmnist",
    task: str = "classification",
    modalities: tuple[str, ...] = ("image", "audio"),
    constant: bool = False,
    data: dict[str, Any] | None = None,
    **settings: Any,
) -> MultibenchResult:
    """A result in which ``unbiased_cka`` correlates with test performance by ``r`` in every direction.

    Other metrics correlate by ``−r``. Performance grows with depth.

    Args:
        r: of all directions.
        name, task, modalities: of the data set.
        constant: let all encoders perform alike.
        data: more of what the result says of its data.
        settings: fields of MultibenchConfig; those that the data set fills in are as published.
    """
    told: dict[str, Any] = {
        "data": "data", "modalities": modalities, "train_samples": SAMPLES["train"], "pool": "cls",
        "epochs": epochs_of(name), "permutations": 999,
        "learning_rate": tuple(settings_of(name, one)[0] for one in modalities),
        "weight_decay": tuple(settings_of(name, one)[1] for one in modalities),
    }  # fmt: skip
    config = MultibenchConfig(**(told | settings))
    draw = np.random.default_rng(0)
    cells = [(depth, seed) for depth in config.depths for seed in config.seeds]
    tests = {
        one: np.full(len(cells), 0.5)
        if constant
        else np.array([0.5 + 0.02 * depth + 0.01 * draw.normal() for depth, _ in cells])
        for one in modalities
    }
    best = {one: cells[int(test.argmax())] for one, test in tests.items()}
    encoders = [
        {
            "modality": one, "depth": depth, "seed": seed, "epoch": 10 + depth, "train": test + 0.05,
            "valid": test + 0.01, "test": test, "best": best[one] == (depth, seed),
        }
        for one in modalities
        for (depth, seed), test in zip(cells, tests[one], strict=True)
    ]  # fmt: skip
    alignment, layers = [], []
    for one in modalities:
        for other in modalities:
            if one == other:
                continue
            values = {
                metric: planted(draw, tests[one], r if metric == "unbiased_cka" else -r) for metric in config.metrics
            }
            for i, (depth, seed) in enumerate(cells):
                row: dict[str, Any] = {
                    "modality": one, "reference": other, "depth": depth, "seed": seed,
                    "reference_depth": best[other][0], "reference_seed": best[other][1],
                    "train": tests[one][i] + 0.05, "valid": tests[one][i] + 0.01, "test": tests[one][i],
                }  # fmt: skip
                for metric, of in values.items():
                    row |= {metric: of[i], f"{metric} layer": depth, f"{metric} reference_layer": best[other][0]}
                    layers += [
                        {
                            "modality": one, "reference": other, "depth": depth, "seed": seed, "metric": metric,
                            "layer": x, "reference_layer": y,
                            "value": of[i] - 0.02 * (depth - x) - 0.01 * (best[other][0] - y),
                        }
                        for x in range(1, depth + 1)
                        for y in range(1, best[other][0] + 1)
                    ]  # fmt: skip
                alignment.append(row)
    return MultibenchResult(
        config=config.resolved(),
        data={
            "name": name, "task": task, "classes": 10 if task == "classification" else None, "pool": config.pool,
            "samples": SAMPLES, "shapes": {one: SHAPES.get(one, [4, 3]) for one in modalities},
            "fingerprint": "c0ffee" * 10 + "c0ff", "notes": [],
        } | (data or {}),
        encoders=pd.DataFrame(encoders),
        alignment=pd.DataFrame(alignment),
        layers=pd.DataFrame(layers),
        seconds={"train": 3661.0, "align": 75.0},
        trained=len(encoders),
        environment={
            "python": "3.11.7", "platform": "Linux", "packages": {"vlalign": "0.1.0", "torch": "2.14.0"},
            "accelerators": [], "git": None, "threads": 2, "processes": 1, "device": "cpu",
        },
    )  # fmt: skip
