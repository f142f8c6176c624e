"""Small data for experiments on alignment, and settings with which they take tenths of a second."""

from __future__ import annotations

from typing import Any

import numpy as np

from vlalign.advice.data import PairedData, make_data

#: settings of a quick experiment
QUICK: dict[str, Any] = {
    "steps": 4,
    "folds": 3,
    "depth": 1,
    "weights": (0.5, 2.0),
    "batch": 16,
    "width": 4,
    "cpu": True,
}


def arrays(n: int = 60, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two views [n, 5] and [n, 7] of one latent variable that decides two classes."""
    random = np.random.RandomState(seed)
    z = random.standard_normal((n, 3))
    mixing = np.random.RandomState(1)
    x1 = np.c_[z, random.standard_normal((n, 2))] @ mixing.standard_normal((5, 5))
    x2 = np.c_[z, random.standard_normal((n, 4))] @ mixing.standard_normal((7, 7))
    return x1, x2, (z[:, 0] + 0.3 * random.standard_normal(n) > 0).astype(int)


def data(n: int = 60, unlabelled: int = 0, **more: Any) -> PairedData:
    """The arrays as data, with some pairs without a label."""
    x1, x2, y = arrays(n + unlabelled)
    extra = (x1[n:], x2[n:]) if unlabelled else None
    return make_data(x1[:n], x2[:n], y[:n], extra, **more)
