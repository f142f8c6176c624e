"""Settings of a synthetic study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Interval, Lt, MinLen
from cyclopts import Group, Parameter

from vlalign.config import File, Folder, Many, Number, read_yaml
from vlalign.errors import VlalignError
from vlalign.study.config import StudyConfig
from vlalign.synthetic.distribution import DISTRIBUTION, Seed, Task
from vlalign.synthetic.published import published

DATA = Parameter(group=Group("Data", sort_key=2))
ENCODERS = Parameter(group=Group("Encoders", sort_key=3))
ALIGNMENT = Parameter(group=Group("Alignment", sort_key=4))
RUN = Parameter(group=Group("Running", sort_key=5))
#: settings of the learning rates and weight decays
_RATES = ("learning_rate", "weight_decay", "tuned")
_LEAST_RATE, _MOST_RATE, _MOST_DECAY = 1e-9, 10, 100

_Rate = Annotated[Number, Interval(ge=_LEAST_RATE, le=_MOST_RATE)]
_Decay = Annotated[Number, Interval(ge=0, le=_MOST_DECAY)]
_Widths = Annotated[Many[Annotated[int, Interval(ge=1, le=4096)]], MinLen(1)]
_Depths = Annotated[Many[Annotated[int, Interval(ge=1, le=64)]], MinLen(1)]


class SampleOptions(Task):
    """Settings of the samples of one U and depth of φ."""

    phi_on: Annotated[Literal["others", "all"], DATA] = "others"
    """modalities that pass through φ: the others than modality 1, or all"""

    phi_nonlinearity: Annotated[Literal["tanh", "sigmoid", "relu"], DATA] = "tanh"
    """nonlinearity of φ"""

    transforms_seed: Annotated[Seed, DATA] = 0
    """random seed of φ"""

    noise: Annotated[Number, Interval(ge=0, le=100), DATA] = 0.0
    """standard deviation of Gaussian noise added to the features, in units of theirs"""

    samples: Annotated[int, Interval(ge=64, le=10**8), DATA] = 65536
    """number of samples"""

    data_seed: Annotated[Seed, DATA] = 0
    """random seed of the drawn samples, their split and the noise"""

    train: Annotated[Number, Gt(0), Lt(1), DATA] = 0.7
    """share of the samples to train on"""

    valid: Annotated[Number, Gt(0), Lt(1), DATA] = 0.15
    """share of the samples for validation; the rest is for testing"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("train", "valid"):
            share = getattr(self, name)
            if (count := round(self.samples * share)) < self.classes:
                raise VlalignError(
                    f"{name}: expected a share with at least one sample for each class, {self.classes}, got {share:g}, "
                    f"{count} of {self.samples} samples"
                )
        if self.sizes[2] < self.classes:
            raise VlalignError(
                f"train {self.train:g} and valid {self.valid:g} leave {self.sizes[2]} of {self.samples} samples for "
                "testing: their sum must be below 1"
            )

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Samples in the train, validation and test splits."""
        train, valid = round(self.samples * self.train), round(self.samples * self.valid)
        return train, valid, self.samples - train - valid

    def has_phi(self, modality: int) -> bool:
        """Return whether a modality (from 0) passes through φ."""
        return self.phi_on == "all" or modality > 0


class TaskGrid(Task):
    """Settings of a task at several U."""

    uniqueness: Annotated[Many[Annotated[int, Ge(0)]], MinLen(1), DISTRIBUTION] = tuple(range(9))
    """U, numbers of relevant bits that only one modality has"""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "uniqueness", tuple(sorted(set(self.uniqueness))))
        for value in self.uniqueness:
            self.unique(value)


class EncoderOptions(SampleOptions, TaskGrid):
    """Settings of the grid of encoders and of their training."""

    phi_depths: Annotated[_Depths, DATA] = tuple(range(1, 11))
    """depths of φ (heterogeneity), from 1"""

    depths: Annotated[_Depths, ENCODERS] = tuple(range(1, 11))
    """depths of the encoders"""

    widths: Annotated[_Widths | None, ENCODERS] = None
    """widths of their hidden layers (default: the number of bits that a modality has)"""

    nonlinearity: Annotated[Literal["leaky_relu", "relu", "tanh", "sigmoid"], ENCODERS] = "leaky_relu"
    """nonlinearity of the encoders"""

    seeds: Annotated[Many[Seed], MinLen(1), ENCODERS] = (2, 22, 42, 62, 82)
    """base seeds; an encoder's own is base + depth + depth of its φ (0 for a modality without φ)"""

    epochs: Annotated[Many[Annotated[int, Interval(ge=1, le=10**5)]], ENCODERS] = (50, 300)
    """epochs of modality 1, and of the others"""

    batch: Annotated[int, Interval(ge=1, le=10**6), ENCODERS] = 512
    """samples in a step"""

    clip: Annotated[Number, Gt(0), ENCODERS] = 8.0
    """largest norm of a gradient"""

    cpu: Annotated[bool, RUN] = False
    """stay on the CPU even if there is an accelerator"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("phi_depths", "depths", "widths", "seeds"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        for name in ("epochs", "learning_rate", "weight_decay"):
            values = getattr(self, name, None)
            if values is not None and len(values) != 2:
                raise VlalignError(f"{name}: expected two values, of modality 1 and of the others, got {len(values)}")

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers."""
        return self.widths if self.widths is not None else (self.width,)


