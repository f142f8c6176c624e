"""Settings of a uniqueness study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Interval
from cyclopts import Group, Parameter

from vlalign.config import Many, Number, check_keys, read_yaml, select
from vlalign.data.spec import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction.options import ExtractOptions, FeatureOptions
from vlalign.paths import user_path
from vlalign.perturb import Perturbation, parse_perturbation
from vlalign.scoring.options import NeighbourOptions, NullOptions
from vlalign.study.config import StudyConfig

STUDY = Parameter(group=Group("Study", sort_key=1), consume_multiple=True)
#: fields of DataSpec that describe one source
_OF_SOURCE = ("source", "revision", "config", "split", "image_column", "text_column", "id_column", "caption")


class UniquenessConfig(FeatureOptions, NeighbourOptions, NullOptions, StudyConfig):
    """Settings of a uniqueness study, with those of its extractions and scores.

    Raises:
        VlalignError: an invalid value, or two settings that contradict each other.
    """

    RUNNING: ClassVar[tuple[str, ...]] = (
        "out", "allow_empty", "batch_tokens", "batch_images", "workers", "shard_rows", "cpu", "parallel", "store",
    )  # fmt: skip
    GRID: ClassVar[tuple[str, ...]] = ("x", "y", "rates")

    x: Annotated[Many[str], STUDY]
    """models of one side, usually vision; each is scored with each of the other side"""

    y: Annotated[Many[str], STUDY]
    """models of the other side, usually language"""

    op: Annotated[str, STUDY]
    """operation that edits one side, with its parameters but without rate and seed, such as char_delete,
    patch_delete:grid=8 or captions_file:file=edits.json (see `vlalign perturb --list`)"""

    rates: Annotated[Many[Annotated[Number, Interval(ge=0, le=100)]], STUDY]
    """rates of the edits in percent; 0, the unedited baseline, is always among them"""

    seed: Annotated[int, Ge(0), STUDY] = 0
    """random seed of the edits"""

    side: Annotated[Literal["auto", "x", "y"], STUDY] = "auto"
    """edited side; auto: that of the operation's modality, y if both are"""

    metric: Annotated[str, STUDY] = "mutual_knn"
    """alignment metric, with parameters as name:param=value,… (see `vlalign metrics`)"""

    out: Annotated[str, STUDY] = "study"
    """folder of records, tables, figures and report"""

    def __post_init__(self) -> None:
        if isinstance(self.data, str):
            object.__setattr__(self, "data", DataSpec(self.data))
        super().__post_init__()
        for side in ("x", "y"):
            names = tuple(dict.fromkeys(name.strip() for name in getattr(self, side)))
            if not all(names) or not names:
                raise VlalignError(f"--{side}: expected names of models, none empty (`vlalign models` lists them)")
            object.__setattr__(self, side, names)
        if not self.rates:
            raise VlalignError("--rates: expected at least one rate in percent, such as 0 to 90")
        object.__setattr__(self, "rates", tuple(sorted({0.0, *(rate + 0.0 for rate in self.rates)})))  # no -0.0
        _check_op(self.op)
        for rate in self.rates:
            self.perturbation(rate)
        if not self.metric.strip():
            raise VlalignError("--metric is empty: leave it out for the default")

    def perturbation(self, rate: float) -> Perturbation:
        """Return the edit at a rate."""
        return parse_perturbation(self.op, rate=rate, seed=self.seed)

    def extraction(self, models: Iterable[str]) -> ExtractOptions:
        """Return the options of an extraction of some of the models."""
        return select(self, ExtractOptions, models=tuple(models))

    @classmethod
    def read(cls, path: str | Path) -> dict[str, Any]:
        """Return the settings in a YAML file, as the base does; ``data`` may also be a source alone."""
        values = read_yaml(path)
        if isinstance(values.get("data"), str):
            values["data"] = {"source": values["data"]}
        return check_keys(cls, values, user_path(path))

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """Return the config with these settings; ``data`` may be a mapping or a source.

        Raises:
            VlalignError: a setting without default is missing, or a value is invalid.
        """
        for entry in fields(cls):
            if entry.default is MISSING and entry.name not in values:
                raise VlalignError(f"required: {entry.name}: give --{entry.name}, or {entry.name}: in a settings file")
        data = values.get("data", DataSpec())
        return cls(**{**values, "data": DataSpec(**data) if isinstance(data, Mapping) else data})

    def resolved(self) -> dict[str, Any]:
        """Return all settings as JSON values, those of the study before those of extractions and scores."""
        values = super().resolved()
        values["rates"] = [int(rate) if rate == int(rate) else rate for rate in self.rates]
        return {name: values[name] for name in ("x", "y", "op", "rates", "seed", "side", "data")} | values

    def identity(self) -> dict[str, Any]:
        """Return the settings in which two runs of one study agree, with all parameters of the operation."""
        values = super().identity()
        edit, data = self.perturbation(0), values.pop("data")
        values["op"] = ",".join([edit.name, *(f"{name}={value}" for name, value in edit.parameters.items())])
        return values | {f"data.{name}": value for name, value in data.items()}


def _check_op(op: str) -> None:
    """Refuse an unknown operation, and one that names a rate or seed."""
    few, many = parse_perturbation(op, rate=0, seed=0), parse_perturbation(op, rate=100, seed=1)
    for what, flag, named in (("rate", "rates", few.rate == many.rate), ("seed", "seed", few.seed == many.seed)):
        if named:
            raise VlalignError(f"--op {op} names a {what}: leave it out and give --{flag}")


def drop_other_source(values: Mapping[str, Any], source: str | None) -> dict[str, Any]:
    """Return the settings of a file for a run on another source: without revision, split and columns of the file's."""
    data = values.get("data", {})
    if source in (None, data.get("source")):
        return dict(values)
    return {**values, "data": {name: value for name, value in data.items() if name not in _OF_SOURCE}}
