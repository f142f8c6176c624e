"""Models of the Hub whose cached files were changed are refused, with what to delete."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.hub import HubServer
from support.tiny import TinyModels

from vlalign.errors import VlalignError
from vlalign.extraction import extract
from vlalign.models import cached
from vlalign.models.registry import resolve
from vlalign.models.source import locate


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of vlalign's own."""
    monkeypatch.setenv("VLALIGN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def change(file: Path, at: int) -> Path:
    """Change one byte of a cached file where it lies; return its blob."""
    blob = file.resolve()
    held = bytearray(blob.read_bytes())
    held[at] ^= 0x40
    blob.write_bytes(held)
    return blob


@pytest.mark.parametrize(
    ("repo", "folder", "file", "at"),
    [
        ("changed/bert", "bert", "model.safetensors", -5),
        ("changed/header", "bert", "model.safetensors", 30),
        ("changed/sentencepiece", "llama", "tokenizer.model", -5),
        ("changed/timm", "timm_vit", "model.safetensors", -5),
        ("changed/gguf", "gguf", "model-f32.gguf", -5),
    ],
)
def test_a_changed_file_is_refused(
    hub: HubServer, tiny: TinyModels, tmp_path: Path, cache: Path, repo: str, folder: str, file: str, at: int
) -> None:
    hub.add_model(repo, tiny.path(folder))
    name = f"{repo}/{file}" if folder == "gguf" else repo
    data, store = str(tiny.path("prh")), tmp_path / "s"
    (run,) = extract(name, data=data, store=str(store), workers=0)
    blob = change(locate(resolve(name)).file(file), at)
    with pytest.raises(VlalignError, match=f"{repo}: {re.escape(file)} was changed.*delete {blob} and run") as raised:
        extract(name, data=data, store=str(tmp_path / "s2"), workers=0)
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.glob("s2/**/*.safetensors"))
    blob.unlink()
    (again,) = extract(name, data=data, store=str(tmp_path / "s3"), workers=0)
    assert all((x == y).all() for x, y in zip(run.features(), again.features(), strict=True))


def test_files_are_hashed_once(hub: HubServer, tiny: TinyModels, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.add_model("once/vit", tiny.path("vit"))
    source = locate(resolve("once/vit"))
    weights = source.file("model.safetensors").resolve()
    hashed: list[Path] = []
    checksum = cached.sha256_file

    def counted(path: Path) -> str:
        hashed.append(path)
        return checksum(path)

    monkeypatch.setattr(cached, "sha256_file", counted)
    source.check_cached()
    assert weights in hashed
    hashed.clear()
    source.check_cached()
    assert hashed == []
    weights.touch()
    source.check_cached()
    assert hashed == [weights]
    (cache / "verified.json").write_text("[")
    source.check_cached()
    assert weights in hashed[1:]


def test_a_local_model_has_no_cache(tiny: TinyModels, cache: Path) -> None:
    locate(resolve(str(tiny.path("vit")))).check_cached()
    assert not cache.exists()