class SyntheticConfig(EncoderOptions, StudyConfig):
    """Settings of a synthetic study; the defaults are the grid and settings of arXiv 2502.16282.

    Raises:
        VlalignError: a value out of its range, named with what is allowed.
    """

    RUNNING: ClassVar[tuple[str, ...]] = ("out", "ensemble", "cpu")
    GRID: ClassVar[tuple[str, ...]] = ("phi_depths", "depths", "widths", "seeds", "reference_per_phi")
    ANALYSIS: ClassVar[tuple[str, ...]] = ("metrics", "align_samples")

    learning_rate: Annotated[Many[_Rate] | None, ENCODERS] = None
    """learning rate of modality 1, and of the others (default: the published ones of each U)"""

    weight_decay: Annotated[Many[_Decay] | None, ENCODERS] = None
    """weight decay of modality 1, and of the others (default: the published ones of each U)"""

    tuned: Annotated[File | None, ENCODERS] = None
    """file of `vlalign synthetic tune` with a learning rate and weight decay for each modality and U"""

    reference_per_phi: Annotated[bool, ENCODERS] = False
    """train an encoder of modality 1 for each depth of φ, as the published code does: same data, own seed"""

    metrics: Annotated[Many[str], MinLen(1), ALIGNMENT] = ("unbiased_cka", "mutual_knn:k=100")
    """alignment metrics, with parameters as name:param=value,…; findings are about the first"""

    align_samples: Annotated[int, Ge(4), ALIGNMENT] = 512
    """first samples of the test split that alignment is measured on"""

    out: Annotated[Folder, RUN] = "synthetic-runs/paper"
    """folder of the run"""

    ensemble: Annotated[int, Interval(ge=1, le=10**5), RUN] = 45
    """encoders trained together at most"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.align_samples > self.sizes[2]:
            raise VlalignError(
                f"align_samples: expected at most the {self.sizes[2]} samples for testing, got {self.align_samples}"
            )
        self.check_metrics(self.align_samples, [min(self.hidden)])

    def phis(self, modality: int) -> tuple[int, ...]:
        """Return the depths of φ that have encoders of a modality (from 0); (0,) if one serves all depths."""
        return self.phi_depths if self.has_phi(modality) or self.reference_per_phi else (0,)

    def settings_of(self, modality: int, uniqueness: int, tuned: dict[str, Any] | None = None) -> tuple[float, float]:
        """Return learning rate and weight decay of the encoders of a modality (from 0) at one U.

        Args:
            modality, uniqueness: identify the encoders.
            tuned: of :func:`read_tuned`, where ``tuned`` is set.
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


def read_tuned(path: str | Path) -> dict[str, Any]:
    """Read learning rate and weight decay by modality and U, as ``vlalign synthetic tune`` wrote them.

    Raises:
        VlalignError: the file is missing, or not of this form.
    """
    tuned: dict[str, Any] = {}
    for modality, entries in read_yaml(path).items():
        if not isinstance(entries, dict):
            raise VlalignError(f"{path}: {modality} is not a mapping: write the file with `vlalign synthetic tune`")
        tuned[modality] = {}
        for uniqueness, pair in entries.items():
            try:
                rate, decay = float(pair["learning_rate"]), float(pair["weight_decay"])
                tuned[modality][int(uniqueness)] = rate, decay
            except (TypeError, ValueError, KeyError) as error:
                raise VlalignError(
                    f"{path}: {modality}, {uniqueness}: give learning_rate and weight_decay as numbers"
                ) from error
            if not (_LEAST_RATE <= rate <= _MOST_RATE and 0 <= decay <= _MOST_DECAY):
                raise VlalignError(
                    f"{path}: {modality}, {uniqueness}: learning_rate {rate:g} and weight_decay {decay:g}: allowed is "
                    f"{_LEAST_RATE:g} to {_MOST_RATE:g} and 0 to {_MOST_DECAY:g}"
                )
    return tuned


def check_tuned(config: SyntheticConfig, tuned: dict[str, Any]) -> None:
    """Raise VlalignError unless ``tuned`` has every modality and U of the grid, and no others."""
    wanted = [f"modality {m + 1}" for m in range(config.modalities)]
    for name in tuned:
        if name not in wanted:
            raise VlalignError(f"{config.tuned}: unknown {name!r}: known are {', '.join(wanted)}")
    for name in wanted:
        if missing := [u for u in config.uniqueness if u not in tuned.get(name, {})]:
            raise VlalignError(
                f"{config.tuned} lacks {name} at U = {', '.join(map(str, missing))}: tune with this grid"
            )
