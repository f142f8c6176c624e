"""Synthetic and perturbed samples in data sets of the Hub of their own."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from support.hub import TOKEN, HubServer
from support.synthetic import small

from vlalign.cli import main
from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError
from vlalign.hub.synthetic import push_synthetic
from vlalign.perturb import parse_perturbation, perturb_data
from vlalign.synthetic import make_data

PERTURB = "perturb builtin:emoji --max-samples 12 --op char_delete:30,seed=3 --op patch_delete:20,grid=8 --no-sheet -q"


@pytest.fixture(autouse=True)
def signed_in(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)


def test_perturbed_data_are_read_from_there(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PERTURB.split(), "--push", "owner/edited", "--license", "apache-2.0", "--private"]) == 0
    assert "pushed   " in capsys.readouterr().out
    data = open_data(DataSpec("builtin:emoji", max_samples=12), {"text", "vision"})
    edits = [parse_perturbation(text) for text in ("char_delete:30,seed=3", "patch_delete:20,grid=8")]
    expected = perturb_data(data, edits)
    found = open_data(DataSpec("owner/edited"), {"text", "vision"})
    assert (found.ids, found.captions) == (expected.ids, expected.captions)
    np.testing.assert_array_equal(np.asarray(found.image(7)), np.asarray(expected.image(7)))
    files = hub.files("datasets/owner/edited")
    assert set(files) - {".gitattributes"} == {
        "README.md", "data/train-00000-of-00001.parquet", "vlalign/perturbed.json",
    }  # fmt: skip
    assert hub.repos["datasets/owner/edited"].private
    card = files["README.md"].read().decode()
    assert "license: apache-2.0" in card
    assert "grid=8" in card


def test_the_cards_command_makes_the_same_data(hub: HubServer) -> None:
    assert main([*PERTURB.split(), "--push", "owner/edited-again"]) == 0
    files = hub.files("datasets/owner/edited-again")
    (command,) = re.findall(r"Made by `vlalign (.*?)`", files["README.md"].read().decode())
    assert main([*shlex.split(command), "--no-sheet"]) == 0
    assert Path("edited.parquet").read_bytes() == files["data/train-00000-of-00001.parquet"].read()


def test_other_settings_need_force(hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    line = f"{PERTURB} --push owner/edited-twice"
    assert main(line.split()) == 0
    first = hub.files("datasets/owner/edited-twice")["vlalign/perturbed.json"].read()
    capsys.readouterr()
    assert main(line.split()) == 0
    assert "unchanged " in capsys.readouterr().out
    other = line.replace("seed=3", "seed=4").split()
    capsys.readouterr()
    assert main(other) == 1
    assert "holds samples of other settings: name another one, or give --force" in capsys.readouterr().err
    assert hub.files("datasets/owner/edited-twice")["vlalign/perturbed.json"].read() == first
    assert main([*other, "--force"]) == 0
    assert hub.files("datasets/owner/edited-twice")["vlalign/perturbed.json"].read() != first
    with pytest.raises(VlalignError, match="holds something else"):
        push_synthetic(make_data(small(), 3), 2, "owner/edited-twice")


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ("--op char_delete --rate 10 20 --push owner/x", "--push takes one data set: give one --rate, not 2"),
        ("--op char_delete:100 --push owner/x", "captions empty"),
        ("--op char_delete:30 --push x", "is not a name of a data set on the Hub: give owner/name"),
        ("--op char_delete:30 --push strangers/x", "cannot create one"),
    ],
)
def test_refused(more: str, reason: str, hub: HubServer, capsys: pytest.CaptureFixture[str]) -> None:
    before = set(hub.repos)
    assert main(["perturb", "builtin:emoji", "--max-samples", "5", "--no-sheet", *more.split()]) == 1
    assert reason in capsys.readouterr().err.splitlines()[-1]
    assert set(hub.repos) == before


def test_synthetic_samples_of_other_settings_need_force(hub: HubServer) -> None:
    assert push_synthetic(make_data(small(), 3), 2, "owner/samples", licence="cc0-1.0").commit is not None
    assert push_synthetic(make_data(small(), 3), 2, "owner/samples").commit is None
    assert b"license: cc0-1.0" in hub.files("datasets/owner/samples")["README.md"].read()
    with pytest.raises(VlalignError, match="other settings"):
        push_synthetic(make_data(small(), 3), 1, "owner/samples")
    push_synthetic(make_data(small(), 3), 1, "owner/samples", force=True)
    assert b'"phi_depth": 1' in hub.files("datasets/owner/samples")["vlalign/synthetic.json"].read()
