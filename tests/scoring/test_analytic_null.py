"""Scores with the analytic null: the record, what it says, and where it is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import vlalign
from vlalign.errors import VlalignError
from vlalign.metrics import MutualKnn
from vlalign.scoring import ScoreOptions, estimate
from vlalign.scoring.collect import read_record
from vlalign.scoring.options import recorded_settings
from vlalign.scoring.record_figures import save_null
from vlalign.scoring.scorer import Scorer
from vlalign.scoring.summary import score_facts, verdict
from vlalign.scoring.validation import validate_record

Layers = list[torch.Tensor]
N = 220  # ten neighbours are less than a twentieth


@pytest.fixture(scope="module")
def pair() -> tuple[Layers, Layers]:
    """Three layers and two that share some of their signal, as those of fewer samples beside this file."""
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(N, 6, generator=generator)
    x = [torch.cat([shared, torch.randn(N, width, generator=generator)], dim=1) for width in (2, 8, 20)]
    y = [torch.cat([shared, torch.randn(N, width, generator=generator)], dim=1) for width in (3, 9)]
    return x, y


def test_the_record_agrees_with_permutations(pair: tuple[Layers, Layers], tmp_path: Path) -> None:
    x, y = pair
    generator = torch.Generator().manual_seed(0)
    shuffled = [layer[torch.randperm(N, generator=generator)] for layer in y]
    for other, aligned in ((y, True), (shuffled, False)):
        record, usual = (
            vlalign.score(x, other, null=null, k=5, half_samples=0) for null in ("analytic", "permutation")
        )
        assert record.null is not None
        assert usual.null is not None
        assert (record.score, record.chance) == (usual.score, usual.chance)
        assert (record.null["method"], record.null["permutations"]) == ("analytic", 0)
        sd = usual.null["sd"]
        assert record.null["mean"] == pytest.approx(usual.null["mean"], abs=0.2 * sd)
        assert record.null["threshold"] == pytest.approx(usual.null["threshold"], abs=3.5 / (5 * N))  # counts of 5 N
        if aligned:
            assert record.p_value == 1e-4  # permutations end at .001
            assert record.calibrated == pytest.approx(usual.calibrated, abs=0.03)
            assert "above chance (p ≤ 0.0001)" in verdict(record)
        else:
            assert record.calibrated == 0.0
            assert "indistinguishable from chance" in verdict(record)
        assert "analytic, from the exact covariance" in score_facts(record)["null"]
        validate_record(record)
        record.save(tmp_path / "record.json")
        assert read_record(tmp_path / "record.json") == record
        assert len(json.loads((tmp_path / "record.json").read_text())["null"]["maxima"]) == 1000
        assert save_null(record, tmp_path / "null.png").read_bytes().startswith(b"\x89PNG")


def test_kernels(pair: tuple[Layers, Layers]) -> None:
    """CKA, CMD and RSA have it by default, from 64 samples on, unless few samples decide their kernels."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(80, 2, 9, generator=draw)
    y = x[:, :1] + torch.randn(80, 3, 9, generator=draw)
    for metric in ("cka", "unbiased_cka", "cmd", "rsa"):
        record = vlalign.score(x, y, metric=metric, half_samples=0)
        usual = vlalign.score(x, y, metric=metric, half_samples=0, null="permutation", permutations=400)
        assert record.null is not None
        assert usual.null is not None
        assert (record.null["method"], record.score) == ("analytic", usual.score)
        assert record.null["threshold"] == pytest.approx(usual.null["threshold"], rel=0.1)
        assert record.null["pair_mean"] == pytest.approx(usual.null["pair_mean"], abs=0.02)
        assert record.p_value == 1e-4
    few = ([layer[:60] for layer in side] for side in pair)
    assert "method" not in (vlalign.score(*few, metric="cka", half_samples=0).null or {})
    x[-2:] *= 30
    record = vlalign.score(x, y, metric="unbiased_cka", preset="none", half_samples=0)
    assert "method" not in (record.null or {})
    assert "few samples decide the kernel of a layer, so the null is that of permutations" in record.checks["notes"]
    assert vlalign.score(x, y, metric="cmd:contraction=samples", half_samples=0).null is None


