"""Alignment against the loop that anyone would write: two modules, every layer pair, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from support.multibench_study import small, toy_data

from vlalign.metrics.definitions.cka import unbiased_cka
from vlalign.metrics.definitions.mutual_knn import mutual_knn
from vlalign.multibench import MultibenchResult, MultibenchStudy, load_encoder, open_prepared
from vlalign.multibench.align import best_cells
from vlalign.multibench.cells import Cell, TrainedEncoder

QUANTILE = 0.8


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> MultibenchResult:
    folder = tmp_path_factory.mktemp("align")
    config = small(toy_data(folder / "toy"), folder / "run", clip_quantile=QUANTILE, align_samples=32, depths=(1, 3))
    found = MultibenchStudy(config).run(report=False)
    assert found is not None
    return found


def states(result: MultibenchResult, modality: str, depth: int, seed: int) -> list[torch.Tensor]:
    """Cut, normalised states of every layer."""
    encoder = load_encoder(
        Path(result.config["out"]) / "encoders" / f"{modality}-depth{depth:02d}-seed{seed}.safetensors"
    )
    part = open_prepared(result.config["data"]).splits["test"]
    lengths = part.lengths[modality][:32] if modality in part.lengths else None
    with torch.no_grad():
        found = encoder.states(part.inputs[modality][:32], lengths)
    ready = []
    for h in found:
        ordered = h.abs().flatten().sort().values
        limit = float(ordered[int(QUANTILE * len(ordered))])
        ready.append(torch.nn.functional.normalize(h.clamp(-limit, limit), dim=1))
    return ready


def test_values_are_those_of_the_plain_loop(result: MultibenchResult) -> None:
    functions = {"unbiased_cka": unbiased_cka, "mutual_knn:k=5": lambda x, y: mutual_knn(x, y, 5)}
    for _, row in result.alignment.iterrows():
        own = states(result, row["modality"], row["depth"], row["seed"])
        other = states(result, row["reference"], row["reference_depth"], row["reference_seed"])
        for name, function in functions.items():
            values = [[function(x, y) for y in other] for x in own]
            tolerance = 1e-4 if name == "unbiased_cka" else 0.02  # a neighbour that rounding changes
            assert row[name] == pytest.approx(max(map(max, values)), abs=tolerance)
            table = result.layers
            for key in ("modality", "reference", "depth", "seed"):
                table = table[table[key] == row[key]]
            table = table[table["metric"] == name]
            assert len(table) == len(own) * len(other)
            for _, cell in table.iterrows():
                expected = values[cell["layer"] - 1][cell["reference_layer"] - 1]
                assert cell["value"] == pytest.approx(expected, abs=tolerance)
            best = table[(table["layer"] == row[f"{name} layer"])]
            best = best[best["reference_layer"] == row[f"{name} reference_layer"]]
            assert best["value"].item() == row[name] == table["value"].max()


def test_the_reference_is_the_best_encoder_by_validation(result: MultibenchResult) -> None:
    for modality in ("vision", "audio", "text"):
        own = result.encoders[result.encoders["modality"] == modality]
        best = own[own["best"]]
        assert len(best) == 1
        assert best["valid"].item() == own["valid"].max()
        rows = result.alignment[result.alignment["reference"] == modality]
        assert set(rows["reference_depth"]) == set(best["depth"])
        assert set(rows["reference_seed"]) == set(best["seed"])
        assert len(rows) == 2 * len(own)


def test_of_equals_the_first_is_the_best() -> None:
    performance = {Cell("a", 1, 2): 0.5, Cell("a", 2, 2): 0.75, Cell("a", 1, 22): 0.75, Cell("b", 3, 2): 0.1}
    encoders = {member: TrainedEncoder({}, 1, (0.0, valid, 1.0)) for member, valid in performance.items()}
    assert best_cells(encoders) == {"a": Cell("a", 2, 2), "b": Cell("b", 3, 2)}
