"""Large layers, whose rows are converted and prepared in blocks: the same records, and never a whole copy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from vlalign import arrays
from vlalign.arrays import LazyLayer
from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn
from vlalign.metrics.engine import neighbours
from vlalign.metrics.engine.neighbours import NeighbourSearch, with_ties
from vlalign.metrics.engine.ties import Sided
from vlalign.scoring import inputs, score
from vlalign.scoring.inputs import Arrays, Side
from vlalign.scoring.layers import PreparedSide
from vlalign.scoring.preprocessing import PRESETS
from vlalign.store.importing import import_embeddings

N = 160
IDS = [f"sample-{i}" for i in range(N)]


@pytest.fixture
def lazily(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function from which on all layers are large, and read in blocks of a few rows."""

    def change() -> None:
        monkeypatch.setattr(inputs, "LAYER_BYTES", 0)
        monkeypatch.setattr(arrays, "_COMPUTED_BYTES", 2**14)
        monkeypatch.setattr(neighbours, "LAZY_BLOCK_BYTES", 50_000)

    return change


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """Two mapped arrays, float16 and float32, with identical rows and a row of zeros."""
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(N, 6, generator=draw)
    folder = tmp_path_factory.mktemp("arrays")
    for name, width, kind in (("x", 24, np.float16), ("y", 16, np.float32)):
        values = shared @ torch.randn(6, width, generator=draw) + torch.randn(N, width, generator=draw)
        values[5], values[100] = values[17], 0
        np.save(folder / f"{name}.npy", values.numpy().astype(kind))
    x, y = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in "xy")
    return x, y


def content(*sides: Any, **options: Any) -> dict[str, Any]:
    """Return a record without times and environment."""
    record = score(*sides, k=5, permutations=20, half_samples=4, **options)
    return {name: value for name, value in vars(record).items() if name not in ("seconds", "environment", "_samples")}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"preset": "none", "ids": (IDS, IDS[::-1])},
        {"preset": "cosine", "concat": True, "groups": "exact"},
        {"metric": "unbiased_cka"},
    ],
    ids=["platonic", "none, by id", "cosine, concatenated", "as a whole"],
)
def test_records_are_the_same(pair: tuple[Any, Any], options: dict[str, Any], lazily: Callable[[], None]) -> None:
    x = [pair[0], pair[0] * 2] if "concat" in options else pair[0]
    expected = content(x, pair[1], **options)
    lazily()
    result = content(x, pair[1], **options)
    for checks in (expected["checks"], result["checks"]):  # summed in another order
        for side in "xy":
            checks[side]["effective_dimension"] = pytest.approx(checks[side]["effective_dimension"], rel=1e-9)
    assert result == expected


def test_records_of_a_run_are_the_same(pair: tuple[Any, Any], tmp_path: Path, lazily: Callable[[], None]) -> None:
    runs = [import_embeddings(tmp_path, name, side, ids=IDS) for side, name in zip(pair, "xy", strict=True)]
    expected = content(*runs)["matrix"]
    lazily()
    assert isinstance(Side(runs[0], "x").load(0), LazyLayer)
    assert content(*runs)["matrix"] == expected


class FirstRows(MutualKnn):
    """Mutual-kNN that searches the neighbours of 8 rows only."""

    @property
    def lazy(self) -> bool:
        return True

    def prepare(self, layer: Tensor | LazyLayer) -> Sided[Tensor]:
        assert isinstance(layer, LazyLayer)
        out = torch.empty((8, self.k), dtype=torch.int64)
        return with_ties(out, NeighbourSearch(layer, self.k).block(0, out, torch.empty(8, len(layer))))


def test_no_whole_copy_is_made(lazily: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    lazily()
    read = LazyLayer.__getitem__
    rows: list[int] = []

    def watched(self: LazyLayer, index: slice | Tensor) -> Tensor:
        part = read(self, index)
        rows.append(len(part))
        return part

    def refused(self: LazyLayer) -> Tensor:
        raise AssertionError("read as a whole")

    x = torch.randn(2000, 128, generator=torch.Generator().manual_seed(0)).half()
    side = PreparedSide(Side(Arrays(x), "x"), PRESETS["platonic"], False, None)
    with monkeypatch.context() as patch:
        patch.setattr(LazyLayer, "__getitem__", watched)
        patch.setattr(LazyLayer, "whole", refused)
        (lists,) = side.prepare(FirstRows(), {})
    assert max(rows) <= 2**14 / (4 * 128)
    assert sum(rows) > 8 * 2000
    assert torch.equal(lists.x, MutualKnn().prepare(side.layer(0)).x[:8])


def test_infinite_values_are_named_by_their_row(lazily: Callable[[], None]) -> None:
    lazily()
    x, y = torch.randn(N, 8), torch.randn(N, 8)
    x[113, 3] = torch.inf
    for preset in PRESETS:
        with pytest.raises(VlalignError, match=re.escape("layer_0 of x is not finite (first in row 113)")):
            score(x, y, preset=preset, permutations=0)  # type: ignore[arg-type]
