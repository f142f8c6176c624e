"""Shard boundaries and file names."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vlalign.store import Layout, Shard, plan_shards


@settings(deadline=None)
@given(st.integers(0, 5000), st.integers(1, 600))
def test_shards_cover_every_row_once(n, shard_rows):
    shards = plan_shards(n, shard_rows)
    assert [row for shard in shards for row in range(shard.start, shard.stop)] == list(range(n))
    assert [shard.index for shard in shards] == list(range(len(shards)))
    assert all(shard.rows == shard_rows for shard in shards[:-1])
    assert all(0 < shard.rows <= shard_rows for shard in shards)
    assert shards == plan_shards(n, shard_rows)


@settings(deadline=None)
@given(st.integers(0, 2000), st.integers(0, 2000), st.integers(1, 300))
def test_full_shards_do_not_move_when_rows_are_added(n, more, shard_rows):
    full = [shard for shard in plan_shards(n, shard_rows) if shard.rows == shard_rows]
    assert plan_shards(n + more, shard_rows)[: len(full)] == full


@pytest.mark.parametrize(("n", "shard_rows"), [(-1, 4), (4, 0), (4, -2)])
def test_impossible_plans(n, shard_rows):
    with pytest.raises(ValueError, match="shard_rows"):
        plan_shards(n, shard_rows)


def test_paths(toy):
    key = toy.key("org/toy")
    layout = Layout.of(Path("store"), key)
    assert layout.folder == Path("store") / "org__toy" / key.short
    path = layout.shard(Shard(3, 12, 16), 8)
    assert path.name == "shard-00003-of-00008.safetensors"
    assert Layout.sidecar(path).name == "shard-00003-of-00008.safetensors.sha256"
