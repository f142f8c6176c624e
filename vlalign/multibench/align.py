"""Alignment of all encoders of a modality with the best encoder of each other modality: every layer pair."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from vlalign.metrics import parse_metric
from vlalign.metrics.base import Floats, normalise_rows
from vlalign.metrics.engine.threads import map_layers
from vlalign.multibench.cells import Cell, EncoderFiles, TrainedEncoder
from vlalign.multibench.config import MultibenchConfig
from vlalign.multibench.encoder import stack
from vlalign.multibench.train import Samples, states_of
from vlalign.scoring.preprocessing import clip, clip_threshold
from vlalign.study.cells import grouped
from vlalign.study.progress import StudyProgress

Row = dict[str, Any]


def best_cells(encoders: Mapping[Cell, TrainedEncoder]) -> dict[str, Cell]:
    """Return the encoder of each modality with the best (first of equal) performance on the validation split."""
    best: dict[str, Cell] = {}
    for member, trained in encoders.items():
        if member.modality not in best or trained.performance[1] > encoders[best[member.modality]].performance[1]:
            best[member.modality] = member
    return best


def align(
    config: MultibenchConfig,
    files: EncoderFiles,
    encoders: Mapping[Cell, TrainedEncoder],
    samples: Callable[[str], Samples],
    *,
    progress: bool = False,
) -> tuple[list[Row], list[Row]]:
    """Compare every encoder with the best ones of the other modalities.

    A state after a layer is clipped at ± the ``clip_quantile`` of its absolute values and its rows are L2-normalised
    (released code of arXiv 2502.16282). Every layer is prepared once for each metric.

    Args:
        config, files: of the run.
        encoders: of the whole grid, in its order.
        samples: returns the samples of a modality that alignment is measured on.
        progress: show a bar.

    Returns:
        Rows of the alignment table and of the layers table, see :class:`vlalign.multibench.results.MultibenchResult`.
    """
    metrics = [parse_metric(name) for name in config.metrics]
    best = best_cells(encoders)

    def prepared(group: Sequence[Cell]) -> list[list[list[Any]]]:
        """Return what each metric prepares of every layer, for each encoder of one shape."""
        inputs = samples(group[0].modality)
        ensemble = stack(files.shape(group[0]), [encoders[member].state for member in group], inputs.x.device)
        states = [layer.cpu() for layer in states_of(ensemble, inputs)]
        ready = [[_ready(layer[m], config.clip_quantile, member) for layer in states] for m, member in enumerate(group)]
        return [[[metric.prepare(layer) for layer in layers] for metric in metrics] for layers in ready]

    references = dict(
        zip(best, (kept[0] for kept in map_layers(prepared, [[one] for one in best.values()])), strict=True)
    )

    def work(group: list[Cell]) -> list[tuple[Row, list[Row]]]:
        parts = []
        for member, kept in zip(group, prepared(group), strict=True):
            others = [name for name in references if name != member.modality]
            grids = {
                name: [m.grid(layers, its) for m, layers, its in zip(metrics, kept, references[name], strict=True)]
                for name in others
            }
            parts += [_rows(config, member, encoders, best[name], grids[name]) for name in others]
            bar.advance()
        return parts

    groups = grouped(encoders, lambda member: (member.modality, member.depth))
    with StudyProgress.over(len(encoders), "aligning", progress) as bar:
        parts = [part for parts in map_layers(work, groups) for part in parts]
    return [row for row, _ in parts], [layer for _, layers in parts for layer in layers]


def _ready(layer: Tensor, quantile: float, member: Cell) -> Tensor:
    if quantile < 1:
        layer = clip(layer, clip_threshold(lambda: [layer], quantile) or None)
    return normalise_rows(layer, f"the states of {member.title}")[0]


def _rows(
    config: MultibenchConfig,
    member: Cell,
    encoders: Mapping[Cell, TrainedEncoder],
    reference: Cell,
    grids: Sequence[Floats],
) -> tuple[Row, list[Row]]:
    train, valid, test = encoders[member].performance
    which = {"modality": member.modality, "reference": reference.modality, "depth": member.depth, "seed": member.seed}
    row: Row = {
        **which, "reference_depth": reference.depth, "reference_seed": reference.seed,
        "train": train, "valid": valid, "test": test,
    }  # fmt: skip
    layers = []
    for name, values in zip(config.metrics, grids, strict=True):
        x, y = np.unravel_index(int(values.argmax()), values.shape)
        row |= {name: float(values[x, y]), f"{name} layer": int(x) + 1, f"{name} reference_layer": int(y) + 1}
        layers += [
            {**which, "metric": name, "layer": i + 1, "reference_layer": j + 1, "value": float(value)}
            for (i, j), value in np.ndenumerate(values)
        ]
    return row, layers
