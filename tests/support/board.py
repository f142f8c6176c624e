"""Made-up records of a leaderboard: one real score of made-up models under other names, scores and conditions."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from support.runs import made_up_pair
from vlalign.scoring import ScoreRecord, score
from vlalign.scoring.collect import Collected, Located
from vlalign.store import RunKey


@cache
def real_record() -> ScoreRecord:
    """In depth, of tensors: 3 × 2 layers, N = 60."""
    return score(*made_up_pair(), k=5, permutations=99, half_samples=10, full=True)


def run_of(
    name: str, modality: str, *, content: str = "", caption: int = 0, edits: Iterable[dict[str, Any]] = (), n: int = 60,
    quantization: str = "none", source: str = "made-up", pooling: str = "",
) -> dict[str, Any]:  # fmt: skip
    """What a record says of a run."""
    data: dict[str, Any] = {"name": source, "n": n, "ids": "1" * 64, "id_source": "column", "split": "train"}
    data["content"] = content or modality[0] * 64
    data |= {"caption": caption} if modality == "text" else {"alpha": "white"}
    key = {
        "format": 1,
        "model": {"name": name, "modality": modality, "source": f"hub:org/{name}", "revision": "2" * 40},
        "dtype": "float32",
        "quantization": quantization,
        "layers": "all",
        "data": data,
        "perturbations": list(edits),
        "pooling": pooling or ("mean" if modality == "text" else "cls"),
    }
    return {"hash": RunKey(key).hash, "key": key, "facts": {"truncated": 0}}


def made_up(
    x: str = "vision-a", y: str = "text-a", value: float = 0.5, half: float | None = 0.05, *, k: int = 5, n: int = 60,
    preset: str = "platonic", p: float = 0.01, bits: float | None = 1.0, tensors: bool = False,
    modalities: tuple[str, str] = ("vision", "text"), y_run: dict[str, Any] | None = None, metric: str = "mutual_knn",
) -> ScoreRecord:  # fmt: skip
    """A record with that best score, an interval of ± ``half`` (None: without), conditions as given."""
    first = real_record()
    factor = value / first.score
    interval = None
    if half is not None:
        interval = {**copy.deepcopy(first.interval), "low": value - half, "high": value + half, "observed": value}
    null = {**copy.deepcopy(first.null), "p_value": p}
    sides = []
    for name, modality, more in ((x, modalities[0], {}), (y, modalities[1], y_run or {})):
        edits = more.get("edits") or ()
        title = " ".join([name, *(f"{edit['operation']}:{edit['rate']}" for edit in edits if "operation" in edit)])
        run = None if tensors else run_of(name, modality, n=n, **more)
        sides.append({"model": title, "modality": modality, "run": run, "tensor": None})
    params = {"k": k} if metric == "mutual_knn" else {"folds": 5}
    return replace(
        first, x=sides[0], y=sides[1], n=n, interval=interval, null=null,
        metric={"name": metric, "params": params}, preprocessing={**first.preprocessing, "preset": preset},
        matrix=[[one * factor for one in row] for row in first.matrix],
        best={**first.best, "score": value},
        performance={"x": None, "y": None if bits is None else {"bits_per_byte": bits}},
    )  # fmt: skip


def collected(*records: ScoreRecord) -> Collected:
    """The records as if they were read from a folder."""
    return Collected([Located(record, "results", f"{i:04d}.json") for i, record in enumerate(records)])


def write_results(folder: Path, records: Iterable[ScoreRecord]) -> Path:
    """Save the records in a folder; returns it."""
    for i, record in enumerate(records):
        record.save(folder / f"{i:04d}.json")
    return folder


def small_grid() -> list[ScoreRecord]:
    """Two vision and four text models, and one group apart."""
    values = {"a": 0.6, "b": 0.57, "c": 0.4, "d": 0.2}
    found = [
        made_up(f"vision-{v}", f"text-{t}", value - 0.05 * i, 0.05, bits=2 - value)
        for i, v in enumerate("ab")
        for t, value in values.items()
    ]
    return [*found, made_up("vision-a", "text-a", 0.7, k=10)]


def trivial_pair(value: float, *, random: bool = False, **changes: Any) -> ScoreRecord:
    """A record of two baselines, of features or of random weights, with conditions as given."""
    names = ("random vision-a", "random text-a") if random else ("pixels", "TF-IDF")
    record = made_up(*names, value, bits=None, **changes)
    sides = []
    for side in (record.x, record.y):
        assert side["run"] is not None
        key = copy.deepcopy(side["run"]["key"])
        key["kind"], kind = "baseline", "random" if random else "feature"
        if not random:
            del key["dtype"], key["quantization"], key["pooling"]
        key["model"] = {"name": side["model"], "modality": side["modality"], kind: {"version": 1}}
        sides.append({**side, "run": {**side["run"], "key": key, "hash": RunKey(key).hash}})
    return replace(record, x=sides[0], y=sides[1])
