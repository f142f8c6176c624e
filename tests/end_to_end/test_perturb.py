"""Looking at perturbed data from the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from end_to_end.conftest import Command
from PIL import Image
from support.commands import status_of
from support.tiny import TinyModels

from vlalign.cli import main
from vlalign.data import DataSpec, open_data
from vlalign.perturb import OPERATIONS, parse_perturbation, perturb_data

EMOJI = "builtin:emoji --max-samples 12"


def test_the_verb(command: Command, tmp_path: Path, tiny: TinyModels) -> None:
    done = command(
        f"python scripts/perturb.py {EMOJI} --op char_delete --op pixel_noise --rate 10 50 100 --samples 3 "
        f"--tokenizer {tiny.path('llama')}"
    )
    assert done.stderr == ""
    data = open_data(DataSpec("builtin:emoji", max_samples=12), {"text"})
    for rate in (10, 50):
        edited = perturb_data(data, [parse_perturbation("char_delete", rate=rate)]).captions
        assert edited is not None
        for row in (0, 4, 8):
            assert " ".join(edited[row].split())[:30].strip() in done.stdout
    for words in ("unedited", "10 %", "(empty)", "12 of 12", "characters", "tokens", "pixels changed"):
        assert words in done.stdout
    with Image.open(tmp_path / "perturbed.png") as image:
        assert image.width > 1000
        assert image.height > 900


def test_a_file_of_edited_data(command: Command, tmp_path: Path) -> None:
    done = command(f"vlalign perturb {EMOJI} --op word_shuffle,seed=3 --rate 50 --out made.parquet --no-sheet")
    assert "made.parquet" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix) == ["made.card.md", "made.parquet"]
    data = open_data(DataSpec("builtin:emoji", max_samples=12), {"text", "vision"})
    expected = perturb_data(data, [parse_perturbation("word_shuffle:50,seed=3")])
    found = open_data(DataSpec(str(tmp_path / "made.parquet")), {"text", "vision"})
    assert (found.ids, found.captions) == (expected.ids, expected.captions)
    np.testing.assert_array_equal(np.asarray(found.image(7)), np.asarray(expected.image(7)))


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    path = tmp_path / "texts.csv"
    path.write_text("id,text\n" + "".join(f"s{i},a caption of number {i}\n" for i in range(5)))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i in range(3):
        Image.new("RGB", (600 + i, 700), (40 * i, 90, 200)).save(folder / f"{i}.png")
    return folder


def test_sets_of_one_modality(
    texts: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["perturb", str(texts), "--op", "word_delete", "--rate", "40", "--out", "made.parquet"]) == 0
    said = capsys.readouterr().out
    assert "no contact sheet: texts.csv has no images" in said
    assert not (tmp_path / "perturbed.png").exists()
    found = open_data(DataSpec(str(tmp_path / "made.parquet")), {"text"})
    assert found.captions is not None
    assert all(len(text.split()) == 3 for text in found.captions)
    assert main(["perturb", str(pictures), "--op", "pixel_delete", "--rate", "40", "--sheet", "one.png"]) == 0
    said = capsys.readouterr().out
    assert "3 of 3 images have a shorter side above 512 pixels" in said
    assert "captions" not in said
    assert (tmp_path / "one.png").stat().st_size > 2000


def test_chosen_samples(texts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["perturb", str(texts), "--op", "char_replace:20", "--no-sheet"]
    assert main([*line, "--ids", "s3", "s1"]) == 0
    said = capsys.readouterr().out
    assert "a caption of number 3" in said
    assert "a caption of number 2" not in said
    assert "edited" in said
    assert main([*line, "--samples", "99"]) == 0
    assert all(f"a caption of number {i}" in capsys.readouterr().out for i in range(1))


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["perturb", "--list"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in OPERATIONS)


def test_mistakes(
    texts: Path, pictures: Path, tiny: TinyModels, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    t, p, delete = str(texts), str(pictures), ["--op", "char_delete"]
    vision = str(tiny.path("timm_resnet"))
    for arguments, words in (
        ([], "name a data set"),
        ([t], "at least one --op"),
        ([t, "--op", "char_delet:10"], "did you mean char_delete"),
        ([t, *delete], "has no rate"),
        ([t, *delete, "--rate", "110"], "0 to 100, got '110'"),
        ([t, *delete, *delete, "--rate", "10"], "given 2 times"),
        ([t, "--op", "char_delete:10", "--rate", "10", "20"], "--rate changes nothing"),
        ([t, *delete, "--rate", "10", "20", "--out", "a.parquet"], "give one --rate, not 2"),
        ([t, *delete, "--rate", "10", "--out", "a.csv"], "ending in .parquet"),
        ([t, *delete, "--rate", "10", "--sheet", "a.docx"], "is drawn as .png"),
        ([t, *delete, "--rate", "10", "--sheet", "no/a.png"], "its folder no does not exist"),
        ([t, *delete, "--rate", "100", "--out", "a.parquet"], "--allow-empty"),
        ([t, *delete, "--rate", "10", "--samples", "0"], "at least 1"),
        ([t, *delete, "--rate", "10", "--ids", "s9"], "no sample 's9'"),
        ([t, "--op", "pixel_noise", "--rate", "10"], "no column of images"),
        ([p, *delete, "--rate", "10"], "is a folder of images without captions: write metadata.csv"),
        ([p, "--op", "pixel_noise:10", "--tokenizer", vision], "no --op edits texts"),
        ([t, *delete, "--rate", "10", "--tokenizer", vision], "name a text model"),
        ([t, "--op", "captions_file:10,file=none.json"], "cannot read the captions file none.json"),
        (["none.csv", *delete, "--rate", "10"], "no such file"),
    ):
        assert status_of(["perturb", *arguments]) in (1, 2), arguments
        captured = capsys.readouterr()
        lines = captured.err.strip().splitlines()
        assert len(lines) == 1, arguments
        assert words in lines[0], arguments
        assert captured.out == "", arguments
    assert sorted(tmp_path.iterdir()) == before
