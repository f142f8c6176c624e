"""Embeddings made elsewhere are runs like any other, and cannot be taken for an extraction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import vlalign
from vlalign.errors import VlalignError
from vlalign.store import FeatureStore
from vlalign.store.importing import import_embeddings

VALUES = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
IDS = [f"s{i:02d}" for i in range(30)]
QUICK = {"k": 3, "permutations": 0, "half_samples": 0}


def test_a_run_holds_what_was_given(tmp_path: Path) -> None:
    run = import_embeddings(
        tmp_path, "siglip", VALUES.astype(np.float16), ids=IDS, modality="vision", source="image.npy",
        labels=["cat", "dog"] * 15, data={"name": "shop", "split": "test"},
    )  # fmt: skip
    assert (run.key.data["kind"], run.key.model, run.key.modality) == ("imported", "siglip", "vision")
    assert (run.ids, run.n, run.extras) == (IDS, 30, ["label"])
    assert [(layer.name, layer.width, layer.convention) for layer in run.layers] == [("layer_0", 6, "imported")]
    np.testing.assert_array_equal(run.load(0).numpy(), VALUES.astype(np.float16).astype(np.float32))
    assert run.facts == {"dtype": ["float16"], "labels": ["cat", "dog"]}
    assert run.extra("label").tolist() == [0, 1] * 15  # type: ignore[union-attr]
    assert run.key.data["data"]["name"] == "shop"
    assert FeatureStore(tmp_path).find("siglip").key == run.key
    assert run.verify() == []


def test_the_same_content_is_written_once(tmp_path: Path) -> None:
    run = import_embeddings(tmp_path, "a", VALUES, ids=IDS)
    times = {path: path.stat().st_mtime_ns for path in run.path.glob("*.safetensors")}
    again = import_embeddings(tmp_path, "a", torch.from_numpy(VALUES), ids=IDS)
    assert again.key == run.key
    assert {path: path.stat().st_mtime_ns for path in run.path.glob("*.safetensors")} == times
    other = VALUES.copy()
    other[3, 2] += 1e-3
    assert import_embeddings(tmp_path, "a", other, ids=IDS).key != run.key
    assert import_embeddings(tmp_path, "a", VALUES, ids=IDS[::-1]).key != run.key
    assert import_embeddings(tmp_path, "a", VALUES).key != run.key


def test_layers_and_several_shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlalign.store.importing._SHARD_BYTES", 1)
    many = np.random.default_rng(1).normal(size=(300, 2, 5))
    run = import_embeddings(tmp_path, "a", {"early": many[:, 0], "late": many[:, 1]})
    assert [layer.name for layer in run.layers] == ["early", "late"]
    assert len(run.shards) == 3
    np.testing.assert_allclose(run.load("late").numpy(), many[:, 1], rtol=1e-6)


def test_imported_runs_are_scored_by_id_whatever_their_order(tmp_path: Path) -> None:
    x = import_embeddings(tmp_path, "x", VALUES, ids=IDS, modality="vision")
    order = np.random.default_rng(2).permutation(30)
    y = import_embeddings(tmp_path, "y", VALUES[order], ids=[IDS[i] for i in order], modality="text")
    record = vlalign.score(x, y, **QUICK)
    assert (record.score, record.pairing["by"], record.pairing["reordered"]) == (1.0, "id", True)
    other = import_embeddings(tmp_path, "z", VALUES, ids=[f"t{i}" for i in range(30)])
    with pytest.raises(VlalignError, match="do not hold the same ids"):
        vlalign.score(x, other, **QUICK)


def test_without_ids_the_order_pairs_and_the_record_states_so(tmp_path: Path) -> None:
    x, y = (import_embeddings(tmp_path, name, VALUES) for name in "xy")
    record = vlalign.score(x, y, **QUICK)
    assert record.pairing["by"] == "row"
    short = import_embeddings(tmp_path, "short", VALUES[:20])
    with pytest.raises(VlalignError, match="do not hold the same ids"):
        vlalign.score(x, short, **QUICK)


def test_the_index_of_a_frame_is_its_ids(tmp_path: Path) -> None:
    run = import_embeddings(tmp_path, "a", pd.DataFrame(VALUES, index=IDS))
    assert run.ids == IDS
    assert run.key.data["data"]["id_source"] == "given"


def test_labels_are_paired_by_id(tmp_path: Path) -> None:
    labels = pd.Series(["cat", "dog"] * 15, index=IDS)
    order = np.random.default_rng(0).permutation(30)
    for given in (labels, labels.iloc[order], labels.iloc[order].to_dict()):
        for ids in ({"features": pd.DataFrame(VALUES, index=IDS)}, {"features": VALUES, "ids": IDS}):
            run = import_embeddings(tmp_path, "a", labels=given, **ids)
            assert run.extra("label").tolist() == [0, 1] * 15  # type: ignore[union-attr]


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "ids": ({"ids": IDS[:5]}, "x.npy has 30 samples and 5 ids"),
    "twice": ({"ids": [*IDS[:-1], IDS[0]]}, "'s00' occurs more than once"),
    "labels": ({"labels": [1, 2]}, "2 labels of x.npy for 30 samples"),
    "labels of others": ({"ids": IDS, "labels": {"s01": 1}}, "the labels of x.npy lack 29 of 30 samples"),
    "no label": ({"labels": [*IDS[:-1], None]}, r"x.npy: sample 29 \(from 0\) has no label"),
    "modality": ({"modality": "video"}, "must be one of vision, text, audio, other, got 'video'"),
    "name": ({"name": " "}, "name the model of x.npy"),
    "not finite": ({"features": np.where(np.arange(180).reshape(30, 6) == 20, np.nan, VALUES)}, r"first in row 3\)"),
    "too large": ({"features": VALUES.astype(np.float64) * 1e300}, "not finite"),
}


@pytest.mark.parametrize(("given", "message"), BAD.values(), ids=BAD)
def test_bad_input_is_one_line_and_leaves_nothing(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    arguments = {"name": "a", "features": VALUES, "source": "x.npy"} | given
    with pytest.raises(VlalignError, match=message):
        import_embeddings(tmp_path, **arguments)
    assert list(tmp_path.iterdir()) == []


def test_differences_that_float32_loses(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    values = np.random.default_rng(0).normal(size=(30, 6))
    for name, given in (("offset", 1e3 + values), ("constant", np.full((30, 6), 0.1)), ("small", values * 1e-7)):
        import_embeddings(tmp_path, name, given)
    assert not caplog.records
    for given in (1e6 + 0.01 * values, values * 1e-50):
        with pytest.raises(VlalignError, match="the rows of lost differ by too little for float32"):
            import_embeddings(tmp_path, "lost", given)
    values[:, 4] = 1 + 1e-7 * values[:, 4]
    import_embeddings(tmp_path, "some", values)
    assert "1 of 6 columns of some (first: 4, from 0) vary too little for float32" in caplog.text
