"""The files of a leaderboard: CSV, Markdown and JSON say the same; pages hold what they should and are safe."""

from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import html
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from support.board import collected, made_up, real_record, small_grid, write_results
from support.features import made_up_norms
from support.html import EMPTY, Page

from vlalign.cli import main
from vlalign.display.tables import safe_cell
from vlalign.errors import VlalignError
from vlalign.report.commands import pair_commands
from vlalign.report.leaderboard import check_site, save_leaderboard
from vlalign.report.leaderboard.board import make_board
from vlalign.report.leaderboard.files import to_csv, to_json, to_markdown
from vlalign.scoring import score
from vlalign.scoring.collect import Collected, collect
from vlalign.scoring.validation import validate_record
from vlalign.store.importing import import_embeddings

EMPTY.update({"link", "input"})
ODD = (
    '<script>alert("x")</script>',
    "</script><img src=x onerror=alert(1)>",
    "a\"b'c`d|e\\f*g_h",
    "näme 模型 🤗 \u202e \u2028",
    "x" * 400,
    "=cmd|' /C calc'!A0",
    "$title ${data} $$",
)


def rows_of(text: str) -> list[dict[str, Any]]:
    return [row for group in json.loads(text)["groups"] for row in group["rows"]]


def test_csv_and_json_hold_the_same() -> None:
    board = make_board(collected(*small_grid()))
    told = rows_of(to_json(board))
    lines = list(csv.DictReader(io.StringIO(to_csv(board))))
    assert len(told) == len(lines) == 2 * 9
    for row, line in zip(told, lines, strict=True):
        for name, value in row.items():
            if isinstance(value, float):
                assert float(line[name]) == value
            else:
                assert line[name] == ("" if value is None else str(value))
    groups = json.loads(to_json(board))["groups"]
    assert [line["group"] for line in lines] == [group["id"] for group in groups for _ in group["rows"]]


def test_markdown_holds_the_same_rounded() -> None:
    board = make_board(collected(*small_grid()))
    told = rows_of(to_json(board))
    text = to_markdown(board)
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if re.match(r"\| \d", line)]
    assert len(lines) == len(told)
    for row, cells in zip(told, lines, strict=True):
        assert (row["rank"], row["rank_last"]) == (int(cells[0].split("–")[0]), int(cells[0].split("–")[-1]))
        assert cells[1] == row["model"]
        assert cells[3] == f"{row['score']:.4f}"
        assert cells[4] == f"{row['low']:.4f} – {row['high']:.4f}"
        assert cells[5] == f"{row['above_chance']:.4f}"
        assert cells[7] == row["p_text"]
    assert {cells[0] for cells in lines} == {"1", "1–2", "3", "4"}
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert len(headings) == len(board.groups)


