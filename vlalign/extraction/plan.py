"""The plan of an extraction, checked before any weight is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vlalign.data import PairedData, open_data
from vlalign.errors import VlalignError
from vlalign.extraction.batches import group_shards
from vlalign.extraction.checks import check_edits, check_flags, check_ids, check_memory
from vlalign.extraction.estimate import Sketch, matmul_rate, sketch
from vlalign.extraction.options import ExtractOptions
from vlalign.extraction.pools import SINK_RATIO, WITHOUT_CLASS_TOKEN
from vlalign.extraction.tokens import Texts, Tokens
from vlalign.files import check_space
from vlalign.models.precision import check_quantization, choose_dtype
from vlalign.models.registry import resolve
from vlalign.models.source import ModelSource, load_config, locate
from vlalign.models.spec import ModelSpec
from vlalign.models.text import is_causal, padding_matters, sees_later_tokens
from vlalign.models.tokenizer import load_tokenizer
from vlalign.models.vision import has_relative_positions, load_preprocessing
from vlalign.perturb import Perturbation, check_perturbations, describe_perturbations, perturb_data
from vlalign.store import BASELINE, FeatureStore, RunKey, Shard, plan_shards

if TYPE_CHECKING:
    import torch

FORMAT = 1
_GROUP_BYTES = 2**29  # of the features of shards that share batches: they are in memory together
_INPUT = 224  # pixels: the usual side of an input, and a multiple of the usual patches

#: Lists of edits for each model, each list a separate run.
Sweep = Mapping[ModelSpec, Sequence[Sequence[Perturbation]]]


@dataclass(frozen=True)
class ModelPlan:
    """Plan of one run of one model.

    Attributes:
        source: exact weights.
        data: the samples as this run reads them, edits included.
        key: identity of the features.
        dtype: of the weights, by name.
        dtype_reason: reason for the dtype.
        quantization: of the weights.
        pool: name, see :mod:`vlalign.extraction.pools`.
        special: how many special tokens a text begins and ends with.
        loss: whether bits per byte are computed.
        texts: token ids of the captions (text).
        max_length: longest text in tokens; None without a limit, and for images.
        sketch: size of the model and of its features.
        missing: shards to extract.
    """

    source: ModelSource
    data: PairedData
    key: RunKey
    dtype: str
    dtype_reason: str
    quantization: str
    pool: str
    special: tuple[int, int]
    loss: bool
    texts: Tokens | None
    max_length: int | None
    sketch: Sketch
    missing: list[Shard]

    @property
    def to_do(self) -> int:
        """Samples of the missing shards."""
        return sum(shard.rows for shard in self.missing)

    def groups(self, shards: Sequence[Shard], budget: int) -> list[list[Shard]]:
        """Return the shards that share batches; they depend on the data and the budget, not on what is missing.

        Args:
            shards: all of the run.
            budget: tokens (text) or images (vision) in a batch.
        """
        costs = [1] * len(self.data) if self.texts is None else list(map(len, self.texts.ids))
        shard_bytes = 4 * shards[0].rows * sum(tap.width for tap in self.sketch.taps)
        return group_shards(shards, costs, budget, max(1, _GROUP_BYTES // max(1, shard_bytes)))

    @property
    def amount(self) -> int:
        """Tokens (text) or images (vision) of the missing shards, to which the cost is proportional."""
        if self.texts is None:
            return self.to_do
        return sum(len(self.texts.ids[row]) for shard in self.missing for row in range(shard.start, shard.stop))

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of the manifest, which do not depend on the machine or the number of processes."""
        facts = {"parameters": self.sketch.parameters, "skipped": self.data.skipped}
        return facts if self.texts is None else facts | self.texts.facts

    def bytes_to_write(self) -> int:
        """Return the disk space that the features of the missing shards need, in bytes (float32)."""
        return 4 * self.to_do * sum(tap.width for tap in self.sketch.taps)

    def seconds(self, device: torch.device) -> float | None:
        """Estimate the time of the forwards on this device, without loading and decoding.

        Operations over 60 % of the matrix-product rate; None where operations cannot be counted.
        """
        import torch

        if not self.missing or self.sketch.flops is None:
            return None if self.missing else 0.0
        dtype = torch.float32 if self.quantization == "int8" else getattr(torch, self.dtype)
        return self.sketch.flops * self.amount / (0.6 * matmul_rate(device, dtype))


