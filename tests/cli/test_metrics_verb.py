"""``vlalign metrics``: the table and its JSON."""

from __future__ import annotations

import json

import pytest

from vlalign.cli import main
from vlalign.metrics import metric_names, parse_metric


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "250")
    assert main(["metrics"]) == 0
    said = capsys.readouterr().out
    cells = {line.split()[0] for line in said.splitlines() if line.split()}
    assert set(metric_names()) <= cells
    assert "vlalign score STORE --metric NAME" in said


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["metrics", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [entry["name"] for entry in found] == metric_names()
    for entry in found:
        assert {"summary", "range", "invariances", "cost", "source", "symmetric", "permutations"} <= set(entry)
        given = f"{entry['name']}:{','.join(entry['parameters'])}"  # what is listed can be given
        assert parse_metric(given) == parse_metric(entry["name"])
