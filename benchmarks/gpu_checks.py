"""Whether features, scores and training on a GPU equal those of the CPU."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gpu_models import build_text_model, build_vision_model, random_weights, save_text_model, save_vision_model
from measure import DEVICE, Reporter
from torch import Tensor, nn
from torch.nn.functional import normalize

from vlalign.arithmetic import exact_float32
from vlalign.data import DataSpec
from vlalign.extraction.engine import Engine
from vlalign.extraction.options import ExtractOptions
from vlalign.metrics import knn, metric_names
from vlalign.scoring import ScoreRecord, score
from vlalign.store import Run

CPU = torch.device("cpu")


def difference(ours: Any, theirs: Any) -> float:
    """Largest difference between two arrays, relative to the largest value of the second."""
    a, b = (np.asarray(one, dtype=np.float64) for one in (ours, theirs))
    return float(np.abs(a - b).max() / max(float(np.abs(b).max()), 1e-300))


@contextmanager
def fresh_processes() -> Iterator[None]:
    """Let Accelerate choose the device again, which it does once per process otherwise."""
    from accelerate.state import AcceleratorState, PartialState

    for state in (AcceleratorState, PartialState):
        state._reset_state()
    yield
    for state in (AcceleratorState, PartialState):
        state._reset_state()


def checks(report: Reporter, data: DataSpec, tiny: bool) -> None:
    """Compare features and scores with the CPU's."""
    with report.attempt("a float32 convolution against float64"):
        check_convolution(report, DEVICE)
    check_features(report, data)
    check_scores(report, DEVICE, tiny)


# -- features ----------------------------------------------------------------------------------------------------------
def check_features(report: Reporter, data: DataSpec) -> None:
    """Compare features of small models on the device with the CPU's, and of small batches with large ones."""
    some = DataSpec(data.source, max_samples=min(64, data.max_samples or 64))
    for kind in ("llama-7b", "bloomz-560m", "small", "giant"):
        what = f"features of a small {'DINOv2-' * (kind in ('small', 'giant'))}{kind}"
        with report.attempt(what), tempfile.TemporaryDirectory() as scratch:
            text = "-" in kind
            folder = (
                save_text_model(kind, Path(scratch), some, tiny=True)[0]
                if text
                else save_vision_model(kind, Path(scratch), tiny=True)
            )
            model = (build_text_model if text else build_vision_model)(folder, CPU).float()
            spread_weights(model)
            batches = {"batch_tokens": 64} if text else {"batch_images": 3}
            runs = {}
            with random_weights(model):
                for name, settings in (
                    ("cpu", {"cpu": True}),
                    ("device", {}),
                    ("batches", batches),
                    ("bf16", {"dtype": "bfloat16"}),
                    ("bf16 batches", {"dtype": "bfloat16"} | batches),
                ):
                    model = model.to(CPU, torch.float32)
                    options: dict[str, Any] = {"dtype": "float32", "store": f"{scratch}/{name}"} | settings
                    with fresh_processes():
                        engine = Engine(ExtractOptions(models=(str(folder),), data=some, **options))
                        runs[name] = engine.run()[0].run
            numbers = {
                "float32_against_cpu": _apart(runs["device"], runs["cpu"]),
                "small_batches_float32": _apart(runs["batches"], runs["device"]),
                "bfloat16_against_cpu": _apart(runs["bf16"], runs["cpu"]),
                "small_batches_bfloat16": _apart(runs["bf16 batches"], runs["bf16"]),
            }
            if text:
                bits = [np.asarray(runs[name].extra("bits")) for name in ("device", "cpu")]
                numbers["bits_against_cpu"] = difference(*bits)
            report(what, **numbers)


