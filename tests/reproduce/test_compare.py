"""The reference beside ours: every reason where it applies, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from vlalign.errors import VlalignError
from vlalign.metrics import Info
from vlalign.metrics.base import Floats
from vlalign.metrics.engine.neighbour_lists import NeighbourMetric
from vlalign.metrics.engine.ties import Sided
from vlalign.metrics.registry import METRICS
from vlalign.reproduce import compare as compared
from vlalign.reproduce.compare import Reproduction, reproduce
from vlalign.reproduce.platonic import KERNEL_METRICS, NEIGHBOUR_METRICS, _lcs, hsic_unbiased, reference_alignment
from vlalign.scoring import score

Models = tuple[Tensor, Tensor]
IDS = [f"sample-{i}" for i in range(60)]
INFO = Info("", "", "", "", "", symmetric=False)


@pytest.fixture
def models() -> Models:
    """Two models [N, L, D] with a shared signal and some samples of larger features."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(60, 4, generator=generator)

    def model(layers: int, width: int) -> Tensor:
        parts = []
        for i in range(layers):
            noise = torch.randn(60, width, generator=generator)
            parts.append(0.3 * (i + 1) * shared @ torch.randn(4, width, generator=generator) + noise)
        return torch.stack(parts, dim=1) * torch.linspace(0.2, 3, 60)[:, None, None]

    return model(4, 11), model(3, 7)


def reasons(found: Reproduction) -> dict[str, str]:
    return {difference.what: difference.reason for difference in found.differences}


