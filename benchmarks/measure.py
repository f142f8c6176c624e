"""Results as they come, and time, memory and rates of a device."""

from __future__ import annotations

import json
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")


class Reporter:
    """Prints each result and appends it to gpu.jsonl at once."""

    def __init__(self, out: Path, part: str) -> None:
        self.path, self.part = out / "gpu.jsonl", part

    def __call__(self, what: str, **numbers: Any) -> None:
        row = {"part": self.part, "what": what, **numbers}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(line_of(row), flush=True)

    @contextmanager
    def attempt(self, what: str, limit: float = 0) -> Iterator[None]:
        """Report what stops the block: an error, or that it takes longer than ``limit`` seconds (0: no limit)."""

        def stop(number: int, frame: FrameType | None) -> None:
            raise TimeoutError

        previous = signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, limit)
        try:
            yield
        except TimeoutError:
            self(what, stopped=f"after {limit:g} s")
        except Exception as error:
            traceback.print_exc()
            self(what, failed=f"{type(error).__name__}: {(str(error).strip() or '-').splitlines()[-1][:300]}")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
            if DEVICE.type == "cuda":
                torch.cuda.empty_cache()


def line_of(row: dict[str, Any]) -> str:
    """One result as a line of the table."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return " ".join(map(text, value))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    numbers = ", ".join(f"{name} {text(value)}" for name, value in row.items() if name not in ("part", "what"))
    return f"{row['part']:8} | {row['what']} | {numbers}"


def seconds_of(work: Callable[[], Any], repeats: int = 1) -> float:
    """Smallest time of ``repeats`` runs, the device waited for."""
    times = []
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        times.append(time.perf_counter() - start)
    return min(times)


def synchronize() -> None:
    """Wait for the device."""
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def matmul_rate(dtype: torch.dtype, tiny: bool, tf32: bool = False) -> float:
    """Operations per second of a square matrix product of random numbers."""
    size = 512 if tiny else 8192
    a, b = (torch.randn(size, size, device=DEVICE).to(dtype) for _ in range(2))
    old, torch.backends.cuda.matmul.allow_tf32 = torch.backends.cuda.matmul.allow_tf32, tf32
    try:
        a @ b
        seconds = seconds_of(lambda: [a @ b for _ in range(4)], 3) / 4
    finally:
        torch.backends.cuda.matmul.allow_tf32 = old
    return 2 * size**3 / seconds


def reset_peak() -> None:
    """Count the peak of memory from now on."""
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float | None:
    """Most memory that tensors took on the GPU since the last reset, GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else None
