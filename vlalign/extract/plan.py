"""The plan: everything that an extraction will do, checked before any weight is read."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlalign.data import PairedData, open_data
from vlalign.errors import VlalignError
from vlalign.extract.config import ExtractConfig
from vlalign.extract.estimate import Sketch, matmul_rate, seconds_for, sketch
from vlalign.models.names import resolve
from vlalign.models.precision import check_quantization, choose_dtype
from vlalign.models.source import ModelSource, load_config, locate
from vlalign.models.text import is_causal, load_tokenizer
from vlalign.models.vision import load_preprocessing
from vlalign.store import FeatureStore, RunKey, Shard, plan_shards

if TYPE_CHECKING:
    import torch

logger = logging.getLogger(__name__)

FORMAT = 1


@dataclass(frozen=True)
class ModelPlan:
    """What will be done with one model.

    Attributes:
        source: exact weights.
        key: identity of the features.
        dtype: of the weights, by name.
        dtype_reason: why.
        pool: ``mean``, ``last``, ``cls`` or ``avg``.
        loss: whether bits per byte are computed.
        tokens: token ids per sample (text).
        truncated: ids of samples cut to the longest input (text).
        sketch: size of the model and of its features.
        amounts: tokens per sample (text) or ones (vision): what the cost is proportional to.
        missing: shards to be made.
        samples: samples of the data set.
    """

    source: ModelSource
    key: RunKey
    dtype: str
    dtype_reason: str
    pool: str
    loss: bool
    tokens: list[list[int]] | None
    truncated: list[str]
    sketch: Sketch
    missing: list[Shard]
    samples: int

    @property
    def name(self) -> str:
        """The model's name in messages."""
        return self.key.model

    @property
    def required(self) -> tuple[str, ...]:
        """Extras that every shard must hold."""
        return ("bits",) if self.loss else ()

    def facts(self, data: PairedData) -> dict[str, Any]:
        """What the manifest notes about the run: the same whoever makes it, and on how many processes."""
        facts: dict[str, Any] = {"parameters": self.sketch.parameters, "skipped": data.skipped}
        if self.tokens is not None:
            facts |= {"truncated": len(self.truncated), "truncated_ids": self.truncated[:20]}
        return facts

    def bytes_to_write(self) -> int:
        """Disk space that the missing shards need."""
        return self.sketch.feature_bytes(sum(s.stop - s.start for s in self.missing))

    def seconds(self, device: torch.device, quantization: str) -> float | None:
        """Rough time of the forwards on this device; None where operations cannot be counted."""
        import torch

        dtype = torch.float32 if quantization == "int8" else getattr(torch, self.dtype)
        rows = [row for shard in self.missing for row in range(shard.start, shard.stop)]
        amounts = [len(self.tokens[row]) if self.tokens is not None else 1 for row in rows]
        return seconds_for(self.sketch.flops, amounts, matmul_rate(device, dtype)) if rows else 0.0


@dataclass(frozen=True)
class Plan:
    """The data and what will be done with each model."""

    data: PairedData
    models: list[ModelPlan]


def make_plan(config: ExtractConfig, device: torch.device, processes: int = 1) -> Plan:
    """Checks everything that can be checked without weights: models, data, settings, space.

    Args:
        config: what is asked for.
        device: where models will run.
        processes: how many run together.

    Raises:
        VlalignError: the first thing that would go wrong.
    """
    if config.parallel == "split" and processes > 1:
        raise VlalignError(
            f"--parallel split spreads one copy over all devices from one process, but {processes} processes run: "
            "start it with --num_processes 1, or use --parallel replica"
        )
    specs = list(dict.fromkeys(resolve(name) for name in config.models))
    for spec in specs:
        if spec.modality is not None:
            check_quantization(config.quantization, spec.modality, spec.alias)
    sources = []
    for spec in specs:
        source = locate(spec, revision=config.revision, trust_remote_code=config.trust_remote_code)
        check_quantization(config.quantization, source.modality, spec.alias)
        sources.append(source)
    _check_flags(config, sources)
    data = open_data(config.data, sorted({source.modality for source in sources}))
    plans = [_plan_model(config, source, data, device, processes) for source in sources]
    FeatureStore(config.store).check_space(sum(plan.bytes_to_write() for plan in plans))
    return Plan(data, plans)


def _check_flags(config: ExtractConfig, sources: Sequence[ModelSource]) -> None:
    """Refuses settings that none of the models would heed."""
    names = ", ".join(source.spec.alias for source in sources)
    modalities = {source.modality for source in sources}
    for flag, value, modality in (
        ("--image-size", config.image_size, "vision"),
        ("--vision-pool", config.vision_pool, "vision"),
        ("--max-length", config.max_length, "text"),
        ("--text-pool", config.text_pool, "text"),
    ):
        if value is not None and modality not in modalities:
            other = "text model" if modality == "vision" else "vision model"
            raise VlalignError(f"{flag} is for {modality} models, but {names} is a {other}: leave it out")
    if config.parallel == "split" and "vision" in modalities:
        raise VlalignError(
            f"--parallel split is for text models, but {names} holds a vision model, which fits on one device: "
            "use --parallel replica"
        )


