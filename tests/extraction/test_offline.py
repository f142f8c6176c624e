"""A dry run without a network: sizes of registered models instead of an error."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from vlalign.cli import main
from vlalign.data import DataSpec
from vlalign.extraction import offline, plan
from vlalign.extraction.options import ExtractOptions
from vlalign.remote import HubUnreachable


@pytest.fixture(autouse=True)
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every question about a model end without an answer."""

    def fail(*arguments: Any, **options: Any) -> None:
        raise HubUnreachable("no network: model is not in the local cache")

    monkeypatch.setattr(plan, "locate", fail)


def test_registered_models(capsys: pytest.CaptureFixture[str]) -> None:
    command = "extract --dry-run --cpu --dtype float32 --model llama-7b --model dinov2-small"
    assert main([*command.split(), "--data", "builtin:emoji", "--max-samples", "4", "--store", "features"]) == 0
    text = capsys.readouterr().out
    rows = {row[0]: row for line in text.splitlines() if len(row := line.split()) > 6}
    assert rows["llama-7b"][1:7] == ["float32", "27.0", "GB", "33", "2.2", "MB"]  # 4 × 33 × 4096 numbers of 4 bytes
    assert rows["dinov2-small"][1:7] == ["float32", "88.2", "MB", "12", "73.7", "kB"]
    assert "about 4 samples of builtin:emoji" in text
    assert "no network: sizes are those of the list of models" in text
    assert "not known: revisions" in text


def test_operations_of_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offline, "matmul_rate", lambda device, dtype: 1e9)
    device = torch.device("cpu")
    config = ExtractOptions(models=("dinov2-small",), data=DataSpec("builtin:emoji", max_samples=4))
    (model,) = offline.offline_plan(config, device, HubUnreachable("")).models
    assert model.tokens == 1 + 37**2  # 518 pixels, patches of 14
    operations = 4 * (2 * 1370 * 22_056_192 + 4 * 1370**2 * 384 * 12)
    assert model.seconds(device) == pytest.approx(operations / 0.6e9)
    config = ExtractOptions(models=config.models, data=config.data, vision_pool=("cls", "avg"))
    (two,) = offline.offline_plan(config, device, HubUnreachable("")).models
    assert two.bytes_to_write() == 2 * model.bytes_to_write()  # a run for each pool, from the same forwards
    assert two.seconds(device) == model.seconds(device)


@pytest.mark.parametrize("flags", ["--model llama-7b", "--dry-run --model nobody/nothing"])
def test_other_commands_and_models_still_fail(flags: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["extract", "--cpu", *flags.split()]) == 1
    assert "no network" in capsys.readouterr().err
