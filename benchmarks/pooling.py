"""Alignment by layer for the pools mean and mean-nosink of text models: the figure and the numbers of docs/pooling.md.

Makes the runs (kept if they exist), scores them with every vision model, tests the difference of the pools, and draws
the largest value over the vision layers against the text layer, above how uneven the norms of tokens are.

    python benchmarks/pooling.py --store features --vision demo-dinov2-small demo-efficientnet-lite0 \
        --model demo-smollm2-135m ./gemma-3-270m demo-minilm-l6 --figure pooling.png
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter

from vlalign import ScoreRecord, compare, extract, score
from vlalign.data import DataSpec
from vlalign.display.figures import COLOURS
from vlalign.extraction.pools import TextPool
from vlalign.store import Run

POOLS: tuple[TextPool, ...] = ("mean", "mean-nosink")
LINES = {"mean": ":", "mean-nosink": "-"}
_Models = Annotated[list[str], Parameter(consume_multiple=True)]


def by_layer(record: ScoreRecord) -> list[float]:
    """Return the largest value over the vision layers for each text layer."""
    return [max(column) for column in zip(*record.matrix, strict=True)]


def draw(records: dict[str, dict[tuple[str, str], ScoreRecord]], runs: dict[str, Run], path: Path) -> None:
    """Draw a column for each text model: values by layer with every vision model and pool, and the ratio of norms."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        2, len(records), figsize=(3.9 * len(records), 4.8), sharex="col", sharey="row", height_ratios=(2, 1),
        layout="constrained", squeeze=False,
    )  # fmt: skip
    for (name, pairs), above, below in zip(records.items(), *axes, strict=True):
        colours = dict(zip(dict.fromkeys(vision for vision, _ in pairs), COLOURS, strict=False))
        for (vision, pool), record in pairs.items():
            above.plot(
                by_layer(record), ls=LINES[pool], marker="o", ms=3, color=colours[vision], label=f"{vision}, {pool}"
            )
        first = next(iter(pairs.values()))
        above.axhline(float(first.chance or 0), color="0.5", lw=1, label="chance")
        above.set_title(f"{name}, N = {first.n:,}", fontsize=10)
        below.semilogy([layer.ratio for layer in runs[name].layer_norms or []], "-o", ms=3, color="0.35")
        names = [layer["name"] for layer in first.axes["y"]]
        step = 1 + len(names) // 16
        below.set_xticks(range(0, len(names), step), names[::step], rotation=60, ha="right", fontsize=8)
        for one in (above, below):
            one.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("mutual kNN, k = 10\n(best vision layer)")
    axes[0][0].set_ylim(0)
    axes[1][0].set_ylabel("largest / median\nnorm of a token")
    figure.legend(
        *axes[0][0].get_legend_handles_labels(), frameon=False, loc="outside lower center", ncols=3, fontsize=8
    )
    figure.savefig(path, dpi=120)


def main(
    *,
    model: _Models,
    vision: _Models,
    store: str = "features",
    data: str = "builtin:emoji",
    image_size: Annotated[int, Parameter(name="--image-size")] = 224,
    figure: Path = Path("pooling.png"),
) -> None:
    """Extract, score, compare and draw.

    Args:
        model: text models
        vision: vision models
        store: folder of the feature store
        data: data set
        image_size: of the vision models
        figure: file of the figure
    """
    spec = DataSpec(data)
    images = extract(tuple(vision), data=spec, store=store, image_size=image_size, progress=True)
    records: dict[str, dict[tuple[str, str], ScoreRecord]] = {}
    means: dict[str, Run] = {}
    for name in model:
        mean, without = extract(name, data=spec, store=store, text_pool=POOLS, loss=False, progress=True)
        title = mean.key.model
        means[title], records[title] = mean, {}
        for image in images:
            pair = {pool: score(image, run, permutations=0) for pool, run in zip(POOLS, (mean, without), strict=True)}
            records[title] |= {(image.key.model, pool): record for pool, record in pair.items()}
            comparison = compare(without, mean, reference=image)
            print("\n".join([*comparison.lines(), *layer_rows(mean, pair)]), flush=True)
            clear = sum(layer["q_value"] is not None and layer["q_value"] < 0.05 for layer in comparison.layers)
            print(f"{clear} of {len(comparison.layers)} layers differ at a false discovery rate of 5 %\n")
    draw(records, means, figure)
    print(f"figure {figure}")


def layer_rows(mean: Run, pair: dict[TextPool, ScoreRecord]) -> list[str]:
    """Return one line for each layer: norms, and the values of both pools."""
    columns = zip(mean.layer_norms or [], *map(by_layer, pair.values()), strict=True)
    return [f"{'layer':12s} {'ratio':>7s} {'share':>6s}  " + "  ".join(pair)] + [
        f"{norms.layer:12s} {norms.ratio:7.1f} {norms.share:6.1%}  {a:.4f}  {b:.4f}" for norms, a, b in columns
    ]


if __name__ == "__main__":
    cyclopts.run(main)
