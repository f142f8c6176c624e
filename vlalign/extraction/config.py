"""What an extraction is asked to do."""

from __future__ import annotations

from dataclasses import dataclass, field

from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.models.precision import DTYPES, QUANTIZATIONS
from vlalign.perturb import Perturbation, check_perturbations, parse_perturbation

TEXT_POOLS = ("mean", "last")
VISION_POOLS = ("cls", "avg")
PARALLEL = ("replica", "split")

#: pooling of each preset; vision "cls" falls back to "avg" for models without a class token
PRESETS = {"platonic": {"text": "mean", "vision": "cls"}}


@dataclass(frozen=True)
class ExtractConfig:
    """Everything that an extraction is asked to do; contradictions are refused when it is made.

    Attributes:
        models: aliases, Hub ids, folders, ``timm:`` names or GGUF files.
        data: the data set and its columns.
        store: folder of the feature store.
        preset: ``platonic``, the published convention: mean over tokens, class token, the checkpoint's own pixels.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        quantization: ``none``, ``int8``, ``nf4`` or ``fp4`` (text models).
        parallel: ``replica`` (one copy per process) or ``split`` (one process, the copy spread over its devices).
        revision: branch, tag or commit of the model (one model only).
        image_size: side of the input in pixels instead of the checkpoint's own.
        text_pool: ``mean`` over tokens or ``last`` token, instead of the preset's.
        vision_pool: ``cls`` token or ``avg`` over patches, instead of the preset's.
        max_length: longest text in tokens, instead of the model's limit; longer texts are truncated and counted.
        perturb: edits of texts and images in the order given, as ``"char_delete:30"`` or
            :class:`~vlalign.perturb.Perturbation`; each modality's features know only its own.
        allow_empty: let edits leave captions without any character.
        loss: compute bits per byte of causal models.
        batch_tokens: tokens per text batch, padding included; None for a choice by device.
        batch_images: images per batch; None for a choice by device.
        workers: processes that decode images; None for a choice by machine.
        shard_rows: samples per shard.
        trust_remote_code: let code from a model's repository run.
        cpu: stay on the CPU even where there is an accelerator.

    Raises:
        VlalignError: an unknown value or two settings that contradict each other.
    """

    models: tuple[str, ...]
    data: DataSpec = field(default_factory=DataSpec)
    store: str = "features"
    preset: str = "platonic"
    dtype: str = "auto"
    quantization: str = "none"
    parallel: str = "replica"
    revision: str | None = None
    image_size: int | None = None
    text_pool: str | None = None
    vision_pool: str | None = None
    max_length: int | None = None
    perturb: tuple[str | Perturbation, ...] = ()
    allow_empty: bool = False
    loss: bool = True
    batch_tokens: int | None = None
    batch_images: int | None = None
    workers: int | None = None
    shard_rows: int = 128
    trust_remote_code: bool = False
    cpu: bool = False

    def __post_init__(self) -> None:
        if not self.models:
            raise VlalignError("no model given: name one with --model (`vlalign models` lists them)")
        for flag, value, known in (
            ("preset", self.preset, tuple(PRESETS)),
            ("dtype", self.dtype, DTYPES),
            ("quantization", self.quantization, QUANTIZATIONS),
            ("parallel", self.parallel, PARALLEL),
            ("text-pool", self.text_pool, (None, *TEXT_POOLS)),
            ("vision-pool", self.vision_pool, (None, *VISION_POOLS)),
        ):
            if value not in known:
                raise VlalignError(f"--{flag} {value}: choose one of {', '.join(v for v in known if v)}")
        for flag, number in (
            ("image-size", self.image_size),
            ("max-length", self.max_length),
            ("batch-tokens", self.batch_tokens),
            ("batch-images", self.batch_images),
            ("shard-rows", self.shard_rows),
        ):
            if number is not None and number < 1:
                raise VlalignError(f"--{flag} {number}: give a number of at least 1")
        if self.workers is not None and self.workers < 0:
            raise VlalignError(f"--workers {self.workers}: give 0 (decode in the main process) or more")
        if isinstance(self.perturb, str | Perturbation):
            object.__setattr__(self, "perturb", (self.perturb,))
        object.__setattr__(self, "perturb", check_perturbations(self.edits))
        if self.revision is not None and len(self.models) > 1:
            raise VlalignError(
                f"--revision {self.revision} names a commit of one model, but {len(self.models)} are given: "
                "extract that one in a command of its own"
            )
        if self.cpu and self.parallel == "split":
            raise VlalignError(
                "--parallel split spreads a model over accelerators, but --cpu leaves them out: drop one"
            )

    @property
    def edits(self) -> tuple[Perturbation, ...]:
        """The edits, parsed."""
        return tuple(p if isinstance(p, Perturbation) else parse_perturbation(p) for p in self.perturb)

    def pool(self, modality: str) -> str:
        """The pooling asked for (``cls`` still depends on the model having a class token)."""
        chosen = self.text_pool if modality == "text" else self.vision_pool
        return chosen or PRESETS[self.preset][modality]
