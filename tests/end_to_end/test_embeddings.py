"""Embeddings that users have: scored from files, imported into a store, and used like extracted runs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from datasets import Dataset
from end_to_end.conftest import Command
from support.hub import TOKEN, HubServer

from vlalign.store import FeatureStore

QUICK = "--k 5 --permutations 99 --half-samples 10 -q"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Two arrays of the same samples, a table of both with ids and products, ids and labels."""
    draw = np.random.default_rng(0)
    image = draw.normal(size=(60, 8)).astype(np.float32)
    text = (image + 0.5 * draw.normal(size=image.shape)).astype(np.float16)
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "text.npy", text)
    sku = [f"{i:03d}" for i in range(60)]
    frame = pd.DataFrame({"sku": sku, "product": [f"p{i // 3}" for i in range(60)], "image": list(image)})
    frame.assign(text=list(text.astype(np.float32))).sample(frac=1, random_state=0).to_parquet(
        tmp_path / "clip.parquet"
    )
    frame[["sku", "image"]].to_parquet(tmp_path / "other.parquet")
    (tmp_path / "ids.txt").write_text("\n".join(sku))
    pd.DataFrame({"id": sku[::-1], "label": ["cat", "dog"] * 30}).to_csv(tmp_path / "labels.csv", index=False)
    return tmp_path


def records(folder: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "results").glob("*.json"))]


def test_two_files_give_a_record_and_a_figure(command: Command, files: Path) -> None:
    done = command(f"vlalign score image.npy text.npy {QUICK}")
    (record,) = records(files)
    assert (record["x"]["model"], record["y"]["model"]) == ("image", "text")  # type: ignore[index]
    assert record["pairing"]["by"] == "row"  # type: ignore[index]
    assert "image × text" in done.stdout
    assert len(list((files / "results").glob("*.png"))) == 1
    assert "1 of 1 scores already in results" in command(f"vlalign score image.npy text.npy {QUICK[:-3]}").stderr


def test_tables_are_paired_by_id_and_grouped_by_a_column(command: Command, files: Path) -> None:
    command(
        f"vlalign score other.parquet:image clip.parquet:text --id-column sku --groups clip.parquet:product {QUICK}"
    )
    (grouped,) = records(files)
    assert grouped["pairing"]["by"] == "id"  # type: ignore[index]
    entry = {"source": "given by id", "groups": 20, "largest": 3}
    assert entry.items() <= grouped["pairing"]["groups"].items()  # type: ignore[index]
    command(
        f"vlalign score image.npy text.npy --ids ids.txt --groups clip.parquet:product --id-column sku {QUICK}",
        status=1,
    )
    # the same scores as by the order of rows
    command(f"vlalign score image.npy text.npy --out rows {QUICK}")
    (path,) = (files / "rows").glob("*.json")
    assert json.loads(path.read_text())["best"]["score"] == pytest.approx(grouped["best"]["score"], abs=0.01)  # type: ignore[index]


def test_every_file_with_every_other_in_one_table(command: Command, files: Path) -> None:
    for folder, name in (("vision", "image"), ("text", "text")):
        (files / folder).mkdir()
        for i in range(2):
            np.save(files / folder / f"m{i}.npy", np.load(files / f"{name}.npy") + i * np.float16(0.1))
    done = command(
        "vlalign score vision/m0.npy vision/m1.npy --with text/m0.npy text/m1.npy "
        f"--metric mutual_knn unbiased_cka {QUICK}"
    )
    assert len(records(files)) == 8
    assert {record["x"]["model"] for record in records(files)} == {"vision/m0", "vision/m1"}  # type: ignore[index]
    table = pd.read_csv(files / "results" / "scores.csv")
    assert set(table["y"]) == {"text/m0", "text/m1"}
    assert "records  8 in results\n" in done.stdout


def test_tables_for_other_programs_are_all_that_is_printed(command: Command, files: Path) -> None:
    done = command(f"vlalign score image.npy text.npy --json {QUICK}")
    (row,) = json.loads(done.stdout)
    assert (row["x"], row["y"], row["n"]) == ("image", "text", 60)
    assert row["verdict"].startswith("above chance")
    assert (files / "results" / row["record"]).exists()
    latex = command(f"vlalign score image.npy text.npy --table latex --figure-format pdf {QUICK}").stdout
    assert latex.startswith("\\begin{tabular}")
    assert latex.rstrip().endswith("\\end{tabular}")
    assert len(list((files / "results").glob("*.pdf"))) == 1
    assert command(f"vlalign score image.npy text.npy --table markdown {QUICK}").stdout.startswith("| x | y |")
    assert command(f"vlalign score image.npy text.npy --table csv {QUICK}").stdout.startswith("x,y,metric,")
    assert "two forms of one output" in command("vlalign score image.npy text.npy --table csv --json", status=1).stderr


