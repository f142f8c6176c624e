"""Extraction on a device: text and vision models against their bare forward and the reference's loop."""

from __future__ import annotations

import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from gpu_models import (
    build_text_model,
    build_vision_model,
    random_weights,
    save_text_model,
    save_vision_model,
    save_weights,
)
from measure import DEVICE, Reporter, matmul_rate, peak_gib, reset_peak, seconds_of
from torch import nn

from vlalign.data import DataSpec
from vlalign.extraction.batches import token_batches
from vlalign.extraction.engine import Engine
from vlalign.extraction.options import ExtractOptions
from vlalign.extraction.plan import ModelPlan
from vlalign.extraction.readers import pad_right
from vlalign.store import RunWriter

Numbers = dict[str, Any]
BATCH_TOKENS, BATCH_IMAGES = (16384, 64) if DEVICE.type == "cuda" else (2048, 16)  # the extractor's own choice


def text_part(kind: str, real: bool) -> Callable[[Reporter, DataSpec, bool], None]:
    """Return the part of a text model: captions as they are and texts of 128 tokens, with loss and without.

    Args:
        kind: of :func:`gpu_models.save_text_model`.
        real: read the weights from a file.
    """

    def part(report: Reporter, data: DataSpec, tiny: bool) -> None:
        rate = matmul_rate(torch.bfloat16, tiny)
        with tempfile.TemporaryDirectory() as scratch:
            folder, long = save_text_model(kind, Path(scratch), data, tiny)
            model = build_text_model(folder, DEVICE)
            if real:
                model.save_pretrained(folder)
            for name, source, loss in (
                ("captions", data, True),
                ("captions", data, False),
                ("128 tokens", long, True),
            ):
                what = f"{kind}, {name}, {'with' if loss else 'no'} loss"
                limits: Numbers = {} if source is data else {"max_length": 128}
                with report.attempt(what), random_weights(None if real else model):
                    bare = partial(bare_text, model if loss else model.base_model)
                    settings = {"loss": loss, "dtype": "bfloat16", **limits}
                    numbers, plan = extract(report, what, folder, source, bare, rate, **settings)
                    if loss and source is data:
                        usual = usual_loop(model, plan, 4 if tiny else 32)
                        numbers |= {"usual_loop_s": usual, "times_usual_loop": usual / numbers["extract_s"]}
                    report(what, **numbers, tokens=plan.amount)

    return part


def vision(report: Reporter, data: DataSpec, tiny: bool) -> None:
    """Measure DINOv2 S, L and g at the checkpoint's own 518 pixels, in float32 (not g) and bfloat16."""
    for size, counts in {"small": (512, 1024), "large": (128, 512), "giant": (0, 128)}.items():
        for dtype, count in zip((torch.float32, torch.bfloat16), counts, strict=True):
            if not count:
                continue
            name = str(dtype).removeprefix("torch.")
            what, real = f"DINOv2-{size}, {name}", size != "giant"
            with report.attempt(what), tempfile.TemporaryDirectory() as scratch:
                folder = save_vision_model(size, Path(scratch), tiny)
                module = build_vision_model(folder, DEVICE)
                if real:
                    save_weights(module, folder)
                some = DataSpec(data.source, max_samples=8 if tiny else count)
                with random_weights(None if real else module):
                    bare, rate = partial(bare_vision, module.to(dtype), dtype), matmul_rate(dtype, tiny)
                    numbers, plan = extract(report, what, folder, some, bare, rate, 32, dtype=name)
                report(what, **numbers, images=plan.data.n, pixels=plan.key.data["image"]["input_size"][1])


def extract(
    report: Reporter,
    what: str,
    folder: Path,
    data: DataSpec,
    bare: Callable[[ModelPlan], float],
    rate: float,
    warm: int = 128,
    **settings: Any,
) -> tuple[Numbers, ModelPlan]:
    """Extract a model into a new store, after a few samples that warm up; report nothing but the waits of these.

    Returns:
        Seconds of each stage, samples per second, shares of the bare forward and of the matrix-product rate (MFU; the
        operations of real tokens count, those of padding do not); and the plan.
    """
    with tempfile.TemporaryDirectory() as store:

        def engine(samples: int | None, name: str) -> Engine:
            source = DataSpec(data.source, max_samples=samples)
            return Engine(ExtractOptions(models=(str(folder),), data=source, store=f"{store}/{name}", **settings))

        with synchronizations() as lines:
            engine(warm, "warm").run()
        if lines:
            report(f"{what}: waits for the device in {warm} samples", **dict(lines.most_common(6)))
        start = time.perf_counter()
        measured = engine(data.max_samples, "run")
        plan = measured.plan()
        planned = time.perf_counter() - start
        bare_seconds = bare(plan.models[0])  # before, so that it prepares the libraries for all shapes of batches
        reset_peak()
        spent: list[float] = []
        with timed_writes(spent):
            seconds = measured.run(plan)[0].seconds
    model, extracted = plan.models[0], seconds["extract"]
    numbers: Numbers = {"samples_per_s": model.data.n / extracted, "extract_s": extracted, "bare_s": bare_seconds}
    numbers["share_of_bare"] = bare_seconds / extracted
    if model.sketch.flops is not None:
        operations = model.sketch.flops * model.amount
        numbers |= {"mfu": operations / extracted / rate, "bare_mfu": operations / bare_seconds / rate}
    numbers |= {"plan_s": planned, "load_s": seconds["load"], "writing_s": sum(spent), "peak_gib": peak_gib()}
    return numbers, model


