"""Counting what is costly, so that tests can say that it did not happen."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest


def counted_loads(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, dict[str, Any]]]:
    """A list that gets (alias, keyword arguments) whenever an extraction loads a model's weights."""
    engine: Any = import_module("vlalign.extraction.engine")
    found: list[tuple[str, dict[str, Any]]] = []

    def counted(original: Any) -> Any:
        def load(source: Any, **options: Any) -> Any:
            found.append((source.spec.alias, options))
            return original(source, **options)

        return load

    for name in ("load_text_model", "load_vision_model"):
        monkeypatch.setattr(engine, name, counted(getattr(engine, name)))
    return found


def counted_scores(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that gets the title of every record that is computed."""
    scorer: Any = import_module("vlalign.scoring.scorer").Scorer
    found: list[str] = []
    original = scorer.pair

    def pair(self: Any, *rest: Any) -> Any:
        record = original(self, *rest)
        found.append(record.title)
        return record

    monkeypatch.setattr(scorer, "pair", pair)
    return found