def test_imported_runs_are_runs_like_any_other(command: Command, files: Path, hub: HubServer) -> None:
    done = command(
        "vlalign import siglip=image.npy bge=text.npy --ids ids.txt --labels labels.csv --modality vision text "
        "--data-name shop --store features"
    )
    assert re.search(r"siglip .*vision", done.stdout)
    vision, text = FeatureStore(files / "features").runs()[::-1]
    assert {vision.key.model, text.key.model} == {"siglip", "bge"}
    assert vision.facts["labels"] == ["cat", "dog"]
    labels = vision.extra("label")
    assert labels is not None
    assert labels.tolist() == [1, 0] * 30  # by id, and the file has them backwards
    command(
        "vlalign import clip=clip.parquet:image --id-column sku --modality vision --data-name shop --store features"
    )
    assert "siglip" in command("vlalign runs features").stdout
    assert command("vlalign verify features").stdout.startswith("3 complete run(s)")
    command(f"vlalign score features {QUICK}")
    assert len(records(files)) == 2
    same = command("vlalign compare siglip clip --store features --reference bge --half-samples 10 -q").stdout
    assert "siglip" in same
    command("vlalign leaderboard results --out site -q")
    command("vlalign push features --repo owner/shop -q", token=TOKEN)
    command("vlalign pull owner/shop --store pulled -q")
    assert {run.key.model for run in FeatureStore(files / "pulled").runs()} == {"siglip", "bge", "clip"}


def test_columns_of_a_data_set_of_the_hub_are_layers(command: Command, files: Path, hub: HubServer) -> None:
    image = np.load(files / "image.npy")
    ids = [f"s{i}" for i in range(60)]
    folder = files / "pushed"
    folder.mkdir()
    Dataset.from_dict({"id": ids, "layer_0": image.tolist(), "layer_1": (2 * image).tolist()}).to_parquet(
        folder / "train.parquet"
    )
    hub.add_dataset("owner/embeddings", folder)
    command("vlalign import owner/embeddings --column layer_0 layer_1 --name llama-7b --modality text --store features")
    (run,) = FeatureStore(files / "features").runs()
    assert (run.key.model, run.ids, [layer.name for layer in run.layers]) == ("llama-7b", ids, ["layer_0", "layer_1"])
    assert run.key.data["data"]["name"] == "owner/embeddings"
    assert re.fullmatch("[0-9a-f]{40}", run.key.data["data"]["revision"])
    np.testing.assert_allclose(run.load("layer_1").numpy(), 2 * image, rtol=1e-6)
    done = command("vlalign import owner/embeddings --column layer_9 --name llama-7b", status=1)
    assert "has no column 'layer_9'" in done.stderr


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("score image.npy", "1 file(s) given: name two, or the files of the other side after --with"),
        ("score image.npy text.npy --ids ids.txt ids.txt ids.txt", "--ids takes one file for both sides or two"),
        ("score image.npy missing.npy", "missing.npy does not exist"),
        ("score features a b --ids ids.txt", "--with, --ids and --id-column are for files of embeddings"),
        ("import image.npy", "give a file as NAME=image.npy"),
        ("import", "name the embeddings, as NAME=FILE"),
        ("import a=image.npy b=text.npy --modality vision text text", "3 given for 2 sources"),
        (
            "import a=image.npy --labels labels.csv",
            "the labels of image.npy are given by id, but the features have no ids",
        ),
        ("import =image.npy", "name the model of image.npy"),
    ],
)
def test_mistakes_are_one_line(command: Command, files: Path, line: str, message: str) -> None:
    done = command(f"vlalign {line}", status=1)
    (error,) = done.stderr.strip().splitlines()
    assert message in error


def test_a_dry_run_estimates_time_and_disk(command: Command, files: Path) -> None:
    line = (
        f"vlalign score image.npy text.npy --metric mutual_knn:k=5 --metric unbiased_cka {QUICK.removeprefix('--k 5 ')}"
    )
    shown = command(f"{line} --dry-run").stdout
    assert re.search(
        r"plan: 2 scores.*mutual_knn:k=5 +1 +1 +≈ .* s .*unbiased_cka:kernel=linear +1 +1 +≈ ", shown, re.DOTALL
    )
    assert re.search(r"results: ≈ \d+ kB to write, ≈ [\d.]+ s in all", shown)
    assert not (files / "results").exists()
    command(line)
    assert "2 of 2 scores already in results" in command(f"{line} --dry-run").stdout
    assert json.loads(command(f"{line} --dry-run --json").stdout) == {"plan": [], "pairs": 2, "finished": 2}
