"""Training steps of the synthetic and the MultiBench study, on a device and on the CPU."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from gpu_checks import fresh_processes
from measure import Reporter

from vlalign.data import DataSpec
from vlalign.multibench import MultibenchConfig, MultibenchStudy, PreparedSplit, write_prepared
from vlalign.synthetic import SyntheticConfig, SyntheticStudy


def studies(report: Reporter, data: DataSpec, tiny: bool) -> None:
    """Milliseconds of a training step of an ensemble, and whether the same encoders come out on both devices."""
    for name, make in (("synthetic", synthetic), ("multibench", multibench)):
        for depth in (1,) if tiny else (1, 5):
            what = f"{name} study, an ensemble of depth {depth}"
            with report.attempt(what, 25), tempfile.TemporaryDirectory() as out:
                ours, members, steps, performance = make(out, depth, tiny, False)
                numbers: dict[str, Any] = {"step_ms": 1000 * ours / steps, "encoders": members, "steps": steps}
                if depth == 1:
                    theirs, _, _, expected = make(f"{out}/cpu", depth, tiny, True)
                    numbers["cpu_step_ms"] = 1000 * theirs / steps
                    numbers["performance_apart"] = float((performance - expected).abs().max())
                report(what, **numbers)
    with report.attempt("multibench study, a whole run", 25), tempfile.TemporaryDirectory() as out:
        make_data(Path(out) / "data", 256)
        options: dict[str, Any] = {"data": f"{out}/data", "depths": (1, 2), "seeds": (2, 22), "permutations": 99}
        with fresh_processes():
            result = MultibenchStudy(MultibenchConfig(out=f"{out}/run", epochs=2, **options)).run()
        assert result is not None
        report("multibench study, a whole run", encoders=result.trained, **result.seconds)


def synthetic(out: str, depth: int, tiny: bool, cpu: bool) -> tuple[float, int, int, torch.Tensor]:
    """Seconds of an epoch, encoders, steps of an epoch, and accuracies of the encoders."""
    sizes: dict[str, Any] = {"samples": 4096, "uniqueness": (0, 3), "phi_depths": (1,)} if tiny else {}
    config = SyntheticConfig(depths=(depth,), seeds=(2,), epochs=(1, 3), out=out, cpu=cpu, **sizes)
    with fresh_processes():
        study = SyntheticStudy(config)
    group = next(one for one in study.groups(study.cells()) if one[0].modality)
    seconds = epoch_seconds(lambda tick: study.train(group, tick))
    accuracy = torch.cat([study.files.load(cell).accuracy for cell in group])
    return seconds, len(group) * len(config.uniqueness), -(-config.sizes[0] // config.batch), accuracy


def multibench(out: str, depth: int, tiny: bool, cpu: bool) -> tuple[float, int, int, torch.Tensor]:
    """Seconds of an epoch, encoders, steps of an epoch, and performances of the encoders, without dropout."""
    train = 256 if tiny else 4096
    make_data(Path(out) / "data", train)
    config = MultibenchConfig(
        data=f"{out}/data", out=f"{out}/run", depths=(depth,), seeds=(2, 22, 42), epochs=3, dropout=0.0, cpu=cpu
    )
    with fresh_processes():
        study = MultibenchStudy(config)
    group = study.groups(study.cells())[0]
    seconds = epoch_seconds(lambda tick: study.train(group, tick))
    performance = torch.tensor([study.files.load(member).performance for member in group])
    return seconds, len(group), -(-train // config.batch), performance


def epoch_seconds(train: Callable[[Callable[[], None]], None]) -> float:
    """Median time between two ends of an epoch."""
    ends: list[float] = []
    train(lambda: ends.append(time.perf_counter()))
    return statistics.median(b - a for a, b in pairwise(ends))


def make_data(folder: Path, train: int) -> None:
    """Write data of the shape of AVMNIST with random values."""
    generator = torch.Generator().manual_seed(0)
    splits = {}
    for name, count in (("train", train), ("valid", 256), ("test", 256)):
        labels = torch.randint(0, 10, (count,), generator=generator)
        inputs = {
            modality: torch.randn(count, *shape, generator=generator) + 0.3 * labels[:, None, None]
            for modality, shape in (("image", (49, 16)), ("audio", (20, 36)))
        }
        splits[name] = PreparedSplit(inputs, {}, labels, [f"{name}-{i}" for i in range(count)])
    write_prepared(folder, name="avmnist", task="classification", classes=10, pool="cls", splits=splits, about={})
