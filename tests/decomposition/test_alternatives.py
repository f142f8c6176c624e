"""Clusters and the Gaussian closed form, on cases whose exact values are known."""

from __future__ import annotations

import numpy as np
import pytest

import vlalign
from vlalign.decomposition import broja
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
