"""Alignment of every pair against metrics called by hand on activations of torch.nn modules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from support.synthetic import hidden, member, small
from torch import Tensor
from torch.nn.functional import normalize

from vlalign import metrics
from vlalign.errors import VlalignError
from vlalign.synthetic import SyntheticConfig, SyntheticData, make_data
from vlalign.synthetic import align as synthetic_align
from vlalign.synthetic.align import alignment_rows
from vlalign.synthetic.cells import Cell, EncoderFiles, Encoders, all_cells, shape_of
from vlalign.synthetic.encoder import initialise, pack

METRICS: dict[str, Callable[[Tensor, Tensor], float]] = {
    "unbiased_cka": metrics.unbiased_cka,
    "mutual_knn:k=5": partial(metrics.mutual_knn, k=5),
    "cka": metrics.cka,
    "cycle_knn:k=5": partial(metrics.cycle_knn, k=5),
    "rsa": metrics.rsa,
}
GRIDS: dict[str, dict[str, Any]] = {
    "small": {"depths": (1, 3)},
    "three modalities, widths": {"modalities": 3, "unique_bits": 3, "widths": (4, 9), "seeds": (0,), "depths": (2,)},
    "a reference for each φ": {"reference_per_phi": True, "seeds": (0,), "depths": (1, 2)},
    "all transformed, noise": {"phi_on": "all", "noise": 0.3, "seeds": (0,), "nonlinearity": "tanh"},
}


def untrained(config: SyntheticConfig) -> tuple[EncoderFiles, Callable[[int], SyntheticData]]:
    """Encoders as they are drawn, with made-up accuracies, and the data of each U."""
    files = EncoderFiles(config)
    count = len(config.uniqueness)
    for i, cell in enumerate(all_cells(config)):
        ensemble, _ = initialise(shape_of(config, cell), [100 * i + m for m in range(count)])
        accuracy = torch.tensor([[i, i + 0.1 * m, i + 0.25] for m in range(count)], dtype=torch.float64) / 100
        files.save(cell, Encoders(pack(ensemble), accuracy, torch.arange(count) + i))
    kept = {uniqueness: make_data(config, uniqueness) for uniqueness in config.uniqueness}
    return files, kept.__getitem__


def layers_of(files: EncoderFiles, data: SyntheticData, cell: Cell, place: int) -> list[Tensor]:
    """Activations of one encoder on the first test samples, rows of length 1."""
    features = data.features(cell.modality, cell.phi_depth)
    x = features[torch.from_numpy(data.splits["test"][: files.config.align_samples])]
    network = member(files.load(cell).ensemble(files.config, cell), place)
    return [normalize(layer, dim=1) for layer in hidden(network, x)]


@pytest.mark.parametrize("name", GRIDS)
def test_rows_are_the_largest_values_of_layer_pairs(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers are those of each encoder alone but for rounding, the values those of the very layers.

    Ranks of distances and nearest neighbours of almost equal rows may depend on how a layer is rounded.
    """
    config = small(tmp_path, **GRIDS[name], metrics=tuple(METRICS))
    files, data = untrained(config)
    used: dict[tuple[Cell, int], list[Tensor]] = {}

    def kept(config: SyntheticConfig, encoders: Any, data: SyntheticData, cells: list[Cell], place: int) -> Any:
        layers = original(config, encoders, data, cells, place)
        used.update({(cell, data.uniqueness): its for cell, its in zip(cells, layers, strict=True)})
        return layers

    original = synthetic_align._layers
    monkeypatch.setattr(synthetic_align, "_layers", kept)
    rows = alignment_rows(config, files, data)
    seen = set()
    for row in rows:
        place = config.uniqueness.index(row["uniqueness"])
        phi = row["phi_depth"]
        reference_phi = phi if config.phi_on == "all" or config.reference_per_phi else 0
        reference = Cell(0, row["reference_depth"], row["width"], row["seed"], reference_phi)
        other = Cell(row["modality"] - 1, row["depth"], row["width"], row["seed"], phi)
        seen.add((row["uniqueness"], reference, other))
        sides = [used[cell, row["uniqueness"]] for cell in (reference, other)]
        for cell, side in zip((reference, other), sides, strict=True):
            for layer, alone in zip(side, layers_of(files, data(row["uniqueness"]), cell, place), strict=True):
                torch.testing.assert_close(layer, alone, atol=1e-5, rtol=0)
        assert [len(side) for side in sides] == [row["reference_depth"], row["depth"]]
        for metric, function in METRICS.items():
            values = {
                (i, j): function(sides[0][i - 1], sides[1][j - 1])
                for i, j in product(*(range(1, len(side) + 1) for side in sides))
            }
            assert row[metric] == pytest.approx(max(values.values()), abs=2e-6)
            found = values[row[f"{metric} reference_layer"], row[f"{metric} layer"]]
            assert found == pytest.approx(row[metric], abs=2e-6)
        own = files.load(other)
        assert [row["train"], row["valid"], row["test"]] == own.accuracy[place].tolist()
        assert row["epoch"] == int(own.epoch[place])
        assert row["reference_test"] == float(files.load(reference).accuracy[place, 2])
    others = (config.modalities - 1) * len(config.phi_depths) * len(config.hidden) * len(config.seeds)
    assert len(rows) == len(seen) == others * len(config.depths) ** 2 * len(config.uniqueness)


def test_other_samples_are_of_no_effect(tmp_path: Path) -> None:
    config = small(tmp_path)
    files, data = untrained(config)

    def changed(uniqueness: int) -> SyntheticData:
        found = data(uniqueness)
        states = found.states.copy()
        states[found.splits["test"][config.align_samples :]] = 0
        return replace(found, states=states)

    assert alignment_rows(config, files, changed) == alignment_rows(config, files, data)


def test_an_encoder_is_aligned_with_itself(tmp_path: Path) -> None:
    """The same weights on the same features for both modalities."""
    config = small(tmp_path, phi_on="all", seeds=(0,), depths=(2,))
    files, data = untrained(config)
    for cell in all_cells(config):
        if cell.modality:
            files.save(cell, files.load(Cell(0, cell.depth, cell.width, cell.seed, cell.phi_depth)))

    class Same(SyntheticData):
        """Gives every modality what modality 1 sees."""

        def inputs(self, modality: int, phi_depth: int) -> Any:
            return super().inputs(0, phi_depth)

    for row in alignment_rows(config, files, lambda u: Same(**vars(data(u)))):
        for metric in config.metrics:
            assert row[metric] == pytest.approx(1)
            assert row[f"{metric} layer"] == row[f"{metric} reference_layer"]


def test_threads_are_of_no_effect(tmp_path: Path) -> None:
    config = small(tmp_path)
    files, data = untrained(config)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = alignment_rows(config, files, data)
        torch.set_num_threads(2)
        assert alignment_rows(config, files, data) == one
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)


def test_a_missing_cell_is_named(tmp_path: Path) -> None:
    config = small(tmp_path)
    files, data = untrained(config)
    gone = all_cells(config)[-1]
    files.path(gone).unlink()
    with pytest.raises(VlalignError, match=gone.name):
        alignment_rows(config, files, data)
