"""The engine: one plan made by the main process, shards distributed over all processes."""

from __future__ import annotations

import logging
import os
import shlex
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlalign.arithmetic import exact_float32
from vlalign.config import command_words, keywords, plain, select
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.extraction.background import Background
from vlalign.extraction.edited import EditedImages, edited_once
from vlalign.extraction.options import ExtractKeywords, ExtractOptions
from vlalign.extraction.plan import ModelPlan, Plan, Sweep, make_plan
from vlalign.extraction.probe import probe
from vlalign.extraction.progress import Progress, bar, followed, logged
from vlalign.extraction.readers import Assemble, TextReader, VisionReader
from vlalign.extraction.tokens import Tokens
from vlalign.models.registry import resolve
from vlalign.models.source import ModelSource, model_errors
from vlalign.models.structure import Tap
from vlalign.models.text import TextModel, load_text_model
from vlalign.models.vision import VisionModel, load_preprocessing, load_vision_model
from vlalign.perturb.apply import applied
from vlalign.processes import agree, meet, start_processes
from vlalign.store import FeatureStore, Layer, Run, RunWriter, Shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import torch
    from accelerate.tracking import GeneralTracker

logger = logging.getLogger(__name__)

#: options that are given first, or do not change the features
_NOT_IN_COMMANDS = ("models", "source", "store", "batch_tokens", "batch_images", "workers")


@dataclass(frozen=True)
class Extraction:
    """Result of one model.

    Attributes:
        run: its features.
        seconds: time per stage: ``load`` (weights), ``extract``.
        samples: number of samples extracted now (the others existed).
    """

    run: Run
    seconds: dict[str, float]
    samples: int


@keywords(ExtractKeywords)
def extract(options: ExtractKeywords) -> list[Run]:
    """Extract pooled features of every layer of every model into a store; existing ones are kept.

    Under ``accelerate launch`` or ``torchrun`` every process calls this and extracts a part of the shards.

    Args:
        options: of the extraction.

    Returns:
        One run per model, in order.

    Raises:
        VlalignError: anything that a plan can find wrong, before weights load; or features that are not finite.
    """
    engine = Engine(select(options, ExtractOptions))
    return [extraction.run for extraction in engine.run(progress=options.progress)]