def test_it_is_what_a_rerun_gives(pair: tuple[Layers, Layers]) -> None:
    first, second = (vlalign.score(*pair, null="analytic", half_samples=0) for _ in range(2))
    assert first.null == second.null


def test_permutations_decide_near_the_level(pair: tuple[Layers, Layers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vlalign.scoring.analysis._NEAR_ALPHA", (0.0, 1.0))
    assert vlalign.score(*pair, null="analytic", permutations=99, half_samples=0).null["method"] == "analytic"
    monkeypatch.setattr("vlalign.scoring.analysis._ENOUGH", 99)
    options = {"permutations": 99, "half_samples": 0}
    record = vlalign.score(*pair, null="analytic", **options)
    assert record.null == vlalign.score(*pair, **options).null
    assert [note for note in record.checks["notes"] if "the null is that of permutations" in note]
    assert vlalign.score(*pair, null="analytic", permutations=0, half_samples=0).null["method"] == "analytic"


def test_categories_are_permuted_beside_it(pair: tuple[Layers, Layers]) -> None:
    record = vlalign.score(*pair, null="analytic", within=[i % 3 for i in range(N)], permutations=99, half_samples=0)
    assert record.null is not None
    assert record.null["within"][0]["permutations"] == 99


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "svcca"}, "null: analytic is known for mutual_knn, rnx, cka, unbiased_cka, cmd and rsa, not"),
        ({"groups": [i // 2 for i in range(N)]}, "null: groups are permuted as blocks, which needs the permutation"),
        ({"null": "exact"}, "null"),
    ],
)
def test_where_it_is_refused(pair: tuple[Layers, Layers], options: dict[str, object], message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        vlalign.score(*pair, **{"null": "analytic", **options})  # type: ignore[arg-type]


def test_permutations_where_they_are_more_exact_or_faster(
    pair: tuple[Layers, Layers], monkeypatch: pytest.MonkeyPatch
) -> None:
    for k in (4, 13):  # few neighbours, and more than a twentieth of all samples
        record = vlalign.score(*pair, k=k, half_samples=0)
        assert record.null is not None
        assert "method" not in record.null
        assert record.null == vlalign.score(*pair, k=k, permutations=1000, half_samples=0).null
    monkeypatch.setattr("vlalign.scoring.analysis._MOST_PAIRS", 2)
    record = vlalign.score(*pair, null="analytic", permutations=19, half_samples=0)
    assert record.null is not None
    assert record.null["permutations"] == 19
    assert "more than 2 layer pairs, so the null is that of permutations" in record.checks["notes"]
    record = vlalign.score(*pair, null="analytic", permutations=0, half_samples=0)
    assert record.null is None
    assert "more than 2 layer pairs, for which there is no analytic null" in record.checks["notes"]


def test_it_is_the_default_where_it_is_known(pair: tuple[Layers, Layers]) -> None:
    default, named = (vlalign.score(*pair, half_samples=0, **more) for more in ({}, {"null": "analytic"}))
    assert default.null == named.null
    assert default.null is not None
    assert (default.null["method"], default.null["asked"]) == ("analytic", 1000)
    assert recorded_settings(default)["permutations"] == 1000  # a rerun has the same settings
    rescaled = vlalign.score(*pair, metric="rnx", half_samples=0)
    assert rescaled.null is not None
    assert rescaled.null["p_value"] == default.null["p_value"]
    for name in ("mean", "threshold", "max", "pair_mean"):
        assert rescaled.null[name] == pytest.approx(((N - 1) * default.null[name] - 10) / (N - 11))
    assert rescaled.null["pair_mean"] == pytest.approx(0, abs=1e-12)
    assert rescaled.calibrated == pytest.approx(default.calibrated)


def test_estimated_time_is_that_of_one_null(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = SimpleNamespace(seconds={"grid": 0.5, "null": 1.0})
    monkeypatch.setattr(Scorer, "pair", lambda *_: seconds)
    for options, expected in (
        (ScoreOptions(), 1.5), (ScoreOptions(permutations=200), 10.5)
    ):  # fmt: skip
        assert estimate._trial(MutualKnn(10), options, 4, 8, 2, 2).grid == expected
