"""Measuring: times, memory and rates; rows of the benchmarks on the CPU, results of those on a GPU."""

from __future__ import annotations

import argparse
import json
import resource
import signal
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Row = dict[str, Any]  # what, against, ours, theirs, unit, ratio, reach, met, and details of the measurement


def alternate(ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the medians of the seconds of both, called in turn, after a first round that warms up."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(repeats + 1):
        for kept, work in zip(times, (ours, theirs), strict=True):
            seconds = clock(work)
            if i:  # the first round warms up
                kept.append(seconds)
    return statistics.median(times[0]), statistics.median(times[1])


def clock(work: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def row_of(
    what: str, against: str, ours: float, theirs: float | None, unit: str,
    *, at_least: float | None = None, at_most: float | None = None,
    below: float | None = None, above: float | None = None, **more: Any,
) -> Row:  # fmt: skip
    """Make a row.

    Args:
        what, against: measured work, and what it is compared with.
        ours, theirs: in ``unit``; ``theirs`` is None where nothing is compared.
        at_least, at_most: goal of the ratio: theirs to ours, ours to theirs.
        below, above: goal of ``ours``.
        more: details of the measurement.
    """
    row: Row = {"what": what, "against": against, "ours": ours, "theirs": theirs, "unit": unit, "ratio": None}
    row |= {"reach": "–", "met": None}
    if at_least is not None and theirs is not None:
        row |= {"ratio": theirs / ours, "reach": f"≥ {at_least:g}×", "met": theirs / ours >= at_least}
    if at_most is not None and theirs is not None:
        row |= {"ratio": ours / theirs, "reach": f"≤ {at_most:g}×", "met": ours / theirs <= at_most}
    if below is not None:
        row |= {"reach": f"< {below:g} {unit}", "met": ours < below}
    if above is not None:
        row |= {"reach": f"≥ {above:g} {unit}", "met": ours >= above}
    return {**row, "threads": torch.get_num_threads(), **more}


def print_row(row: Row) -> None:
    """Print a row as a line of text."""
    ratio = "" if row["ratio"] is None else f"ratio {row['ratio']:.2f}  "
    theirs = "" if row["theirs"] is None else f"against {row['theirs']:.3f} {row['unit']}  "
    load = f", load {row['load_before']:.1f}" if "load_before" in row else ""
    reach = "" if row["met"] is None else f"(reach {row['reach']}, met: {row['met']}{load})"
    print(f"{row['what']}: {row['ours']:.3f} {row['unit']}  {theirs}{ratio}{reach}")


def write_json(path: str, content: Any) -> None:
    """Write results as JSON."""
    Path(path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def markdown_of(path: Path) -> str:
    """Return a file that cpu.py wrote as Markdown: where it was measured, and a table of its rows."""
    document = json.loads(path.read_text(encoding="utf-8"))
    loads = [row["load_before"] for row in document["rows"] if "load_before" in row]
    packages, git = document["environment"]["packages"], document["environment"]["git"]
    lines = [
        f"{document['threads']} threads, torch {packages['torch']}, commit {git[:7] if git else 'unknown'}"
        + (f", load of the machine before a row {min(loads):.1f} to {max(loads):.1f}:" if loads else ":"),
        "",
        "| what | against | ours | theirs | ratio |",
        "|---|---|---|---|---|",
    ]
    for row in document["rows"]:
        sides = ["–" if row[key] is None else f"{_digits(row[key])} {row['unit']}" for key in ("ours", "theirs")]
        ratio = "–" if row["ratio"] is None else f"{_digits(row['ratio'])}×"
        lines.append(f"| {' | '.join([row['what'], row['against'], *sides, ratio])} |")
    return "\n".join(lines)


def _digits(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def run_alone(rows: Callable[..., list[Row]], doc: str | None, **flags: str) -> int:
    """Run one part of the benchmark as a program: measure, show the rows, write JSON if requested.

    Args:
        rows: the part; takes ``quick`` and the flags as keywords.
        doc: description of the program.
        flags: help of further flags that take a file.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in flags.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=text)
    parser.add_argument("--quick", action="store_true", help="small cases: shows that it runs, not how fast")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    arguments = vars(parser.parse_args())
    path = arguments.pop("json")
    made = rows(**arguments)
    for row in made:
        print_row(row)
    if path:
        write_json(path, made)
    return 0


def peak_bytes() -> int:
    """Return the peak resident memory of this process.

    On Linux not ``ru_maxrss``: a child starts with the peak of the parent that forked it, which hides its own growth.
    """
    status = Path("/proc/self/status")
    if status.exists():
        return 1024 * int(status.read_text().split("VmHWM:")[1].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def print_growth(work: Callable[[], object]) -> None:
    """Print the GiB by which the peak resident memory grows during ``work``, and its seconds."""
    before, seconds = peak_bytes(), clock(work)
    print((peak_bytes() - before) / 2**30, seconds)


def anonymous_bytes() -> int:
    """Return the resident memory of this process (Linux) without the pages of mapped files, which can be dropped."""
    return 1024 * int(Path("/proc/self/status").read_text().split("RssAnon:")[1].split()[0])


@contextmanager
def watched_growth() -> Iterator[Callable[[], float]]:
    """Watch the anonymous memory; the function that is yielded returns the growth of its peak so far, in GiB."""
    start = peak = anonymous_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.005):
            peak = max(peak, anonymous_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield lambda: (max(peak, anonymous_bytes()) - start) / 2**30
    finally:
        done.set()
        watcher.join()


def growth_in_process(call: str, least: float = 0.0) -> tuple[float, float]:
    """Return the growth in GiB and the seconds that ``module.function(…)`` prints in a separate process."""
    line = [sys.executable, "-c", f"import {call.partition('.')[0]}; {call}"]
    process = subprocess.run(line, cwd=Path(__file__).resolve().parent, check=True, capture_output=True, text=True)
    growth, seconds = (float(part) for part in process.stdout.split())
    if not growth > least:
        raise AssertionError(f"{call} grew by {growth:.3f} GiB, not by over {least:.3f}: the measurement is broken")
    return growth, seconds


class Reporter:
    """Printer of results, which appends each to gpu.jsonl at once."""

    def __init__(self, out: Path, part: str) -> None:
        self.path, self.part = out / "gpu.jsonl", part

    def __call__(self, what: str, **numbers: Any) -> None:
        row = {"part": self.part, "what": what, **numbers}
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        print(line_of(row), flush=True)

    @contextmanager
    def attempt(self, what: str, limit: float = 0) -> Iterator[None]:
        """Report an error of the block, or that it takes longer than ``limit`` seconds (0: no limit)."""

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
    """Format a result as a line of the table."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return " ".join(map(text, value))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    numbers = ", ".join(f"{name} {text(value)}" for name, value in row.items() if name not in ("part", "what"))
    return f"{row['part']:8} | {row['what']} | {numbers}"


def seconds_of(work: Callable[[], Any], repeats: int = 1) -> float:
    """Return the smallest time of ``repeats`` runs, with waits for the device."""
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
    """Measure the operations per second of a square matrix product of random numbers."""
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
    """Reset the peak of memory."""
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_gib() -> float | None:
    """Return the peak memory of tensors on the GPU since the last reset, in GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if DEVICE.type == "cuda" else None
