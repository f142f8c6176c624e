"""Small shards share batches, and what is written does not depend on which shards are missing."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from support.features import contents
from support.tiny import PRH_ROWS, TinyModels

from vlalign.data import DataSpec
from vlalign.extraction.engine import Engine
from vlalign.extraction.options import ExtractOptions
from vlalign.extraction.plan import ModelPlan
from vlalign.extraction.readers import TextReader, VisionReader
from vlalign.store import plan_shards


@pytest.mark.parametrize(
    ("model", "budget", "reader"),
    [("llama", {"batch_tokens": 90}, TextReader), ("timm_vit", {"batch_images": 9}, VisionReader)],
)
def test_missing_shards_of_a_group_get_the_same_bytes(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str, budget: dict[str, Any], reader: Any
) -> None:
    batches: list[list[int]] = []
    forward = reader._forward

    def watched(self: Any, rows: list[int]) -> Any:
        batches.append(rows)
        return forward(self, rows)

    data, folder = DataSpec(str(tiny.path("prh"))), str(tiny.path(model))
    engine = Engine(
        ExtractOptions(models=(folder,), data=data, store=str(tmp_path), shard_rows=3, workers=0, cpu=True, **budget)
    )
    plan = engine.plan()
    shards = plan_shards(PRH_ROWS, 3)
    groups = plan.models[0].groups(shards, *budget.values())
    assert 2 <= len(groups) < len(shards)
    assert [shard for group in groups for shard in group] == shards

    engine._model(plan.models[0])  # its trial reading is not counted
    monkeypatch.setattr(reader, "_forward", watched)
    run = engine.run(plan)[0].run
    whole = contents(tmp_path)
    assert any(rows[0] // 3 != rows[-1] // 3 for rows in batches)  # they span shards
    assert sorted(row for rows in batches for row in rows) == list(range(PRH_ROWS))

    for index in (0, 2, 7):
        (run.path / run.shards[index].file).unlink()
    done: list[int] = []

    def display(plan: ModelPlan) -> nullcontext[Any]:
        return nullcontext(done.append)

    again = engine.plan()
    assert [shard.index for shard in again.models[0].missing] == [0, 2, 7]
    engine.run(again, progress=display)
    assert (done[0], done[-1]) == (PRH_ROWS - 9, PRH_ROWS)
    assert contents(tmp_path) == whole
