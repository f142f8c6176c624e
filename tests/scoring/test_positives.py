"""Items of several samples: equal to plain Python, with the null of items exact."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.metrics import get_metric
from vlalign.metrics.engine import items as module
from vlalign.metrics.engine.items import ItemLayer, knn_of_items
from vlalign.scoring import ScoreRecord, score
from vlalign.stats.groups import members

LABELS = np.array([0, 1, 2, 0, 3, 4, 3, 1, 5, 5, 5, 2, 0])  # 6 items of 1 to 3 samples, not in order
K = 2
Lists = list[list[int]]


def features(seed: int, n: int = len(LABELS), width: int = 4) -> Tensor:
    rows = torch.randn(n, width, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.normalize(rows, dim=1)


def slow_lists(rows: Tensor, labels: np.ndarray, k: int) -> Lists:
    """The definition: items by the largest product of any of their rows with any row of the item."""
    products, count = (rows @ rows.T).numpy(), int(labels.max()) + 1
    lists = []
    for a in range(count):
        near = [products[np.ix_(labels == a, labels == b)].max() if b != a else -np.inf for b in range(count)]
        lists.append(np.argsort(-np.array(near), kind="stable")[:k].tolist())
    return lists


def shared(x: Lists, y: Lists, k: int = K) -> list[float]:
    return [len(set(a) & set(b)) / k for a, b in zip(x, y, strict=True)]


@pytest.fixture(scope="module")
def sides() -> tuple[Tensor, Tensor]:
    x = features(0)
    return x, torch.nn.functional.normalize(x + 0.5 * features(1), dim=1)


@pytest.mark.parametrize("block_bytes", [1, 200, 2**20])
def test_lists_of_items(sides: tuple[Tensor, Tensor], block_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK_BYTES", block_bytes)
    layer = ItemLayer(sides[0], members(LABELS))
    assert knn_of_items(layer, 4).x.tolist() == slow_lists(sides[0], LABELS, 4)
    chosen = np.array([1, 2, 4, 5])
    part = np.isin(LABELS, chosen)
    expected = slow_lists(sides[0][torch.from_numpy(part)], np.searchsorted(chosen, LABELS[part]), K)
    metric = get_metric("mutual_knn", k=K)
    assert metric.subset((layer, None), chosen).x.tolist() == expected
    with pytest.raises(VlalignError, match="k=6 with 6 items"):
        knn_of_items(layer, 6)


def test_ties_between_items_are_random() -> None:
    """Identical rows in different items: all are equally near, and either side has another order of them."""
    lists = knn_of_items(ItemLayer(torch.ones(60, 3), members(np.arange(60) // 2)), 5)
    assert not torch.equal(lists.x, lists.y)
    assert len({tuple(row) for row in lists.x.tolist()}) > 20
    assert all(i not in row for i, row in enumerate(lists.x.tolist()))


def test_score_and_exact_null(sides: tuple[Tensor, Tensor]) -> None:
    """Chance level, p-value and the score itself, against all permutations of the items."""
    x, y = sides
    ids = [f"s{i}" for i in range(len(LABELS))]
    positives = dict(zip(ids, LABELS.tolist(), strict=True))
    record = score(x, y, k=K, positives=positives, ids=ids, preset="cosine", permutations=2000, half_samples=10)
    of_x, of_y = (slow_lists(side, LABELS, K) for side in sides)
    observed = np.mean(shared(of_x, of_y))
    assert record.score == pytest.approx(observed)
    assert record.n == 6
    entry = {"source": "given by id", "items": 6, "largest": 3, "samples": 13}
    assert record.pairing["positives"] == entry | {"sha256": record.pairing["positives"]["sha256"]}
    samples = record.samples()
    assert samples["id"].tolist() == ["s0", "s1", "s2", "s4", "s5", "s8"]  # the first sample of each item
    assert samples["score"].tolist() == pytest.approx(shared(of_x, of_y))
    null = []
    for order in permutations(range(6)):
        inverse = np.argsort(order)
        null.append(np.mean(shared(of_x, [inverse[of_y[order[i]]].tolist() for i in range(6)])))
    assert record.chance == pytest.approx(np.mean(null)) == pytest.approx(K / 5)
    exact = np.mean(np.array(null) >= observed - 1e-9)
    assert record.null is not None
    assert record.p_value == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / record.null["permutations"]))
    assert "N = 6 items of 13 samples" in str(record)
    assert "-positives-given-by-id.json" in record.filename


@pytest.mark.parametrize("metric", ["mutual_knn", "cycle_knn", "lcs_knn", "rnx"])
def test_repeated_samples_count_once(metric: str) -> None:
    """Several equal samples of each item give the score without them; an item each gives the plain record."""
    n = 30
    x = features(2, n)
    y = torch.nn.functional.normalize(x + 0.6 * features(3, n), dim=1)
    options = {"metric": metric, "k": 3, "preset": "none", "permutations": 50, "half_samples": 6}
    plain = score(x, y, **options)
    alone = score(x, y, positives=list("abcdefghijklmnopqrstuvwxyzABCD"), **options)
    for name in ("matrix", "chance", "null", "interval", "moments", "pairing", "n"):
        assert getattr(alone, name) == getattr(plain, name)
    repeated = np.repeat(np.arange(n), np.arange(n) % 3 + 1)
    order = torch.from_numpy(repeated)
    items = score(x[order], y[order], positives=repeated.tolist(), full=metric == "mutual_knn", **options)
    assert items.score == pytest.approx(plain.score)
    assert items.null is not None
    assert plain.null is not None
    assert items.null["maxima"] == pytest.approx(plain.null["maxima"])
    assert items.chance == pytest.approx(plain.chance)
    assert items.interval is not None
    assert plain.interval is not None
    assert items.interval["sd"] == pytest.approx(plain.interval["sd"])
    if items.curves is not None:
        assert items.curves["n"]["points"][-1]["at"] == n
    assert items.environment["request"]["positives"] != plain.environment["request"].get("positives")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metric": "cka"}, "positives: cka compares no lists of neighbours"),
        ({"groups": LABELS.tolist()}, "give one of the options"),
        ({"positives": "exact"}, "exact is for groups"),
        ({"neighbours": "faiss"}, "searched exactly, not with faiss"),
        ({"positives": LABELS.tolist()[:-1]}, "12 positives for 13 samples"),
        ({"k": 6}, "more than 6 samples, got N=6"),
    ],
)
def test_refusals(sides: tuple[Tensor, Tensor], options: dict, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        score(*sides, **{"positives": LABELS.tolist(), "k": 2} | options)


def test_the_verb(sides: tuple[Tensor, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for side, name in zip(sides, "xy", strict=True):
        np.save(tmp_path / f"{name}.npy", side.numpy())
    (tmp_path / "ids.txt").write_text("".join(f"s{i}\n" for i in range(13)))
    (tmp_path / "items.csv").write_text("id,group\n" + "".join(f"s{i},i{label}\n" for i, label in enumerate(LABELS)))
    files = [str(tmp_path / name) for name in ("x.npy", "y.npy")]
    given = ["--ids", str(tmp_path / "ids.txt"), "--positives", str(tmp_path / "items.csv"), "--out", str(tmp_path)]
    assert not main(["score", *files, *given, "--k", "2", "--preset", "cosine", "--no-figure"])
    assert "N = 6 items of 13 samples" in capsys.readouterr().out
    (path,) = tmp_path.glob("*.json")
    record = ScoreRecord.load(path)
    assert record.score == pytest.approx(np.mean(shared(*(slow_lists(side, LABELS, K) for side in sides))))
    assert len(record.samples()) == 6
