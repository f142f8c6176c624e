"""What a MultiBench study is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from vlalign.errors import VlalignError
from vlalign.multibench.published import epochs_of, settings_of
from vlalign.multibench.shape import POOLS, Shape
from vlalign.paths import user_path
from vlalign.settings import is_a
from vlalign.study.config import StudyConfig

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared

_RATES = ("learning_rate", "weight_decay")
ALIGN_SPLITS = ("test", "valid", "train")


@dataclass(frozen=True, kw_only=True)
class MultibenchConfig(StudyConfig):
    """Everything that a MultiBench study is asked to do; the defaults are the settings of arXiv 2502.16282.

    Attributes:
        data: folder that ``vlalign multibench prepare`` wrote.
        modalities: of the data, two or more; None for all.
        train_samples: first samples of the train split to train on; None for all.
        depths: of the encoders, numbers of layers.
        width: of the encoders; None for that of a modality's features.
        pool: what an encoder hands to its head: cls, mean, or mean-padded (the mean with padding, as in the released
            code); None for what the data set asks for.
        seeds: of the encoders.
        epochs: passes over the training samples; None for the published ones, 100 for AVMNIST and 50 for others.
        batch: samples a step.
        clip: largest norm of a gradient.
        dropout: probability, in every layer.
        learning_rate: one for all modalities, or one for each of those chosen or of the data; None for the published
            ones, or 0.001.
        weight_decay: likewise; where none are published, 0.
        metrics: of alignment, as :func:`vlalign.metrics.parse_metric` reads them; the first is that of the findings.
        align_split: split that alignment is measured on.
        align_samples: first samples of that split, at most so many.
        clip_quantile: of a layer's absolute values, at which they are cut before rows are normalised; 1 cuts nothing.
        permutations: of each p-value.
        out: folder of the run; empty for multibench-runs/ and the name of the data's folder.
        ensemble: encoders trained together at most.
        cpu: stay on the CPU.

    Raises:
        VlalignError: a value out of its range, named with what is allowed.
    """

    RUNNING: ClassVar[tuple[str, ...]] = ("data", "out", "ensemble", "cpu")
    GRID: ClassVar[tuple[str, ...]] = ("modalities", "depths", "seeds")
    ANALYSIS: ClassVar[tuple[str, ...]] = ("metrics", "align_split", "align_samples", "clip_quantile", "permutations")

    data: str = ""
    modalities: tuple[str, ...] | None = None
    train_samples: int | None = None
    depths: tuple[int, ...] = tuple(range(1, 11))
    width: int | None = None
    pool: str | None = None
    seeds: tuple[int, ...] = (2, 22, 42)
    epochs: int | None = None
    batch: int = 64
    clip: float = 8.0
    dropout: float = 0.1
    learning_rate: tuple[float, ...] | None = None
    weight_decay: tuple[float, ...] | None = None
    metrics: tuple[str, ...] = ("unbiased_cka", "mutual_knn:k=10")
    align_split: str = "test"
    align_samples: int = 4096
    clip_quantile: float = 0.95
    permutations: int = 9999
    out: str = ""
    ensemble: int = 5
    cpu: bool = False

    def __post_init__(self) -> None:
        from vlalign.metrics import parse_metric  # slow: brings PyTorch

        if not self.data.strip():
            raise VlalignError("data is empty: name a folder that `vlalign multibench prepare` wrote (--data FOLDER)")
        if not self.out.strip():
            object.__setattr__(self, "out", f"multibench-runs/{user_path(self.data).resolve().name}")
        for name in ("clip", "dropout", "clip_quantile"):  # 8 and 8.0 are one setting
            object.__setattr__(self, name, float(getattr(self, name)))
        for name in _RATES:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, tuple(map(float, getattr(self, name))))
        for name, least, most in (("depths", 1, 64), ("seeds", 0, 2**32 - 1)):
            values = getattr(self, name)
            if not values:
                raise VlalignError(f"{name} is empty: give at least one number")
            for value in values:
                _whole(name, value, least, most, "has")
            object.__setattr__(self, name, tuple(sorted(set(values))))
        for name, least, most in (
            ("train_samples", 2, 10**9), ("width", 1, 4096), ("epochs", 1, 10**5), ("batch", 1, 10**6),
            ("align_samples", 4, 10**6), ("permutations", 99, 10**7), ("ensemble", 1, 10**4),
        ):  # fmt: skip
            if getattr(self, name) is not None:
                _whole(name, getattr(self, name), least, most)
        for name, low, high, allowed in (
            ("clip", 1e-9, float("inf"), "a norm above 0"), ("dropout", 0.0, 0.99, "0 to 0.99"),
            ("clip_quantile", 0.5, 1.0, "0.5 to 1"),
        ):  # fmt: skip
            if not low <= getattr(self, name) <= high:
                raise VlalignError(f"{name} is {getattr(self, name):g}: allowed is {allowed}")
        for name, low, high in (("learning_rate", 1e-9, 10.0), ("weight_decay", 0.0, 100.0)):
            for value in getattr(self, name) or ():
                if not low <= value <= high:
                    raise VlalignError(f"{name} has {value:g}: allowed is {low:g} to {high:g}")
        for name, known in (("pool", POOLS), ("align_split", ALIGN_SPLITS)):
            if getattr(self, name) not in (None, *known):
                raise VlalignError(f"{name} is {getattr(self, name)!r}: allowed is {', '.join(known)}")
        if not self.metrics or len(set(self.metrics)) < len(self.metrics):
            raise VlalignError(f"metrics is {list(self.metrics)}: name at least one, each once")
        for name in self.metrics:
            parse_metric(name)

    def identity(self) -> dict[str, Any]:
        """Return the settings of training, learning rates and weight decays by modality; of completed settings."""
        rates = {
            f"{name} of {modality}": value
            for modality in self.modalities or ()
            for name, value in zip(_RATES, rates_of(self, modality), strict=True)
        }
        return {name: value for name, value in super().identity().items() if name not in _RATES} | rates


def _whole(name: str, value: Any, least: int, most: int, verb: str = "is") -> None:
    if not is_a(value, int) or not least <= value <= most:
        raise VlalignError(f"{name} {verb} {value!r}: allowed are whole numbers from {least} to {most}")


def complete(config: MultibenchConfig, data: Prepared) -> MultibenchConfig:
    """The settings with every None filled from the data set, checked against it.

    Raises:
        VlalignError: a setting does not fit the data.
    """
    from vlalign.metrics import parse_metric

    for title, split in data.splits.items():
        if data.task == "regression" and bool((split.labels == split.labels[0]).all()):
            raise VlalignError(
                f"{data.folder}: all labels of {title} are {float(split.labels[0]):g}: R² is not defined"
            )
    modalities = config.modalities or data.modalities
    for name in modalities:
        if name not in data.modalities:
            raise VlalignError(f"modalities has {name!r}: {data.folder} has {', '.join(data.modalities)}")
    modalities = tuple(name for name in data.modalities if name in modalities)
    if len(modalities) < 2:
        raise VlalignError(f"modalities is {', '.join(modalities)}: alignment needs at least two")
    train = len(data.splits["train"].ids)
    if config.train_samples is not None and config.train_samples > train:
        raise VlalignError(f"train_samples is {config.train_samples}: {data.folder} has {train}")
    rates: dict[str, Any] = {}
    for i, name in enumerate(_RATES):
        values = getattr(config, name) or tuple(settings_of(data.name, one)[i] for one in modalities)
        if len(values) == 1:
            values *= len(modalities)
        elif len(values) == len(data.modalities):
            values = tuple(dict(zip(data.modalities, values, strict=True))[one] for one in modalities)
        elif len(values) != len(modalities):
            raise VlalignError(f"{name} has {len(values)} values: give one, or one for each of {', '.join(modalities)}")
        rates[name] = values
    align = min(config.align_samples, len(data.splits[config.align_split].ids))
    done = replace(
        config, modalities=modalities, train_samples=config.train_samples or train, pool=config.pool or data.pool,
        epochs=config.epochs or epochs_of(data.name), align_samples=align, **rates,
    )  # fmt: skip
    for metric in done.metrics:
        parse_metric(metric).check(align, [shape_of(done, data, name, 1).width for name in modalities])
    return done


def shape_of(config: MultibenchConfig, data: Prepared, modality: str, depth: int) -> Shape:
    """Shape of a modality's encoders, for settings that :func:`complete` filled."""
    tokens, features = data.splits["train"].inputs[modality].shape[1:]
    assert config.pool is not None
    return Shape(features, tokens, config.width or features, depth, data.classes or 1, config.pool)


def rates_of(config: MultibenchConfig, modality: str) -> tuple[float, float]:
    """Learning rate and weight decay of a modality, for settings that :func:`complete` filled."""
    assert config.modalities is not None
    assert config.learning_rate is not None
    assert config.weight_decay is not None
    place = config.modalities.index(modality)
    return config.learning_rate[place], config.weight_decay[place]
