"""Measure vlalign on one GPU: extraction, neighbours, scores, training steps, and whether results equal the CPU's.

  python benchmarks/gpu.py --data flickr8k_1024.parquet --out gpu-results
  python benchmarks/gpu.py --only scores --out gpu-results
  python benchmarks/gpu.py --tiny --out gpu-results     # small sizes, without a GPU too: shows that it runs

It needs no network: models have the published shapes and random weights. Without --data the built-in emoji are read.
Each part runs in a separate process with a time limit, so that one that crashes loses nothing of the others, and all
parts together stay under six minutes on an H100. Every result is printed and appended to gpu.jsonl in the folder --out
at once; gpu.txt there is the table of them, gpu.log what the libraries wrote.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from gpu_checks import checks
from gpu_extraction import text_part, vision
from gpu_scores import scores
from gpu_studies import studies
from measure import DEVICE, Reporter, line_of, matmul_rate, seconds_of

from vlalign.data import DataSpec
from vlalign.environment import environment

LIMITS = {"machine": 40, "checks": 80, "llama": 90, "vision": 110, "scores": 130, "studies": 60, "bloomz": 60}
"""Time limits of the parts in seconds, in the order in which they run."""


def machine(report: Reporter, data: DataSpec, tiny: bool) -> None:
    """Report the card, versions, rates of matrix products, and bandwidths."""
    here = environment()
    report("environment", accelerators=here["accelerators"], git=here["git"], python=here["python"], **here["packages"])
    rates = {"bfloat16": matmul_rate(torch.bfloat16, tiny), "float32": matmul_rate(torch.float32, tiny)}
    rates["float32 as TF32"] = matmul_rate(torch.float32, tiny, tf32=True)
    report("matrix product, TFLOP/s", **{name: value / 1e12 for name, value in rates.items()})
    block = torch.randn(2**20 if tiny else 2**29, device=DEVICE)
    report("copy on the device, GB/s read and written", rate=8 * block.numel() / seconds_of(block.clone, 5) / 1e9)
    part = block[: len(block) // 4]
    report("copy to pageable memory, GB/s", rate=4 * part.numel() / seconds_of(part.cpu, 2) / 1e9)
    with tempfile.TemporaryFile() as file:
        content = os.urandom(2**20) * (4 if tiny else 512)

        def write() -> None:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

        report("writing to disk, GB/s", rate=len(content) / seconds_of(write) / 1e9)
    cores, threads = os.cpu_count(), torch.get_num_threads()
    report("processor", cores=cores, threads=threads, cudnn_tf32=torch.backends.cudnn.allow_tf32)


PARTS: dict[str, Callable[[Reporter, DataSpec, bool], None]] = {
    "machine": machine,
    "checks": checks,
    "llama": text_part("llama-7b", real=False),
    "vision": vision,
    "scores": scores,
    "studies": studies,
    "bloomz": text_part("bloomz-560m", real=True),
}


def run_parts(parts: list[str], arguments: list[str], out: Path, total: float, tiny: bool) -> None:
    """Run each part in a separate process; one that fails or takes too long becomes a result."""
    begin = time.perf_counter()
    for part in parts:
        start = time.perf_counter()
        report = Reporter(out, part)
        limit = total - (start - begin)
        if limit < 10:
            report("the part", skipped=f"the time of all parts, {total:g} s, is used up")
            continue
        if not tiny:
            limit = min(limit, LIMITS[part])
        with (out / "gpu.log").open("a+", encoding="utf-8") as log:
            log.write(f"== {part}\n")
            log.flush()
            process = subprocess.Popen([sys.executable, __file__, *arguments, "--part", part], stderr=log)
            try:
                if process.wait(limit):
                    log.seek(0)
                    report("the part", failed=log.read().strip().splitlines()[-1][:300])
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                report("the part", stopped=f"after {limit:.0f} s")
        report("the part", seconds=time.perf_counter() - start)


def main() -> int:
    """Measure, print, write gpu.jsonl and gpu.txt."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="builtin:emoji", metavar="FILE", help="a data set with images and captions")
    parser.add_argument("--out", default="gpu-results", metavar="FOLDER", help="folder of the results")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--seconds", type=float, default=350, help="time limit of all parts (default: 350)")
    parser.add_argument("--tiny", action="store_true", help="small sizes: shows that it runs, not how fast")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    out = Path(arguments.out)
    out.mkdir(parents=True, exist_ok=True)
    if arguments.part:
        logging.basicConfig(level=logging.WARNING)
        logging.getLogger("vlalign").setLevel(logging.INFO)
        data = DataSpec(arguments.data, max_samples=8 if arguments.tiny else 1024)
        PARTS[arguments.part](Reporter(out, arguments.part), data, arguments.tiny)
        return 0
    results = out / "gpu.jsonl"
    results.unlink(missing_ok=True)
    run_parts(arguments.only, sys.argv[1:], out, arguments.seconds, arguments.tiny)
    rows = map(json.loads, results.read_text(encoding="utf-8").splitlines())
    (out / "gpu.txt").write_text("".join(f"{line_of(row)}\n" for row in rows), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
