"""What a synthetic study is asked to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from vlalign.errors import VlalignError
from vlalign.metrics import parse_metric
from vlalign.settings import read_yaml
from vlalign.study.config import StudyConfig
from vlalign.synthetic.distribution import Task, in_range
from vlalign.synthetic.encoder import NONLINEARITIES
from vlalign.synthetic.published import published
from vlalign.synthetic.transforms import PHI_NONLINEARITIES

PHI_ON = ("others", "all")
#: settings of the learning rates and weight decays
_RATES = ("learning_rate", "weight_decay", "tuned")
_LEAST_RATE, _MOST_RATE, _MOST_DECAY = 1e-9, 10.0, 100.0
_WHOLE = {"uniqueness", "phi_depths", "depths", "widths", "seeds", "epochs"}


@dataclass(frozen=True, kw_only=True)
class SyntheticConfig(Task, StudyConfig):
    """Everything that a synthetic study is asked to do; the defaults are the grid and settings of arXiv 2502.16282.

    Attributes:
        uniqueness: U, numbers of relevant bits that only one modality has.
        phi_depths: depths of φ (heterogeneity), from 1.
        phi_on: which modalities pass through φ: the ``others`` than modality 1, or ``all``.
        phi_nonlinearity: of φ: tanh, sigmoid or relu.
        transforms_seed: of φ.
        noise: standard deviation of Gaussian noise added to the features, in units of theirs.
        samples: drawn in all.
        data_seed: of the drawn samples, their split and the noise.
        train: share of the samples to train on.
        valid: share of the samples for validation; the rest is for testing.
        depths: of the encoders.
        widths: of their hidden layers; None for the number of bits that a modality has.
        nonlinearity: of the encoders: leaky_relu, relu, tanh or sigmoid.
        seeds: base seeds; an encoder's own is base + depth + depth of its φ (0 for a modality without φ).
        epochs: of modality 1, and of the others.
        batch: samples a step.
        clip: largest norm of a gradient.
        learning_rate: one for modality 1 and one for the others; None for the published ones of each U.
        weight_decay: likewise.
        tuned: file of ``vlalign synthetic tune`` with a learning rate and weight decay for each modality and U.
        metrics: of alignment, as :func:`vlalign.metrics.parse_metric` reads them; the first is that of the findings.
        align_samples: first samples of the test split that alignment is measured on.
        out: folder of the run.
        ensemble: encoders trained together at most.
        cpu: stay on the CPU.

    Raises:
        VlalignError: a value out of its range, named with what is allowed.
    """

    RUNNING: ClassVar[tuple[str, ...]] = ("out", "ensemble", "cpu")
    GRID: ClassVar[tuple[str, ...]] = ("phi_depths", "depths", "widths", "seeds")
    ANALYSIS: ClassVar[tuple[str, ...]] = ("metrics", "align_samples")

    uniqueness: tuple[int, ...] = tuple(range(9))
    phi_depths: tuple[int, ...] = tuple(range(1, 11))
    phi_on: str = "others"
    phi_nonlinearity: str = "tanh"
    transforms_seed: int = 0
    noise: float = 0.0
    samples: int = 65536
    data_seed: int = 0
    train: float = 0.7
    valid: float = 0.15
    depths: tuple[int, ...] = tuple(range(1, 11))
    widths: tuple[int, ...] | None = None
    nonlinearity: str = "leaky_relu"
    seeds: tuple[int, ...] = (2, 22, 42, 62, 82)
    epochs: tuple[int, ...] = (50, 300)
    batch: int = 512
    clip: float = 8.0
    learning_rate: tuple[float, ...] | None = None
    weight_decay: tuple[float, ...] | None = None
    tuned: str | None = None
    metrics: tuple[str, ...] = ("unbiased_cka", "mutual_knn:k=100")
    align_samples: int = 512
    out: str = "synthetic-runs/paper"
    ensemble: int = 45
    cpu: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_grid()
        self._check_data()
        self._check_training()
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise VlalignError(f"metrics is {list(self.metrics)}: name at least one, each once")
        for name in self.metrics:
            parse_metric(name).check(self.align_samples, [min(self.hidden)])
        if not self.out.strip():
            raise VlalignError("out is empty: name a folder")

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return self.widths if self.widths is not None else (self.width,)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Samples in the train, validation and test splits."""
        train, valid = round(self.samples * self.train), round(self.samples * self.valid)
        return train, valid, self.samples - train - valid

    def has_phi(self, modality: int) -> bool:
        """Whether a modality (from 0) passes through φ."""
        return self.phi_on == "all" or modality > 0

    def settings_of(self, modality: int, uniqueness: int, tuned: dict[str, Any] | None = None) -> tuple[float, float]:
        """Learning rate and weight decay of the encoders of a modality (from 0) at one U.

        Args:
            modality, uniqueness: which.
            tuned: what :func:`read_tuned` gave, where ``tuned`` is set.
        """
        side = min(modality, 1)
        rate, decay = (tuned or {}).get(f"modality {modality + 1}", {}).get(uniqueness) or published(side, uniqueness)
        rate = rate if self.learning_rate is None else self.learning_rate[side]
        decay = decay if self.weight_decay is None else self.weight_decay[side]
        return rate, decay

    def encoder_identity(self, tuned: dict[str, Any] | None) -> dict[str, Any]:
        """Return what encoders depend on beside their cell; learning rates and weight decays as they are used."""
        kept = {name: value for name, value in self.identity().items() if name not in _RATES}
        rates = [[self.settings_of(m, u, tuned) for u in self.uniqueness] for m in range(self.modalities)]
        return kept | {"rates": rates}

    def _check_grid(self) -> None:
        for name, least, most in (
            ("uniqueness", 0, self.relevant_bits), ("phi_depths", 1, 64), ("depths", 1, 64), ("widths", 1, 4096),
            ("seeds", 0, 2**32 - 1),
        ):  # fmt: skip
            values = getattr(self, name)
            if values is None:
                continue
            if not values:
                raise VlalignError(f"{name} is empty: give at least one number")
            for value in values:
                if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                    raise VlalignError(f"{name} has {value!r}: allowed are whole numbers from {least} to {most}")
            object.__setattr__(self, name, tuple(sorted(set(values))))
        for value in self.uniqueness:
            self.unique(value)
        one_of("phi_on", self.phi_on, PHI_ON)
        one_of("phi_nonlinearity", self.phi_nonlinearity, tuple(PHI_NONLINEARITIES))
        one_of("nonlinearity", self.nonlinearity, tuple(NONLINEARITIES))

    def _check_data(self) -> None:
        in_range("samples", self.samples, 64, 10**8)
        for name in ("transforms_seed", "data_seed"):
            in_range(name, getattr(self, name), 0, 2**32 - 1)
        if not 0 <= self.noise <= 100:
            raise VlalignError(f"noise is {self.noise:g}: allowed is 0 to 100 standard deviations")
        for name in ("train", "valid"):
            share = getattr(self, name)
            if not 0 < share < 1:
                raise VlalignError(f"{name} is {share:g}: allowed is a share between 0 and 1")
            count = round(self.samples * share)
            if count < self.classes:
                raise VlalignError(
                    f"{name} is {share:g}, {count} of {self.samples} samples: allowed is a share that leaves at least "
                    f"one sample a class, {self.classes}"
                )
        test = self.sizes[2]
        if test < self.classes:
            raise VlalignError(
                f"train {self.train:g} and valid {self.valid:g} leave {test} of {self.samples} samples for testing: "
                "their sum must be below 1"
            )
        in_range("align_samples", self.align_samples, 4, test)

    def _check_training(self) -> None:
        in_range("batch", self.batch, 1, 10**6)
        in_range("ensemble", self.ensemble, 1, 10**5)
        if not 0 < self.clip < float("inf"):
            raise VlalignError(f"clip is {self.clip:g}: allowed is a norm above 0")
        for name, most in (("epochs", 10**5), ("learning_rate", _MOST_RATE), ("weight_decay", _MOST_DECAY)):
            values = getattr(self, name)
            if values is None:
                continue
            if len(values) != 2:
                raise VlalignError(f"{name} has {len(values)} values: give two, of modality 1 and of the others")
            least = 0 if name == "weight_decay" else 1 if name == "epochs" else _LEAST_RATE
            for value in values:
                if not least <= value <= most:
                    raise VlalignError(f"{name} has {value:g}: allowed is {least:g} to {most:g}")
        for entry in _WHOLE:
            for value in getattr(self, entry) or ():
                if isinstance(value, bool) or not isinstance(value, int):
                    raise VlalignError(f"{entry} has {value!r}: give whole numbers")


