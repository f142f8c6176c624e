"""Comparison of the reference's result with ours for one pair of models."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlalign.arithmetic import exact_float32
from vlalign.arrays import whole
from vlalign.environment import environment
from vlalign.errors import VlalignError
from vlalign.metrics.engine.neighbours import knn
from vlalign.metrics.registry import parse_metric
from vlalign.reproduce.differences import Difference, Explanation, largest
from vlalign.reproduce.platonic import check_request, check_widths, reference_alignment
from vlalign.scoring.inputs import Features, Side, check_pairing
from vlalign.scoring.preprocessing import prepare_platonic
from vlalign.scoring.record import write_json

QUANTILES = ("exact", "mean")


@dataclass(frozen=True)
class Reproduction:
    """Both results. Plain JSON values; ``save`` writes them, with null for NaN."""

    x: dict[str, Any]  # as in a score record
    y: dict[str, Any]
    metric: dict[str, Any]  # name, and ``k`` where it has neighbours
    quantile: str  # clip threshold of the reference: "exact" (--precise) or "mean" (its default)
    pairing: dict[str, Any]
    n: int
    axes: dict[str, list[dict[str, Any]]]  # x and y: index, name, width, convention of each layer
    reference: dict[str, Any]  # score, indices [y, x] or null, matrix [Ly][Lx], clip {x, y}
    ours: dict[str, Any]  # score, best {x, y: position, index, name}, matrix [Lx][Ly], clip {x, y}
    apart: dict[str, Any]  # all layer pairs, number that differ, largest |difference|, of the uncorrected values
    differences: list[Difference]
    environment: dict[str, Any]
    format: int = 1

    def save(self, path: str | Path) -> Path:
        """Write as JSON, whole or not at all; returns the path.

        Raises:
            VlalignError: if the file cannot be written.
        """
        return write_json(path, asdict(self), "reproduction")


@exact_float32()
def reproduce(
    x: Features, y: Features, *, metric: str = "mutual_knn", k: int = 10, quantile: str = "exact"
) -> Reproduction:
    """Compute the result of the reference's command for model x against model y
    (:mod:`vlalign.reproduce.platonic`), and compare it with ours.

    Args:
        x, y: as :func:`vlalign.score`; the layers of a model must have one width. Runs are paired by id.
        metric, k: a metric that both have, and its neighbours.
        quantile: clip threshold of the reference: "exact" or "mean". Ours is always exact.

    Returns:
        Both results and the list of differences that apply to this input, each with its reason.

    Raises:
        VlalignError: as :func:`vlalign.score` and :func:`vlalign.reproduce.platonic.reference_alignment`.

    >>> import torch
    >>> features = torch.randn(40, 3, 8, generator=torch.Generator().manual_seed(0))
    >>> result = reproduce(features, features.flip(1), k=5)
    >>> result.reference["score"], result.reference["indices"], result.ours["best"]["y"]["position"]
    (1.0, [0, 2], 2)
    >>> [difference.what for difference in result.differences]
    ['stored layer indices', 'best layer pair', 'float32 rounding']
    """
    if quantile not in QUANTILES:
        raise VlalignError(f"quantile must be {' or '.join(QUANTILES)}, got {quantile!r}")
    sides = Side(x, "x"), Side(y, "y")
    by = check_pairing(*sides)
    n = sides[0].n
    check_request(metric, n, k)
    chosen = parse_metric(metric, k=k)
    for side in sides:
        widths = [int(entry["width"]) for entry in side.axis]
        check_widths(widths, side.model)
        chosen.check(n, widths)
    layers = []
    for side in sides:
        if by == "id":
            assert sides[0].ids is not None
            side.put_in_order(sides[0].ids)
        side.hold()
        layers.append([whole(side.load(i)) for i in range(len(side.axis))])
        side.release()
    x_layers, y_layers = layers
    axes = [side.axis for side in sides]
    (x_scored, clip_x), (y_scored, clip_y) = map(prepare_platonic, layers)
    ready = [[chosen.prepare(layer) for layer in side] for side in (x_scored, y_scored)]
    ours = turned = chosen.grid(*ready)
    if not chosen.info.symmetric:  # with the same neighbours of each side
        turned = chosen.grid(*([layer.turned() for layer in side] for side in ready[::-1])).T
    precise = quantile == "exact"
    reference = reference_alignment(x_layers, y_layers, metric, k, precise)
    lists = None
    if reference.neighbours is not None:
        named = (("x", x_scored), ("y", y_scored))
        lists = tuple([knn(layer, k, side=name).cpu() for layer in side] for name, side in named)
    explanation = Explanation(
        name=metric,
        k=k,
        reference=reference,
        exact=reference if precise else reference_alignment(x_layers, y_layers, metric, k),
        tf32=None if precise else reference_alignment(x_layers, y_layers, metric, k, precise, tf32=True),
        ours=ours,
        turned=turned,
        clip=(clip_x, clip_y),
        layers=(x_scored, y_scored),
        lists=lists,
        axes=axes,
    )
    apart = np.abs(reference.matrix.T - ours)
    best = dict(zip("xy", explanation.best, strict=True))
    return Reproduction(
        x=sides[0].describe(),
        y=sides[1].describe(),
        metric={"name": metric, "k": k if "k" in chosen.params else None},
        quantile=quantile,
        pairing={"by": by, "reordered": by == "id" and sides[0].ids != sides[1].ids},
        n=n,
        axes={"x": axes[0], "y": axes[1]},
        reference={
            "score": reference.score,
            "indices": None if reference.indices is None else list(reference.indices),
            "matrix": [[None if np.isnan(value) else float(value) for value in row] for row in reference.matrix],
            "clip": dict(zip("xy", reference.clip, strict=True)),
        },
        ours={
            "score": float(ours[explanation.best]),
            "best": {
                side: {"position": at, "index": axis[at]["index"], "name": axis[at]["name"]}
                for (side, at), axis in zip(best.items(), axes, strict=True)
            },
            "matrix": ours.tolist(),
            "clip": {"x": clip_x, "y": clip_y},
        },
        apart={"pairs": ours.size, "differ": int((apart > 0).sum()), "largest": largest(apart)},
        differences=list(explanation.differences()),
        environment=environment(),
    )
