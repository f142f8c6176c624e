"""Score records in a data set of the Hub: none is replaced unasked, and those that may not be compared stay apart."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from support.features import make_key, make_run
from support.hub import TOKEN, HubServer
from support.repos import Blob

from vlalign.errors import VlalignError
from vlalign.hub import push_results, read_results
from vlalign.hub.record_table import from_parquet, groups_of, row_of, to_parquet
from vlalign.hub.upload_results import TABLE
from vlalign.scoring import score
from vlalign.scoring.record import ScoreRecord
from vlalign.store import RunKey


@pytest.fixture(autouse=True)
def owner(hub: HubServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def record(tmp_path: Path) -> ScoreRecord:
    runs = [make_run(tmp_path / "s", make_key(*one)) for one in (("llama-7b",), ("dinov2-small", "vision"))]
    return score(*runs, permutations=19, half_samples=0)


def save(record: ScoreRecord, folder: str, **changes: Any) -> str:
    replace(record, **changes).save(Path(folder) / record.filename)
    return folder


def other(record: ScoreRecord, value: float = 0.125) -> dict[str, Any]:
    """Changes that make another result of the same name."""
    return {"matrix": [[value] * len(row) for row in record.matrix], "best": {**record.best, "score": value}}


def held(hub: HubServer, repo: str) -> dict[str, bytes]:
    files = hub.files(f"datasets/{repo}")
    return {path: blob.read() for path, blob in files.items() if path.startswith("results/")}


def uploads(hub: HubServer) -> list[str]:
    return [one.path for one in hub.requests if one.method in ("POST", "PUT") and "validate-yaml" not in one.path]


def table(hub: HubServer, repo: str) -> dict[str, float]:
    rows = from_parquet(hub.files(f"datasets/{repo}")[TABLE].read())
    return {row["file"]: row["score"] for row in rows}


def test_two_of_one_name_together_then_one_alone(hub: HubServer, record: ScoreRecord) -> None:
    both = [save(record, "ca"), save(record, "cb", **other(record))]
    assert len(push_results(both, "owner/both").new) == 2
    before = held(hub, "owner/both")
    assert len(before) == 2
    for sources in (["cb"], ["ca"], ["cb", "ca"], both):
        hub.clear()
        done = push_results(sources, "owner/both")
        assert (done.new, done.replaced, len(done.same), done.total) == ([], [], len(sources), 2)
        assert done.commit is None
        assert not uploads(hub)
    assert held(hub, "owner/both") == before
    # a third, beside one that is there: apart again, whichever comes first; alone it would replace one
    save(record, "cc", **other(record, 0.25))
    with pytest.raises(VlalignError, match=rf"holds other records of 1 pair, first results/{record.filename}: give"):
        push_results(["cc"], "owner/both")
    assert len(push_results(["cc", "ca"], "owner/both", dry_run=True).new) == 1
    assert len(push_results(["cb", "cc", "ca"], "owner/both").new) == 1
    assert len(held(hub, "owner/both")) == 3
    assert set(before.items()) < set(held(hub, "owner/both").items())
    assert sorted(table(hub, "owner/both").values()) == sorted([record.score, 0.125, 0.25])


def test_what_would_be_replaced_needs_force(hub: HubServer, record: ScoreRecord) -> None:
    push_results([save(record, "a")], "owner/forced")
    before = held(hub, "owner/forced")
    hub.clear()
    for options in ({}, {"dry_run": True}):
        with pytest.raises(VlalignError, match="give --force to replace them, or name another --repo"):
            push_results([save(record, "b", **other(record))], "owner/forced", **options)
    assert held(hub, "owner/forced") == before
    assert not uploads(hub)
    done = push_results(["b"], "owner/forced", force=True)
    assert (done.new, done.replaced, done.total) == ([], [f"results/{record.filename}"], 1)
    assert held(hub, "owner/forced") == {f"results/{record.filename}": (Path("b") / record.filename).read_bytes()}
    assert table(hub, "owner/forced") == {f"results/{record.filename}": 0.125}


def test_the_same_result_computed_again(hub: HubServer, record: ScoreRecord) -> None:
    """Elsewhere and more slowly: also beside another of the same name."""
    push_results([save(record, "a"), save(record, "b", **other(record))], "owner/again")
    hub.clear()
    for changes in ({}, other(record)):
        again = save(record, "again", seconds={"score": 1e3}, environment={"platform": "another"}, **changes)
        done = push_results([again], "owner/again")
        assert (done.commit, len(done.same), done.total) == (None, 1, 2)
    assert not uploads(hub)
    # beside a third: that one is not put in the place of what is there
    save(record, "c", **other(record, 0.25))
    again = save(record, "again", seconds={"score": 1e3})
    assert len(push_results(["c", again], "owner/again").new) == 1
    assert len(held(hub, "owner/again")) == 3


def test_records_of_tensors_have_their_content_in_their_names(hub: HubServer, tmp_path: Path) -> None:
    made = []
    for seed in (0, 1):
        one, two = torch.randn(2, 40, 5, generator=torch.Generator().manual_seed(seed))
        made.append(score(one, two, permutations=0, half_samples=0))
    assert made[0].filename != made[1].filename
    for folder, record in zip("ab", made, strict=True):
        assert len(push_results([save(record, folder)], "owner/tensors").new) == 1
    assert len(held(hub, "owner/tensors")) == 2
    rows = from_parquet(hub.files("datasets/owner/tensors")[TABLE].read())
    assert [len(group["rows"]) for group in groups_of(rows)] == [1, 1]
    assert push_results(["b"], "owner/tensors").commit is None


def test_a_copy_keeps_its_names(hub: HubServer, record: ScoreRecord) -> None:
    push_results([save(record, "a"), save(record, "b", **other(record))], "owner/copied")
    push_results(["owner/copied"], "owner/the-copy")
    assert held(hub, "owner/the-copy") == held(hub, "owner/copied")
    assert push_results(["owner/the-copy"], "owner/copied").commit is None


def test_a_new_branch_starts_from_what_is_there(hub: HubServer, record: ScoreRecord) -> None:
    push_results([save(record, "a")], "owner/branches")
    done = push_results(["a"], "owner/branches", revision="more")
    assert (done.new, len(done.same)) == ([], 1)
    assert len(read_results(["owner/branches@more"]).records) == 1


def test_the_card_names_its_sources(hub: HubServer, record: ScoreRecord, tmp_path: Path) -> None:
    def commands() -> list[str]:
        card = hub.files("datasets/owner/named")["README.md"].read().decode()
        return re.findall(r"^- `(.*)`$", card, re.MULTILINE)

    push_results([save(record, "a")], "owner/source")
    save(record, str(tmp_path / "deep" / "my results"), **other(record))
    push_results(["owner/source", "deep/my results"], "owner/named", licence="mit")
    first = "vlalign push-results owner/source 'my results' --repo owner/named --license mit"
    assert commands() == [first]
    push_results(["./a"], "owner/named")  # there already: no command of its own
    assert commands() == [first]
    push_results([save(record, "c", n=59)], "owner/named", force=True)
    assert commands() == [first, "vlalign push-results c --repo owner/named"]
    files = dict(hub.files("datasets/owner/named"))
    files["vlalign/results.json"] = Blob.make(b"[", "vlalign/results.json")
    hub.repos["datasets/owner/named"].commit("main", files, "damage")
    push_results([save(record, "d", n=58)], "owner/named", force=True)
    assert commands() == ["vlalign push-results d --repo owner/named"]


def with_key(record: ScoreRecord, **changes: Any) -> ScoreRecord:
    """With another run of x."""
    run = record.x["run"]
    key = RunKey({**run["key"], **changes})
    return replace(record, x={**record.x, "run": {**run, "hash": key.hash, "key": key.data}})


#: changes of a record, and whether it may still be compared with the unchanged one
GROUPS: dict[str, tuple[Callable[[ScoreRecord], ScoreRecord], bool]] = {
    "score": (lambda one: replace(one, **other(one)), True),
    "quantization": (lambda one: with_key(one, quantization="nf4"), True),
    "n": (lambda one: replace(one, n=59), False),
    "clip": (lambda one: replace(one, preprocessing={**one.preprocessing, "clip_quantile": 0.5}), False),
    "metric": (lambda one: replace(one, metric={**one.metric, "params": {"k": 11}}), False),
    "groups": (lambda one: replace(one, pairing={**one.pairing, "groups": {"groups": 7}}), False),
    "data of the same name": (
        lambda one: with_key(one, data={**one.x["run"]["key"]["data"], "fingerprint": "0" * 64}), False,
    ),
    "edits": (lambda one: with_key(one, perturbations=[{"operation": "char_delete", "rate": 30, "version": 1}]), False),
}  # fmt: skip


@pytest.mark.parametrize("case", GROUPS)
def test_tables_hold_what_may_be_compared(record: ScoreRecord, case: str) -> None:
    change, together = GROUPS[case]
    rows = [row_of(record, "a", b""), row_of(change(record), "b", b"")]
    groups = groups_of(rows)
    assert [len(group["rows"]) for group in groups] == ([2] if together else [1, 1])
    assert len({group["id"] for group in groups}) == len(groups)
    assert groups == groups_of(rows[::-1])
    assert from_parquet(to_parquet(rows)) == rows


def test_rows_tell_the_runs_apart(hub: HubServer, record: ScoreRecord) -> None:
    edited = with_key(record, quantization="nf4", perturbations=[{"operation": "char_delete", "rate": 30}])
    row = row_of(edited, "a", b"")
    assert (row["precision_x"], row["precision_y"]) == ("nf4", "float32")
    assert (row["edits_x"], row["edits_y"], row["run_x"]) == ("char_delete:30", "", edited.x["run"]["hash"])
    save(record, "r")
    edited.save("r/b.json")
    push_results(["r"], "owner/apart")
    card = hub.files("datasets/owner/apart")["README.md"].read().decode()
    x, other, y = (side["run"]["hash"][:8] for side in (record.x, edited.x, record.y))
    assert f"| nf4 × float32 | char_delete:30 × – | {other} × {y} |" in card
    assert f"| float32 × float32 | – × – | {x} × {y} |" in card
    assert card.count("\n### metric mutual_knn:k=10, preset platonic") == 2


def test_names_of_models_and_data_sets_are_listed(record: ScoreRecord) -> None:
    from vlalign.hub.upload_results import card

    edited = with_key(record, data={**record.x["run"]["key"]["data"], "name": "org/this and that"})
    edited = replace(edited, y={"model": "my own model", "modality": None, "run": None, "tensor": None})
    row = row_of(edited, "results/a.json", b"")
    assert row["models"] == [record.x["run"]["key"]["model"]["name"], "my own model"]
    assert row["datasets"] == ["org/this and that"]
    text = card([row], "owner/named", branch="main", licence="mit", commands=[])
    assert "Alignment of 2 models" in text
    assert "- org/this and that" in text


def test_many_groups_are_counted(record: ScoreRecord) -> None:
    from vlalign.hub.upload_results import card

    rows = [row_of(replace(record, n=n), f"results/{n}.json", b"") for n in range(1, 34)]
    text = card(rows, "owner/many", branch="main", licence="mit", commands=[])
    assert text.count("\n### ") == 30
    assert "… and 3 more groups" in text


def fewer_columns(table: pa.Table) -> pa.Table:
    return table.drop_columns(["group", "conditions", "precision_x", "precision_y"])


def other_groups(table: pa.Table) -> pa.Table:
    """As another version may have made them."""
    place = table.schema.names.index("group")
    return table.set_column(place, "group", pa.array(["0"] * len(table))).replace_schema_metadata({"vlalign": "0.0.1"})


@pytest.mark.parametrize("change", [fewer_columns, other_groups])
def test_an_earlier_table_is_read_again_from_the_records(
    hub: HubServer, record: ScoreRecord, tmp_path: Path, change: Callable[[pa.Table], pa.Table]
) -> None:
    hub.repos.pop("datasets/owner/earlier", None)
    push_results([save(record, "a")], "owner/earlier")
    files = dict(hub.files("datasets/owner/earlier"))
    table = pq.read_table(io.BytesIO(files[TABLE].read()))
    pq.write_table(change(table), tmp_path / "earlier.parquet")
    files[TABLE] = Blob.make((tmp_path / "earlier.parquet").read_bytes(), TABLE)
    hub.repos["datasets/owner/earlier"].commit("main", files, "earlier")
    push_results([save(replace(record, n=59, x={**record.x, "model": "other"}), "b")], "owner/earlier")
    rows = from_parquet(hub.files("datasets/owner/earlier")[TABLE].read())
    assert [row["file"] for row in rows] == sorted(held(hub, "owner/earlier"))
    path = f"results/{record.filename}"
    assert row_of(record, path, files[path].read()) in rows


def test_a_record_changed_by_hand_is_read_again(hub: HubServer, record: ScoreRecord) -> None:
    push_results([save(record, "a")], "owner/by-hand")
    files = dict(hub.files("datasets/owner/by-hand"))
    path = f"results/{record.filename}"
    changed = replace(record, seconds={"grid": 7.0}, chance=0.125)
    files[path] = Blob.make(changed.save("changed.json").read_bytes(), path)
    hub.repos["datasets/owner/by-hand"].commit("main", files, "by hand")
    push_results([save(replace(record, n=59, x={**record.x, "model": "other"}), "b")], "owner/by-hand")
    rows = {row["file"]: row for row in from_parquet(hub.files("datasets/owner/by-hand")[TABLE].read())}
    assert rows[path]["chance"] == 0.125


def test_a_record_whose_run_is_odd_is_left_out(hub: HubServer, record: ScoreRecord) -> None:
    save(record, "a")
    told = json.loads((Path("a") / record.filename).read_text())
    told["x"]["run"]["key"]["perturbations"] = 7
    (Path("a") / "odd.json").write_text(json.dumps(told))
    done = push_results(["a"], "owner/odd-run")
    assert [bad.path for bad in done.invalid] == ["odd.json"]
    assert len(done.new) == 1
