"""CMD against its definition."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from support.inputs import KINDS, pair_of

from vlalign.errors import VlalignError
from vlalign.metrics.definitions.cka import cka
from vlalign.metrics.definitions.cmd import Cmd, cmd

cmd_module = importlib.import_module("vlalign.metrics.definitions.cmd")  # the package exports the function of that name


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("contraction", ["features", "samples"])
def test_definition(kind: str, centred: bool, contraction: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = pair_of(kind, widths=(9, 9))
    a, b = (side.double().numpy() - centred * side.double().numpy().mean(axis=0) for side in (x, y))
    c, d = (side @ side.T if contraction == "features" else side.T @ side for side in (a, b))
    expected = np.trace(c @ d) / np.linalg.norm(c) / np.linalg.norm(d)
    assert cmd(x, y, contraction, centred) == pytest.approx(expected, abs=1e-5)
    if centred and contraction == "features":
        assert cmd(x, y, contraction, centred) == pytest.approx(cka(x, y), abs=1e-6)
    monkeypatch.setattr(cmd_module, "GRAM_SAMPLES", 10)
    assert cmd(x, y, contraction, centred) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("centred", [False, True])
def test_moments(centred: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    metric = Cmd(centred=centred)
    x, y = pair_of("shifted", n=20)
    sides = [metric.prepare(x)], [metric.prepare(y)]
    moments = metric.moments(*sides)
    assert moments is not None
    assert moments.sd is not None
    values = metric.permuted(*sides, np.stack([np.random.default_rng(i).permutation(20) for i in range(4000)]))
    assert abs(values.mean() - moments.mean[0, 0]) < 4 * moments.sd[0, 0] / 4000**0.5
    assert values.std() == pytest.approx(moments.sd[0, 0], rel=0.06)
    monkeypatch.setattr(cmd_module, "GRAM_SAMPLES", 10)
    streamed = metric.moments([metric.prepare(x)], [metric.prepare(y)])
    assert streamed is not None
    assert streamed.mean == pytest.approx(moments.mean, abs=1e-6)
    assert streamed.sd == pytest.approx(moments.sd, rel=1e-3)


def test_samples_do_not_depend_on_the_pairing() -> None:
    x, y = pair_of("aligned", widths=(9, 9))
    order = torch.randperm(60, generator=torch.Generator().manual_seed(0))
    assert cmd(x[order], y, "samples") == pytest.approx(cmd(x, y, "samples"), abs=1e-6)
    metric = Cmd("samples")
    assert not metric.paired
    assert metric.moments([metric.prepare(x)], [metric.prepare(y)]) is None
    orders = order.numpy()[None]
    sides = [metric.prepare(x)], [metric.prepare(y)]
    assert metric.permuted(*sides, orders)[0] == pytest.approx(metric.grid(*sides))


def test_degenerate_and_wrong_input() -> None:
    x, y = pair_of("random")
    assert cmd(x, x) == pytest.approx(1, abs=1e-6)
    for contraction in ("features", "samples"):
        assert cmd(torch.zeros(60, 9), y, contraction) == 0
        assert cmd(torch.ones(60, 9), y, contraction, centred=True) == 0
    with pytest.raises(VlalignError, match="equal width only, got widths 9, 12"):
        cmd(x, y, "samples")
    metric = Cmd("samples")
    with pytest.raises(VlalignError, match="equal width"):
        metric.grid([metric.prepare(x)], [metric.prepare(y)])
    with pytest.raises(VlalignError, match="centred"):
        Cmd(centred=1)  # type: ignore[arg-type]
    with pytest.raises(VlalignError, match="contraction"):
        Cmd("both")
