"""A complete store on a read-only mount is used as it is; an incomplete one is refused on one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.features import contents
from support.hub import TOKEN, HubServer
from support.read_only import read_only
from support.tiny import TinyModels

from vlalign.cli import main


@pytest.fixture
def store(tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main(extract(tiny)) == 0
    return tmp_path / "features"


def extract(tiny: TinyModels, *more: str) -> list[str]:
    models = [word for name in ("gpt2", "vit") for word in ("--model", str(tiny.path(name)))]
    few = ["--data", "builtin:emoji", "--max-samples", "12", "--shard-rows", "5", "--workers", "0", "--cpu", "-q"]
    return ["extract", *models, *few, *more]


def test_everything_that_reads_works(
    store: Path, tiny: TinyModels, hub: HubServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    before = contents(store)
    quick = ["--k", "3", "--permutations", "0", "--half-samples", "0", "--no-figure", "-q"]
    with read_only(store):
        assert main(extract(tiny)) == 0
        assert main(["runs", "features"]) == 0
        assert main(["verify", "features"]) == 0
        assert main(["score", "features", *quick, "--out", "results"]) == 0
        assert main(["push", "features", "--repo", "owner/read-only", "-q"]) == 0
        assert main(extract(tiny, "--dry-run")) == 0
    assert contents(store) == before
    assert "read-only" not in capsys.readouterr().err.lower()
    assert len(list(Path("results").glob("*.json"))) == 1


def test_what_has_to_write_says_so(store: Path, tiny: TinyModels, capsys: pytest.CaptureFixture[str]) -> None:
    shard = next(store.rglob("shard-00001-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    with read_only(store):
        assert main(extract(tiny)) == 1
    error = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(error) == 1
    assert "cannot write" in error[0]
    assert "features" in error[0]