def spread_weights(model: nn.Module) -> None:
    """Draw weights of a size at which every block changes its input (DINOv2 starts with blocks that change nothing)."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            drawn = torch.randn(weight.shape, generator=generator)
            weight.copy_(drawn / weight[0].numel() ** 0.5 if weight.ndim >= 2 else 0.5 + 0.2 * drawn)


def check_convolution(report: Reporter, device: torch.device) -> None:
    """Report how far the patch embedding of a DINOv2-L is from float64, as cuDNN does it by default and exactly."""
    generator = torch.Generator().manual_seed(0)
    layer, x = nn.Conv2d(3, 1024, 14, 14), torch.randn(8, 3, 518, 518, generator=generator)
    with torch.inference_mode():
        expected = layer.double()(x.double())
        layer = layer.float().to(device)
        default = difference(layer(x.to(device)).cpu(), expected)
        with exact_float32():
            exact = difference(layer(x.to(device)).cpu(), expected)
    report("a float32 convolution against float64", by_default=default, in_extraction=exact)


def _apart(ours: Run, theirs: Run) -> float:
    """Largest relative difference over the layers of two runs."""
    return max(difference(ours.load(i), theirs.load(i)) for i in range(len(theirs.layers)))


# -- scores ------------------------------------------------------------------------------------------------------------
def layers_of(n: int, widths: tuple[int, ...], seed: int) -> list[Tensor]:
    """Make layers [n, width] that share a signal with those of other seeds."""
    shared = torch.randn(n, 8, generator=torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(seed)
    return [
        shared @ torch.randn(8, width, generator=generator) + 8 * torch.randn(n, width, generator=generator)
        for width in widths
    ]


def check_scores(report: Reporter, device: torch.device, tiny: bool) -> None:
    """Compare scores of every metric on the device with the CPU's, and neighbours and kernels with float64."""
    with report.attempt("against float64 on the CPU"):
        x, y = layers_of(200 if tiny else 1024, (384,), 1)[0], layers_of(200 if tiny else 1024, (256,), 2)[0]
        numbers = {}
        for name, slow in (("mutual_knn", slow_mutual_knn), ("cka", slow_cka)):
            record = score(x, y, metric=name, preset="cosine", permutations=0, half_samples=0, device=device)
            numbers[name] = abs(record.score - slow(normalize(x.double()), normalize(y.double())))
        report("against float64 on the CPU", **numbers)
    with report.attempt("neighbours"):
        x = normalize(torch.randn(300 if tiny else 3000, 96, generator=torch.Generator().manual_seed(3)))
        ties = torch.randint(-1, 2, (300 if tiny else 3000, 6), generator=torch.Generator().manual_seed(4)).float()
        here = knn(x.to(device), 10)
        report(
            "neighbours",
            equal_to_cpu=float((here.cpu() == knn(x, 10)).double().mean()),
            equal_in_blocks=float((here == knn(x.to(device), 10, block=97)).double().mean()),
            ties_equal_to_cpu=float((knn(ties.to(device), 10).cpu() == knn(ties, 10)).double().mean()),
        )
    for name in [*metric_names(), "cka:kernel=rbf,bandwidth=median"]:
        n = 64 if tiny or name == "linear_predictivity" else 500
        with report.attempt(f"score, {name}, N={n}", 30):
            compare_scores(report, name, n, device, permutations=100, half_samples=20)
    for name in ("cka", "unbiased_cka:kernel=rbf,bandwidth=median", "rsa", "cmd"):  # beyond what is kept as N × N
        with report.attempt(f"score, {name}, N=2100", 30):
            compare_scores(report, name, 2100, device, permutations=0, half_samples=0)
    with report.attempt("score, mutual_knn, everything"):
        compare_scores(report, "mutual_knn", 200 if tiny else 1024, device, full=True, concat=True)


def compare_scores(report: Reporter, name: str, n: int, device: torch.device, **options: Any) -> None:
    """Report how far a score on the device is from the CPU's, and the times of both."""
    x, y = layers_of(n, (48, 64), 1), layers_of(n, (32, 40, 56), 2)
    records: list[ScoreRecord] = [score(x, y, metric=name, device=one, **options) for one in (device, CPU)]
    ours, theirs = records
    numbers: dict[str, Any] = {"matrix": difference(ours.matrix, theirs.matrix)}
    if ours.null is not None and theirs.null is not None:
        numbers["p_values"] = [ours.p_value, theirs.p_value]
        numbers["null_mean"] = difference(ours.null["mean"], theirs.null["mean"])
    if ours.interval is not None and theirs.interval is not None:
        ends = [[record.interval[end] for end in ("low", "high")] for record in records if record.interval]
        numbers["interval"] = difference(*ends)
    times = [sum(record.seconds.values()) for record in records]
    report(f"score, {name}, N={n}", **numbers, seconds=times[0], cpu_seconds=times[1])


def slow_mutual_knn(x: Tensor, y: Tensor, k: int = 10) -> float:
    """Mutual-kNN from its definition, by a full sort."""
    lists = [(z @ z.T).fill_diagonal_(-torch.inf).argsort(dim=1, descending=True)[:, :k].tolist() for z in (x, y)]
    return sum(len(set(a) & set(b)) for a, b in zip(*lists, strict=True)) / (k * len(x))


def slow_cka(x: Tensor, y: Tensor) -> float:
    """Biased linear CKA from its definition."""
    centre = torch.eye(len(x), dtype=x.dtype) - 1 / len(x)
    a, b = (centre @ (z @ z.T) @ centre for z in (x, y))
    return float((a * b).sum() / (a.norm() * b.norm()))