class Engine:
    """Plans and runs an extraction on the processes that were launched together.

    Args:
        config: options.
        random_seed: of random weights for the architectures of all models, see :func:`make_plan`.
    """

    def __init__(self, config: ExtractOptions, random_seed: int | None = None) -> None:
        if not config.models:
            raise VlalignError("no model given: name one with --model (`vlalign models` lists them)")
        self.state = start_processes(config.cpu)
        self.config = config
        self.random_seed = random_seed
        self.device: torch.device = self.state.device
        self._loaded: tuple[ModelSource, TextModel | VisionModel] | None = None
        self._edited: dict[int, EditedImages] = {}

    @property
    def is_main(self) -> bool:
        """Whether this is the main process."""
        return bool(self.state.is_main_process)

    def plan(self) -> Plan:
        """Make the plan on the main process and broadcast it; its errors end all processes.

        Raises:
            VlalignError: see :func:`~vlalign.extraction.plan.make_plan`; ``SystemExit`` on the other processes.
        """
        return agree(self.state, self.make_plan)

    def make_plan(self, sweep: Sweep | None = None) -> Plan:
        """Call :func:`~vlalign.extraction.plan.make_plan` for this config and device, on this process alone."""
        return make_plan(self.config, self.device, self.state.num_processes, sweep, self.random_seed)

    @exact_float32()
    def run(
        self, plan: Plan | None = None, *, progress: bool | Progress = False, tracker: GeneralTracker | None = None
    ) -> list[Extraction]:
        """Execute a plan and return the result of each run. Weights are loaded once for the runs of one model.

        Args:
            plan: by default, the plan of the config.
            progress: show a bar per run, or the display that this function opens (main process only).
            tracker: started, to log samples and speed of each run to (main process only).
        """
        plan = plan or self.plan()
        displays = [bar if progress is True else progress] if progress else []
        displays += [logged(tracker)] if tracker is not None else []
        passes = plan.passes
        vision = [runs for runs in passes if runs[0].source.modality == "vision" and any(one.missing for one in runs)]
        edited = [runs[0].data for runs in vision if applied(runs[0].data)]
        try:
            with edited_once(edited) as self._edited:
                return [one for runs in passes for one in self._run_pass(runs, displays if self.is_main else [])]
        finally:
            self._free()

    def _run_pass(self, plans: Sequence[ModelPlan], displays: Sequence[Progress]) -> list[Extraction]:
        """Extract the runs of one model that differ in the pool, in one pass over the shards that any of them lacks."""
        store, data = FeatureStore(self.config.store), plans[0].data
        writers = [store.writer(plan.key, data.ids, self.config.shard_rows) for plan in plans]
        meet(self.state)  # no process writes before all have scanned the store
        lacking = [set(plan.missing) for plan in plans]
        to_read = set[Shard]().union(*lacking)
        missing = [shard for shard in writers[0].shards if shard in to_read]
        groups = plans[0].groups(writers[0].shards, self._budget(plans[0].source.modality))
        groups = [group for group in groups if not to_read.isdisjoint(group)]
        groups = groups[self.state.process_index :: self.state.num_processes]
        mine = [shard for group in groups for shard in group if shard in to_read]
        seconds = {"load": 0.0, "extract": 0.0}
        for plan, writer in zip(plans, writers, strict=True):
            if self.is_main and plan.missing:
                writer.log({"event": "started", **self._provenance(plan)})  # kept if this run is killed
        lead = max(range(len(plans)), key=lambda i: len(plans[i].missing))
        with followed(replace(plans[lead], missing=missing), writers[lead], mine, displays) as advance:
            if mine:
                start = time.perf_counter()
                with _library_bars(bar in displays):
                    reader = self._reader(plans)
                advance(0)
                seconds["load"] = time.perf_counter() - start
                start = time.perf_counter()
                with Background(self._write, self._writers, max(map(len, groups))) as write:
                    for shard, assemble in reader.read(mine, advance, groups):
                        chosen = [w if shard in lacks else None for w, lacks in zip(writers, lacking, strict=True)]
                        write(chosen, plans[0].texts, reader.taps, shard, assemble)
                seconds["extract"] = time.perf_counter() - start
                del reader
            meet(self.state)
        runs: list[Run | None] = [None] * len(plans)
        for i, (plan, writer) in enumerate(zip(plans, writers, strict=True)):
            if not self.is_main:
                continue
            runs[i] = store.open(plan.key) if not plan.missing else None
            if runs[i] is None:
                rounded = {name: round(value, 3) for name, value in seconds.items()}
                writer.log({"event": "extracted", **self._provenance(plan), "seconds": rounded})
                runs[i] = writer.finish(plan.facts)
        meet(self.state)
        return [
            Extraction(run or Run(writer.path), seconds, plan.to_do)
            for plan, writer, run in zip(plans, writers, runs, strict=True)
        ]

    @staticmethod
    def _write(
        writers: Sequence[RunWriter | None],
        texts: Tokens | None,
        taps: Sequence[Tap],
        shard: Shard,
        assemble: Assemble,
    ) -> None:
        """Write a shard of every run that has a writer, in the order of the pools."""
        layers = [Layer(i, tap.name, tap.width, tap.convention) for i, tap in enumerate(taps)]
        tokens, pieces = (texts.ids[shard.start : shard.stop], texts.pieces) if texts else (None, None)
        result = assemble()
        norms = result.token_norms(tokens, pieces)
        for writer, features in zip(writers, result.features, strict=True):
            if writer is not None:
                writer.write(shard, features, layers, result.extras, norms=norms)

    @property
    def _cores(self) -> int:
        """Number of processor cores for each process."""
        return (os.cpu_count() or 1) // self.state.num_processes

    @property
    def _writers(self) -> int:
        """Number of threads that hash and write shards, which releases Python's lock."""
        return max(2, min(4, self._cores // 4))

    @property
    def _on_accelerator(self) -> bool:
        return self.device.type != "cpu"

    def _budget(self, modality: str) -> int:
        """Return the tokens (text) or images (vision) in a batch, padding included."""
        if modality == "text":
            return self.config.batch_tokens or (16384 if self._on_accelerator else 2048)
        return self.config.batch_images or (64 if self._on_accelerator else 16)

    def _reader(self, plans: Sequence[ModelPlan]) -> TextReader | VisionReader:
        plan, pools = plans[0], [plan.pool for plan in plans]
        config, data, model = self.config, plan.data, self._model(plan)
        if isinstance(model, TextModel):
            assert plan.texts is not None
            assert data.captions is not None
            sizes = [len(text.encode("utf-8")) for text in data.captions]
            byte_counts = {"bytes": sizes}
            if plan.texts.kept_bytes:
                byte_counts["bytes_read"] = [plan.texts.kept_bytes.get(row, size) for row, size in enumerate(sizes)]
            budget, ids = self._budget("text"), plan.texts.ids
            return TextReader(model, plan.key.model, data.ids, ids, byte_counts, pools, budget, plan.special)
        preprocessing = load_preprocessing(plan.source, config.image_size)
        workers = config.workers
        if workers is None:
            workers = max(1, self._cores - 1) if self._on_accelerator else int(self._cores > 1)
        images = self._edited.get(id(data), data)
        return VisionReader(model, plan.key.model, images, preprocessing, pools, self._budget("vision"), workers)

    def _model(self, plan: ModelPlan) -> TextModel | VisionModel:
        """Return the model with its weights, kept for the next run if that is of the same model."""
        import torch

        if self._loaded is not None and self._loaded[0] == plan.source:
            return self._loaded[1]
        self._free()
        logger.info("%s: %s (%s)", plan.key.model, plan.dtype, plan.dtype_reason)
        config, dtype = self.config, getattr(torch, plan.dtype)
        model: TextModel | VisionModel
        with model_errors(plan.source, "weights"):
            if plan.source.modality == "text":
                model = load_text_model(
                    plan.source, dtype=dtype, device=self.device, quantization=config.quantization,
                    split=config.parallel == "split", loss=plan.loss,
                )  # fmt: skip
                model = probe(model, plan.key.model, plan.max_length, plan.dtype, config.quantization)
            else:
                model = load_vision_model(plan.source, dtype=dtype, device=self.device, image_size=config.image_size)
        plan.source.check_cached()  # all files are downloaded now
        self._loaded = plan.source, model
        return model

    def _free(self) -> None:
        if self._loaded is None:
            return
        import gc

        from accelerate.utils.memory import clear_device_cache

        self._loaded = None
        gc.collect()
        clear_device_cache()

    def _provenance(self, plan: ModelPlan) -> dict[str, Any]:
        return {
            "shards": len(plan.missing),
            "samples": plan.to_do,
            "processes": self.state.num_processes,
            "device": str(self.device),
            "dtype_reason": plan.dtype_reason,
            "command": _command(self.config, plan),
            "settings": plain(self.config),
            "environment": environment(),
        }


def _command(config: ExtractOptions, plan: ModelPlan) -> str:
    """Return the command that makes the features of one run of a plan again, without ``--store``."""
    spec = plan.source.spec
    name = next((name for name in config.models if resolve(name).source == spec.source), spec.alias)
    if plan.source.seed is not None:
        words = command_words(config.data, skip=("source",))
        for flag, value in (("--image-size", config.image_size), ("--seed", plan.source.seed)):
            words += [flag, str(value)] if value else []
        return shlex.join(["vlalign", "baselines", "--model", name, "--data", config.data.source, *words])
    edits = tuple(edit for edit in applied(plan.data) if edit.modality == plan.source.modality)
    option = f"{plan.source.modality}_pool"
    if len(getattr(config, option) or ()) > 1:
        config = replace(config, **{option: (plan.pool,)})  # type: ignore[arg-type]
    words = command_words(replace(config, perturb=edits), skip=_NOT_IN_COMMANDS)
    return shlex.join(["vlalign", "extract", "--model", name, "--data", config.data.source, *words])


@contextmanager
def _library_bars(shown: bool) -> Iterator[None]:
    """Let the libraries show the progress of downloading and loading weights, or silence them."""
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging as transformers_logging

    hub, models = not are_progress_bars_disabled(), transformers_logging.is_progress_bar_enabled()
    if not shown:
        disable_progress_bars()
        transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if hub:
            enable_progress_bars()
        if models:
            transformers_logging.enable_progress_bar()
