"""Give the raw score and layer indices of a reference implementation, beside ours, with the reason for each difference.

"platonic" is the released code of the Platonic Representation Hypothesis (github.com/minyoungg/platonic-rep,
measure_alignment.py with X as a model of --modality_x and Y of --modality_y), computed here from the same features.

  vlalign reproduce platonic llama-7b dinov2-small
  vlalign reproduce platonic llama-7b dinov2-small --quantile mean
  vlalign reproduce platonic llama-7b dinov2-small --store features --metric cka --json > reproduction.json
"""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge

from vlalign.cli.output import Json, show_json
from vlalign.config import Folder


def run(
    reference: Literal["platonic"],
    x: str,
    y: str,
    /,
    *,
    store: Folder = "features",
    metric: str = "mutual_knn",
    k: Annotated[int, Ge(1)] = 10,
    quantile: Literal["exact", "mean"] = "exact",
    json: Json = False,
) -> None:
    """Compute both and show them side by side.

    Args:
        reference: implementation to reproduce
        x: run: model name, or name@digits (see `vlalign runs`)
        y: likewise
        store: folder of the feature store
        metric: metric that both have
        k: number of neighbours (the reference's --topk)
        quantile: clip threshold of the reference: exact is its --precise, as published numbers used; mean, of each
            sample's 0.95 quantile, is what its command does without that flag
    """
    from dataclasses import asdict

    from vlalign.report.console import console
    from vlalign.report.reproduce import show_reproduction
    from vlalign.reproduce.compare import reproduce
    from vlalign.store import FeatureStore

    features = FeatureStore(store)
    result = reproduce(features.find(x), features.find(y), metric=metric, k=k, quantile=quantile)
    if json:
        show_json(asdict(result))
    else:
        show_reproduction(result, console())


if __name__ == "__main__":
    from vlalign.cli import run_verb

    raise SystemExit(run_verb("reproduce"))