@dataclass(frozen=True)
class Plan:
    """The unedited data, the planned runs (those of one model follow each other), and advice on cheaper settings."""

    data: PairedData
    models: list[ModelPlan]
    advice: list[str]

    @property
    def passes(self) -> list[list[ModelPlan]]:
        """The runs in groups that one pass over the data makes: those of one model that differ in the pool alone."""
        groups: list[list[ModelPlan]] = []
        for model in self.models:
            if groups and groups[-1][0].source == model.source and groups[-1][0].data is model.data:
                groups[-1].append(model)
            else:
                groups.append([model])
        return groups


def make_plan(
    config: ExtractOptions,
    device: torch.device,
    processes: int = 1,
    sweep: Sweep | None = None,
    random_seed: int | None = None,
) -> Plan:
    """Plan an extraction and check everything that needs no weights: models, data, edits, settings, space.

    Args:
        config: options.
        device: of the models.
        processes: number of processes that run together.
        sweep: by model, several lists of edits instead of ``config.perturb``, each a separate run.
        random_seed: of random weights for the architectures of all models, instead of the weights of their checkpoints.

    Raises:
        VlalignError: the first problem.
    """
    if config.parallel == "split" and processes > 1:
        raise VlalignError(
            f"--parallel split spreads one copy over all devices from one process, but {processes} processes run: "
            "start it with --num_processes 1, or use --parallel replica"
        )
    specs = list(dict.fromkeys(resolve(name) for name in config.models))
    if all(spec.modality == "vision" for spec in specs):  # before the Hub is asked anything
        check_quantization(config.quantization, "vision", specs[0].alias)
    sources = [locate(spec, revision=config.revision, trust_remote_code=config.trust_remote_code) for spec in specs]
    if random_seed is not None:
        sources = [source.randomised(random_seed) for source in sources]
    check_flags(config, sources)
    check_edits(config.edits, sources)
    data = open_data(config.data, sorted({source.modality for source in sources}))
    edited: dict[tuple[Perturbation, ...], PairedData] = {}
    plans = []
    for source in sources:
        versions = []
        for wanted in (sweep or {}).get(source.spec, [config.edits]):
            variant = tuple(p for p in check_perturbations(wanted) if p.modality == source.modality)
            if variant not in edited:
                edited[variant] = perturb_data(data, variant, allow_empty=config.allow_empty)
            versions.append(edited[variant])
        plans += _plan_model(config, source, versions, device, processes)
    store = FeatureStore(config.store)
    if any(plan.missing or not store.is_complete(plan.key) for plan in plans):  # else a read-only store will do
        check_space(store.root, sum(plan.bytes_to_write() for plan in plans))
    outlines = {plan.source: plan.sketch for plan in plans if plan.missing and plan.source.modality == "vision"}
    return Plan(data, plans, _smaller_inputs(config, data, outlines))


