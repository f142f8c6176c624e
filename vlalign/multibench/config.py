"""Settings of a MultiBench study."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, cast

from annotated_types import Gt, Interval, MinLen
from cyclopts import Group, Parameter

from vlalign.config import Folder, Many, Number
from vlalign.errors import VlalignError
from vlalign.multibench.published import epochs_of, rates_of_data
from vlalign.multibench.shape import Shape
from vlalign.paths import user_path
from vlalign.study.config import StudyConfig

if TYPE_CHECKING:
    from vlalign.multibench.data.prepared import Prepared

DATA = Parameter(group=Group("Data", sort_key=1))
ENCODERS = Parameter(group=Group("Encoders", sort_key=2))
ALIGNMENT = Parameter(group=Group("Alignment", sort_key=3))
RUN = Parameter(group=Group("Running", sort_key=4))
_Rates = Annotated[Many[Annotated[Number, Interval(ge=1e-9, le=10)]], MinLen(1)]
_Decays = Annotated[Many[Annotated[Number, Interval(ge=0, le=100)]], MinLen(1)]
_RATES = ("learning_rate", "weight_decay")


class MultibenchConfig(StudyConfig):
    """Settings of a MultiBench study; the defaults are the settings of arXiv 2502.16282.

    Raises:
        VlalignError: a value out of its range, named with what is allowed.
    """

    RUNNING: ClassVar[tuple[str, ...]] = ("data", "out", "ensemble", "cpu")
    GRID: ClassVar[tuple[str, ...]] = ("modalities", "depths", "seeds")
    ANALYSIS: ClassVar[tuple[str, ...]] = ("metrics", "align_split", "align_samples", "clip_quantile", "permutations")

    data: Annotated[Folder, DATA] = ""
    """folder that `vlalign multibench prepare` wrote"""

    modalities: Annotated[Many[str] | None, DATA, Parameter(metavar="NAME...")] = None
    """modalities of the data, two or more (default: all)"""

    train_samples: Annotated[Annotated[int, Interval(ge=2, le=10**9)] | None, DATA] = None
    """first samples of the train split to train on (default: all)"""

    depths: Annotated[Many[Annotated[int, Interval(ge=1, le=64)]], MinLen(1), ENCODERS] = tuple(range(1, 11))
    """depths of the encoders, numbers of layers"""

    width: Annotated[Annotated[int, Interval(ge=1, le=4096)] | None, ENCODERS] = None
    """width of the encoders (default: that of a modality's features)"""

    pool: Annotated[Literal["cls", "mean", "mean-padded"] | None, ENCODERS] = None
    """what an encoder passes to its head: the state of the added token (cls), the mean, or the mean with padding, as in
    the released code (default: the data set's)"""

    seeds: Annotated[Many[Annotated[int, Interval(ge=0, le=2**32 - 1)]], MinLen(1), ENCODERS] = (2, 22, 42)
    """random seeds of the encoders"""

    epochs: Annotated[Annotated[int, Interval(ge=1, le=10**5)] | None, ENCODERS] = None
    """epochs of training (default: the published ones, 100 for AVMNIST and 50 for others)"""

    batch: Annotated[int, Interval(ge=1, le=10**6), ENCODERS] = 64
    """samples in a step"""

    clip: Annotated[Number, Gt(0), ENCODERS] = 8.0
    """largest norm of a gradient"""

    dropout: Annotated[Number, Interval(ge=0, le=0.99), ENCODERS] = 0.1
    """probability of dropout, in every layer"""

    learning_rate: Annotated[_Rates | None, ENCODERS] = None
    """learning rate of all modalities, or of each one: in the order of --modalities, or one for each modality of the
    data in the data's order (default: the published ones, or 0.001)"""

    weight_decay: Annotated[_Decays | None, ENCODERS] = None
    """weight decay, likewise (default: the published ones, or 0)"""

    metrics: Annotated[Many[str], MinLen(1), ALIGNMENT] = ("unbiased_cka", "mutual_knn:k=10")
    """alignment metrics, with parameters as name:param=value,…; findings are about the first"""

    align_split: Annotated[Literal["test", "valid", "train"], ALIGNMENT] = "test"
    """split that alignment is measured on"""

    align_samples: Annotated[int, Interval(ge=4, le=10**6), ALIGNMENT] = 4096
    """first samples of that split, at most"""

    clip_quantile: Annotated[Number, Interval(ge=0.5, le=1), ALIGNMENT] = 0.95
    """quantile of a layer's absolute values at which they are clipped before rows are normalised; 1 clips nothing"""

    permutations: Annotated[int, Interval(ge=99, le=10**7), ALIGNMENT] = 9999
    """permutations of each p-value"""

    out: Annotated[Folder, RUN] = ""
    """folder of the run (default: multibench-runs/ and the name of the data's folder)"""

    ensemble: Annotated[int, Interval(ge=1, le=10**4), RUN] = 5
    """encoders trained together at most"""

    cpu: Annotated[bool, RUN] = False
    """stay on the CPU even if there is an accelerator"""

    def __post_init__(self) -> None:
        if isinstance(self.data, str):
            if not self.data.strip():
                raise VlalignError(
                    "data is empty: name a folder that `vlalign multibench prepare` wrote (--data FOLDER)"
                )
            if self.out == "":
                object.__setattr__(self, "out", f"multibench-runs/{user_path(self.data).resolve().name}")
        super().__post_init__()
        for name in ("depths", "seeds"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        self.check_metrics()

    def identity(self) -> dict[str, Any]:
        """Return the settings of training, learning rates and weight decays by modality; of completed settings."""
        rates = {
            f"{name} of {modality}": value
            for modality in self.modalities or ()
            for name, value in zip(_RATES, rates_of(self, modality), strict=True)
        }
        return {name: value for name, value in super().identity().items() if name not in _RATES} | rates


def complete(config: MultibenchConfig, data: Prepared) -> MultibenchConfig:
    """Return the settings with every None filled from the data set, checked against it.

    Raises:
        VlalignError: a setting does not fit the data.
    """
    for title, split in data.splits.items():
        if data.task == "regression" and bool((split.labels == split.labels[0]).all()):
            raise VlalignError(
                f"{data.folder}: all labels of {title} are {float(split.labels[0]):g}: R² is not defined"
            )
    asked = config.modalities or data.modalities
    for name in asked:
        if name not in data.modalities:
            raise VlalignError(f"modalities has {name!r}: {data.folder} has {', '.join(data.modalities)}")
        if asked.count(name) > 1:
            raise VlalignError(f"modalities has {name!r} {asked.count(name)} times: name each modality once")
    modalities = tuple(name for name in data.modalities if name in asked)
    if len(modalities) < 2:
        raise VlalignError(f"modalities is {', '.join(modalities)}: alignment needs at least two")
    train = len(data.splits["train"].ids)
    if config.train_samples is not None and config.train_samples > train:
        raise VlalignError(f"train_samples is {config.train_samples}: {data.folder} has {train}")
    rates: dict[str, Any] = {}
    for name, published in rates_of_data(data.name, asked).items():
        values = getattr(config, name) or tuple(published)
        if len(values) == 1:
            values *= len(asked)
        order = asked if len(values) == len(asked) else data.modalities
        if len(values) != len(order):
            raise VlalignError(f"{name} has {len(values)} values: give one, or one for each of {', '.join(asked)}")
        by_modality = dict(zip(order, values, strict=True))
        rates[name] = tuple(by_modality[modality] for modality in modalities)
    align = min(config.align_samples, len(data.splits[config.align_split].ids))
    done = replace(
        config, modalities=modalities, train_samples=config.train_samples or train,
        pool=cast(Any, config.pool or data.pool),
        epochs=config.epochs or epochs_of(data.name), align_samples=align, **rates,
    )  # fmt: skip
    done.check_metrics(align, [shape_of(done, data, name, 1).width for name in modalities])
    return done


def shape_of(config: MultibenchConfig, data: Prepared, modality: str, depth: int) -> Shape:
    """Return the shape of a modality's encoders, for settings that :func:`complete` filled."""
    tokens, features = data.splits["train"].inputs[modality].shape[1:]
    assert config.pool is not None
    return Shape(features, tokens, config.width or features, depth, data.classes or 1, config.pool)


def rates_of(config: MultibenchConfig, modality: str) -> tuple[float, float]:
    """Return learning rate and weight decay of a modality, for settings that :func:`complete` filled."""
    assert config.modalities is not None
    assert config.learning_rate is not None
    assert config.weight_decay is not None
    place = config.modalities.index(modality)
    return config.learning_rate[place], config.weight_decay[place]
