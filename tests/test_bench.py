"""The benchmark of scoring runs and checks itself (its other half needs pretrained models)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from support.forks import Fork

from vlalign.metrics import metric_names

ROOT = Path(__file__).resolve().parent.parent


def quick(part: str, folder: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the rows of a part of the quick benchmark and what it prints."""
    out = folder / "bench.json"
    done = Fork(["python", "benchmarks/cpu.py", "--quick", "--only", part, "--json", str(out)], cwd=ROOT).wait()
    assert done.returncode == 0, done.stderr
    return json.loads(out.read_text())["rows"], done.stdout


def test_quick_benchmark_of_metrics(tmp_path: Path) -> None:
    rows, _ = quick("metrics", tmp_path)
    assert all(row["ours"] > 0 for row in rows)
    assert {row["what"].split()[0] for row in rows} >= set(metric_names())


def test_quick_benchmark(tmp_path: Path) -> None:
    rows, printed = quick("score", tmp_path)
    assert {row["unit"] for row in rows} == {"s", "GiB"}
    assert rows[0]["same_matrix"] is True
    assert all(row["ours"] > 0 for row in rows)
    assert "mutual-kNN grid" in printed


def test_quick_benchmark_of_the_synthetic_study(tmp_path: Path) -> None:
    rows, _ = quick("synthetic", tmp_path)
    assert all(row["ours"] > 0 for row in rows)
    for name in ("depth 1", "depth 2", "one seed of the paper's grid: estimate", "information", "alignment of one"):
        assert any(name in row["what"] for row in rows)
    assert all(row["difference_float64"] < 1e-9 for row in rows if "model-epoch" in row["what"])


def test_quick_benchmark_of_the_multibench_study(tmp_path: Path) -> None:
    rows, _ = quick("multibench", tmp_path)
    assert [row["reach"] for row in rows] == ["≥ 5×", "≥ 20×"]
    assert all(row["ours"] > 0 for row in rows)
    assert rows[-1]["difference"] < 1e-4


def test_quick_benchmark_of_pushing(tmp_path: Path) -> None:
    rows, _ = quick("hub", tmp_path)
    assert [row["reach"] for row in rows] == ["≤ 1.5×", "≥ 200 MB/s", "–"]
    assert all(row["ours"] > 0 for row in rows)


def test_quick_benchmark_of_the_leaderboard(tmp_path: Path) -> None:
    rows, _ = quick("leaderboard", tmp_path)
    assert [row["unit"] for row in rows] == ["s", "MB"]
    assert all(row["ours"] > 0 for row in rows)


def test_tiny_benchmark_of_a_gpu(tmp_path: Path) -> None:
    """A part in a process of its own, as all are measured, and a larger one without importing the libraries again."""
    for part in (["--only", "machine"], ["--part", "llama"]):
        line = ["python", "benchmarks/gpu.py", "--tiny", *part, "--out", str(tmp_path)]
        done = Fork(line, cwd=ROOT).wait()
        assert done.returncode == 0, done.stderr
    assert "TFLOP/s" in (tmp_path / "gpu.txt").read_text()
    rows = [json.loads(line) for line in (tmp_path / "gpu.jsonl").read_text().splitlines()]
    assert not [row for row in rows if row.keys() & {"failed", "stopped", "skipped"}]
    extracted = [row for row in rows if "samples_per_s" in row]
    assert [row["what"].partition(", ")[2] for row in extracted] == [
        "captions, with loss", "captions, no loss", "128 tokens, with loss",
    ]  # fmt: skip
    assert all(row["samples_per_s"] > 0 and row["bare_s"] > 0 for row in extracted)
