"""Settings of the experiment behind ``vlalign advise``."""

from __future__ import annotations

from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Interval, MinLen
from cyclopts import Group, Parameter

from vlalign.config import File, Folder, Many, Number
from vlalign.errors import VlalignError
from vlalign.study.config import StudyConfig

DATA = Parameter(group=Group("Data", sort_key=2))
TRAINING = Parameter(group=Group("Training", sort_key=3))
RUN = Parameter(group=Group("Running", sort_key=5))

LEAST_SEEDS = 5

_Seed = Annotated[int, Interval(ge=0, le=2**31 - 1)]


class ExperimentOptions(StudyConfig):
    """Settings of the experiment: which terms and arms are trained, and how.

    Raises:
        VlalignError: a value out of its range, named with what is allowed.
    """

    weights: Annotated[Many[Annotated[Number, Interval(ge=0, le=1000)]], MinLen(1), TRAINING] = (
        0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0,
    )  # fmt: skip
    """weights λ of the contrastive term; 0 is always among them"""

    seeds: Annotated[Many[_Seed], MinLen(LEAST_SEEDS), TRAINING] = (0, 1, 2, 3, 4)
    """random seeds of folds, initial weights and batches, five or more"""

    folds: Annotated[int, Interval(ge=3, le=20), TRAINING] = 5
    """folds of the labelled samples: each is tested on once a seed, another validates, the others train"""

    width: Annotated[int, Interval(ge=2, le=4096), TRAINING] = 16
    """dimensions of the embeddings"""

    depth: Annotated[Annotated[int, Interval(ge=1, le=8)] | None, TRAINING] = None
    """layers of an encoder (default: 1 or 2, the better one on validation without the term)"""

    hidden: Annotated[int, Interval(ge=2, le=4096), TRAINING] = 64
    """width of the hidden layers of deeper encoders"""

    steps: Annotated[int, Interval(ge=1, le=10**6), TRAINING] = 450
    """steps of training"""

    batch: Annotated[int, Interval(ge=4, le=10**5), TRAINING] = 128
    """labelled samples in a step, and as many unlabelled ones"""

    temperature: Annotated[Number, Interval(ge=0.01, le=10), TRAINING] = 0.1
    """temperature of the contrastive term; fixed, as the term fades where training may lower it"""

    learning_rate: Annotated[Number, Gt(0), Interval(le=10), TRAINING] = 5e-3
    """learning rate of AdamW"""

    weight_decay: Annotated[Number, Interval(ge=0, le=100), TRAINING] = 1e-2
    """weight decay of AdamW"""

    clip: Annotated[Number, Gt(0), TRAINING] = 8.0
    """largest norm of a gradient"""

    k: Annotated[int, Ge(1), TRAINING] = 10
    """neighbours, of the alignment of the embeddings"""

    cpu: Annotated[bool, RUN] = False
    """stay on the CPU even if there is an accelerator"""

    out: Annotated[Folder, RUN] = "advice"
    """folder of the study"""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("weights", "seeds"):
            object.__setattr__(self, name, tuple(sorted(set(getattr(self, name)))))
        if len(self.seeds) < LEAST_SEEDS:
            raise VlalignError(f"seeds: expected {LEAST_SEEDS} different ones or more, got {len(self.seeds)}")
        object.__setattr__(self, "weights", tuple(dict.fromkeys((0.0, *self.weights))))
        if len(self.weights) < 2:
            raise VlalignError("weights: expected one above 0 or more, got 0 alone")


class AdviceConfig(ExperimentOptions):
    """Settings of a study: the experiment and the data it is made on."""

    RUNNING: ClassVar[tuple[str, ...]] = ("out", "cpu")
    GRID: ClassVar[tuple[str, ...]] = ("seeds",)

    data: Annotated[Many[str], DATA] = ()
    """file, store with two runs, or prepared data set, as named when the study began; empty for arrays"""

    labels: Annotated[File | None, DATA] = None
    """file of the labels"""

    groups: Annotated[File | None, DATA] = None
    """file of the groups of the samples"""

    unlabelled: Annotated[Many[str], DATA] = ()
    """files of more pairs"""

    modalities: Annotated[Many[str], DATA] = ()
    """arrays of the file, or modalities of the prepared data set"""

    ids: Annotated[Many[str], DATA] = ()
    """files of ids of the rows"""

    id_column: Annotated[str | None, DATA] = None
    """column of ids in tables"""
