"""Options of linear probes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt, Interval
from cyclopts import Group, Parameter

from vlalign.config import Free, Many, Number, Options
from vlalign.errors import VlalignError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    Device = str | torch.device | None
    Ids = Sequence[str | int] | None
    PerSample = Sequence[Any] | Mapping[str, Any] | None
else:  # checked where PyTorch and NumPy are imported
    Device, Ids, PerSample = Free, Free, Free

Task = Literal["classes", "labels", "regression"]
Score = Literal["accuracy", "f1_macro", "f1_micro", "f1_weighted", "auprc", "r2"]

#: scores of each task; the first one is its main score. Micro F1 of classes is their accuracy
SCORES: dict[str, tuple[str, ...]] = {
    "classes": ("accuracy", "f1_macro", "f1_weighted", "auprc"),
    "labels": ("f1_macro", "f1_micro", "f1_weighted", "auprc", "accuracy"),
    "regression": ("r2",),
}
TITLES = {
    "accuracy": "accuracy", "f1_macro": "macro F1", "f1_micro": "micro F1", "f1_weighted": "weighted F1",
    "auprc": "AUPRC", "r2": "R²",
}  # fmt: skip
_MORE = Group("Probes", sort_key=3)


class ProbeOptions(Options, group=_MORE):
    """Options of :func:`vlalign.probe` and ``vlalign probe``."""

    task: Task | None = None
    """classes (one a sample), labels (several a sample) or regression (default: by the values: lists and columns of 0
    and 1 are labels, fractions a regression, all else classes)"""

    score: Score | None = None
    """main score, by which layers and regularisation are chosen on validation samples (default: accuracy for classes,
    f1_macro for labels, r2 for a regression)"""

    folds: Annotated[int, Interval(ge=1, le=20)] = 5
    """parts of the samples by a hash of their ids: each is predicted by probes that were trained on the others, one of
    which chooses layer and regularisation; 1: 70 % of the samples to train, 15 % to choose, 15 % to test"""

    strengths: Annotated[Many[Annotated[Number, Gt(0)]], Parameter(negative=())] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    """L2 penalties to choose from, for features of unit variance that are divided by the square root of their number"""

    bootstraps: Annotated[int, Interval(ge=20, le=10_000)] = 500
    """resamples of the test samples for the 95 % intervals"""

    seed: Annotated[int, Ge(0)] = 0
    """random seed of the parts and the intervals"""

    device: Device = None
    """device on which probes are trained (default: a GPU if available)"""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.folds == 2:
            raise VlalignError("folds: 2 parts leave none to train with: give 3 or more, or 1 for one split")
        if not self.strengths:
            raise VlalignError("strengths: give at least one penalty")
        if self.task and self.score and self.score not in SCORES[self.task]:
            raise VlalignError(f"score: {self.score} is no score of {self.task}: choose {', '.join(SCORES[self.task])}")


class ProbeKeywords(ProbeOptions):
    """Keywords of :func:`vlalign.probe`: options, and ids, split and groups of the samples."""

    name: str = "label"
    """name of the labels, for results and their files"""

    ids: Ids = None
    """ids of the samples of arrays, by which parts are drawn and labels given by id are found (default: row numbers);
    None for a run, which has ids"""

    split: PerSample = None
    """train, valid or test of each sample, by row or by id, in place of folds"""

    groups: PerSample = None
    """group of each sample, by row or by id: samples of a group are in one part"""
