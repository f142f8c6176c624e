"""Runs of baselines in a feature store: planned, then made where they are missing."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlalign.baseline import image, text
from vlalign.baseline.options import BaselineKeywords, BaselineOptions
from vlalign.config import command_words, keywords, plain, select
from vlalign.data.open import available_modalities, open_data
from vlalign.data.spec import DataSpec
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.files import check_space
from vlalign.store import BASELINE, FeatureStore, Layer, Run, RunKey, Shard, plan_shards
from vlalign.store.run import read_events

if TYPE_CHECKING:
    from vlalign.data import PairedData
    from vlalign.extraction import Engine, Plan

logger = logging.getLogger(__name__)

_ROWS = 1024  # samples per file of the store
_FEATURES = {"text": (text.FEATURES, text.VERSION), "vision": (image.FEATURES, image.VERSION)}


@dataclass(frozen=True)
class FeaturePlan:
    """Plan of the run of one trivial feature.

    Attributes:
        key: identity of the features.
        widths: number of dimensions of each layer, by name.
        missing: shards to make.
    """

    key: RunKey
    widths: Mapping[str, int]
    missing: list[Shard]

    @property
    def to_do(self) -> int:
        """Samples of the missing shards."""
        return sum(shard.rows for shard in self.missing)

    def bytes_to_write(self) -> int:
        """Return the disk space of the missing shards in bytes (float32)."""
        return 4 * self.to_do * sum(self.widths.values())


@dataclass(frozen=True)
class BaselinePlan:
    """The data, the runs of trivial features, and the plan of the models of random weights with its engine."""

    data: PairedData
    features: list[FeaturePlan]
    engine: Engine | None
    random: Plan | None


@keywords(BaselineKeywords)
def baselines(options: BaselineKeywords) -> list[Run]:
    """Make runs of trivial features of captions and images, and of random weights, in a store; existing ones are kept.

    Args:
        options: of the baselines.

    Returns:
        One run for each feature of the modalities that the data have, then one for each model.

    Raises:
        VlalignError: data or models that cannot be read, or a store that cannot be written.
    """
    chosen = select(options, BaselineOptions)
    return make_baselines(plan_baselines(chosen), chosen, progress=options.progress)


def plan_baselines(options: BaselineOptions) -> BaselinePlan:
    """Plan the baselines of a data set; checks data and models, and writes nothing.

    Raises:
        VlalignError: as :func:`baselines`.
    """
    engine = random = None
    wanted = available_modalities(options.data)
    if not wanted:
        raise VlalignError(
            f"{options.data.source} has neither captions nor images: name --text-column or --image-column"
        )
    if options.models:
        from vlalign.extraction import Engine, ExtractOptions

        engine = Engine(select(options, ExtractOptions, loss=False), random_seed=options.seed)
        random = engine.plan()
    known = set() if random is None else set(random.data.identities)
    data = random.data if random is not None and known >= wanted else open_data(options.data, wanted)
    store = FeatureStore(options.store)
    features = []
    for modality in sorted(wanted):
        described, version = _FEATURES[modality]
        for name, (settings, widths) in described.items():
            key = RunKey(
                {
                    "kind": BASELINE,
                    "model": {"name": name, "modality": modality, "feature": {**settings, "version": version}},
                    "data": data.identity(modality),
                }
            )
            missing = plan_shards(data.n, _ROWS)
            if (store.path(key) / "key.json").is_file():
                missing = store.writer(key, data.ids, _ROWS).missing()
            features.append(FeaturePlan(key, widths, missing))
    if any(one.missing for one in features):
        check_space(store.root, sum(one.bytes_to_write() for one in features))
    return BaselinePlan(data, features, engine, random)


def make_baselines(planned: BaselinePlan, options: BaselineOptions, *, progress: bool = False) -> list[Run]:
    """Make the planned runs that are missing, and return all: trivial features, then models of random weights.

    Raises:
        VlalignError: an image that cannot be read, or a store that cannot be written.
    """
    store, data = FeatureStore(options.store), planned.data
    runs = []
    for modality in sorted({one.key.modality for one in planned.features}):
        own = [one for one in planned.features if one.key.modality == modality]
        source: text.TextFeatures | image.ImageFeatures | None = None
        for one in own:
            run = store.open(one.key) if not one.missing else None
            if run is None:
                source = source or _source(modality, data)
                run = _make(store, one, source, data, options)
            if constant := run.facts.get("constant"):
                logger.info("%s: the same for all samples in %s", one.key.model, " and ".join(constant))
            runs.append(run)
    if planned.engine is not None:
        runs += [one.run for one in planned.engine.run(planned.random, progress=progress)]
    return runs


def _source(modality: str, data: PairedData) -> text.TextFeatures | image.ImageFeatures:
    if modality == "text":
        assert data.captions is not None
        return text.TextFeatures(data.captions)
    return image.ImageFeatures(data, workers=min(8, max(0, (os.cpu_count() or 1) - 1)))


def _make(
    store: FeatureStore,
    planned: FeaturePlan,
    source: text.TextFeatures | image.ImageFeatures,
    data: PairedData,
    options: BaselineOptions,
) -> Run:
    import torch

    writer = store.writer(planned.key, data.ids, _ROWS)
    command, settings = _command(options), plain(options)
    writer.log({"event": BASELINE, "command": command, "settings": settings, "environment": environment()})
    layers = [Layer(i, name, width, BASELINE) for i, (name, width) in enumerate(planned.widths.items())]
    first: dict[str, Any] = {}
    varied = set()
    for shard in writer.shards:
        rows = source.rows(planned.key.model, slice(shard.start, shard.stop))
        tensors = {name: torch.from_numpy(values.astype(np.float32)) for name, values in rows.items()}
        for name, values in tensors.items():
            if bool((values != first.setdefault(name, values[:1])).any()):
                varied.add(name)
        if shard in planned.missing:
            writer.write(shard, tensors, layers, {})
    constant = [layer.name for layer in layers if layer.name not in varied]
    facts = {"dtype": ["float32"], "skipped": data.skipped, **({"constant": constant} if constant else {})}
    return writer.finish(facts)


def _command(options: BaselineOptions) -> str:
    words = command_words(options.data, skip=("source",))
    return shlex.join(["vlalign", "baselines", "--data", options.data.source, *words])


def make_for_runs(store: FeatureStore, runs: Iterable[Run]) -> None:
    """Make the trivial features of the data that runs were extracted from, checked to be the same samples.

    Raises:
        VlalignError: the data of a run are not recorded, cannot be read again, or are other samples now.
    """
    done: list[Any] = []
    for run in runs:
        data, title = run.key.data.get("data"), run.key.title
        if data in done:
            continue
        advice = "make them with `vlalign baselines --data`, then score without --baselines"
        settings = [event.get("settings") for event in read_events(run.layout)]
        recorded = [one["data"] for one in settings if isinstance(one, dict) and isinstance(one.get("data"), dict)]
        if not recorded:
            raise VlalignError(f"no baselines for {title}: its run does not record its data; {advice}")
        try:
            options = BaselineOptions(DataSpec(**recorded[-1]), store=str(store.root))
            planned = plan_baselines(options)
        except (TypeError, VlalignError) as error:
            raise VlalignError(
                f"no baselines for {title}: its data cannot be read again ({error}); {advice}"
            ) from error
        known = [one.key.data["data"] for one in planned.features]
        if data not in known:
            raise VlalignError(f"no baselines for {title}: {options.data.source} holds other samples now; {advice}")
        make_baselines(planned, options)
        done += known
