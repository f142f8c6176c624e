"""Made-up results of synthetic studies: alignment that falls with U, of as many encoders as asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from vlalign.synthetic import SyntheticConfig, SyntheticResult


def made_up_result(**settings: Any) -> SyntheticResult:
    """A result of these settings (fields of SyntheticConfig) with planted values.

    Accuracy grows with depth. Alignment is ``0.9 − 0.1 U``; at U < 4 a little of it follows the accuracy.
    """
    grid: dict[str, Any] = {"phi_depths": (1, 3), "depths": (1, 2, 3, 4, 5), "seeds": (2,)}
    config = SyntheticConfig(**(grid | settings))
    draw = np.random.default_rng(0)
    rows = []
    for modality in range(2, config.modalities + 1):
        for phi in config.phi_depths:
            for seed in config.seeds:
                for u in config.uniqueness:
                    for width in config.hidden:
                        for depth in config.depths:
                            test = 0.5 + 0.01 * depth + 0.001 * phi
                            for reference in config.depths:
                                follows = depth if u < 4 else float(draw.normal())
                                row: dict[str, Any] = {
                                    "seed": seed, "uniqueness": u, "modality": modality, "phi_depth": phi,
                                    "width": width, "depth": depth, "reference_depth": reference, "train": test + 0.01,
                                    "valid": test, "test": test, "epoch": depth, "reference_test": 0.6,
                                }  # fmt: skip
                                for at, name in enumerate(config.metrics):
                                    row[name] = 0.9 - 0.1 * u + 0.001 * follows - 0.01 * reference - 0.02 * at
                                    row[f"{name} layer"], row[f"{name} reference_layer"] = depth, reference
                                rows.append(row)
    return SyntheticResult(
        config=config.resolved(),
        table=pd.DataFrame(rows),
        seconds={"train": 61.0, "align": 2.0},
        trained=100,
        environment={"packages": {"torch": "2.14.0"}, "git": None, "threads": 2, "processes": 1},
    )
