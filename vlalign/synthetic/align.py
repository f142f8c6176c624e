"""Alignment between the encoders of modality 1 and those of the others: every layer pair, the largest kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vlalign.metrics import Metric, parse_metric
from vlalign.metrics.layers import map_layers
from vlalign.score.prepare import normalise_rows
from vlalign.synthetic.cells import Cell, CellFiles, Encoders, all_cells
from vlalign.synthetic.config import SyntheticConfig
from vlalign.synthetic.data import SyntheticData

Row = dict[str, Any]


def alignment_rows(
    config: SyntheticConfig, files: CellFiles, data: Callable[[int], SyntheticData], progress: bool = False
) -> list[Row]:
    """One row for each pair of an encoder of modality 1 and one of another modality, both of one U, φ, seed and width.

    Alignment is the largest value over all pairs of layers, of activations on the first ``align_samples`` samples of
    the test split with L2-normalised rows (reference: arXiv 2502.16282, released code, no clipping).

    Args:
        config, files: of the run; all cells are there.
        data: gives the samples of a U.
        progress: show a bar.

    Returns:
        Rows as :func:`vlalign.synthetic.results.make_table` takes them, in the order of the grid.
    """
    from tqdm import tqdm

    metrics = [parse_metric(name) for name in config.metrics]
    jobs = list(_jobs(config))
    bar = tqdm(total=len(jobs), disable=not progress, desc="aligning", mininterval=0.5, dynamic_ncols=True)

    def work(job: tuple[list[Cell], list[Cell], int]) -> list[Row]:
        found = _align(config, files, data(job[2]), metrics, *job)
        bar.update()
        return found

    with bar:
        return [row for rows in map_layers(work, jobs) for row in rows]


def _jobs(config: SyntheticConfig) -> Iterator[tuple[list[Cell], list[Cell], int]]:
    """Cells of modality 1 and of another modality that are compared with each other, and a U."""
    cells: dict[tuple[int, int, int, int], list[Cell]] = {}
    for cell in all_cells(config):
        cells.setdefault((cell.modality, cell.seed, cell.width, cell.phi_depth), []).append(cell)
    for (modality, seed, width, phi), group in cells.items():
        if modality:
            reference = cells[0, seed, width, phi if config.has_phi(0) else 0]
            for u in config.uniqueness:
                yield reference, group, u


def _align(
    config: SyntheticConfig,
    files: CellFiles,
    data: SyntheticData,
    metrics: Sequence[Metric],
    reference: list[Cell],
    group: list[Cell],
    uniqueness: int,
) -> list[Row]:
    place = config.uniqueness.index(uniqueness)
    encoders = {cell: files.load(cell) for cell in (*reference, *group)}
    sides = [_layers(config, encoders, data, cells, place) for cells in (reference, group)]
    grids = [_blocks(metric, *sides) for metric in metrics]
    rows = []
    for j, cell in enumerate(group):
        own = encoders[cell]
        train, valid, test = own.accuracy[place].tolist()
        for i, other in enumerate(reference):
            row: Row = {
                "seed": cell.seed,
                "uniqueness": uniqueness,
                "modality": cell.modality + 1,
                "phi_depth": cell.phi_depth,
                "width": cell.width,
                "depth": cell.depth,
                "reference_depth": other.depth,
                "train": train,
                "valid": valid,
                "test": test,
                "epoch": int(own.epoch[place]),
                "reference_test": float(encoders[other].accuracy[place, 2]),
            }
            for name, grid in zip(config.metrics, grids, strict=True):
                values = grid[i][j]
                at = np.unravel_index(int(values.argmax()), values.shape)
                row[name] = float(values[at])
                row[f"{name} reference_layer"], row[f"{name} layer"] = (int(position) + 1 for position in at)
            rows.append(row)
    return rows


def _layers(
    config: SyntheticConfig, encoders: dict[Cell, Encoders], data: SyntheticData, cells: list[Cell], place: int
) -> list[list[Tensor]]:
    """Prepared activations [n, width] of each layer of each cell's encoder at one U."""
    rows, codes = data.inputs(cells[0].modality, cells[0].phi_depth)
    x = rows[torch.from_numpy(codes[data.splits["test"][: config.align_samples]])]
    x = torch.cat([x, torch.ones(len(x), 1)], dim=1).unsqueeze(0)
    found = []
    for cell in cells:
        stack = encoders[cell].stack(config, cell, slice(place, place + 1))
        found.append([normalise_rows(h[0], cell.title(data.uniqueness))[0] for h in stack.activations(x)])
    return found


def _blocks(metric: Metric, x: list[list[Tensor]], y: list[list[Tensor]]) -> list[list[np.ndarray]]:
    """Values [Lx, Ly] of each pair of encoders; every layer is prepared once and all pairs are one grid."""
    values = metric.grid(
        [metric.prepare(layer) for layers in x for layer in layers],
        [metric.prepare(layer) for layers in y for layer in layers],
    )
    ends = [np.cumsum([len(layers) for layers in side])[:-1] for side in (x, y)]
    return [np.split(band, ends[1], axis=1) for band in np.split(values, ends[0], axis=0)]