def _plan_model(
    config: ExtractConfig, source: ModelSource, data: PairedData, device: torch.device, processes: int
) -> ModelPlan:
    dtype, reason = choose_dtype(config.dtype, source.modality, device, config.quantization)
    pool = config.pool(source.modality)
    identity: dict[str, Any] = {
        "format": FORMAT,
        "model": source.identity(),
        "dtype": dtype,
        "quantization": config.quantization,
        "layers": "all",
        "data": data.identity(source.modality),
        "perturbations": [],
    }
    tokens: list[list[int]] | None = None
    truncated: list[str] = []
    loss = False
    if source.modality == "text":
        tokenizer = load_tokenizer(source, config.max_length)
        assert data.captions is not None
        tokens, truncated = _tokenize(tokenizer.encode, data, tokenizer.max_length, source.spec.alias)
        identity["text"] = tokenizer.policy
        loss = config.loss and is_causal(load_config(source))
        outline = sketch(source, None, None)
    else:
        preprocessing = load_preprocessing(source, config.image_size)
        identity["image"] = preprocessing.settings
        outline = sketch(source, preprocessing.size, config.image_size)
        if pool == "cls" and not outline.has_cls:
            if config.vision_pool == "cls":
                raise VlalignError(f"--vision-pool cls: {source.spec.alias} has no class token; use --vision-pool avg")
            pool = "avg"
    identity["pooling"] = pool
    key = RunKey(identity)
    _check_memory(config, source, outline, dtype, device, processes)
    missing = _missing(config, key, data, ("bits",) if loss else ())
    return ModelPlan(source, key, dtype, reason, pool, loss, tokens, truncated, outline, missing, len(data))


def _missing(config: ExtractConfig, key: RunKey, data: PairedData, required: Sequence[str]) -> list[Shard]:
    """Shards that are not there yet, found without creating anything."""
    store = FeatureStore(config.store)
    if not (store.path(key) / "key.json").is_file():
        return plan_shards(len(data), config.shard_rows)
    return store.writer(key, data.ids, config.shard_rows).missing(required)


def _tokenize(encode: Any, data: PairedData, limit: int | None, model: str) -> tuple[list[list[int]], list[str]]:
    assert data.captions is not None
    tokens = [list(ids) for ids in encode(data.captions)]
    empty = [sample for sample, ids in zip(data.ids, tokens, strict=True) if not ids]
    if len(empty) == len(tokens):
        raise VlalignError(f"{model} gives no token for any caption: is its tokenizer there and complete?")
    if empty:
        raise VlalignError(
            f"{model}: {len(empty)} captions give no token at all, first {empty[0]!r}: mend them or leave them out"
        )
    truncated = [sample for sample, ids in zip(data.ids, tokens, strict=True) if limit is not None and len(ids) > limit]
    if truncated:
        logger.warning(
            "%s: %d of %d captions are longer than %d tokens and are cut there",
            model,
            len(truncated),
            len(tokens),
            limit,
        )
        long = {i for i, ids in enumerate(tokens) if limit is not None and len(ids) > limit}
        cut = iter(encode([data.captions[i] for i in sorted(long)], limit))
        tokens = [list(next(cut)) if i in long else ids for i, ids in enumerate(tokens)]
    return tokens, truncated


def _check_memory(
    config: ExtractConfig, source: ModelSource, outline: Sketch, dtype: str, device: torch.device, processes: int
) -> None:
    """Refuses a model whose weights alone are larger than the memory they would go to."""
    import torch

    need = outline.weight_bytes(dtype, config.quantization)
    if device.type == "cuda":
        have = torch.cuda.get_device_properties(device).total_memory
        where, ways = "this GPU has", ["--quantization nf4"] if config.quantization == "none" else []
        if config.parallel == "split":
            have = sum(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count()))
            where = "all GPUs here have"
        else:
            ways.append("--parallel split over several GPUs")
    else:
        import psutil

        have = psutil.virtual_memory().total // processes
        where = "this machine has" if processes == 1 else f"each of {processes} processes here has"
        ways = ["--quantization nf4"] if config.quantization == "none" else []
        ways += ["--dtype bfloat16"] if dtype == "float32" else []
    if need > have:
        gib = 2**30
        raise VlalignError(
            f"the weights of {source.spec.alias} take {need / gib:.0f} GiB in "
            f"{dtype if config.quantization == 'none' else config.quantization}, but {where} {have / gib:.0f} GiB: "
            f"use {' or '.join(ways) or 'a larger machine'}"
        )


def free_bytes(folder: str | Path) -> int:
    """Free disk space where a folder is or would be made."""
    path = Path(folder).absolute()
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
