"""The extraction's commands, exactly as users type them."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from end_to_end.conftest import Command
from support.hub import HubServer
from support.killed import killed_at
from support.tiny import TinyModels

from vlalign.cli import main
from vlalign.extraction import extract
from vlalign.store import FeatureStore

PRH = "--data {prh} --cpu --shard-rows 5"


def contents(store: Path) -> dict[str, bytes]:
    """Every file of a store but the provenance."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file() and path.name != "provenance.jsonl"
    }


def test_the_verbatim_command(command: Command, hub: HubServer, tmp_path: Path) -> None:
    hub.clear()
    done = command("accelerate launch scripts/extract.py --model llama-7b")
    (run,) = FeatureStore(tmp_path / "features").runs()
    assert run.key.model == "llama-7b"
    assert run.key.data["model"]["source"] == "hub:huggyllama/llama-7b"
    assert re.fullmatch("[0-9a-f]{40}", run.key.data["model"]["revision"])
    assert run.key.data["data"]["name"] == "minhuh/prh"
    assert re.fullmatch("[0-9a-f]{40}", run.key.data["data"]["revision"])
    assert (run.n, len(run.layers)) == (24, 4)
    assert run.bits_per_byte() is not None
    assert "llama-7b" in done.stdout
    assert str(run.path.relative_to(tmp_path)) in done.stdout.replace("\n", "")

    # the vision side, several models, then all of it again without loading anything
    command("vlalign extract --model dinov2-giant --model dinov2-small --quiet")
    store = FeatureStore(tmp_path / "features")
    assert [run.key.model for run in store.runs()] == ["llama-7b", "dinov2-giant", "dinov2-small"]
    before = contents(tmp_path / "features")
    hub.clear()
    again = command("vlalign extract --model llama-7b --model dinov2-giant")
    assert "already done" in again.stdout
    assert contents(tmp_path / "features") == before
    assert not [name for name in hub.downloads("huggyllama/llama-7b") if name.endswith(".safetensors")]
    assert command("vlalign verify features").stdout.startswith("3 complete run(s)")


def test_dry_run_reads_no_weights(command: Command, hub: HubServer, tmp_path: Path) -> None:
    hub.clear()
    done = command("vlalign extract --model llama-7b --model dinov2-small --dry-run")
    assert "24 samples of minhuh/prh" in done.stdout
    for word in ("llama-7b", "dinov2-small", "float32", "mean", "cls", "free"):
        assert word in done.stdout
    assert not (tmp_path / "features").exists()
    for repo in ("huggyllama/llama-7b", "timm/vit_small_patch14_dinov2.lvd142m"):
        assert not [name for name in hub.downloads(repo) if name.endswith(".safetensors")]


def test_stores_do_not_depend_on_the_number_of_processes(command: Command, tiny: TinyModels, tmp_path: Path) -> None:
    text, images = (f"--model {tiny.path(name)}" for name in ("llama", "timm_dinov2_small"))
    data = PRH.format(prh=tiny.path("prh")) + " --batch-tokens 150 --batch-images 10"  # groups of a few shards
    # processes of a launcher import all that a model needs, so they extract one
    command(f"torchrun --nproc_per_node 2 scripts/extract.py {text} {data} --store two")
    command(f"python scripts/extract.py {text} {data} --store one")
    assert contents(tmp_path / "two") == contents(tmp_path / "one")
    command(f"python scripts/extract.py {images} {data} --store one")
    command(f"python scripts/extract.py {text} {images} {data} --store three", processes=3)
    one = contents(tmp_path / "one")
    assert len([name for name in one if "shard-" in name]) == 10
    assert contents(tmp_path / "three") == one


@pytest.fixture(scope="module")
def whole(tiny: TinyModels, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that nothing disturbed."""
    return extract_here(tiny, tmp_path_factory.mktemp("whole") / "store")


def extract_here(tiny: TinyModels, store: Path) -> Path:
    """The killed command's extraction in this process, on one thread as there."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        extract(str(tiny.path("llama")), data=str(tiny.path("prh")), store=str(store), cpu=True, shard_rows=5)
    finally:
        torch.set_num_threads(threads)
    return store


@pytest.mark.parametrize(("at", "how"), [(0, "before"), (2, "before"), (3, "after"), (5, "before"), (2, "interrupt")])
def test_a_killed_run_resumes(
    command: Command, tiny: TinyModels, tmp_path: Path, whole: Path, at: int, how: str
) -> None:
    arguments = f"--model {tiny.path('llama')} {PRH.format(prh=tiny.path('prh'))}"
    names = r"^(shard-.*\.safetensors|manifest\.json)$"
    killed = command(killed_at(at, "extract", arguments, names=names, how=how), status=None)
    assert killed.returncode == (130 if how == "interrupt" else -9)
    if how == "interrupt":
        assert "interrupted; what is finished is kept" in killed.stderr
    assert FeatureStore(tmp_path / "features").runs() == []
    shards = {p: p.stat().st_mtime_ns for p in (tmp_path / "features").rglob("shard-*.safetensors")}
    assert len(shards) in (range(at, 6) if how == "interrupt" else [at])  # an interrupt lets writes under way finish
    extract_here(tiny, tmp_path / "features")
    assert contents(tmp_path / "features") == contents(whole)
    assert {p: p.stat().st_mtime_ns for p in shards} == shards  # what was finished is kept


def test_damaged_shards_are_found_and_replaced(
    tiny: TinyModels, tmp_path: Path, whole: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = tmp_path / "store"
    shutil.copytree(whole, store)
    shards = sorted(store.rglob("shard-*.safetensors"))
    content = bytearray(shards[1].read_bytes())
    content[-3] ^= 4
    shards[1].write_bytes(content)
    shards[3].write_bytes(shards[3].read_bytes()[:-100])
    assert main(["verify", str(store)]) == 1
    named = set(re.findall(r"shard-\S+?\.safetensors", capsys.readouterr().out))
    assert named == {shards[1].name, shards[3].name}
    extract_here(tiny, store)
    assert "damaged" in capsys.readouterr().err
    assert contents(store) == contents(whole)
    assert main(["verify", str(store)]) == 0


def test_provenance_says_how_it_was_made(whole: Path) -> None:
    (path,) = whole.rglob("provenance.jsonl")
    started, event = map(json.loads, path.read_text().splitlines())
    assert (started["event"], event["event"]) == ("started", "extracted")
    assert event["samples"] == 24
    assert event["environment"]["packages"]["torch"] == torch.__version__
    assert event["dtype_reason"].startswith("auto: on a CPU")
