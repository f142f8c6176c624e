"""The command kept with a run makes the same run again, and is what errors about damaged shards name."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from support.features import contents
from support.tiny import TinyModels, save_timm

from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.store import FeatureStore
from vlalign.store.layout import Layout
from vlalign.store.run import read_events


def test_the_command_repairs_a_damaged_run(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    models = [word for name in ("gpt2", "vit") for word in ("--model", str(tiny.path(name)))]
    settings = "--data builtin:emoji --max-samples 11 --shard-rows 4 --no-loss --text-pool last"
    settings += " --perturb char_delete:30,seed=2"
    assert main(["extract", *models, *settings.split(), "--store", "a store", "--cpu", "--workers", "0", "-q"]) == 0
    before = contents(tmp_path / "a store")
    run = FeatureStore("a store").find("gpt2")
    assert [event["event"] for event in read_events(Layout(run.path))] == ["started", "extracted"]
    shard = run.path / run.shards[1].file
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x7f")
    with pytest.raises(VlalignError) as error:
        run.features()
    _, _, command = str(error.value).partition("this command replaces damaged files: ")
    assert shlex.split(command)[:4] == ["vlalign", "extract", "--model", str(tiny.path("gpt2"))]
    assert main([*shlex.split(command)[1:], "--workers", "0", "-q"]) == 0
    assert contents(tmp_path / "a store") == before


def test_events_of_an_extraction_that_was_killed_before_it_recorded_its_end(
    tiny: TinyModels, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["extract", "--model", str(tiny.path("gpt2")), "--data", "builtin:emoji", "--max-samples", "6"]
    command += ["--cpu", "--store", "s", "-q"]
    assert main(command) == 0
    (run,) = FeatureStore("s").runs()
    provenance = run.path / "provenance.jsonl"
    (run.path / "manifest.json").unlink()
    (sidecar := run.path / f"{run.shards[0].file}.sha256").write_text(f"{run.shards[0].sha256}  {run.shards[0].file}\n")
    provenance.write_text(provenance.read_text().splitlines()[0] + "\n")  # the one at the start remains
    assert main(command) == 0
    started, extracted = map(json.loads, provenance.read_text().splitlines())
    assert (started["event"], started["shards"]) == ("started", 1)
    assert (extracted["event"], extracted["shards"]) == ("extracted", 0)
    assert not sidecar.exists()
    assert len(FeatureStore("s").runs()) == 1


def test_the_plan_advises_a_smaller_input_for_small_pictures(
    tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The emoji have 64 pixels, the input of DINOv2 518."""
    sizes = {"embed_dim": 32, "depth": 2, "num_heads": 2, "img_size": 518, "num_classes": 0}
    model = save_timm(tmp_path / "dinov2", "vit_small_patch14_dinov2.lvd142m", **sizes)
    line = ["extract", "--model", str(model), "--max-samples", "3", "--cpu", "--dry-run"]
    line += ["--data", "builtin:emoji", "--store", str(tmp_path / "s")]
    assert main(line) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "have about 64 × 64 pixels and are enlarged to 518 × 518; --image-size 224 costs" in text
    assert main([*line, "--image-size", "224"]) == 0
    assert "enlarged" not in capsys.readouterr().out
    assert main(["extract", "--model", str(tiny.path("vit")), *line[3:]]) == 0  # its input is small already
    assert "enlarged" not in capsys.readouterr().out
