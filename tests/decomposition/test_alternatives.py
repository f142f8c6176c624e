"""Clusters, the Gaussian closed form and more than two modalities, on cases whose exact values are known."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from support.commands import status_of

import vlalign
from vlalign.decomposition import SeveralInformation, broja
from vlalign.errors import VlalignError

FEW = {"bootstraps": 40, "permutations": 39}


def test_clusters_of_the_and_function() -> None:
    draw = np.random.default_rng(0)
    bits = draw.integers(2, size=(2, 400))
    views = [bit[:, None] + 0.1 * draw.normal(size=(400, 2)) for bit in bits]
    table = np.zeros((2, 2, 2))
    np.add.at(table, (*bits, bits[0] & bits[1]), 1 / 400)
    exact = broja(table, units="bits")
    result = vlalign.information(*views, bits[0] & bits[1], estimator="clusters", **FEW)
    for name in ("R", "U1", "U2", "S", "I1", "I2", "I12"):
        assert result.estimates[name].value == pytest.approx(getattr(exact, name), abs=0.03), name
    assert [name for name, one in result.estimates.items() if one.detected] == ["I1", "I2", "I12", "R", "S"]
    assert result.models["both"]["x1"] < 0.1


def test_gaussian_closed_form() -> None:
    draw = np.random.default_rng(0)
    mixing = np.array([[1, 0, 0, 0.3, 0, 0], [0, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0.3, 0], [0, 0, 1, 0, 0, 0]])
    target = np.array([1, 1, 0.5, 0, 0, 0.7])
    causes = draw.normal(size=(600, 6))
    views = causes @ mixing.T[:, :2], np.c_[causes @ mixing.T[:, 2:], draw.normal(size=(600, 10))]
    exact = {}
    for name, rows in (("I1", [0, 1]), ("I2", [2, 3]), ("I12", [0, 1, 2, 3])):
        known = np.linalg.solve(mixing[rows] @ mixing[rows].T, mixing[rows] @ target)
        explained = known @ mixing[rows] @ target / (target @ target)
        exact[name] = -0.5 * np.log(1 - explained)
    exact |= {"R": exact["I2"], "U1": exact["I1"] - exact["I2"], "U2": 0.0, "S": exact["I12"] - exact["I1"]}
    result = vlalign.information(*views, causes @ target, estimator="gaussian", units="nats", **FEW)
    for name, value in exact.items():
        one = result.estimates[name]
        assert one.value == pytest.approx(value, abs=0.08), name  # 0.03 is a standard error of I1
        assert one.detected == (value > 0), name
    assert "600 samples, a regression target" in repr(result)
    noise = vlalign.information(*views, draw.normal(size=600), estimator="gaussian", **FEW)
    assert not any(one.detected for one in noise.estimates.values())
    with pytest.raises(VlalignError, match=r"gaussian needs a regression target .* the labels are 2 classes"):
        vlalign.information(*views, np.arange(600) % 2, estimator="gaussian")


def test_every_pair_of_three_modalities_and_what_each_adds() -> None:
    draw = np.random.default_rng(0)
    bits = draw.integers(2, size=(3, 240))
    views = [bit[:, None] + 0.1 * draw.normal(size=(240, 1)) for bit in bits]
    result = vlalign.information(*views, y=2 * (bits[0] ^ bits[1]) + bits[2], estimator="clusters", **FEW)
    assert isinstance(result, SeveralInformation)
    assert {title: pair.S.detected for title, pair in result.pairs.items()} == {
        "x1, x2": True, "x1, x3": False, "x2, x3": False,
    }  # fmt: skip
    assert result.pairs["x1, x3"].U2.value == pytest.approx(1, abs=0.05)
    assert result.joint.value == pytest.approx(2, abs=0.05)
    for one in result.added.values():  # each of x1 and x2 adds the exclusive or to the other
        assert one.detected
        assert one.low - 0.05 <= 1 <= one.high + 0.05


def test_files_of_three_modalities(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = np.random.default_rng(0)
    values, order = draw.normal(size=(4, 400)), draw.permutation(400)
    monkeypatch.chdir(tmp_path)
    ids = np.array([f"s{i}" for i in range(400)])
    for name, value in zip("abc", values, strict=False):
        rows = order if name == "c" else np.arange(400)
        frame = pd.DataFrame({"id": ids[rows], "v": [[x] for x in value[rows]]})
        frame.to_parquet(f"{name}.parquet")
    np.save("y.npy", values.sum(axis=0))
    files = ["a.parquet", "b.parquet", "c.parquet", "--labels", "y.npy"]
    few = ["--estimator", "gaussian", "--units", "nats", "--bootstraps", "20", "--permutations", "39"]
    assert status_of(["information", *files, *few, "--no-figure"]) == 0
    shown = capsys.readouterr().out
    assert "what x3 adds to x1 and x2" in shown
    (record,) = Path("information").iterdir()
    assert record.name.startswith("a__b__c__y__gaussian-")
    stored = json.loads(record.read_text())
    for name in ("x1", "x2", "x3"):
        assert stored["added"][name]["value"] == pytest.approx(0.5 * np.log(2), abs=0.1)
    assert stored["joint"]["value"] == pytest.approx(0.5 * np.log(4), abs=0.1)
    assert status_of(["advise", *files]) == 1
    assert "3 files given: advise compares two modalities" in capsys.readouterr().err
