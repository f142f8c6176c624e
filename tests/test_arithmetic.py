"""Results are those of float32, whatever precision the calling program has set in torch, which it has again after."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
import torch
from study.toy import ToyConfig, ToyStudy
from support.tiny import TinyModels

import vlalign
from vlalign.arithmetic import _places, exact_float32
from vlalign.extraction import extract
from vlalign.metrics import cka, knn, mutual_knn
from vlalign.reproduce.compare import reproduce
from vlalign.scoring.record import ScoreRecord

Settings = tuple[Any, ...]


def settings() -> Settings:
    places, name, _ = _places()
    try:
        products = torch.get_float32_matmul_precision()
    except RuntimeError:  # a mix of torch's two ways to set it
        products = "mixed"
    return products, torch.is_autocast_enabled("cpu"), *(getattr(place, name) for place in places)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    places, name, _ = _places()
    before = torch.get_float32_matmul_precision(), [getattr(place, name) for place in places]
    yield
    torch.set_float32_matmul_precision(before[0])
    for place, value in zip(places, before[1], strict=True):
        setattr(place, name, value)


def lower_products() -> AbstractContextManager[None]:
    torch.set_float32_matmul_precision("medium")
    return nullcontext()


def lower_products_by_backend() -> AbstractContextManager[None]:
    backends: Any = torch.backends
    if hasattr(backends.mkldnn, "matmul"):
        backends.mkldnn.matmul.fp32_precision, backends.cuda.matmul.fp32_precision = "bf16", "tf32"
    return nullcontext()


def autocast() -> AbstractContextManager[None]:
    return torch.autocast("cpu", dtype=torch.bfloat16)


LOWER = [lower_products, lower_products_by_backend, autocast]


def sides(n: int = 120) -> tuple[torch.Tensor, torch.Tensor]:
    """Features [n, 40] that share half of their columns, with a large common offset: float32 just resolves them."""
    draw = torch.Generator().manual_seed(0)
    shared = torch.randn(n, 20, generator=draw)
    x, y = (torch.cat([shared, torch.randn(n, 20, generator=draw) / 2], dim=1) + 10 for _ in range(2))
    return x, y


def scored() -> ScoreRecord:
    x, y = sides()
    return vlalign.score(x, y, preset="cosine", permutations=0, half_samples=0)


def compared() -> Any:
    x, y = sides()
    return vlalign.compare(x[:, :25], x[:, 15:], reference=y, preset="cosine").difference


def probed() -> Any:
    x, y = sides()
    return vlalign.probe(x, (y[:, 0] > 10).tolist(), folds=3, strengths=(0.1,), bootstraps=100).value


def informed() -> Any:
    x, y = sides()
    labels = x[:, 0] + y[:, 1]
    result: Any = vlalign.information(
        x[:, :5], y[:, :5], labels, estimator="gaussian", folds=3, bootstraps=20, permutations=19
    )
    return result.as_dict()["estimates"]


WORK: dict[str, Callable[[], Any]] = {
    "score": lambda: scored().matrix,
    "compare": compared,
    "reproduce": lambda: reproduce(*(side.unsqueeze(1) for side in sides())).ours["matrix"],
    "metrics": lambda: [metric(*sides()) for metric in (mutual_knn, cka)],
    "knn": lambda: knn(sides()[0]).tolist(),
    "probe": probed,
    "information": informed,
}


@pytest.mark.parametrize("lower", LOWER)
def test_settings_are_exact_inside_and_restored_after(lower: Callable[[], Any]) -> None:
    x = sides()[0]
    with lower():
        before = settings()
        with exact_float32():
            inside = settings()
            with exact_float32():
                assert settings() == inside
            assert settings() == inside
            product = x @ x.T
        assert settings() == before
    assert inside[:2] == ("highest", False)
    torch.testing.assert_close(product.double(), x.double() @ x.double().T, rtol=1e-6, atol=0)


def test_settings_are_restored_after_an_error() -> None:
    lower_products()
    before = settings()
    with pytest.raises(ZeroDivisionError), exact_float32():
        _ = 1 / 0
    assert settings() == before


def test_a_thread_that_ends_leaves_the_others_exact() -> None:
    lower_products()
    before, started, ended, inside = settings(), Event(), Event(), []

    def work() -> None:
        with exact_float32():
            started.set()
            ended.wait(10)
            inside.append(torch.get_float32_matmul_precision())

    with exact_float32():
        thread = Thread(target=work)
        thread.start()
        assert started.wait(10)
    ended.set()
    thread.join()
    assert inside == ["highest"]
    assert settings() == before


@pytest.mark.parametrize("name", WORK)
def test_results_do_not_depend_on_the_precision_of_the_caller(name: str) -> None:
    expected = WORK[name]()
    for lower in (lower_products, autocast):
        with lower():
            before = settings()
            assert WORK[name]() == expected
            assert settings() == before
        torch.set_float32_matmul_precision("highest")


def test_features_do_not_depend_on_the_precision_of_the_caller(tiny: TinyModels, tmp_path: Path) -> None:
    expected = tiny.run("llama")
    lower_products()
    with autocast():
        (run,) = extract(str(tiny.path("llama")), data=str(tiny.path("prh")), store=str(tmp_path), workers=0)
    assert run.key == expected.key
    for got, want in zip(run.features(), expected.features(), strict=True):
        assert torch.equal(got, want)


def test_studies_compute_in_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def cells(self: ToyStudy) -> list[Any]:
        seen.append(torch.get_float32_matmul_precision())
        return []

    monkeypatch.setattr(ToyStudy, "cells", cells)
    lower_products()
    ToyStudy(ToyConfig(out=str(tmp_path))).plan()
    assert seen == ["highest"]
    assert torch.get_float32_matmul_precision() == "medium"