def _smaller_inputs(config: ExtractOptions, data: PairedData, outlines: Mapping[ModelSource, Sketch]) -> list[str]:
    """Return advice for models whose input is much larger than the pictures, if they can take a smaller one."""
    if config.image_size is not None or not outlines or (typical := data.typical_size()) is None:
        return []
    lines = []
    for source, outline in outlines.items():
        height, width = load_preprocessing(source).size
        side = _INPUT * -(-max(typical) // _INPUT)
        if side >= min(height, width) or outline.flops is None:
            continue
        try:
            smaller = sketch(source, (side, side), side).flops
        except VlalignError:  # the model takes images of one size
            continue
        if smaller and (times := outline.flops / smaller) >= 1.5:
            lines.append(
                f"{source.spec.alias}: the pictures have about {typical[0]} × {typical[1]} pixels and are enlarged to "
                f"{width} × {height}; --image-size {side} costs {times:.1f} times less"
            )
    return lines


def _plan_model(
    config: ExtractOptions,
    source: ModelSource,
    versions: Sequence[PairedData],
    device: torch.device,
    processes: int,
) -> list[ModelPlan]:
    """Plan a run for every version of the data and every pool; what depends on the model alone is computed once."""
    quantization = config.quantization if source.modality == "text" else "none"
    dtype, reason = choose_dtype(config.dtype, source.modality, device, quantization)
    pools = config.pools(source.modality)
    settings: dict[str, Any]
    loss, texts, limit, special = False, None, None, (0, 0)
    if source.modality == "text":
        model_config, outline = load_config(source), sketch(source, None, None)
        tokenizer = load_tokenizer(source, config.max_length, outline.positions)
        limit = tokenizer.max_length
        if "mean-content" in pools:
            if tokenizer.special is None:
                raise VlalignError(
                    f"--text-pool mean-content: {source.spec.alias}'s tokenizer changes a text's own tokens where it "
                    "adds special ones, so they cannot be left out: use another pool"
                )
            special = tokenizer.special
        texts = Texts(tokenizer, source.spec.alias, config.allow_empty)
        settings = {"text": tokenizer.policy}
        if padding_matters(model_config):
            settings["text"] = tokenizer.policy | {"batches": "equal lengths"}
        if outline.own_states:
            settings["text"] = settings["text"] | {"states": "hidden_states"}
        if sees_later_tokens(model_config):  # an earlier version stored a loss of these models
            settings["text"] = settings["text"] | {"attention": "to later tokens"}
        loss = config.loss and is_causal(model_config)
        if loss and outline.flops is not None:  # the head's products, which the sketch leaves out
            vocabulary = getattr(model_config.get_text_config(), "vocab_size", 0)
            outline = replace(outline, flops=outline.flops + 2 * outline.taps[-1].width * vocabulary)
    else:
        preprocessing = load_preprocessing(source, config.image_size)
        outline = sketch(source, preprocessing.size, config.image_size)
        settings = {"image": preprocessing.settings | outline.marks}
        if outline.own_states:
            settings["image"] = settings["image"] | {"states": "hidden_states"}
        if source.seed is not None:
            pools = ("avg",)  # a class token of random weights is nearly the same for all images
        if has_relative_positions(source):  # an earlier version gave these models wrong features
            settings["image"] = settings["image"] | {"positions": "relative"}
        if "cls" in pools and not outline.has_cls:
            if config.vision_pool:
                raise VlalignError(f"--vision-pool cls: {source.spec.alias} has no class token; use --vision-pool avg")
            pools = (WITHOUT_CLASS_TOKEN[config.preset],)
    check_memory(config, source, outline, dtype, quantization, device, processes)
    plans = []
    for data in versions:
        read = None if texts is None else texts.read(data, count_bytes=loss)
        if read is not None:
            check_ids(source, read, data.ids, outline.vocabulary)
        required = ("bits", *(("bytes_read",) if read and read.truncated else ())) if loss else ()
        for pool in pools:
            key = RunKey(
                {
                    "format": FORMAT,
                    **({} if source.seed is None else {"kind": BASELINE}),
                    "model": source.identity(),
                    "dtype": dtype,
                    "quantization": quantization,
                    "layers": "all",
                    "data": data.identity(source.modality),
                    "perturbations": describe_perturbations(data, source.modality),
                    **settings,
                    "pooling": pool,
                    **({"sink_ratio": SINK_RATIO} if pool.endswith("nosink") else {}),
                }
            )
            missing = _missing(config, key, data, required)
            plans.append(
                ModelPlan(
                    source, data, key, dtype, reason, quantization, pool, special, loss, read, limit, outline, missing
                )
            )
    return plans


def _missing(config: ExtractOptions, key: RunKey, data: PairedData, required: Sequence[str]) -> list[Shard]:
    """List the missing shards without creating anything."""
    store = FeatureStore(config.store)
    if not (store.path(key) / "key.json").is_file():
        return plan_shards(len(data), config.shard_rows)
    return store.writer(key, data.ids, config.shard_rows).missing(required)
