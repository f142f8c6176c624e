"""The uniqueness study: one side is edited at rising rates, and alignment is measured at each."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vlalign.config import select
from vlalign.display.format import plural
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.extraction import Engine, Extraction, Plan
from vlalign.extraction.offline import OfflinePlan, offline_plan
from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.spec import ModelSpec
from vlalign.perturb import applied
from vlalign.remote import HubUnreachable
from vlalign.study.progress import Stopwatch, Work
from vlalign.study.study import Study
from vlalign.uniqueness.config import UniquenessConfig
from vlalign.uniqueness.edits import measure_edits
from vlalign.uniqueness.points import Point
from vlalign.uniqueness.progress import UniquenessProgress
from vlalign.uniqueness.records import Records
from vlalign.uniqueness.results import UniquenessResult
from vlalign.uniqueness.sides import Sides, find_sides
from vlalign.uniqueness.similarity import measured_similarities, stated_similarities

if TYPE_CHECKING:
    from vlalign.metrics import Metric
    from vlalign.scoring import ScoreRecord
    from vlalign.store import Run

#: batches of images run about twice as near to the matrix-product rate as those of short texts; decoding, resizing and
#: small kernels of an image are no operations
_IMAGE_SHARE, _IMAGE_SECONDS = 0.5, 0.015


@dataclass(frozen=True)
class Pair:
    """Two models at one rate of edits."""

    x: ModelSpec
    y: ModelSpec
    rate: float


@dataclass(frozen=True)
class UniquenessPlan:
    """Work of a uniqueness study.

    Attributes:
        extraction: the runs to be made, or stored already.
        sides: the models.
        pairs: what will be scored; pairs with one edited run follow each other.
        metric: of the scores.
    """

    extraction: Plan
    sides: Sides
    pairs: list[Pair]
    metric: Metric

    def blank(self) -> set[tuple[ModelSpec, float]]:
        """Return models and rates at which all samples are the same tokens, so that only rounding separates them."""
        return {
            (model.source.spec, _rate(model.data))
            for model in self.extraction.models
            if model.texts is not None and len(set(map(tuple, model.texts.ids))) == 1
        }


class UniquenessStudy(Study[UniquenessConfig, UniquenessPlan, UniquenessResult]):
    """A uniqueness study on the processes that were launched together; the main one scores.

    Args:
        config: its settings.
    """

    def __init__(self, config: UniquenessConfig) -> None:
        self.engine = Engine(config.extraction(config.models))
        super().__init__(config, state=self.engine.state)

    def make_plan(self) -> UniquenessPlan:
        """Check everything that can be checked without weights: models, data, every rate's edits, the metric."""
        from vlalign.metrics.registry import parse_metric

        config = self.config
        metric = parse_metric(config.metric, k=config.k)
        sides = find_sides(config)
        edits = [[config.perturbation(rate)] for rate in config.rates]
        extraction = self.engine.make_plan(dict.fromkeys([*sides.moving, *_encoder(config)], edits))
        if config.axis == "similarity" and config.encoder is None:
            stated_similarities(model.data for model in extraction.models)  # refused before weights load
        widths = [tap.width for plan in extraction.models for tap in plan.sketch.taps]
        metric.check(len(extraction.data), widths)
        pairs = [Pair(x, y, rate) for rate in config.rates for x, y in sides.pairs()]
        pairs.sort(key=lambda pair: sides.moving.index(getattr(pair, sides.edited)))  # stable: rate by rate
        return UniquenessPlan(extraction, sides, pairs, metric)

    def compute(self, plan: UniquenessPlan, progress: bool) -> UniquenessResult | None:
        """Extract what is missing on all processes; score what is not scored yet on the main process."""
        if not self.is_main_process:
            self.engine.run(plan.extraction)
            return None
        watch = Stopwatch()
        records = Records(self.config.out, plan.metric)
        log = None if self.tracker is None else self.tracker.log
        with UniquenessProgress(self._works(plan, records), shown=progress, log=log) as bar:
            watch.lap("plan")
            extractions = self.engine.run(plan.extraction, progress=bar.follow, tracker=self.tracker)
            watch.lap("extract")
            runs = _by_rate(plan.extraction, extractions)
            points = self._points(plan, runs, records, bar)
            watch.lap("score")
            forecast = bar.accuracy()
        return UniquenessResult.from_points(
            points,
            config=self.config.resolved(),
            data={
                "name": plan.extraction.data.name,
                "n": len(plan.extraction.data),
                "reads": dict(zip("xy", plan.sides.modalities, strict=True)),
                "edited": plan.sides.edited,
            },
            seconds=watch.seconds,
            environment=environment(),
            forecast=forecast,
            edits=measure_edits([model.data for model in plan.extraction.models], self._similarities(plan, runs)),
        )

    def _similarities(self, plan: UniquenessPlan, runs: dict[tuple[ModelSpec, float], Run]) -> dict[float, float]:
        if self.config.axis == "rate":
            return {}
        for encoder in _encoder(self.config):
            return measured_similarities({rate: runs[encoder, rate] for rate in self.config.rates})
        return stated_similarities(model.data for model in plan.extraction.models)

    def _works(self, plan: UniquenessPlan, records: Records) -> dict[Hashable, Work]:
        """Return the parts of the study, with expected times."""
        works: dict[Hashable, Work] = {}
        hashes = {}
        for model in plan.extraction.models:
            hashes[model.source.spec, _rate(model.data)] = model.key.hash
            seconds = model.seconds(self.engine.device)
            work = works.setdefault(model.source.spec, Work(model.source.modality, 0.0, 0.0))
            work.amount += model.amount
            seconds = model.amount * 1e-3 if seconds is None else seconds
            if model.source.modality == "vision":
                seconds = _IMAGE_SHARE * seconds + _IMAGE_SECONDS * model.amount
            work.expected += seconds
        score = works["score"] = Work("score", 0.0, 0.0)
        layers = {model.source.spec: len(model.sketch.taps) for model in plan.extraction.models}
        blank = plan.blank()
        for pair in plan.pairs:
            sides = [(getattr(pair, side), self._side_rate(plan, pair, side)) for side in "xy"]
            x, y = (hashes[side] for side in sides)
            if blank.isdisjoint(sides) and records.get(x, y) is None:
                score.amount += _pair_seconds(layers[pair.x], layers[pair.y], len(plan.extraction.data))
        score.expected = score.amount
        return works

    def scoring_seconds(self, plan: UniquenessPlan) -> float:
        """Estimate how long the pairs take that are not scored yet."""
        return self._works(plan, Records(self.config.out, plan.metric))["score"].expected

    def offline_plan(self, error: HubUnreachable) -> tuple[OfflinePlan, int, float]:
        """Estimate a study of registered models without asking the Hub.

        Args:
            error: the reason that a plan cannot be made.

        Returns:
            The extraction, the number of pairs, and about how many seconds their scores take.

        Raises:
            HubUnreachable: ``error``, if the size of a model is not known.
            VlalignError: settings that do not fit each other.
        """
        rates, sides = len(self.config.rates), find_sides(self.config)
        plan = offline_plan(
            self.engine.config,
            self.engine.device,
            error,
            lambda spec: rates if spec in (*sides.moving, *_encoder(self.config)) else 1,
        )
        layers = {model.spec: model.layers for model in plan.models}
        pairs = sides.pairs()
        seconds = rates * sum(_pair_seconds(layers[x], layers[y], plan.samples) for x, y in pairs)
        edited = ", ".join(spec.alias for spec in sides.moving)
        plan.notes.append(f"{edited}: {plural(rates, 'run')} each, one for every rate, 0 among them")
        return plan, rates * len(pairs), seconds

    def _side_rate(self, plan: UniquenessPlan, pair: Pair, side: str) -> float:
        return pair.rate if side == plan.sides.edited else 0.0

    def _points(
        self, plan: UniquenessPlan, runs: dict[tuple[ModelSpec, float], Run], records: Records, bar: UniquenessProgress
    ) -> list[Point]:
        from vlalign.scoring.batch import prepare_pairs
        from vlalign.scoring.options import ScoreOptions

        names = [[(getattr(pair, side), self._side_rate(plan, pair, side)) for side in "xy"] for pair in plan.pairs]
        sides = [(runs[x], runs[y]) for x, y in names]
        blank = plan.blank()
        notes = [next((_blank_note(*side) for side in pair if side in blank), "") for pair in names]
        kept = [
            None if note else records.get(x.key.hash, y.key.hash) for (x, y), note in zip(sides, notes, strict=True)
        ]
        todo = iter(
            prepare_pairs(
                [runs_ for runs_, record, note in zip(sides, kept, notes, strict=True) if record is None and not note],
                select(  # its preset is that of the features
                    self.config, ScoreOptions, preset="platonic", metric=plan.metric, seed=0, null="permutation"
                ),
            )
        )
        called = plan.sides.names
        clean = {spec: _performance(run) for (spec, rate), run in runs.items() if rate == 0}
        points = []
        for pair, (x, y), known, note in zip(plan.pairs, sides, kept, notes, strict=True):
            scored = known
            if scored is None and not note:
                try:
                    record = next(todo)()
                    scored = records.put(record), record
                    if self.tracker is not None:
                        name = f"{called[pair.x]} × {called[pair.y]}"
                        self.tracker.log({f"{name}/rate": pair.rate, f"{name}/score": record.score})
                except VlalignError as error:
                    note = str(error)
                amount = _pair_seconds(len(x.layers), len(y.layers), x.n)
                bar.advance(amount, "score", f"{called[pair.x]} × {called[pair.y]} at {pair.rate:g} %")
            language = plan.sides.language
            speaker, run = (pair.x, x) if language == "x" else (pair.y, y)
            points.append(
                Point(
                    x=called[pair.x],
                    y=called[pair.y],
                    x_family=pair.x.family or called[pair.x],
                    y_family=pair.y.family or called[pair.y],
                    rate=pair.rate,
                    n=x.n,
                    performance=_performance(run),
                    performance_unedited=clean[speaker],
                    performance_of=language,
                    **_score_fields(scored, note, run),
                )
            )
        return points


