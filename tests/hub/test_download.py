"""Pulling from the stand-in Hub, in this process: damage on either side, and runs that exist already."""

from __future__ import annotations

from pathlib import Path

import pytest
from hub.conftest import corrupt
from support.features import contents, make_run
from support.hub import HubServer

from vlalign.errors import VlalignError
from vlalign.hub import pull, push
from vlalign.store import FeatureStore

pytestmark = pytest.mark.usefixtures("owner")


def test_damage_on_the_hub_is_noticed(store: Path, hub: HubServer, tmp_path: Path) -> None:
    push(store, "owner/damaged", dtype="float32")
    flip = lambda data: data[:200] + bytes([data[200] ^ 1]) + data[201:]  # noqa: E731
    corrupt(hub, "owner/damaged", flip, "llama-7b/part-00000-of-00001.parquet")
    with pytest.raises(VlalignError, match=r"data/llama-7b/part.* is damaged or was altered: its SHA-256"):
        pull("owner/damaged", tmp_path / "p")
    assert [run.key.model for run in FeatureStore(tmp_path / "p").runs()] == ["llama-7b", "dinov2-small"]
    assert not FeatureStore(tmp_path / "p").incomplete()
    push(store, "owner/damaged", dtype="float32", force=True)  # mends it
    assert len(pull("owner/damaged", tmp_path / "p")) == 3
    corrupt(hub, "owner/damaged", lambda data: data.replace(b'"n": 60', b'"n": 61'), "vlalign/llama-7b.json")
    with pytest.raises(VlalignError, match=r"vlalign/llama-7b.json of data set .* do not cover rows 0 to 61"):
        pull("owner/damaged", tmp_path / "q")


def test_what_was_begun_elsewhere_is_not_mixed_with_what_is_pulled(store: Path, tmp_path: Path) -> None:
    """Extraction on another machine may give other bits under the same key."""
    push(store, "owner/begun", dtype="float32", models=["dinov2-small"])
    run = FeatureStore(store).find("dinov2-small")
    other = make_run(tmp_path / "p", run.key, widths=(7, 9), scale=2.0)
    (other.path / "manifest.json").unlink()
    for shard in other.shards:
        path = other.path / shard.file
        path.with_name(path.name + ".sha256").write_text(f"{shard.sha256}  {path.name}\n")
    pull("owner/begun", tmp_path / "p")
    assert (tmp_path / "p" / run.key.slug / run.key.short / "manifest.json").read_bytes() == (
        run.path / "manifest.json"
    ).read_bytes()
    make_run(tmp_path / "q", run.key, widths=(7, 9), scale=2.0)  # complete: it stays
    before = contents(tmp_path / "q")
    assert not pull("owner/begun", tmp_path / "q")[0].fresh
    assert contents(tmp_path / "q") == before


def test_a_damaged_cache_and_a_damaged_store_are_mended(
    store: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from huggingface_hub import hf_hub_download

    push(store, "owner/cache", dtype="float32", models=["dinov2-small"])
    (first,) = pull("owner/cache", tmp_path / "p")
    cached = Path(hf_hub_download("owner/cache", first.about.parts[0].path, repo_type="dataset")).resolve()
    cached.write_bytes(b"x" * cached.stat().st_size)
    shard = first.run.path / first.run.shards[1].file
    shard.write_bytes(b"x")
    caplog.set_level("WARNING", "vlalign")
    (second,) = pull("owner/cache", tmp_path / "p")
    assert second.fresh
    assert not FeatureStore(tmp_path / "p").verify()
    assert f"{shard} is damaged" in caplog.text
    assert "has to be made again" in caplog.text
    assert "extract" not in caplog.text
