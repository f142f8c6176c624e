"""Registered models: those of the reference, and the small ones of the package index, by short names.

``registered.csv`` has a row per model with the fields of :class:`~vlalign.models.spec.ModelSpec`. Parameter counts are
those of the published configurations, counted on torch's meta device; licences are those stated by the authors'
repositories (transformers) and by timm, empty where neither states one for these very weights.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from vlalign.models.spec import ModelSpec


def _read_models() -> tuple[ModelSpec, ...]:
    """Read registered.csv."""
    with (Path(__file__).parent / "registered.csv").open(encoding="utf-8", newline="") as file:
        rows: list[dict[str, Any]] = [{k: v for k, v in row.items() if v} for row in csv.DictReader(file)]
    for row in rows:
        row |= {name: int(row[name]) for name in ("params", "layers", "width") if name in row} | {
            "gated": "gated" in row
        }
    return tuple(ModelSpec(**row) for row in rows)


MODELS: tuple[ModelSpec, ...] = _read_models()
"""All registered models, in the order in which they are listed."""

ALIASES: Mapping[str, ModelSpec] = MappingProxyType({spec.alias: spec for spec in MODELS})
SOURCES: Mapping[str, ModelSpec] = MappingProxyType({spec.source: spec for spec in MODELS})


def _aliases(*families: str) -> tuple[str, ...]:
    return tuple(m.alias for family in families for m in MODELS if m.family == family and m.scheme != "wheel")


_PRH_TEXT = _aliases("bloomz", "open-llama", "llama")
_PRH_VISION = _aliases("augreg", "mae", "dinov2", "clip", "clip-ft-in12k")

MODEL_SETS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "prh": _PRH_TEXT + _PRH_VISION,
        "prh-text": _PRH_TEXT,
        "prh-vision": _PRH_VISION,
        "prh-2": _aliases("olmo", "gemma", "mistral", "mixtral", "llama-3"),
    }
)
"""Published sets: the grid of 12 language and 17 vision models, its two halves, and the second text set."""