def test_odd_names_are_escaped_in_markdown_and_are_no_formulas_in_csv() -> None:
    board = make_board(collected(*(made_up("vision-a", name, 0.9 - i / 20) for i, name in enumerate(ODD))))
    text = to_markdown(board)
    assert "<script" not in text
    assert "<img" not in text
    assert html.escape(ODD[0], quote=False) in text
    widths = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert widths == {16}
    models = [line["model"] for line in csv.DictReader(io.StringIO(to_csv(board))) if line["reference"] == "vision-a"]
    assert models == [safe_cell(name) for name in ODD]
    assert any(model.startswith("'=") for model in models)
    assert {row["model"] for row in rows_of(to_json(board))} == {"vision-a", *ODD}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site of odd names."""
    out = tmp_path_factory.mktemp("odd") / "site"
    records = [made_up(f"vision {ODD[i % 2]}", name, 0.9 - i / 20) for i, name in enumerate(ODD)]
    save_leaderboard(collected(*records, made_up(tensors=True)), out)
    return out


def test_the_folder_is_a_static_space_unless_its_owner_says_otherwise(tmp_path: Path) -> None:
    out = tmp_path / "site"
    save_leaderboard(collected(made_up()), out)
    _, front, _ = (out / "README.md").read_text(encoding="utf-8").split("---\n")
    told = yaml.safe_load(front)
    assert (told["sdk"], told["app_file"]) == ("static", "index.html")
    (out / "README.md").write_text("mine", encoding="utf-8")
    save_leaderboard(collected(made_up()), out)
    assert (out / "README.md").read_text(encoding="utf-8") == "mine"


def test_pages_nest_and_run_no_script_but_their_own(site: Path) -> None:
    pages = [site / "index.html", *sorted((site / "pairs").glob("*.html"))]
    assert len(pages) == len(ODD) + 2
    for path in pages:
        text = path.read_text(encoding="utf-8")
        found = Page(text)
        assert not found.all("img")
        assert not found.all("i")
        assert not [name for _, given in found.elements for name in given if name.startswith("on")]
        assert "http://" not in re.sub(r"http://www.w3.org/2000/svg", "", text)
        assert "https://" not in text
        assert "@import" not in text
        scripts = found.all("script")
        assert len(scripts) == (3 if path.name == "index.html" else 2)
        assert [one.get("type") for one in scripts].count("application/json") == 1
        assert len(found.all("h1")) == 1
    index = (site / "index.html").read_text(encoding="utf-8")
    allowed = re.findall(r"'sha256-([^']+)'", index)
    bodies = re.findall(r"<script>(.*?)</script>", index, flags=re.DOTALL)
    assert allowed == [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]


def test_the_embedded_data_hold_the_names_as_they_are(site: Path) -> None:
    index = (site / "index.html").read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', index, flags=re.DOTALL)
    assert not set("<>&") & set(data)
    names = {model["name"] for model in json.loads(data)["models"]}
    assert set(ODD) <= names


def test_a_pair_page_tells_everything_of_its_record(tmp_path: Path) -> None:
    record = made_up(value=0.6)
    norms = [
        dataclasses.asdict(one) for one in made_up_norms(60, 2).summary([layer["name"] for layer in record.axes["y"]])
    ]
    record = dataclasses.replace(record, y={**record.y, "norms": norms})
    validate_record(record)
    board = save_leaderboard(collected(record), tmp_path)
    found = Page((tmp_path / board.entries[0].page).read_text(encoding="utf-8"))
    text = "".join(found.texts["main"])
    assert record.interval is not None
    for part in ("0.6000", f"{record.interval['low']:.4f}", record.x["run"]["hash"], record.y["run"]["hash"]):
        assert part in text
    for part in ("Not measured", "In 1 of 2 layers one token gives more than half of the mean of a typical text",
                 "(97%, mostly 'The'; its norm is 130 times the median one)", "129.5"):  # fmt: skip
        assert part in text
    assert "\n".join(pair_commands(record)) in found.texts["code"]
    data = json.loads(found.texts["script"][-1])
    steps = memoryview(base64.b64decode(data["values"])).cast("H")
    drawn = [data["low"] + (data["high"] - data["low"]) * step / 65535 for step in steps]
    assert drawn == pytest.approx([value for row in record.matrix for value in row], abs=1e-5)
    assert sum(data["null"]["counts"]) == 99
    assert list(data["curves"]) == ["n", "n_proportional", "k"]
    assert data["best"] == [record.best[side]["position"] for side in ("x", "y")]


def test_a_pair_of_tensors_has_no_command(tmp_path: Path) -> None:
    board = save_leaderboard(collected(real_record()), tmp_path)
    assert "no command makes these features" in (tmp_path / board.entries[0].page).read_text(encoding="utf-8")
    assert pair_commands(real_record()) == []


def test_a_pair_of_imported_runs_is_no_extraction(tmp_path: Path) -> None:
    values = torch.randn(30, 6, generator=torch.Generator().manual_seed(0))
    x, y = (
        import_embeddings(tmp_path / "store", name, values * sign, modality=modality, data={"name": "minhuh/prh"})
        for name, sign, modality in (("dinov2-small", 1, "vision"), ("my text", -1, "text"))
    )
    record = score(x, y, k=3, permutations=9, half_samples=2)
    board = save_leaderboard(collected(record), tmp_path / "site")
    page = Page((tmp_path / "site" / board.entries[0].page).read_text(encoding="utf-8"))
    commands = pair_commands(record)
    assert commands[1] == "vlalign import 'my text=FILE' --store features --modality text --data-name minhuh/prh"
    assert "\n".join(commands) in page.texts["code"]
    assert "imported" in "".join(page.texts["main"])
    assert "Layers" not in "".join(page.texts["h2"])  # one layer pair has no map


def test_the_command_has_every_setting() -> None:
    edits = [{"operation": "char_delete", "rate": 30, "seed": 7, "version": 1}, {"captions": "3" * 64}]
    record = made_up("dinov2-small", "some model", y_run={"edits": edits, "quantization": "nf4", "caption": 2})
    x, y, score = pair_commands(record)
    revision = "2" * 40
    assert x == (
        f"vlalign extract --store features --model dinov2-small --revision {revision} --dtype float32 --data made-up "
        "--max-samples 60"
    )
    for part in (
        "--model 'hub:org/some model'",
        "--quantization nf4",
        "--caption 2",
        "--perturb char_delete:30,seed=7",
    ):
        assert part in y
    assert f"{record.y['run']['hash'][:12]} " in score
    assert score.endswith("--metric mutual_knn:k=5 --preset platonic --permutations 99 --half-samples 10 --report full")


def test_invalid_files_are_listed_everywhere(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", [made_up(), made_up(y="text-b")])
    (results / "broken.json").write_text("{", encoding="utf-8")
    old = json.loads((results / "0000.json").read_text()) | {"format": 1}
    (results / "old.json").write_text(json.dumps(old), encoding="utf-8")
    (results / "<b>odd.json").write_text("[]", encoding="utf-8")
    board = save_leaderboard(collect([results]), tmp_path / "site")
    assert [one.path for one in board.invalid] == ["<b>odd.json", "broken.json", "old.json"]
    page = Page((tmp_path / "site" / "index.html").read_text(encoding="utf-8"))
    assert not page.all("b")
    for name in ("csv", "md", "json"):
        text = (tmp_path / "site" / f"leaderboard.{name}").read_text(encoding="utf-8")
        assert "record format 1" in text
        assert "not valid JSON" in text
    assert any("record format 1" in cell for cell in page.texts["td"])


@pytest.mark.parametrize(
    "changed",
    [
        {"curves": {"n": {"points": [{"at": 1}, {"largest": {}}]}}},
        {"chance": 10**400},
        {"seconds": {"grid": 10**400}},
        {"matrix": [[10**400, 0.5]] * 3},
        {"checks": {"notes": 1.5}},
    ],
)
def test_a_record_whose_page_cannot_be_made_joins_the_invalid_ones(tmp_path: Path, changed: dict[str, Any]) -> None:
    broken = dataclasses.replace(made_up(y="text-b", value=0.9), **changed)
    board = save_leaderboard(collected(made_up(), broken), tmp_path)
    assert [one.path for one in board.invalid] == ["0001.json"]
    assert [row.rank for row in board.groups[0].rankings[0].rows] == [(1, 1)]
    assert len(list((tmp_path / "pairs").iterdir())) == 1


def test_further_records_name_the_source_of_the_one_shown(tmp_path: Path) -> None:
    for folder in ("one", "other"):
        write_results(tmp_path / folder, [made_up()])
    save_leaderboard(collect([tmp_path / "one", tmp_path / "other"]), tmp_path / "site")
    one, other = str(tmp_path / "one"), str(tmp_path / "other")
    told = json.loads((tmp_path / "site" / "leaderboard.json").read_text(encoding="utf-8"))
    assert told["duplicates"] == [
        {"source": other, "record": "0000.json", "shown_source": one, "shown": "0000.json", "same_score": True}
    ]
    row = [other, "0000.json", one, "0000.json", "the same"]
    cells = Page((tmp_path / "site" / "index.html").read_text(encoding="utf-8")).texts["td"]
    assert cells[:4] == row[1:]
    text = (tmp_path / "site" / "leaderboard.md").read_text(encoding="utf-8").replace("\\", "")
    assert f"| {' | '.join(row)} |" in text


@pytest.mark.parametrize("name", ["index.html", "site.css", "pair.js", "leaderboard.csv", "leaderboard.json"])
def test_files_that_no_leaderboard_wrote_are_not_overwritten(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    results = write_results(tmp_path / "results", [made_up()])
    out = tmp_path / "mine"
    out.mkdir()
    (out / name).write_text('{"format": 1}')
    line = ["leaderboard", str(results), "--out", str(out), "--quiet"]
    assert main(line) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert f"{out} holds {name} that no leaderboard wrote" in error
    with pytest.raises(VlalignError, match="choose another folder"):
        save_leaderboard(collected(made_up()), out)
    assert [path.name for path in out.iterdir()] == [name]
    assert main([*line, "--force"]) == 0
    assert (out / name).read_text(encoding="utf-8") != '{"format": 1}'
    assert main(line) == 0  # now it is a leaderboard's


def test_other_files_do_not_keep_a_folder_from_being_a_site(tmp_path: Path) -> None:
    for name in ("README.md", ".gitattributes", "notes.html", "data.json"):
        (tmp_path / name).write_text("mine")
    (tmp_path / ".git").mkdir()
    save_leaderboard(collected(made_up()), tmp_path)
    assert (tmp_path / "index.html").is_file()
    for name in ("README.md", ".gitattributes", "notes.html", "data.json"):
        assert (tmp_path / name).read_text() == "mine"


def test_a_site_that_was_cut_short_is_finished_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> str:
        raise KeyboardInterrupt

    for name in ("to_csv", "index_page"):
        with monkeypatch.context() as patched:
            patched.setattr(f"vlalign.report.leaderboard.output.{name}", stop)
            with pytest.raises(KeyboardInterrupt):
                save_leaderboard(collected(made_up()), tmp_path / name)
        save_leaderboard(collected(made_up()), tmp_path / name)
        assert (tmp_path / name / "index.html").is_file()


@pytest.mark.parametrize("out", ["", " "])
def test_a_site_needs_a_folder(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["leaderboard", "nowhere", "--out", out])
    error = capsys.readouterr().err
    assert "--out: expected a value" in error
    assert error.count("\n") == 1
    with pytest.raises(VlalignError, match="has no name"):
        check_site(out)


def test_pages_of_an_earlier_board_go_and_other_files_stay(tmp_path: Path) -> None:
    save_leaderboard(collected(made_up(), made_up(y="text-b")), tmp_path)
    (tmp_path / "pairs" / "mine.html").write_text("mine")
    save_leaderboard(collected(made_up()), tmp_path)
    assert len(list((tmp_path / "pairs").iterdir())) == 2
    assert (tmp_path / "pairs" / "mine.html").read_text() == "mine"


def test_pages_keep_their_addresses(tmp_path: Path) -> None:
    first = save_leaderboard(collected(made_up(), made_up(y="text-b")), tmp_path / "a")
    second = save_leaderboard(collected(made_up(y="text-b"), made_up()), tmp_path / "b")
    assert {entry.page for entry in first.entries} == {entry.page for entry in second.entries}


def test_nothing_valid_still_tells_why(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "broken.json").write_text("{")
    save_leaderboard(collect([tmp_path / "results"]), tmp_path / "site")
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "nothing to rank" in text
    assert "broken.json" in text
    with pytest.raises(VlalignError, match="no score records"):
        save_leaderboard(Collected(), tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_the_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)  # --out is ./site
    results = write_results(tmp_path / "results", small_grid())
    out = tmp_path / "site"
    assert main(["leaderboard", str(results), "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert "9 records, 6 models in 2 groups" in said
    assert str(out / "index.html") in said.replace("\n", "")
    assert (out / "leaderboard.csv").is_file()
    shutil.rmtree(results)
    results.mkdir()
    for line, reason in (
        (["leaderboard", str(results)], "no score records in"),
        (["leaderboard", str(tmp_path / "nowhere")], "no results at"),
        (["leaderboard", str(out), "--out", str(out / "sub")], "would be read as records"),
    ):
        assert main(line) == 1
        error = capsys.readouterr().err
        assert reason in error
        assert error.count("\n") == 1


def test_columns_of_the_embedded_tables_travel_with_their_rows(tmp_path: Path) -> None:
    save_leaderboard(collected(*small_grid()), tmp_path)
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', index, flags=re.DOTALL)
    data = json.loads(text)
    entries = [dict(zip(data["entries"]["columns"], row, strict=True)) for row in data["entries"]["rows"]]
    scores = sorted(record.score for record in small_grid())
    assert sorted(entry["score"] for entry in entries) == pytest.approx(scores, rel=1e-6)
    script = re.findall(r"<script>(.*?)</script>", index, flags=re.DOTALL)[-1]
    for name in set(re.findall(r"\bentry\.([a-z_]+)", script)):
        assert name in data["entries"]["columns"]  # the script reads no other column
    ranking = data["groups"][0]["rankings"][0]
    rows = [dict(zip(ranking["columns"], row, strict=True)) for row in ranking["rows"]]
    assert [row["rank"] for row in rows] == sorted(row["rank"] for row in rows)


def test_title_description_and_link_head_the_page(tmp_path: Path) -> None:
    results = write_results(tmp_path / "results", small_grid()[:1])
    given = ["--title", "Us: <all>", "--description", "Scored & checked.", "--link", "https://example.org/a?b=1"]
    assert main(["leaderboard", str(results), "--out", str(tmp_path / "site"), "--quiet", *given]) == 0
    text = (tmp_path / "site" / "index.html").read_text(encoding="utf-8")
    assert "<h1>Us: &lt;all&gt;</h1>" in text
    assert "<p>Scored &amp; checked.</p>" in text
    assert '<a href="https://example.org/a?b=1">' in text
    space = (tmp_path / "site" / "README.md").read_text(encoding="utf-8").split("---")[1]
    assert yaml.safe_load(space)["title"] == "Us: <all>"


def test_a_link_that_is_no_address_of_the_web(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = write_results(tmp_path / "results", small_grid()[:1])
    assert main(["leaderboard", str(results), "--out", str(tmp_path / "site"), "--link", "javascript:alert(1)"]) != 0
    assert "does not start with https://" in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_a_site_needs_no_torch() -> None:
    """So that a job that only publishes starts at once."""
    code = "import sys, vlalign.hub, vlalign.report.leaderboard; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
