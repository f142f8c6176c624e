"""What can be refused before any weight is read: settings, edits, memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from vlalign.errors import VlalignError
from vlalign.extraction.estimate import Sketch
from vlalign.extraction.options import ExtractOptions
from vlalign.extraction.tokens import Tokens
from vlalign.models.precision import check_quantization
from vlalign.models.source import ModelSource
from vlalign.perturb import Perturbation

if TYPE_CHECKING:
    import torch


def check_flags(config: ExtractOptions, sources: Sequence[ModelSource]) -> None:
    """Refuse settings that none of the models uses."""
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
    for source in sources:
        if source.modality == "text" or "text" not in modalities:
            check_quantization(config.quantization, source.modality, source.spec.alias)
    if config.parallel == "split" and "text" not in modalities:
        raise VlalignError(
            f"--parallel split is for text models, but {names} is a vision model, which fits on one device: "
            "use --parallel replica"
        )


def check_edits(edits: Sequence[Perturbation], sources: Sequence[ModelSource]) -> None:
    """Refuse edits of a modality that none of the models reads."""
    names = ", ".join(source.spec.alias for source in sources)
    for perturbation in edits:
        if all(source.modality != perturbation.modality for source in sources):
            edited, reads = ("texts", "images") if perturbation.modality == "text" else ("images", "texts")
            raise VlalignError(
                f"{perturbation.name} edits {edited}, but {names} reads {reads} only: leave it out or add a model"
            )


def check_ids(source: ModelSource, tokens: Tokens, ids: Sequence[str], rows: int | None) -> None:
    """Refuse captions with token ids that the embedding has no rows for.

    A tokenizer may be larger than the embedding, as long as none of these captions shows it.
    """
    if rows is None or tokens.largest < rows:
        return
    beyond = [i for i, one in enumerate(tokens.ids) if max(one) >= rows]
    raise VlalignError(
        f"{source.location}: its tokenizer gives token {max(tokens.ids[beyond[0]])} for sample {ids[beyond[0]]!r}, "
        f"but its embedding has {rows} rows ({len(beyond)} of {len(ids)} captions have such tokens): tokenizer and "
        "weights belong to different models, or the embedding was never resized"
    )


def check_memory(
    config: ExtractOptions,
    source: ModelSource,
    outline: Sketch,
    dtype: str,
    quantization: str,
    device: torch.device,
    processes: int,
) -> None:
    """Refuse a model whose weights alone are larger than the memory they would go to."""
    import torch

    need = outline.weight_bytes(dtype, quantization)
    if device.type == "cuda":
        have = torch.cuda.get_device_properties(device).total_memory
        where, ways = "this GPU has", ["--quantization nf4"] if quantization == "none" else []
        if config.parallel == "split":
            have = sum(torch.cuda.get_device_properties(i).total_memory for i in range(torch.cuda.device_count()))
            where = "all GPUs here have"
        else:
            ways.append("--parallel split over several GPUs")
    else:
        import psutil

        have = psutil.virtual_memory().total // processes
        where = "this machine has" if processes == 1 else f"each of {processes} processes here has"
        ways = ["--quantization nf4"] if quantization == "none" else []
        ways += ["--dtype bfloat16"] if dtype == "float32" else []
    if need > have:
        gib = 2**30
        raise VlalignError(
            f"the weights of {source.spec.alias} take {need / gib:.0f} GiB in "
            f"{dtype if quantization == 'none' else quantization}, but {where} {have / gib:.0f} GiB: "
            f"use {' or '.join(ways) or 'a larger machine'}"
        )
