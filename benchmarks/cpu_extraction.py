"""Measure extraction: against the usual loop, and against the bare forward of the same model over the same batches.

  python benchmarks/cpu_extraction.py --captions captions_wit_1024_edits.json --images flickr8k_1024.parquet

Without paths the built-in set is measured. Both sides take turns, shard by shard, so that a change of the machine's
speed affects both. The usual loop (batches of 4, padded to the longest of the set, all hidden states stacked, full
logits) is timed on evenly spaced batches and scaled to all of them, because each takes the same time.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gpu_models import save_text_model
from measure import Row, row_of, run_alone
from torch import Tensor, nn
from transformers import AutoTokenizer

from vlalign.data import DataSpec, open_data
from vlalign.extraction.background import Background
from vlalign.extraction.batches import token_batches
from vlalign.extraction.engine import Engine
from vlalign.extraction.options import ExtractOptions
from vlalign.extraction.pool import Pooled, to_cpu
from vlalign.extraction.readers import TextReader, VisionReader, _Assembly, pad_right
from vlalign.models.registry import resolve
from vlalign.models.source import locate
from vlalign.models.structure import Tap
from vlalign.models.text import load_text_model
from vlalign.models.tokenizer import load_tokenizer
from vlalign.models.vision import load_preprocessing, load_vision_model
from vlalign.store import Layer, RunKey, RunWriter, Shard

TEXT_MODEL, VISION_MODEL = "demo-smollm2-135m", "demo-dinov2-small"
BATCH_TOKENS, BATCH_IMAGES = 2048, 16  # the extractor's own choice on a CPU
CPU = torch.device("cpu")


def usual_loop(model: nn.Module, tokens: list[list[int]], texts: list[str], rows: list[int]) -> float:
    """Measure one batch of the usual loop in seconds: hidden states stacked, full logits, loss of every position."""
    longest = max(map(len, tokens))
    ids = torch.zeros(len(rows), longest, dtype=torch.long)
    mask = torch.zeros(len(rows), longest, dtype=torch.long)
    for i, row in enumerate(rows):  # padded on the left, as the reference does
        ids[i, longest - len(tokens[row]) :] = torch.tensor(tokens[row])
        mask[i, longest - len(tokens[row]) :] = 1
    start = time.perf_counter()
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        logits = output.logits[:, :-1].permute(0, 2, 1)
        loss = mask[:, :-1] * nn.functional.cross_entropy(logits, ids[:, 1:], reduction="none")
        bits = loss.sum(1) / torch.tensor([len(texts[row].encode()) for row in rows])
        states = torch.stack(output.hidden_states).permute(1, 0, 2, 3)
        weights = mask[:, None, :, None]
        features = (states * weights).sum(2) / weights.sum(2)
    assert torch.isfinite(features).all()
    assert torch.isfinite(bits).all()
    return time.perf_counter() - start


def text_rows(captions: str | None, count: int | None, usual_batches: int) -> list[Row]:
    """Measure text extraction with loss against the usual loop and against the bare model."""
    from transformers import AutoModelForCausalLM

    data = open_data(DataSpec(captions or "builtin:emoji", max_samples=count), {"text"})
    assert data.captions is not None
    source = locate(resolve(TEXT_MODEL))
    tokens = load_tokenizer(source).encode(data.captions)
    model = AutoModelForCausalLM.from_pretrained(source.location, dtype=torch.float32).eval()
    byte_counts = {"bytes": [len(text.encode()) for text in data.captions]}
    readers = {}
    for loss in (True, False):
        loaded = load_text_model(source, dtype=torch.float32, device=CPU, loss=loss)
        readers[loss] = TextReader(loaded, TEXT_MODEL, data.ids, tokens, byte_counts, ["mean"], BATCH_TOKENS)
    usual = [list(range(start, min(start + 4, len(tokens)))) for start in range(0, len(tokens), 4)]
    chosen = usual[:: max(1, len(usual) // usual_batches)]
    seconds = dict.fromkeys(("with loss", "bare with head", "without loss", "bare", "usual"), 0.0)
    with tempfile.TemporaryDirectory() as folder:
        key = {"model": {"name": TEXT_MODEL, "modality": "text"}}
        writers = {loss: RunWriter(folder, RunKey({**key, "loss": loss}), data.ids) for loss in (True, False)}
        shards = writers[True].shards
        _extract(readers[True], writers[True], shards[-1])  # warm up
        _bare(model, tokens, shards[-1])
        usual_loop(model, tokens, data.captions, usual[0])
        for number, shard in enumerate(shards):
            seconds["with loss"] += _extract(readers[True], writers[True], shard)
            seconds["bare with head"] += _bare(model, tokens, shard)
            seconds["without loss"] += _extract(readers[False], writers[False], shard)
            seconds["bare"] += _bare(model.base_model, tokens, shard)
            for rows in chosen[number :: len(shards)]:
                seconds["usual"] += usual_loop(model, tokens, data.captions, rows)
    scaled = seconds["usual"] * len(usual) / len(chosen)
    where = Path(captions).name if captions else "the built-in set"
    what = f"text extraction, {len(tokens)} captions of {where}, {TEXT_MODEL}"
    usual_note = f"{len(chosen)} of {len(usual)} batches timed"
    made, plain = seconds["with loss"], seconds["without loss"]
    return [
        row_of(f"{what}, with loss", "the usual loop", made, scaled, "s", at_least=8, usual=usual_note),
        row_of(f"{what}, with loss", "bare forward with head", made, seconds["bare with head"], "s", at_most=1.15),
        row_of(f"{what}, no loss", "bare forward, no head", plain, seconds["bare"], "s", at_most=1.15),
    ]


def _extract(reader: Any, writer: RunWriter, shard: Any) -> float:
    """Measure the seconds to read one shard and write it to disk."""
    layers = [Layer(i, tap.name, tap.width, tap.convention) for i, tap in enumerate(reader.taps)]
    start = time.perf_counter()
    for made, assemble in reader.read([shard], lambda count: None):
        result = assemble()
        writer.write(made, result.features[0], layers, result.extras)
    return time.perf_counter() - start


def _bare(model: Any, tokens: list[list[int]], shard: Any) -> float:
    """Measure the seconds of the model alone over the batches of one shard."""
    rows = range(shard.start, shard.stop)
    batches = [
        pad_right([tokens[rows[i]] for i in b]) for b in token_batches([len(tokens[r]) for r in rows], BATCH_TOKENS)
    ]
    start = time.perf_counter()
    with torch.inference_mode():
        for ids, mask in batches:
            model(input_ids=ids, attention_mask=mask.long(), use_cache=False)
    return time.perf_counter() - start


def image_rows(images: str | None, count: int | None, workers: int) -> list[Row]:
    """Measure image extraction from encoded pictures against the model alone on tensors in memory."""
    data = open_data(DataSpec(images or "builtin:emoji", max_samples=count), {"vision"})
    source = locate(resolve(VISION_MODEL))
    preprocessing = load_preprocessing(source, 224)
    model = load_vision_model(source, dtype=torch.float32, device=CPU, image_size=224)
    reader = VisionReader(model, VISION_MODEL, data, preprocessing, ["cls"], BATCH_IMAGES, workers)
    ours = bare = 0.0
    with tempfile.TemporaryDirectory() as folder:
        writer = RunWriter(folder, RunKey({"model": {"name": VISION_MODEL, "modality": "vision"}}), data.ids)
        for number, shard in enumerate([writer.shards[-1], *writer.shards]):
            pixels = torch.stack([preprocessing.transform(data.image(row)) for row in range(shard.start, shard.stop)])
            a, b = _extract(reader, writer, shard), _bare_images(model.module, pixels)
            if number:  # the first round warms up
                ours, bare = ours + a, bare + b
    where = Path(images).name if images else "the built-in set"
    what = f"image extraction, {len(data)} images of {where}, {VISION_MODEL} at 224 px"
    return [row_of(what, "bare timm forward, tensors in memory", ours, bare, "s", at_most=1.15, workers=workers)]


def _bare_images(model: nn.Module, pixels: Tensor) -> float:
    start = time.perf_counter()
    with torch.inference_mode():
        for batch in pixels.split(BATCH_IMAGES):
            model(batch)
    return time.perf_counter() - start


def rows(quick: bool = False, captions: str | None = None, images: str | None = None) -> list[Row]:
    """Measure all rows; ``quick`` measures a few samples, to check that everything runs."""
    count = 32 if quick else None
    return [
        *text_rows(captions, count, 4 if quick else 24),
        *image_rows(images, count, 1),
        *planning_rows(256 if quick else 20_000),
        *(writing_rows(2, 2, 8, 0.01) if quick else writing_rows(8, 33, 4096, 0.5)),
    ]


def planning_rows(count: int) -> list[Row]:
    """Measure a plan of many captions, from the file to the run key, and bare tokenization by the same tokenizer."""
    captions = open_data(DataSpec("builtin:emoji"), {"text"}).captions
    assert captions is not None
    texts = [f"{captions[i % len(captions)]} {i}" for i in range(count)]
    with tempfile.TemporaryDirectory() as scratch:
        folder, _ = save_text_model("llama-7b", Path(scratch), DataSpec("builtin:emoji"), tiny=True)
        lines = [json.dumps({"id": str(i), "text": text}) for i, text in enumerate(texts)]
        path = Path(scratch, "captions.jsonl")
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        backend = AutoTokenizer.from_pretrained(folder).backend_tokenizer

        def plan() -> None:
            config = ExtractOptions(models=(str(folder),), data=DataSpec(str(path)), store=f"{scratch}/store", cpu=True)
            Engine(config).plan()

        def cpu_seconds(work: Callable[[], object]) -> float:
            start = time.process_time()
            work()
            return time.process_time() - start

        plan()  # warm up
        times = [(cpu_seconds(plan), cpu_seconds(lambda: backend.encode_batch_fast(texts))) for _ in range(5)]
    whole, bare = (min(one) / count * 1e6 for one in zip(*times, strict=True))
    what = f"planning of {count:,} captions, CPU time of each"
    return [row_of(what, "bare tokenization", whole, bare, "µs", below=40, tokenization=bare / whole)]


def writing_rows(count: int, layers: int, width: int, forward: float) -> list[Row]:
    """Measure how long a forward on another device, for which 100 short sleeps stand, waits for its shards.

    Each sleep ends with Python code, as the launch of a kernel does, which waits while another thread holds Python's
    lock. The forward's thread hands over the pooled states of four batches a shard; writers put them together.
    """
    rows, taps = 128, [Tap(f"block_{i}", width, "", "") for i in range(layers)]
    local, sums = to_cpu([torch.randn(rows // 4, size) for _ in taps for size in (width, 3)])
    pooled = Pooled([local[::2], local[1::2]], sums)
    ids = [str(i) for i in range(rows * count)]
    own_cpu = 0.0

    def seconds(write: Callable[..., object] | None, shards: list[Shard]) -> float:
        nonlocal own_cpu
        start = time.perf_counter()
        for shard in shards:
            for _ in range(100):
                time.sleep(forward / 100)
            begin = time.thread_time()
            assembly = _Assembly(taps, ids, "model")
            for at in range(shard.start, shard.stop, rows // 4):
                assembly.put(range(at, at + rows // 4), pooled)
            if write is not None:
                write([writer], None, taps, shard, partial(assembly.shard, shard))
            own_cpu = time.thread_time() - begin
        return (time.perf_counter() - start) / len(shards)

    with tempfile.TemporaryDirectory() as folder:
        made = {}
        for name in ("alone", "background"):
            key = RunKey({"model": {"name": name, "modality": "text"}})
            writer = RunWriter(folder, key, ids, rows)
            bare = seconds(None, writer.shards)
            with nullcontext(Engine._write) if name == "alone" else Background(Engine._write, 2) as write:
                made[name] = seconds(write, writer.shards) - bare
    what = f"wait for a shard of {layers} × {width:,} × {rows} in the background, forward of {forward:g} s"
    return [
        row_of(what, "writing between forwards", made["background"], made["alone"], "s", below=0.02, own_cpu=own_cpu)
    ]


FLAGS = {"captions": "a data set, or a JSON file of edited captions", "images": "a data set of images"}

if __name__ == "__main__":
    sys.exit(run_alone(rows, __doc__, **FLAGS))
