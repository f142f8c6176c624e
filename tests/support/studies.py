"""Tiny studies, and what their stores hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from vlalign.data import DataSpec
from vlalign.store import FeatureStore, Run
from vlalign.uniqueness import UniquenessConfig, UniquenessResult, UniquenessStudy

X, Y = ("dinov2-small", "dinov2-giant"), ("llama-7b", "bloomz-560m")
FAST: dict[str, Any] = {"k": 5, "permutations": 19, "half_samples": 4, "cpu": True, "workers": 0, "shard_rows": 10}


def config_in(folder: Path, **values: Any) -> UniquenessConfig:
    """A study of one pair of tiny models at 0 and 50 %, with its store and its results in ``folder``."""
    settings = {"x": X[0], "y": Y[0], "op": "char_delete", "rates": (50,), "data": DataSpec("minhuh/prh")}
    places = {"store": str(folder / "store"), "out": str(folder / "out")}
    return UniquenessConfig(**{**settings, **FAST, **places, **values})


def run(config: UniquenessConfig) -> UniquenessResult:
    """Its result."""
    result = UniquenessStudy(config).run(report=False)
    assert result is not None
    return result


def runs_by(folder: Path) -> dict[str, list[Run]]:
    """Complete runs of the store by model, those of low rates first."""
    found: dict[str, list[Run]] = {}
    for one in FeatureStore(folder / "store").runs():
        found.setdefault(one.key.model, []).append(one)
    return {name: sorted(runs, key=rate_of) for name, runs in found.items()}


def rate_of(one: Run) -> float:
    """Rate of its edits in percent."""
    edits = one.key.data["perturbations"]
    return float(edits[0]["rate"]) if edits else 0.0
