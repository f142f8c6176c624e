"""`scripts/multibench.py inspect` and `prepare`, exactly as users type them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from end_to_end.conftest import Command
from support.multibench import affect_data, python_2, write_idx, write_pickle, write_sounds

from vlalign.multibench import open_prepared

PROGRAM = "python scripts/multibench.py"


def fails(command: Command, line: str) -> str:
    """The one line that a command fails with."""
    done: subprocess.CompletedProcess[str] = command(shlex.split(f"{PROGRAM} {line}"), status=1)
    assert done.stderr.startswith("vlalign multibench: error: ")
    assert done.stderr.count("\n") == 1
    assert not done.stdout
    return done.stderr


def test_look_prepare_look_again(command: Command, tmp_path: Path) -> None:
    (tmp_path / "mosi raw.pkl").write_bytes(python_2(affect_data("mosi")))
    seen = command(shlex.split(f"{PROGRAM} inspect 'mosi raw.pkl'")).stdout
    assert "seems     MOSI; else MOSEI, custom" in seen
    line = next(line for line in seen.splitlines() if line.startswith("next "))
    written = command(shlex.split(line.removeprefix("next"))).stdout  # as it was printed
    assert "mosi: sentiment, encoders pool by mean" in written
    assert "dropped without text: 1" in written
    assert "next      vlalign multibench run --data multibench-data/mosi" in written
    assert len(open_prepared(tmp_path / "multibench-data" / "mosi", verify=True).splits["train"].ids) == 13
    again = command(f"{PROGRAM} inspect multibench-data/mosi").stdout
    assert "all files match their checksums" in again
    told = json.loads(command(f"{PROGRAM} inspect multibench-data/mosi --json").stdout)
    assert told["splits"]["test"]["shapes"] == {"audio": [7, 50, 5], "text": [7, 50, 300], "vision": [7, 50, 20]}
    told = json.loads(command(shlex.split(f"{PROGRAM} inspect 'mosi raw.pkl' --json")).stdout)
    assert told["plan"]["train"]["minus_infinity_replaced"] == 3


def test_avmnist(command: Command, tmp_path: Path) -> None:
    write_idx(tmp_path / "mnist", 5030, 20)
    write_sounds(tmp_path / "fsdd" / "recordings")
    line = f"{PROGRAM} prepare avmnist --images mnist --speech fsdd --out digits --seed 3"
    assert "run --data digits" in command(line).stdout
    prepared = open_prepared(tmp_path / "digits")
    assert [len(part.ids) for part in prepared.splits.values()] == [30, 5000, 20]
    command(line)  # the same again is no mistake
    assert "choose another folder" in fails(command, line.removeprefix(PROGRAM) + " --seed 4")
    command(f"{line} --seed 4 --force")
    assert open_prepared(tmp_path / "digits").fingerprint != prepared.fingerprint
    os.remove(tmp_path / "fsdd" / "recordings" / "5_ann_0.wav")
    os.remove(tmp_path / "fsdd" / "recordings" / "5_ann_4.wav")
    said = fails(command, "prepare avmnist --images mnist --speech fsdd --out other")
    assert "lacks recordings of these digits: test (takes 0 to 4): 5" in said


def test_data_of_ones_own(command: Command, tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    data = {"image": draw.normal(size=(60, 4)), "audio": draw.normal(size=(60, 3, 2)), "labels": np.arange(60) % 3}
    np.savez(tmp_path / "own.npz", **data)
    for key, values in data.items():
        np.save(tmp_path / f"{key}.npy", values)
    command(f"{PROGRAM} prepare custom own.npz --out a --name mine --standardise none --pool mean")
    arrays = "--array image=image.npy --array audio=audio.npy --labels labels.npy"
    command(f"{PROGRAM} prepare custom {arrays} --out b --name mine --standardise none --pool mean")
    first, second = (open_prepared(tmp_path / name) for name in "ab")
    assert (first.name, first.pool) == ("mine", "mean")
    for split, part in first.splits.items():
        assert part.ids == second.splits[split].ids
        assert bool((part.inputs["audio"] == second.splits[split].inputs["audio"]).all())


def test_mistakes_are_one_line(command: Command, tmp_path: Path) -> None:
    data: dict[str, Any] = affect_data("urfunny", frames=3)
    write_pickle(tmp_path / "humor.pkl", data)
    whole = (tmp_path / "humor.pkl").read_bytes()
    (tmp_path / "cut.pkl").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.pkl").write_text("hello, this is text\n")
    del data["test"]["audio"]
    write_pickle(tmp_path / "lacking.pkl", data)

    class Call:
        def __reduce__(self) -> Any:
            return os.system, ("touch marker",)

    write_pickle(tmp_path / "evil.pkl", {"train": {"vision": [Call()]}})
    for line, message in (
        ("prepare mosi humor.pkl", "labels have the values 0, 1: MOSI has many numbers from -3 to 3"),
        ("prepare urfunny lacking.pkl", "test lacks audio: it has vision, text, labels, id"),
        ("prepare urfunny cut.pkl", "ends in the middle of a pickle"),
        ("prepare urfunny text.pkl", "is not a pickle: it is text"),
        ("prepare urfunny none.pkl", "no such file"),
        ("prepare urfunny evil.pkl", "is refused"),
        ("inspect evil.pkl", "is refused"),
        ("prepare custom", "give a FILE, or --array"),
        ("prepare custom --array a=b.npy", "--array needs --labels"),
        ("prepare custom --array a", "give NAME=FILE.npy"),
        ("prepare custom humor.pkl --labels b.npy", "--labels goes with --array"),
    ):
        assert message in fails(command, line)
    assert not (tmp_path / "marker").exists()
    assert not (tmp_path / "multibench-data").exists()
