"""MM-IMDb's archive, made up: posters, plots and genres as a folder that data sets are read from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from support.commands import status_of

from vlalign.data.open import open_data
from vlalign.data.sample_values import read_groups
from vlalign.data.spec import DataSpec
from vlalign.errors import VlalignError
from vlalign.multibench.data.films import prepare_films


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Twelve films, of which one lacks its poster, one its plot, and one has a rare genre alone."""
    folder = tmp_path / "mmimdb"
    (folder / "dataset").mkdir(parents=True)
    ids = [f"{i:07d}" for i in range(12)]
    for i, name in enumerate(ids):
        genres = ["Drama", "War"] if i % 2 else ["Drama"]
        content = {"genres": genres, "plot": [f"Short {i}.", f"The long plot\n of film {i}."], "title": "x"}
        if i == 1:
            del content["plot"]
        (folder / "dataset" / f"{name}.json").write_text(json.dumps(content))
        if i != 2:
            Image.new("RGB", (4, 6), (20 * i, 0, 0)).save(folder / "dataset" / f"{name}.jpeg")
    split = {"train": ids[:6], "dev": ids[6:9], "test": ids[9:]}
    (folder / "split.json").write_text(json.dumps(split))
    return folder


def test_posters_plots_and_genres_become_a_data_set(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "films"
    assert status_of(["multibench", "prepare", "mmimdb", str(archive), "--out", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "train 4, validation 3, test 3" in shown
    assert "Drama, War" in shown
    assert "2 films without a poster, a plot or one of these genres" in shown
    data = open_data(DataSpec(str(out), split="test"), {"vision", "text"})
    assert list(data.ids) == ["0000009", "0000010", "0000011"]
    rows = [json.loads(line) for line in (out / "metadata.jsonl").read_text().splitlines()]
    assert rows[-1] == {
        "file_name": "test/0000011.jpeg", "split": "test", "id": "0000011", "text": "The long plot of film 11.",
        "genres": ["Drama", "War"],
    }  # fmt: skip
    genres = read_groups(f"{out}/metadata.jsonl:genres", None, "labels", lists=True)
    assert genres["0000011"] == ["Drama", "War"]
    assert genres["0000010"] == ["Drama"]


def test_a_draw_of_films_is_stable_and_replaced_only_on_request(archive: Path, tmp_path: Path) -> None:
    films = prepare_films(archive, tmp_path / "films", samples=2)
    assert films.counts == {"train": 2, "validation": 2, "test": 2}
    first = (tmp_path / "films" / "metadata.jsonl").read_text()
    assert prepare_films(archive, tmp_path / "films", samples=2) == films
    with pytest.raises(VlalignError, match="holds other films: choose another folder"):
        prepare_films(archive, tmp_path / "films", samples=3)
    prepare_films(archive, tmp_path / "films", samples=3, force=True)
    more = (tmp_path / "films" / "metadata.jsonl").read_text()
    assert set(first.splitlines()) < set(more.splitlines())


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("split.json", None, "cannot read .*split.json: No such file"),
        ("split.json", {"train": []}, "expected lists of ids named train, dev and test"),
        ("split.json", {"train": ["1"], "dev": ["1"], "test": []}, "'1' twice"),
        ("split.json", {"train": ["../1"], "dev": [], "test": []}, "is no id of a film"),
        ("split.json", {"train": ["9"], "dev": [], "test": []}, "has 0 genres"),
    ],
)
def test_other_archives_are_refused(archive: Path, file: str, content: object, message: str) -> None:
    (archive / file).unlink()
    if content is not None:
        (archive / file).write_text(json.dumps(content))
    with pytest.raises(VlalignError, match=message):
        prepare_films(archive, archive.parent / "films")
    with pytest.raises(VlalignError, match=r"multimodal_imdb\.hdf5 holds plots as numbers of words, not as texts"):
        prepare_films(archive / "multimodal_imdb.hdf5", archive.parent / "films")
    assert not (archive.parent / "films").exists()
