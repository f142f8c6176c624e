"""Alignment between the encoders of modality 1 and those of the others: every layer pair, the largest kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.metrics import parse_metric
from vlalign.metrics.base import Floats, normalise_rows
from vlalign.metrics.engine.threads import map_layers
from vlalign.study.cells import grouped
from vlalign.study.progress import StudyProgress
from vlalign.synthetic.cells import Cell, EncoderFiles, Encoders, all_cells
from vlalign.synthetic.config import SyntheticConfig
from vlalign.synthetic.data import SyntheticData
from vlalign.synthetic.encoder import activations

Row = dict[str, Any]
Job = tuple[list[Cell], list[list[Cell]], int]


def alignment_rows(
    config: SyntheticConfig, files: EncoderFiles, data: Callable[[int], SyntheticData], progress: bool = False
) -> list[Row]:
    """Return a row for each pair of an encoder of modality 1 and one of another modality, of one U, φ, seed and width.

    Alignment is the largest value over all pairs of layers, of activations on the first ``align_samples`` samples of
    the test split with L2-normalised rows (reference: arXiv 2502.16282, released code, no clipping).

    Args:
        config, files: of the run, with all cells.
        data: returns the samples of a U.
        progress: show a bar.

    Returns:
        Rows of the table of :class:`vlalign.synthetic.results.SyntheticResult`, in any order.
    """
    metrics = {name: parse_metric(name) for name in config.metrics}
    jobs = list(_jobs(config))

    def prepared(encoders: list[list[Tensor]]) -> list[list[Any]]:
        """Return what each metric prepares of all layers of all encoders, one after the other."""
        return [[metric.prepare(layer) for layers in encoders for layer in layers] for metric in metrics.values()]

    def work(job: Job) -> list[Row]:
        """Return the rows of all groups of ``others`` at one U. Every layer is prepared once for each metric."""
        reference, others, uniqueness = job
        place, samples = config.uniqueness.index(uniqueness), data(uniqueness)
        known = {cell: files.load(cell) for cell in reference}
        first = _layers(config, known, samples, reference, place)
        ready, rows = prepared(first), []
        for cells in others:
            encoders = {cell: files.load(cell) for cell in cells}
            layers = _layers(config, encoders, samples, cells, place)
            grids = {
                name: _blocks(metric.grid(x, y), first, layers)
                for (name, metric), x, y in zip(metrics.items(), ready, prepared(layers), strict=True)
            }
            for j, cell in enumerate(cells):
                own = encoders[cell]
                train, valid, test = own.accuracy[place].tolist()
                for i, other in enumerate(reference):
                    row = {
                        "seed": cell.seed, "uniqueness": uniqueness, "modality": cell.modality + 1,
                        "phi_depth": cell.phi_depth, "width": cell.width, "depth": cell.depth,
                        "reference_depth": other.depth, "train": train, "valid": valid, "test": test,
                        "epoch": int(own.epoch[place]), "reference_test": float(known[other].accuracy[place, 2]),
                    }  # fmt: skip
                    for name, grid in grids.items():
                        row |= _largest(name, grid[i][j])
                    rows.append(row)
            bar.advance()
        return rows

    with StudyProgress.over(sum(len(others) for _, others, _ in jobs), "aligning", progress) as bar:
        return [row for rows in map_layers(work, jobs) for row in rows]


def _jobs(config: SyntheticConfig) -> Iterator[Job]:
    """Yield cells of modality 1, groups of cells that are compared with them, and a U."""
    groups: dict[tuple[int, int, int, int], list[Cell]] = {
        (group[0].modality, group[0].seed, group[0].width, group[0].phi_depth): group
        for group in grouped(all_cells(config), lambda cell: (cell.modality, cell.seed, cell.width, cell.phi_depth))
    }
    compared: dict[tuple[int, int, int], list[list[Cell]]] = {}
    for (modality, seed, width, phi), cells in groups.items():
        if modality:
            compared.setdefault((seed, width, phi if phi in config.phis(0) else 0), []).append(cells)
    for (seed, width, phi), others in compared.items():
        for u in config.uniqueness:
            yield groups[0, seed, width, phi], others, u


def _largest(name: str, values: Floats) -> Row:
    """Return the largest of the values [Lx, Ly] of a metric, and the layers (from 1) that have it."""
    x, y = np.unravel_index(int(values.argmax()), values.shape)
    return {name: float(values[x, y]), f"{name} reference_layer": int(x) + 1, f"{name} layer": int(y) + 1}


def _layers(
    config: SyntheticConfig, encoders: dict[Cell, Encoders], data: SyntheticData, cells: list[Cell], place: int
) -> list[list[Tensor]]:
    """Return normalised activations [n, width] of each layer of each cell's encoder at one U."""
    rows, codes = data.inputs(cells[0].modality, cells[0].phi_depth)
    x = rows[torch.from_numpy(codes[data.splits["test"][: config.align_samples]])]
    prepared = []
    for cell in cells:
        layers = activations(encoders[cell].ensemble(config, cell, slice(place, place + 1)), x.unsqueeze(0))
        prepared.append([normalise_rows(h[0], cell.title(data.uniqueness))[0] for h in layers])
    return prepared


def _blocks(values: Floats, x: list[list[Tensor]], y: list[list[Tensor]]) -> list[list[Floats]]:
    """Return the values [Lx, Ly] of each pair of encoders, from those of all layers of all encoders."""
    ends = [np.cumsum([len(layers) for layers in side])[:-1] for side in (x, y)]
    return [np.split(band, ends[1], axis=1) for band in np.split(values, ends[0], axis=0)]
