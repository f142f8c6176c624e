"""Settings of a study of uniqueness."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, field, fields
from pathlib import Path
from typing import Any, ClassVar, Self

from vlalign.config import check_keys, select
from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction.options import ExtractOptions
from vlalign.perturb import Perturbation, parse_perturbation
from vlalign.settings import check_value, is_a, known_keys, read_yaml, wrong
from vlalign.study.config import StudyConfig

SIDES = ("auto", "x", "y")
_OF_SOURCE = ("source", "revision", "config", "split", "image_column", "text_column", "id_column", "caption")


class UniquenessConfig(StudyConfig):
    """Everything that a study is asked to do; contradictions are refused when it is made.

    Attributes:
        x, y: models of either side (usually vision and language); each pair of them is scored. Repeated names go.
        op: the operation that edits one side, with its parameters but without rate and seed, such as ``char_delete``,
            ``patch_delete:grid=8`` or ``captions_file:file=edits.json``.
        rates: percent; sorted, each once, and 0, the unedited baseline, always among them.
        seed: of the edits.
        side: the edited side, ``x`` or ``y``; ``auto`` for that of the operation's modality.
        data: the data set and its columns, or its source alone.
        store: folder of the feature store.
        out: folder of the study.
        metric: as :func:`vlalign.metrics.parse_metric` reads it.
        k: number of neighbours of metrics that have one.
        preset: of extraction and scores.
        permutations, half_samples: of the null and the interval of each score; None for the metric's own.
        allow_empty: let captions lose all their characters.

    The others are those of :class:`vlalign.extraction.ExtractOptions`, with its defaults.

    Raises:
        VlalignError: an unknown value or two settings that contradict each other.
    """

    #: a study may go on with others of the options that say how to compute
    RUNNING: ClassVar[tuple[str, ...]] = (
        "out", "allow_empty", "batch_tokens", "batch_images", "workers", "shard_rows", "cpu", "parallel", "store",
    )  # fmt: skip
    GRID: ClassVar[tuple[str, ...]] = ("x", "y", "rates")

    x: tuple[str, ...]
    y: tuple[str, ...]
    op: str
    rates: tuple[float, ...]
    seed: int = 0
    side: str = "auto"
    data: DataSpec = field(default_factory=DataSpec)
    store: str = ExtractOptions.store
    out: str = "study"
    metric: str = "mutual_knn"
    k: int = 10
    preset: str = ExtractOptions.preset
    permutations: int | None = None
    half_samples: int | None = None
    dtype: str = ExtractOptions.dtype
    quantization: str = ExtractOptions.quantization
    parallel: str = ExtractOptions.parallel
    image_size: int | None = ExtractOptions.image_size
    text_pool: str | None = ExtractOptions.text_pool
    vision_pool: str | None = ExtractOptions.vision_pool
    max_length: int | None = ExtractOptions.max_length
    loss: bool = ExtractOptions.loss
    batch_tokens: int | None = ExtractOptions.batch_tokens
    batch_images: int | None = ExtractOptions.batch_images
    workers: int | None = ExtractOptions.workers
    shard_rows: int = ExtractOptions.shard_rows
    trust_remote_code: bool = ExtractOptions.trust_remote_code
    cpu: bool = ExtractOptions.cpu
    allow_empty: bool = False

    def __post_init__(self) -> None:
        for side in ("x", "y"):
            object.__setattr__(self, side, _names(getattr(self, side), side))
        object.__setattr__(self, "rates", _rates(self.rates))
        if isinstance(self.data, str):
            object.__setattr__(self, "data", DataSpec(self.data))
        if self.side not in SIDES:
            raise VlalignError(f"--side {self.side}: choose one of {', '.join(SIDES)}")
        _check_op(self.op)
        for rate in self.rates:
            self.perturbation(rate)
        for flag, number, least in (
            ("k", self.k, 1),
            ("permutations", self.permutations, 0),
            ("half-samples", self.half_samples, 0),
            ("seed", self.seed, 0),
        ):
            if number is not None and number < least:
                raise VlalignError(f"--{flag} {number}: give a number of at least {least}")
        if self.half_samples == 1:
            raise VlalignError("--half-samples 1: one has no spread; give 0 for no interval, or at least 2")
        for flag in ("metric", "out"):
            if not getattr(self, flag).strip():
                raise VlalignError(f"--{flag} is empty: leave it out for the default")
        self.extraction((*self.x, *self.y))

    def perturbation(self, rate: float) -> Perturbation:
        """The edit at a rate."""
        return parse_perturbation(self.op, rate=rate, seed=self.seed)

    def extraction(self, models: Iterable[str]) -> ExtractOptions:
        """What an extraction of some of the models is asked to do."""
        return select(self, ExtractOptions, models=tuple(models))

    @classmethod
    def read(cls, path: str | Path) -> dict[str, Any]:
        """Return the settings in a YAML file, by the names of the fields; some of them are enough.

        ``x`` and ``y`` are a name or a list of names, ``rates`` a list of numbers, ``data`` a source or a mapping of
        the fields of :class:`vlalign.data.DataSpec`. Relative paths in it stay relative to the working directory, not
        to the file, as they would on the command line.

        Raises:
            VlalignError: the file is missing or no valid YAML, or a key is unknown or has a value of the wrong type.
        """
        path = Path(path)
        values = read_yaml(path)
        known = {entry.name: str(entry.type) for entry in fields(cls)}
        checked: dict[str, Any] = {}
        known_keys(values, known, path)
        for key, value in values.items():
            if key in ("x", "y"):
                names = [value] if isinstance(value, str) else value
                if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                    raise wrong(path, key, "a name or a list of names", value)
                checked[key] = tuple(names)
            elif key == "rates":
                if not isinstance(value, list) or not all(is_a(rate, (int, float)) for rate in value):
                    raise wrong(path, key, "a list of numbers", value)
                checked[key] = tuple(map(float, value))
            elif key == "data":
                if not isinstance(value, str | dict):
                    raise wrong(
                        path, key, "a source or a mapping such as {source: minhuh/prh, max_samples: 256}", value
                    )
                checked[key] = (
                    {"source": value} if isinstance(value, str) else check_keys(DataSpec, value, path, "data.")
                )
            else:
                checked[key] = check_value(key, value, known[key], path)
        return checked

    @classmethod
    def make(cls, values: Mapping[str, Any]) -> Self:
        """Return the config with these settings; ``data`` may be a mapping or a source.

        Raises:
            VlalignError: a setting without default is missing, or what :class:`UniquenessConfig` refuses.
        """
        values = dict(values)
        for entry in fields(cls):
            if entry.default is MISSING and entry.default_factory is MISSING and entry.name not in values:
                raise VlalignError(
                    f"nothing says {entry.name}: give --{entry.name}, or {entry.name}: in a file of --config"
                )
        data = values.get("data", {})
        if not isinstance(data, DataSpec):
            values["data"] = DataSpec(**({"source": data} if isinstance(data, str) else data))
        return cls(**values)

    def resolved(self) -> dict[str, Any]:
        """Return all settings as JSON values, in the order of the fields."""
        rates = [int(rate) if rate == int(rate) else rate for rate in self.rates]
        return super().resolved() | {"rates": rates}

    def identity(self) -> dict[str, Any]:
        """Return the settings in which two runs of one study agree: an operation as it is understood, data by field."""
        values = super().identity()
        edit = self.perturbation(0)
        given = {name: value for name, value in edit.parameters.items() if value != edit.operation.parameters[name]}
        values["op"] = f"{edit.name}:{','.join(f'{name}={value}' for name, value in given.items())}".rstrip(":")
        return values | {f"data.{name}": value for name, value in values.pop("data").items()}


def _names(names: str | Sequence[str], side: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(name.strip() for name in ((names,) if isinstance(names, str) else names)))
    if not found:
        raise VlalignError(f"no model on side {side}: name one with --{side} (`vlalign models` lists them)")
    if "" in found:
        raise VlalignError(f"--{side} has an empty name: name a model (`vlalign models` lists them)")
    return found


def _rates(rates: float | Iterable[float]) -> tuple[float, ...]:
    found = set()
    for rate in [rates] if isinstance(rates, int | float) else rates:
        try:
            number = float(rate)
        except (TypeError, ValueError):
            number = math.nan
        if isinstance(rate, bool) or not 0 <= number <= 100:
            raise VlalignError(f"--rates {rate}: rates are numbers in percent, 0 to 100")
        found.add(number + 0.0)  # no negative zero
    if not found:
        raise VlalignError("no rates given: name some with --rates, in percent, such as 0 to 90")
    return tuple(sorted(found | {0.0}))


def _check_op(op: str) -> None:
    """Refuse an unknown operation, and one that names what ``rates`` and ``seed`` say."""
    few, many = parse_perturbation(op, rate=0, seed=0), parse_perturbation(op, rate=100, seed=1)
    for what, flag, named in (("rate", "rates", few.rate == many.rate), ("seed", "seed", few.seed == many.seed)):
        if named:
            raise VlalignError(f"--op {op} names a {what} of its own: leave it out and give --{flag}")


def merge(file_values: Mapping[str, Any], flags: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file under those of the command line, which go first; None and empty lists are not given.

    ``data`` (a mapping of DataSpec fields, a source or a DataSpec) is merged field by field. With another source, what
    the file says of columns, split and revision is dropped: it was said of the file's source.
    """
    given = {name: value for name, value in flags.items() if value is not None and value not in ((), [], {})}
    merged = {**file_values, **given}
    if "data" in file_values and "data" in given:
        merged["data"] = _merged_data(_data_fields(file_values["data"]), _data_fields(given["data"]))
    return merged


def _data_fields(data: Any) -> dict[str, Any]:
    if isinstance(data, DataSpec):
        return asdict(data)
    return {"source": data} if isinstance(data, str) else dict(data)


def _merged_data(old: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    given = {name: value for name, value in given.items() if value is not None}
    if given.get("source", old.get("source")) != old.get("source"):
        old = {name: value for name, value in old.items() if name not in _OF_SOURCE}
    return {**old, **given}