@contextmanager
def timed_writes(spent: list[float]) -> Iterator[None]:
    """Append the seconds of every shard that is written to ``spent``."""
    write = RunWriter.write

    def timed(self: RunWriter, *args: Any, **kwargs: Any) -> None:
        start = time.perf_counter()
        write(self, *args, **kwargs)
        spent.append(time.perf_counter() - start)

    with mock.patch.object(RunWriter, "write", timed):
        yield


@contextmanager
def synchronizations() -> Iterator[Counter[str]]:
    """Count the lines at which the CPU waits for the device."""
    lines: Counter[str] = Counter()
    if DEVICE.type != "cuda":
        yield lines
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.cuda.set_sync_debug_mode("warn")
        try:
            yield lines
        finally:
            torch.cuda.set_sync_debug_mode("default")
            waits = [one for one in caught if "synchroniz" in str(one.message)]
            lines.update("/".join(Path(one.filename).parts[-2:]) + f":{one.lineno}" for one in waits)


def bare_text(model: Any, plan: ModelPlan) -> float:
    """Return the seconds of the model alone over the batches of the extractor, token ids on the device."""
    assert plan.texts is not None
    batches = []
    for group in plan.groups(plan.missing, BATCH_TOKENS):
        tokens = plan.texts.ids[group[0].start : group[-1].stop]
        for batch in token_batches([len(one) for one in tokens], BATCH_TOKENS):
            ids, mask = pad_right([tokens[i] for i in batch])
            batches.append((ids.to(DEVICE), mask.long().to(DEVICE)))

    def work() -> None:
        with torch.inference_mode():
            for ids, mask in batches:
                model(input_ids=ids, attention_mask=mask, use_cache=False)

    return seconds_of(work, 2)


def usual_loop(model: Any, plan: ModelPlan, count: int) -> float:
    """Return the seconds of the reference's loop over all samples, from ``count`` evenly spaced batches of 4.

    Texts are padded on the left to the longest of the set, all hidden states are stacked, the loss is of all positions.
    """
    assert plan.texts is not None
    tokens = plan.texts.ids
    longest, starts = max(map(len, tokens)), range(0, len(tokens), 4)
    chosen = starts[:: max(1, len(starts) // count)]

    def work() -> None:
        for start in chosen:
            texts = tokens[start : start + 4]
            ids, mask = (torch.zeros(len(texts), longest, dtype=torch.long) for _ in range(2))
            for i, text in enumerate(texts):
                ids[i, longest - len(text) :], mask[i, longest - len(text) :] = torch.tensor(text), 1
            ids, mask = ids.to(DEVICE), mask.to(DEVICE)
            with torch.no_grad():
                output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
                logits = output.logits[:, :-1].permute(0, 2, 1)
                loss = mask[:, :-1] * nn.functional.cross_entropy(logits, ids[:, 1:], reduction="none")
                states = torch.stack(output.hidden_states).permute(1, 0, 2, 3)
                weights = mask[:, None, :, None]
                ((states * weights).sum(2) / weights.sum(2)).cpu()
                loss.sum(1).cpu()

    work()
    return seconds_of(work) * len(starts) / len(chosen)


def bare_vision(module: nn.Module, dtype: torch.dtype, plan: ModelPlan) -> float:
    """Return the seconds of the model alone on random pixels that are on the device already."""
    batch = min(plan.data.n, BATCH_IMAGES)
    pixels = torch.randn(batch, *plan.key.data["image"]["input_size"], device=DEVICE, dtype=dtype)

    def work(batches: int) -> None:
        with torch.inference_mode():
            for _ in range(batches):
                module(pixels)

    work(1)
    whole = plan.data.n // batch
    return seconds_of(lambda: work(whole)) * plan.data.n / (whole * batch)