def one_of(name: str, value: str, known: Sequence[str]) -> None:
    """Raise VlalignError unless ``value`` is one of ``known``."""
    if value not in known:
        raise VlalignError(f"{name} is {value!r}: allowed is {', '.join(known)}")


def read_tuned(path: str | Path) -> dict[str, Any]:
    """Learning rate and weight decay by modality and U, as ``vlalign synthetic tune`` wrote them.

    Raises:
        VlalignError: the file is missing, or not of this form.
    """
    found: dict[str, Any] = {}
    for modality, entries in read_yaml(path).items():
        if not isinstance(entries, dict):
            raise VlalignError(f"{path}: {modality} is not a mapping: write the file with `vlalign synthetic tune`")
        found[modality] = {}
        for uniqueness, pair in entries.items():
            try:
                rate, decay = float(pair["learning_rate"]), float(pair["weight_decay"])
                found[modality][int(uniqueness)] = rate, decay
            except (TypeError, ValueError, KeyError) as error:
                raise VlalignError(
                    f"{path}: {modality}, {uniqueness}: give learning_rate and weight_decay as numbers"
                ) from error
            if not (_LEAST_RATE <= rate <= _MOST_RATE and 0 <= decay <= _MOST_DECAY):
                raise VlalignError(
                    f"{path}: {modality}, {uniqueness}: learning_rate {rate:g} and weight_decay {decay:g}: allowed is "
                    f"{_LEAST_RATE:g} to {_MOST_RATE:g} and 0 to {_MOST_DECAY:g}"
                )
    return found


def check_tuned(config: SyntheticConfig, tuned: dict[str, Any]) -> None:
    """Raise VlalignError unless ``tuned`` has every modality and U of the grid, and no modality that is none."""
    wanted = [f"modality {m + 1}" for m in range(config.modalities)]
    for name in tuned:
        if name not in wanted:
            raise VlalignError(f"{config.tuned}: unknown {name!r}: there is {', '.join(wanted)}")
    for name in wanted:
        if missing := [u for u in config.uniqueness if u not in tuned.get(name, {})]:
            raise VlalignError(
                f"{config.tuned} lacks {name} at U = {', '.join(map(str, missing))}: tune with this grid"
            )
