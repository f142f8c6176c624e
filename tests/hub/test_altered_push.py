"""Values on the Hub that are not those that were pushed, under a description that was changed with them."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.features import make_store
from support.hub import TOKEN, HubServer
from support.hub_api import Blob

from vlalign.errors import VlalignError
from vlalign.hub import pull, push
from vlalign.store import FeatureStore


@pytest.fixture
def store(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.uploads.clear()
    return make_store(tmp_path / "features").root


def _replace(hub: HubServer, repo: str, path: str, data: bytes) -> None:
    files = dict(hub.files(repo := f"datasets/{repo}")) | {path: Blob.make(data, path)}
    hub.repos[repo].commit("main", files, "change")


def _change(table: pa.Table, column: str, row: int) -> pa.Table:
    """Change the value of a row: the first one of a list."""
    values = table[column].to_pylist()
    values[row] = [values[row][0] + 1, *values[row][1:]] if isinstance(values[row], list) else values[row] + 1
    field = table.schema.field(column)
    return table.set_column(table.schema.names.index(column), field, pa.array(values, field.type))


@pytest.mark.parametrize(
    ("dtype", "column", "recorded"),
    [
        ("float32", "layer_01", True),
        ("float32", "layer_01", False),  # pushed by an earlier version: checksums of the original's shards remain
        ("float32", "extra_bits", True),
        ("float32", "extra_bits", False),
        ("float16", "layer_00", True),
        ("float16", "extra_bytes", True),
    ],
)
def test_values_that_do_not_fit_the_key_are_refused(
    store: Path, hub: HubServer, tmp_path: Path, dtype: str, column: str, recorded: bool
) -> None:
    """The file's own checksum was changed with it."""
    repo = f"owner/altered-{dtype}-{column}-{recorded}"
    push(store, repo, dtype=dtype, models=["llama-7b"], perturb=["none"], force=True)
    files = hub.files(f"datasets/{repo}")
    about, part = "vlalign/llama-7b.json", "data/llama-7b/part-00000-of-00001.parquet"
    changed = io.BytesIO()
    pq.write_table(_change(pq.read_table(io.BytesIO(files[part].read())), column, 20), changed)
    description = json.loads(files[about].read())
    description["parts"][0] |= {
        "sha256": hashlib.sha256(changed.getvalue()).hexdigest(), "bytes": len(changed.getvalue()),
    }  # fmt: skip
    if not recorded:
        del description["digests"]
    _replace(hub, repo, part, changed.getvalue())
    _replace(hub, repo, about, json.dumps(description).encode())
    with pytest.raises(VlalignError, match="shard 1 of llama-7b does not hold the values that were pushed"):
        pull(repo, tmp_path / "p")
    assert not FeatureStore(tmp_path / "p").runs()
    assert len(list((tmp_path / "p").rglob("shard-*.safetensors"))) == 1  # the sound one before it


def test_a_push_of_an_earlier_version_without_digests(store: Path, hub: HubServer, tmp_path: Path) -> None:
    push(store, "owner/old", dtype="float32", models=["llama-7b"], perturb=["none"])
    about = "vlalign/llama-7b.json"
    description = json.loads(hub.files("datasets/owner/old")[about].read())
    del description["digests"]
    _replace(hub, "owner/old", about, json.dumps(description).encode())
    (done,) = pull("owner/old", tmp_path / "p")
    assert done.fresh
    assert not done.run.verify()
