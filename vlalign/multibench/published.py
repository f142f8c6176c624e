"""Settings of training and Table 1 of the MultiBench study that arXiv 2502.16282 published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: data set: learning rate and weight decay of each modality (released code)
SETTINGS: dict[str, dict[str, tuple[float, float]]] = {
    "avmnist": {"image": (1e-3, 0.0), "audio": (1e-3, 1e-4)},
    "mosi": {"vision": (1e-3, 0.01), "audio": (1e-3, 0.01), "text": (1e-4, 0.01)},
    "mosei": {"vision": (5e-5, 0.1), "audio": (1e-4, 0.0), "text": (1e-5, 0.0)},
    "urfunny": {"vision": (1e-5, 0.01), "audio": (5e-4, 0.001), "text": (5e-5, 0.0)},
    "mustard": {"vision": (5e-4, 0.0), "audio": (5e-4, 0.1), "text": (1e-4, 0.1)},
}
_ANY = (1e-3, 0.0)
_EPOCHS = {"avmnist": 100}

TITLES = {
    "mosei": "MOSEI", "mosi": "MOSI", "urfunny": "UR-FUNNY", "mustard": "MUStARD", "avmnist": "AVMNIST",
}  # fmt: skip

_VA, _VT, _AT = ("vision", "audio"), ("vision", "text"), ("audio", "text")


@dataclass(frozen=True)
class Published:
    """Pearson's r of alignment and test performance: in the first version of the paper, and in a later one."""

    first: float
    later: float


def _table(
    *rows: tuple[str, tuple[str, str], tuple[float, float], tuple[float, float]],
) -> dict[tuple[str, str, str], Published]:
    return {
        (name, pair[side], pair[1 - side]): Published(first[side], later[side])
        for name, pair, first, later in rows
        for side in (0, 1)
    }


#: (data set, modality whose encoders are correlated, modality of the reference): Table 1
TABLE = _table(
    ("mosei", _VA, (-0.193, -0.154), (-0.223, -0.172)),
    ("mosei", _VT, (-0.154, -0.351), (-0.093, -0.482)),
    ("mosei", _AT, (-0.158, -0.366), (-0.145, -0.641)),
    ("mosi", _VA, (-0.135, 0.249), (-0.014, 0.313)),
    ("mosi", _VT, (0.092, -0.336), (0.116, -0.413)),
    ("mosi", _AT, (0.291, -0.374), (0.403, -0.386)),
    ("urfunny", _VA, (-0.384, -0.369), (-0.332, -0.336)),
    ("urfunny", _VT, (-0.327, 0.347), (-0.232, 0.284)),
    ("urfunny", _AT, (-0.380, 0.074), (-0.373, 0.083)),
    ("mustard", _VA, (0.404, 0.180), (0.381, 0.208)),
    ("mustard", _VT, (0.530, 0.014), (0.436, 0.019)),
    ("mustard", _AT, (0.139, 0.458), (0.216, 0.438)),
    ("avmnist", ("image", "audio"), (0.944, 0.974), (0.887, 0.723)),
)


def settings_of(name: str, modality: str) -> tuple[float, float]:
    """Return learning rate and weight decay of a modality of a data set; 1e-3 and 0 where none are published.

    >>> settings_of("mosi", "text"), settings_of("mine", "text")
    ((0.0001, 0.01), (0.001, 0.0))
    """
    return SETTINGS.get(name, {}).get(modality, _ANY)


def rates_of_data(name: str, modalities: Sequence[str]) -> dict[str, list[float]]:
    """Return learning rates and weight decays of a data set's modalities, by the names of the settings."""
    rates, decays = zip(*(settings_of(name, modality) for modality in modalities), strict=True)
    return {"learning_rate": list(rates), "weight_decay": list(decays)}


def epochs_of(name: str) -> int:
    """Return the epochs that a data set's encoders were trained for."""
    return _EPOCHS.get(name, 50)
