"""Mistakes: one line that says what, where and what to do, before weights load."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from end_to_end.conftest import Command
from support.commands import status_of
from support.hub import HubServer
from support.tiny import TinyModels

from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.extraction import ExtractOptions, extract, make_plan
from vlalign.store import FeatureStore


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("id,text\na,one dog\nb,two cats\nc,three birds\n")
    return path


def error_of(capsys: pytest.CaptureFixture[str], *argv: Any) -> str:
    """What the command line prints for a mistake: exactly one line."""
    capsys.readouterr()
    assert status_of(argv) in (1, 2)
    said = capsys.readouterr()
    assert said.out == ""
    lines = [line for line in said.err.splitlines() if line.strip()]
    assert len(lines) == 1, said.err
    return lines[0]


def test_unknown_model_names_close_ones(capsys: pytest.CaptureFixture[str], csv: Path) -> None:
    assert "dinov2-small" in error_of(capsys, "extract", "--model", "dinov2-smal", "--data", csv)
    assert "vlalign models" in error_of(capsys, "extract", "--data", csv)


def test_a_second_unknown_model_stops_before_the_first_is_read(
    capsys: pytest.CaptureFixture[str], hub: HubServer, tmp_path: Path
) -> None:
    hub.clear()
    error_of(capsys, "extract", "--model", "llama-7b", "--model", "nobody/nothing", "--store", tmp_path / "s")
    assert not [name for name in hub.downloads("huggyllama/llama-7b") if name.endswith(".safetensors")]
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--text-column", "caption"], ["caption", "text"]),
        (["--data", "{tmp}/none.csv"], ["none.csv"]),
        (["--caption", "1"], ["caption 0"]),
        (["--quantization", "nf5"], None),
        (["--revision", "main"], ["local"]),
        (["--max-length", "100000"], ["1 to 128"]),
        (["--image-size", "224"], ["text model"]),
        (["--batch-tokens", "0"], ["--batch-tokens"]),
        (["--parallel", "split", "--cpu"], ["--cpu"]),
        (["--store", "/proc/nowhere"], ["/proc"]),
    ],
)
def test_wrong_settings(
    capsys: pytest.CaptureFixture[str],
    tiny: TinyModels,
    csv: Path,
    tmp_path: Path,
    arguments: list[str],
    words: list[str] | None,
) -> None:
    line = ["extract", "--model", tiny.path("llama"), "--data", csv, "--store", tmp_path / "s"]
    line += [word.format(tmp=tmp_path) for word in arguments]
    if words is None:
        with pytest.raises(SystemExit) as stop:
            main([str(word) for word in line])
        assert stop.value.code == 2
        return
    message = error_of(capsys, *line)
    for word in words:
        assert word in message


def test_data_that_cannot_be_used(capsys: pytest.CaptureFixture[str], tiny: TinyModels, tmp_path: Path) -> None:
    cases = {
        "id,text\n": "no samples",
        "id,text\na,one\na,two\n": "'a'",
        "id,text\na,one\nb,\n": "'b'",
    }
    for content, word in cases.items():
        path = tmp_path / "data.csv"
        path.write_text(content)
        assert word in error_of(
            capsys, "extract", "--model", tiny.path("llama"), "--data", path, "--store", tmp_path / "s"
        )


def test_broken_image_is_named_and_can_be_skipped(
    capsys: pytest.CaptureFixture[str], tiny: TinyModels, tmp_path: Path
) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    for name in "abcd":
        Image.new("RGB", (20, 20), (ord(name), 10, 10)).save(folder / f"{name}.png")
    (folder / "c.png").write_bytes((folder / "c.png").read_bytes()[:40])
    line = [
        "extract",
        "--model",
        tiny.path("timm_dinov2_small"),
        "--data",
        folder,
        "--store",
        tmp_path / "s",
        "--workers",
        0,
    ]
    assert "c.png" in error_of(capsys, *line)
    assert main([str(word) for word in [*line, "--on-bad-sample", "skip", "--quiet"]]) == 0
    (run,) = FeatureStore(tmp_path / "s").runs()
    assert run.ids == ["a.png", "b.png", "d.png"]
    assert run.facts["skipped"][0]["id"] == "c.png"


def test_what_a_vision_model_refuses(capsys: pytest.CaptureFixture[str], tiny: TinyModels, tmp_path: Path) -> None:
    line = ["extract", "--data", tiny.path("prh"), "--store", tmp_path / "s", "--model"]
    vit, net = tiny.path("timm_dinov2_small"), tiny.path("timm_resnet")
    assert "vision model" in error_of(capsys, *line, vit, "--quantization", "nf4")
    assert "split" in error_of(capsys, *line, vit, "--parallel", "split")
    assert "class token" in error_of(capsys, *line, net, "--vision-pool", "cls")
    assert "vision model" in error_of(capsys, *line, vit, "--max-length", "5")


def test_the_hub_says_no(capsys: pytest.CaptureFixture[str], hub: HubServer, tmp_path: Path) -> None:
    line = ["extract", "--store", tmp_path / "s", "--model"]
    assert "gated" in error_of(capsys, *line, "gemma-2b")
    assert "not on the Hub" in error_of(capsys, *line, "nobody/nothing")
    assert "no revision 'v9'" in error_of(capsys, *line, "llama-7b", "--revision", "v9")
    assert "wit_9" in error_of(capsys, *line, "llama-7b", "--data-revision", "wit_9")


def test_no_network(command: Command, tmp_path: Path) -> None:
    nothing_cached = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "home")}
    done = command("vlalign extract --model llama-7b", status=1, env=nothing_cached)
    assert "no network" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_split_with_several_processes(command: Command, tiny: TinyModels) -> None:
    arguments = f"--model {tiny.path('llama')} --data {tiny.path('prh')} --parallel split"
    done = command(f"python scripts/extract.py {arguments}", processes=2, status=1)
    said = [line for line in done.stderr.splitlines() if line.startswith("vlalign extract: error")]
    assert len(said) == 1
    assert "--num_processes 1" in said[0]


def test_disk_that_is_too_small(monkeypatch: pytest.MonkeyPatch, tiny: TinyModels, tmp_path: Path) -> None:
    import torch

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10_000))
    config = ExtractOptions((str(tiny.path("llama")),), data=_spec(tiny), store=str(tmp_path / "s"))
    with pytest.raises(VlalignError, match="free"):
        make_plan(config, torch.device("cpu"))


def test_disk_that_fills_up_leaves_what_is_finished(
    monkeypatch: pytest.MonkeyPatch, tiny: TinyModels, tmp_path: Path
) -> None:
    import os
    import threading

    replace, done, one_at_a_time = os.replace, [], threading.Lock()

    def full(source: Any, target: Any) -> None:
        with one_at_a_time:  # shards are written by several threads
            if Path(target).name.startswith("shard-") and str(target).endswith(".safetensors"):
                if len(done) == 2:
                    raise OSError(28, "No space left on device", str(target))
                done.append(target)
            replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(VlalignError, match="No space left"):
        extract(str(tiny.path("llama")), data=str(tiny.path("prh")), store=str(tmp_path / "s"), shard_rows=5)
    monkeypatch.undo()
    assert len(list((tmp_path / "s").rglob("shard-*.safetensors"))) == 2
    assert not list((tmp_path / "s").rglob("*tmp*"))
    (run,) = extract(str(tiny.path("llama")), data=str(tiny.path("prh")), store=str(tmp_path / "s"), shard_rows=5)
    assert run.verify() == []


def test_features_that_are_not_finite_name_sample_and_layer(tiny: TinyModels, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "overflowing"
    shutil.copytree(tiny.path("llama"), folder)
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"][:] = float("inf")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VlalignError, match=r"sample 'row-0000\d\d' are not finite at layer block_2"):
        extract(str(folder), data=str(tiny.path("prh")), store=str(tmp_path / "s"))


def test_a_store_of_another_key(tiny: TinyModels, tmp_path: Path) -> None:
    (run,) = extract(str(tiny.path("llama")), data=str(tiny.path("prh")), store=str(tmp_path / "s"))
    key = run.path / "key.json"
    key.write_text(key.read_text().replace('"float32"', '"bfloat16"'))
    with pytest.raises(VlalignError, match="dtype"):
        extract(str(tiny.path("llama")), data=str(tiny.path("prh")), store=str(tmp_path / "s"))


def _spec(tiny: TinyModels) -> Any:
    from vlalign.data import DataSpec

    return DataSpec(str(tiny.path("prh")))
