"""Alignment by layer for every pool of a text model: the figure of docs/pooling.md.

Makes runs with the pools mean and mean-nosink (kept if they exist), scores them with a vision run of the same store,
and draws the largest value over the vision layers against the text layer, with how uneven the norms of tokens are.

    vlalign demo
    python benchmarks/pooling.py --store demo/features --vision demo-dinov2-small --figure pooling.png \
        --model ~/.cache/vlalign/models/smollm2-135m-0.1.2
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from vlalign import FeatureStore, ScoreRecord, extract, score
from vlalign.data import DataSpec
from vlalign.display.figures import COLOURS
from vlalign.extraction.pools import TextPool

POOLS: tuple[TextPool, ...] = ("mean", "mean-nosink")


def draw(records: dict[TextPool, ScoreRecord], ratios: list[float], path: Path) -> None:
    """Draw the largest value over the vision layers by text layer, above the ratio of norms."""
    import matplotlib.pyplot as plt

    figure, (above, below) = plt.subplots(
        2, 1, figsize=(7.2, 4.8), sharex=True, height_ratios=(2, 1), layout="constrained"
    )
    names = [layer["name"] for layer in records[POOLS[0]].axes["y"]]
    for (pool, record), colour in zip(records.items(), COLOURS, strict=False):
        above.plot([max(column) for column in zip(*record.matrix, strict=True)], "-o", ms=3.5, color=colour, label=pool)
    first = records[POOLS[0]]
    above.axhline(float(first.chance or 0), color=COLOURS[2], lw=1, ls=":", label="chance")
    above.set_ylabel("mutual kNN, k = 10\n(best vision layer)")
    above.set_ylim(0)
    above.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 0.12))
    below.semilogy(ratios, "-o", ms=3.5, color=COLOURS[2])
    below.set_ylabel("largest / median\nnorm of a token")
    below.set_xticks(range(0, len(names), 2), names[::2], rotation=60, ha="right", fontsize=8)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(f"{first.y['model']} × {first.x['model']}, N = {first.n:,}", fontsize=10)
    figure.savefig(path, dpi=150)


def main(
    *,
    model: str,
    vision: str,
    store: str = "features",
    data: str = "builtin:emoji",
    max_samples: Annotated[int, Parameter(name="--max-samples")] = 1024,
    figure: Path = Path("pooling.png"),
) -> None:
    """Extract, score and draw.

    Args:
        model: text model
        vision: vision run of the store
        store: folder of the feature store
        data: data set that the vision run is of
        max_samples: samples that the vision run is of
        figure: file of the figure
    """
    runs = extract(model, data=DataSpec(data, max_samples=max_samples), store=store, text_pool=POOLS, progress=True)
    other = FeatureStore(store).find(vision)
    records = {pool: score(other, run) for pool, run in zip(POOLS, runs, strict=True)}
    norms = runs[0].layer_norms or []
    draw(records, [layer.ratio for layer in norms], figure)
    print(f"{'layer':12s} {'ratio':>7s} {'share':>6s}  " + "  ".join(POOLS))
    for j, layer in enumerate(norms):
        values = "  ".join(f"{max(row[j] for row in record.matrix):.4f}" for record in records.values())
        print(f"{layer.layer:12s} {layer.ratio:7.1f} {layer.share:6.1%}  {values}")
    print(f"figure {figure}")


if __name__ == "__main__":
    cyclopts.run(main)