@dataclass(frozen=True)
class Cycle(NeighbourMetric):
    """Ours: i counts if i is among the x-neighbours of one of its y-neighbours."""

    name: ClassVar[str] = "cycle_knn"
    info: ClassVar[Info] = INFO

    def grid(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Floats:
        rows = range(len(x[0].x))
        return np.array([[np.mean([any(i in a.x[j] for j in b.y[i]) for i in rows]) for b in y] for a in x])


@dataclass(frozen=True)
class Lcs(NeighbourMetric):
    """Ours: length divided by k."""

    name: ClassVar[str] = "lcs_knn"
    info: ClassVar[Info] = Info("", "", "", "", "")

    def grid(self, x: Sequence[Sided[Tensor]], y: Sequence[Sided[Tensor]]) -> Floats:
        return np.array([[_lcs(a.x, b.y) / self.k for b in y] for a in x])


@dataclass(frozen=True)
class Cka(NeighbourMetric):
    """Ours: unbiased CKA in float64."""

    k: int = 2
    name: ClassVar[str] = "unbiased_cka"
    info: ClassVar[Info] = Info("", "", "", "", "")
    wrong: ClassVar[float] = 0.0

    def prepare(self, layer: Tensor) -> Tensor:
        return layer.double() @ layer.double().T

    def grid(self, x: Sequence[Tensor], y: Sequence[Tensor]) -> Floats:
        def value(a: Tensor, b: Tensor) -> float:
            root = (hsic_unbiased(a, a) * hsic_unbiased(b, b)).sqrt()
            return float(hsic_unbiased(a, b) / root) + self.wrong

        return np.array([[value(a, b) for b in y] for a in x])


@pytest.fixture
def stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    """Metrics of known value in place of the project's."""
    for metric in (Cycle, Lcs, Cka):
        monkeypatch.setitem(METRICS, metric.name, metric)


def test_both_results_stand_side_by_side(models: Models) -> None:
    found = reproduce(*models, k=5)
    reference = reference_alignment(models[0].unbind(1), models[1].unbind(1), k=5)
    record = score(*models, k=5, permutations=0)
    assert found.reference["score"] == reference.score
    assert found.reference["indices"] == list(reference.indices or ())
    assert found.reference["matrix"] == reference.matrix.tolist()
    assert found.ours["matrix"] == record.matrix
    assert found.ours["best"] == {side: record.best[side] for side in ("x", "y")}
    assert found.ours["score"] == record.score
    assert found.ours["clip"] == found.reference["clip"] == dict(zip("xy", reference.clip, strict=True))
    assert found.apart["pairs"] == 12
    assert 0 < found.apart["largest"] < 1e-7
    q, p = found.reference["indices"]
    assert list(reasons(found)) == ["stored layer indices", "float32 rounding"]
    assert f"({q}, {p})" in reasons(found)["stored layer indices"]
    assert f"x layer_{p}, y layer_{q}" in reasons(found)["stored layer indices"]
    assert "neighbour lists" not in reasons(found)["float32 rounding"]


def test_quantile_of_the_samples(models: Models) -> None:
    found = reproduce(*models, k=5, quantile="mean")
    assert found.reference["clip"] != found.ours["clip"]
    said = reasons(found)["clip threshold"]
    for clip in (found.reference["clip"], found.ours["clip"]):
        assert f"x {clip['x']:.6g}, y {clip['y']:.6g}" in said
    exact = reproduce(*models, k=5)
    assert f"{exact.reference['score']:.6g} instead of {found.reference['score']:.6g}" in said
    assert "not explained" not in reasons(found)
    assert reasons(found)["float32 rounding"] == reasons(exact)["float32 rounding"]


@pytest.mark.usefixtures("stand_ins")
def test_operands_of_tf32_are_told_where_they_matter(models: Models) -> None:
    assert "TF32 products" in reasons(reproduce(*models, metric="unbiased_cka", quantile="mean"))
    assert "TF32 products" not in reasons(reproduce(*models, metric="unbiased_cka"))


def test_ties(models: Models) -> None:
    x, y = models
    x[[5, 9, 20, 33]] = 0  # equally far from everything, in each of 4 layers
    assert "ties for the last neighbour" in reasons(reproduce(x, y, k=2))
    assert "in 16 of 420 rows" in reasons(reproduce(x, y, k=2))["ties for the last neighbour"]
    assert "ties for the last neighbour" not in reasons(reproduce(y, y, k=2))


@pytest.mark.usefixtures("stand_ins")
def test_ties_in_the_order_count_where_order_does(models: Models) -> None:
    x, y = models
    x[[5, 9, 20, 33]] = 0  # equally far from everything, in each of 4 layers
    assert "16 of 420" in reasons(reproduce(x, y, metric="lcs_knn", k=3))["ties in the order"]
    assert "ties in the order" not in reasons(reproduce(x, y, k=3))


def test_equal_best_pairs(models: Models) -> None:
    x = models[0]
    found = reproduce(x, x.flip(1), k=5)
    assert found.reference["indices"] == [0, 3]
    assert [found.ours["best"][side]["position"] for side in "xy"] == [0, 3]
    assert "4 layer pairs share the largest value" in reasons(found)["best layer pair"]


def test_nothing_above_zero() -> None:
    x = torch.eye(6)[[0, 0, 1, 1, 2, 2]]
    y = torch.eye(6)[[0, 1, 1, 2, 2, 0]]
    found = reproduce(x, y, k=1)
    assert found.reference["score"] == 0.0
    assert found.reference["indices"] is None
    assert "starts at 0" in reasons(found)["nothing above 0"]
    assert "stored layer indices" not in reasons(found)


@pytest.mark.usefixtures("stand_ins")
def test_negative_best() -> None:
    generator = torch.Generator().manual_seed(6)
    x, y = (torch.randn(30, 20, generator=generator) for _ in range(2))
    found = reproduce(x, y, metric="unbiased_cka")
    assert found.reference["score"] == 0
    assert found.ours["score"] == pytest.approx(-0.1308, abs=1e-4)
    assert "-0.1308" in reasons(found)["nothing above 0"]


@pytest.mark.usefixtures("stand_ins")
def test_direction(models: Models) -> None:
    found = reproduce(*models, metric="cycle_knn", k=2)
    ours, turned = np.array(found.ours["matrix"]), np.array(found.reference["matrix"]).T
    assert f"{int((abs(ours - turned) > 1e-6).sum())} of our 12 values" in reasons(found)["direction"]
    assert "not explained" not in reasons(found)
    assert "direction" not in reasons(reproduce(*models, k=2))


@pytest.mark.usefixtures("stand_ins")
def test_scale(models: Models) -> None:
    found = reproduce(*models, metric="lcs_knn", k=4)
    assert found.reference["score"] == pytest.approx(4 * found.ours["score"])
    assert f"{found.ours['score']:.6g}" in reasons(found)["scale"]
    assert "not explained" not in reasons(found)
    assert "scale" not in reasons(reproduce(*models, k=4))


@pytest.mark.usefixtures("stand_ins")
def test_denominator(models: Models) -> None:
    found = reproduce(*models, metric="unbiased_cka")
    assert found.metric == {"name": "unbiased_cka", "k": 10}
    assert "1e-6" in reasons(found)["denominator"]
    assert "not explained" not in reasons(found)
    assert "denominator" not in reasons(reproduce(*models))


@pytest.mark.usefixtures("stand_ins")
def test_what_no_cause_explains_is_said(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cka, "wrong", 0.01)
    assert "1.0e-02" in reasons(reproduce(*models, metric="unbiased_cka"))["not explained"]


@pytest.mark.parametrize("twins", [True, False])
def test_other_neighbours_are_rounding_only_if_they_are_as_near(
    twins: bool, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = models
    x[40] = x[7]
    original = compared.knn

    def other(layer: Tensor, k: int, side: str = "x") -> Tensor:
        lists = original(layer, k + 1, side=side)
        if twins:  # samples 7 and 40 change places in the lists of x
            swapped = torch.where(lists == 40, 7, torch.where(lists == 7, 40, lists))
            return (swapped if layer.shape[1] == 11 else lists)[:, :k]
        return torch.cat([lists[:, : k - 1], lists[:, k:]], dim=1)  # the k-th is passed over

    monkeypatch.setattr(compared, "knn", other)
    monkeypatch.setattr(
        "vlalign.metrics.engine.neighbour_lists.knn_of_sides", lambda *a, **_: Sided(other(*a), other(*a, side="y"))
    )
    said = reasons(reproduce(x, y, k=5))
    assert ("not explained" in said) != twins
    assert "neighbour lists are not the same" in said["float32 rounding" if twins else "not explained"]


@pytest.mark.parametrize("name", [name for name in METRICS if name in NEIGHBOUR_METRICS + KERNEL_METRICS])
def test_the_metrics_of_this_project_are_explained(name: str, models: Models) -> None:
    for quantile in ("exact", "mean"):
        found = reproduce(*models, metric=name, k=5, quantile=quantile)
        assert "not explained" not in reasons(found)
        assert found.ours["score"] > 0


def test_runs_are_paired_by_id(models: Models, make_run: Callable[..., Any]) -> None:
    x, y = (list(model.unbind(1)) for model in models)
    order = list(range(59, -1, -1))
    runs = make_run("x", x, IDS), make_run("y", [layer[order] for layer in y], [IDS[i] for i in order])
    found = reproduce(*runs, k=5)
    assert found.reference["matrix"] == reproduce(*models, k=5).reference["matrix"]
    assert found.pairing == {"by": "id", "reordered": True}
    assert found.axes["x"][1]["name"] == "block_1"
    with pytest.raises(VlalignError, match="do not hold the same ids"):
        reproduce(runs[0], make_run("z", [layer[:50] for layer in y], IDS[:50]))


def test_runs_of_several_widths_are_refused_unread(make_run: Callable[..., Any]) -> None:
    run = make_run("resnet", [torch.ones(60, 4), torch.ones(60, 8)], IDS)
    with pytest.raises(VlalignError, match="resnet have widths 4, 8"):
        reproduce(run, run)
    assert run.reads == 0


def test_the_file(models: Models, tmp_path: Path) -> None:
    found = reproduce(*models, k=5, quantile="mean")
    data = json.loads(found.save(tmp_path / "new" / "file.json").read_text())
    assert data["reference"] == found.reference
    assert data["differences"][0]["what"] == "stored layer indices"
    assert data["quantile"] == "mean"
    with pytest.raises(VlalignError, match="cannot write"):
        found.save("/proc/none.json")


def test_mistakes(models: Models) -> None:
    with pytest.raises(VlalignError, match="exact or mean"):
        reproduce(*models, quantile="median")
    with pytest.raises(VlalignError, match="random"):
        reproduce(*models, metric="svcca")
    with pytest.raises(VlalignError, match="k=60"):
        reproduce(*models, k=60)
