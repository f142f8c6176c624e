"""What a study of uniqueness is asked to do."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields

from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction.config import ExtractConfig
from vlalign.perturb import Perturbation, parse_perturbation

SIDES = ("auto", "x", "y")


@dataclass(frozen=True)
class UniquenessConfig:
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

    The others are those of :class:`vlalign.extraction.ExtractConfig`, with its defaults.

    Raises:
        VlalignError: an unknown value or two settings that contradict each other.
    """

    x: tuple[str, ...]
    y: tuple[str, ...]
    op: str
    rates: tuple[float, ...]
    seed: int = 0
    side: str = "auto"
    data: DataSpec = field(default_factory=DataSpec)
    store: str = ExtractConfig.store
    out: str = "study"
    metric: str = "mutual_knn"
    k: int = 10
    preset: str = ExtractConfig.preset
    permutations: int | None = None
    half_samples: int | None = None
    dtype: str = ExtractConfig.dtype
    quantization: str = ExtractConfig.quantization
    parallel: str = ExtractConfig.parallel
    image_size: int | None = ExtractConfig.image_size
    text_pool: str | None = ExtractConfig.text_pool
    vision_pool: str | None = ExtractConfig.vision_pool
    max_length: int | None = ExtractConfig.max_length
    loss: bool = ExtractConfig.loss
    batch_tokens: int | None = ExtractConfig.batch_tokens
    batch_images: int | None = ExtractConfig.batch_images
    workers: int | None = ExtractConfig.workers
    shard_rows: int = ExtractConfig.shard_rows
    trust_remote_code: bool = ExtractConfig.trust_remote_code
    cpu: bool = ExtractConfig.cpu
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

    def extraction(self, models: Iterable[str]) -> ExtractConfig:
        """What an extraction of some of the models is asked to do."""
        own = {entry.name for entry in fields(self)}
        shared = {entry.name: getattr(self, entry.name) for entry in fields(ExtractConfig) if entry.name in own}
        return ExtractConfig(models=tuple(models), **shared)


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
