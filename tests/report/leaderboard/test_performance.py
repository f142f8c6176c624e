"""Correlations of alignment and performance on a leaderboard: families count, references are not pooled."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from support.board import collected, made_up

from vlalign.report.leaderboard import save_leaderboard
from vlalign.scoring import ScoreRecord

LEVELS = {"vision-a": 0.1, "vision-b": 0.5}


def rhos(folder: Path, *records: ScoreRecord) -> dict[str, Any]:
    """Save a leaderboard; return the correlations of the rankings by the names of the references."""
    save_leaderboard(collected(*records), folder)
    data = re.findall(r'id="data">(.*?)</script>', (folder / "index.html").read_text(encoding="utf-8"), re.DOTALL)
    return {one["name"]: one["rho"] for one in json.loads(data[0])["groups"][0]["rankings"]}


def grid(**changes: Any) -> list[ScoreRecord]:
    """Six models of six families whose alignment to each of two references rises with their performance."""
    return [
        made_up(vision, f"text-{i}", level + 0.01 * i, bits=1 + 0.1 * i, **changes)
        for vision, level in LEVELS.items()
        for i in range(6)
    ]


def test_correlations_with_performance_count_families(tmp_path: Path) -> None:
    names = ["llama-7b", "llama-13b", "llama-30b", "bloom-560m", "bloom-1b1", "bloom-1b7"]
    models = [made_up("vision-a", name, 0.3 + 0.05 * i, bits=1 - 0.1 * i) for i, name in enumerate(names)]
    save_leaderboard(collected(*models), tmp_path)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "(6 models of 2 families: five are needed)" in text


def test_all_pairs_have_the_mean_over_references(tmp_path: Path) -> None:
    for k, modalities in ((5, ("vision", "text")), (6, ("text", "text"))):
        found = rhos(tmp_path / str(k), *grid(k=k, modalities=modalities))
        for vision in LEVELS:
            assert re.fullmatch(r"ρ = 1.00 \(0.*1.00; 6 families\)", found[vision]["score"])
        assert re.fullmatch(r"ρ = 1.00 \(0.*1.00; 6 families; mean over 2 references\)", found["all pairs"]["score"])


def test_all_pairs_need_every_model_with_every_reference(tmp_path: Path) -> None:
    found = rhos(tmp_path / "some", *grid()[:-1])
    assert found["vision-a"]["score"].startswith("ρ = 1.00")
    assert found["all pairs"]["score"] == (
        "no ρ (not every model has one score with every reference: choose a reference)"
    )
    *most, last = grid()
    last = replace(last, performance={"x": None, "y": {"bits_per_byte": 7.0}})
    assert rhos(tmp_path / "other", *most, last)["all pairs"]["score"].startswith("no ρ (several performances")


def test_each_measure_has_its_correlation(tmp_path: Path) -> None:
    records = [replace(record, chance=0.05 * i) for i, record in enumerate(grid()[:6])]
    rho = rhos(tmp_path, *records)["vision-a"]
    assert rho["score"].startswith("ρ = 1.00 (")
    assert rho["above"].startswith("ρ = −1.00 (")
    assert set(rho) == {"score", "above"}


def test_a_model_with_itself_does_not_count(tmp_path: Path) -> None:
    own = made_up("text-0", "text-0", 0.99, bits=0.0, modalities=("text", "text"))
    own = replace(own, x=own.y)
    records = [made_up("text-0", f"text-{i}", 0.2 + 0.01 * i, bits=i, modalities=("text", "text")) for i in range(1, 7)]
    assert rhos(tmp_path, own, *records)["text-0"]["score"].startswith("ρ = 1.00 (")