def _encoder(config: UniquenessConfig) -> tuple[ModelSpec, ...]:
    """Return the sentence encoder of a study that measures similarities with one.

    Raises:
        VlalignError: an unknown model, or one that reads no texts.
    """
    if config.encoder is None:
        return ()
    spec = resolve(config.encoder)
    if (spec.modality or locate(spec, trust_remote_code=config.trust_remote_code).modality) != "text":
        raise VlalignError(f"--encoder {config.encoder} reads images: name a model of texts")
    return (spec,)


def _blank_note(spec: ModelSpec, rate: float) -> str:
    return f"all captions are the same to {spec.alias} at {rate:g} %: nothing to compare"


def _score_fields(scored: tuple[str, ScoreRecord] | None, note: str, language: Run) -> dict[str, Any]:
    """Return the fields of a point that its record gives, with a note on truncated captions."""
    cut = [f"{language.truncated} captions of {language.key.model} truncated"] if language.truncated else []
    names = ("score", "x_layer", "y_layer", "chance", "p_value", "calibrated", "low", "high", "threshold", "record")
    if scored is None:
        return {**dict.fromkeys(names), "note": "; ".join([*([note] if note else []), *cut])}
    path, record = scored
    interval, null = record.interval or {}, record.null or {}
    return {
        "score": record.score,
        "x_layer": record.best["x"]["name"],
        "y_layer": record.best["y"]["name"],
        "chance": record.chance,
        "p_value": record.p_value,
        "calibrated": record.calibrated,
        "low": interval.get("low"),
        "high": interval.get("high"),
        "threshold": null.get("threshold"),
        "record": path,
        "note": "; ".join([*record.checks["notes"], *cut]),
    }


def _pair_seconds(x_layers: int, y_layers: int, n: int) -> float:
    """Estimate the seconds of one pair by mutual-kNN on two CPU cores; the first pairs replace its scale.

    >>> _pair_seconds(12, 31, 1024), _pair_seconds(5, 7, 1024)
    (2.25, 1.0723118279569892)
    """
    return 0.25 + 0.7 * n / 1024 + 1.3 * x_layers * y_layers * n / (12 * 31 * 1024)


def _performance(run: Run) -> float | None:
    bits = run.bits_per_byte()
    return None if bits is None else -bits


def _rate(data: Any) -> float:
    return next((perturbation.rate for perturbation in applied(data)), 0.0)


def _by_rate(plan: Plan, extractions: list[Extraction]) -> dict[tuple[ModelSpec, float], Run]:
    return {
        (model.source.spec, _rate(model.data)): extraction.run
        for model, extraction in zip(plan.models, extractions, strict=True)
    }
