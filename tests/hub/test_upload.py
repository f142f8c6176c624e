"""Pushing and pulling against the stand-in Hub, in this process: what is refused, kept, replaced and resumed."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from hub.conftest import corrupt
from support.features import contents, make_key, make_run
from support.hub import STRANGER, HubServer

from vlalign.cli import main
from vlalign.errors import VlalignError
from vlalign.hub import pull, push, push_results, read_results
from vlalign.hub.metadata import STORED
from vlalign.scoring import score
from vlalign.store import FeatureStore, Run

pytestmark = pytest.mark.usefixtures("owner")


def test_float32_comes_back_byte_for_byte(store: Path, tmp_path: Path) -> None:
    push(store, "owner/exact", dtype="float32", out=tmp_path / "kept")
    assert push(store, "owner/exact", dtype="float32").commit is None
    done = pull("owner/exact", tmp_path / "pulled")
    assert all(one.fresh for one in done)
    assert contents(tmp_path / "pulled") == contents(store)
    assert not FeatureStore(tmp_path / "pulled").verify()
    assert not any(one.fresh for one in pull("owner/exact", tmp_path / "pulled"))
    assert (tmp_path / "kept" / "README.md").is_file()
    x, y = (FeatureStore(tmp_path / "pulled").find(name) for name in ("dinov2-small", "llama-7b"))
    a, b = (FeatureStore(store).find(name) for name in ("dinov2-small", "llama-7b"))
    assert score(x, y).matrix == score(a, b).matrix
    assert x.key == a.key
    assert x.facts == a.facts
    assert (x.layer_norms, y.layer_norms) == (None, b.layer_norms)
    assert [norms.place for norms in b.layer_norms or []][-1] == "'The'"


def test_float16_comes_back_under_a_key_that_says_so(store: Path, tmp_path: Path) -> None:
    push(store, "owner/rounded")
    done = {one.about.config: one for one in pull("owner/rounded", tmp_path / "pulled")}
    run, original = done["llama-7b"].run, done["llama-7b"].about.key
    kept = next(run for run in FeatureStore(store).runs() if run.key == original)
    assert run.key != original
    assert run.key.data == {**original.data, STORED: "float16"}
    assert run.facts[STORED]["original"] == original.hash
    for a, b in zip(run.features(), kept.features(), strict=True):
        assert torch.equal(a, b.half().float())
    assert run.bits_per_byte() == kept.bits_per_byte()
    assert run.layer_norms == kept.layer_norms is not None
    x, y = (FeatureStore(tmp_path / "pulled").find(name) for name in ("dinov2-small", "llama-7b"))
    a, b = (FeatureStore(store).find(name) for name in ("dinov2-small", "llama-7b"))
    assert score(x, y, metric="cka").best["score"] == pytest.approx(score(a, b, metric="cka").best["score"], abs=1e-3)
    # beside the original, neither is taken for the other; pushed again, nothing more is lost
    pull("owner/rounded", store)
    with pytest.raises(VlalignError, match="stored: absent != float16"):
        FeatureStore(store).find("llama-7b")
    push(tmp_path / "pulled", "owner/rounded-twice")
    pull("owner/rounded-twice", tmp_path / "again")
    assert contents(tmp_path / "again") == contents(tmp_path / "pulled")


def test_token_norms_are_added_to_earlier_pushes_and_pulls(store: Path, hub: HubServer, tmp_path: Path) -> None:
    def made(root: Path) -> Run:
        return next(run for run in FeatureStore(root).runs() if run.key.model == "llama-7b" and not run.key.edits)

    run = made(store)
    files = {path: path.read_bytes() for path in run.path.glob("norms-*")}
    for path in files:
        path.unlink()
    push(store, "owner/norms", dtype="float32")
    assert not any("norms" in path for path in hub.files("datasets/owner/norms"))
    assert made(store).layer_norms is None
    pull("owner/norms", tmp_path / "pulled")
    assert made(tmp_path / "pulled").layer_norms is None
    for path, data in files.items():
        path.write_bytes(data)
    items = push(store, "owner/norms", dtype="float32").items
    assert [item.state for item in items if item.run.path == run.path] == ["token norms added"]
    assert {item.state for item in items if item.run.path != run.path} == {"there already"}
    assert push(store, "owner/norms", dtype="float32").commit is None
    assert not any(one.fresh for one in pull("owner/norms", tmp_path / "pulled"))
    assert contents(tmp_path / "pulled") == contents(store)
    corrupt(hub, "owner/norms", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "llama-7b/norms.safetensors")
    with pytest.raises(VlalignError, match=r"data/llama-7b/norms.* is damaged or was altered"):
        pull("owner/norms", tmp_path / "again")


def test_configurations_are_added_and_stay(store: Path, hub: HubServer, tmp_path: Path) -> None:
    first = push(store, "owner/grows", models=["dinov2-small"])
    assert [item.config for item in first.items] == ["dinov2-small"]
    before = hub.files("datasets/owner/grows")
    second = push(store, "owner/grows", perturb=["char_delete"])
    assert second.kept == ["dinov2-small"]
    after = hub.files("datasets/owner/grows")
    assert {path: after[path].sha256 for path in before if path != "README.md"} == {
        path: before[path].sha256 for path in before if path != "README.md"
    }
    third = push(store, "owner/grows", perturb=["none"])
    assert {item.config: item.state for item in third.items} == {"dinov2-small": "there already", "llama-7b": "new"}
    assert len(pull("owner/grows", tmp_path / "all")) == 3
    assert len(pull("owner/grows", tmp_path / "one", configs=["llama-7b"])) == 1
    with pytest.raises(VlalignError, match=r"no configuration 'llama-7' .did you mean llama-7b"):
        pull("owner/grows", tmp_path / "one", configs=["llama-7"])
    hub.clear()
    assert push(store, "owner/grows").commit is None
    assert not [r for r in hub.requests if r.method in ("POST", "PUT") and "validate" not in r.path]
    with pytest.raises(VlalignError, match=r"holds other features under 'llama-7b'.*--force"):
        push(store, "owner/grows", dtype="float32", models=["llama-7b"])
    push(store, "owner/grows", dtype="float32", models=["llama-7b"], force=True)
    assert {one.about.dtype for one in pull("owner/grows", tmp_path / "now")} == {"float16", "float32"}


def test_each_configuration_tells_the_command_that_made_it(
    store: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(store, "owner/commands", models=["dinov2-small"], dtype="float32", licence="mit", tag="v1")
    monkeypatch.chdir(store)
    push(".", "owner/commands", perturb=["char_delete", "none"], models=["llama-7b"], force=True, private=False)
    push(".", "owner/commands", revision="more", models=["dinov2-small"], force=True)
    first = "vlalign push features --repo owner/commands --model dinov2-small --dtype float32 --license mit"
    second = (
        "vlalign push features --repo owner/commands --model llama-7b --perturb char_delete --perturb none "
        "--dtype float16"
    )
    third = "vlalign push features --repo owner/commands --model dinov2-small --dtype float16 --revision more"
    for branch, made in (("main", first), ("more", third)):
        files = hub.files("datasets/owner/commands", branch)
        card = files["README.md"].read().decode()
        expected = [f"made by `{made}`: `dinov2-small`", f"made by `{second}`: `llama-7b`, `llama-7b--char_delete-30`"]
        assert re.findall(r"^- (made by .*)", card, re.MULTILINE) == expected
        told = {path: json.loads(blob.read())["command"] for path, blob in files.items() if path.startswith("vlalign/")}
        assert told == {
            "vlalign/dinov2-small.json": made, "vlalign/llama-7b.json": second,
            "vlalign/llama-7b--char_delete-30.json": second,
        }  # fmt: skip


def test_a_command_that_was_not_noted(store: Path, hub: HubServer) -> None:
    push(store, "owner/unnoted", models=["dinov2-small"])

    def drop(data: bytes) -> bytes:
        return re.sub(rb'  "command": .*,\n', b"", data)

    corrupt(hub, "owner/unnoted", drop, "vlalign/dinov2-small.json")
    assert "command" not in json.loads(hub.files("datasets/owner/unnoted")["vlalign/dinov2-small.json"].read())
    assert push(store, "owner/unnoted", models=["dinov2-small"]).items[0].state == "there already"
    card = hub.files("datasets/owner/unnoted")["README.md"].read().decode()
    assert "- by a command that was not recorded: all configurations" in card


def test_nothing_new_builds_nothing(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = ["push", str(store), "--repo", "owner/built", "--out"]
    assert main([*line, str(tmp_path / "a")]) == 0
    assert f"files     {tmp_path / 'a'}\n" in capsys.readouterr().out
    assert main([*line, str(tmp_path / "b"), "--tag", "v1"]) == 0
    assert f"files     nothing new was built; {tmp_path / 'b'} is unchanged" in capsys.readouterr().out
    assert not (tmp_path / "b").exists()


def test_two_precisions_of_a_model(tmp_path: Path, hub: HubServer) -> None:
    make_run(tmp_path / "a", make_key("llama-7b"))
    make_run(tmp_path / "b", make_key("llama-7b", dtype="bfloat16"))
    push(tmp_path / "a", "owner/two")
    push(tmp_path / "b", "owner/two")
    assert {path for path in hub.files("datasets/owner/two") if path.startswith("vlalign/")} == {
        "vlalign/llama-7b.json", "vlalign/llama-7b--bfloat16.json",
    }  # fmt: skip


def test_odd_model_names(tmp_path: Path, hub: HubServer) -> None:
    names = ["../<b>x</b>|`", "模型", "a b/c\nd", "\"quote': {x}"]
    runs = [make_run(tmp_path / "s", make_key(name)) for name in names]
    push(tmp_path / "s", "owner/odd", dtype="float32")
    done = pull("owner/odd", tmp_path / "p")
    assert {one.run.key.hash for one in done} == {run.key.hash for run in runs}
    text = hub.files("datasets/owner/odd")["README.md"].read().decode()
    assert "<b>" not in text.split("---\n", 2)[2]


def test_other_content_is_refused_then_forced(store: Path, hub: HubServer, tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "data.csv").write_text("a,b\n1,2\n")
    hub.add_dataset("owner/theirs", tmp_path / "theirs")
    with pytest.raises(VlalignError, match=r"holds something else \('data.csv'\): name another"):
        push(store, "owner/theirs")
    assert set(hub.files("datasets/owner/theirs")) == {"data.csv"}
    push(store, "owner/theirs", force=True)
    assert {"data.csv", "README.md"} < set(hub.files("datasets/owner/theirs"))
    with pytest.raises(VlalignError, match="something else"):
        push_results([str(_results(store, tmp_path))], "owner/theirs")


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "name": ({"repo": "no owner"}, "'no owner' is not a name of a data set on the Hub: give owner/name"),
    "no owner": ({"repo": "name"}, "'name' is not a name of a data set"),
    "namespace": ({"repo": "strangers/x"}, "cannot create one: it belongs to 'owner'"),
    "dtype": ({"dtype": "bfloat16"}, "float16 or float32"),
    "model": ({"models": ["lama-7b"]}, "did you mean llama-7b"),
    "edits": ({"perturb": ["word_delete"]}, "no run with --perturb word_delete.*it has char_delete:30, none"),
    "out": ({"out": "."}, "holds something else: name a new folder with --out"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_before_anything_is_built(
    store: Path, hub: HubServer, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(store)
    options, reason = REFUSED[case]
    before = set(hub.repos)
    with pytest.raises(VlalignError, match=reason):
        push(store, **{"repo": "owner/refused", **options})
    assert set(hub.repos) == before


def test_tokens(store: Path, hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(store, "owner/secret", private=True)
    assert hub.repos["datasets/owner/secret"].private
    push(store, "owner/open")
    with pytest.raises(VlalignError, match="is public"):
        push(store, "owner/open", private=True)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(VlalignError, match="this token may not write to data set 'owner/open'"):
        push(store, "owner/open")
    with pytest.raises(VlalignError, match="no data set 'owner/secret' that this token may see"):
        push(store, "owner/secret")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(VlalignError, match="does not know this token"):
        push(store, "owner/open")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(VlalignError, match="no token of the Hub"):
        push(store, "owner/open")
    with pytest.raises(VlalignError, match="is not on the Hub, or is private"):
        pull("owner/secret", tmp_path / "p")
    with pytest.raises(VlalignError, match="is not on the Hub"):
        read_results(["owner/nothing-there"])


def test_branches_and_tags(store: Path, hub: HubServer, tmp_path: Path) -> None:
    push(store, "owner/refs", models=["dinov2-small"], tag="v1")
    push(store, "owner/refs", revision="more", tag="v2")
    assert len(pull("owner/refs", tmp_path / "a")) == 1
    assert len(pull("owner/refs", tmp_path / "b", revision="more")) == 3
    assert len(pull("owner/refs", tmp_path / "c", revision="v1")) == 1
    for options, reason in (
        ({"tag": "v1"}, "has a tag 'v1' already"),
        ({"revision": "v1"}, "'v1' is a tag"),
        ({"tag": "more"}, "'more' is a branch"),
    ):
        with pytest.raises(VlalignError, match=reason):
            push(store, "owner/refs", **options)  # type: ignore[arg-type]
    push(store, "owner/refs", revision="more", tag="v3")  # nothing new: the tag alone
    assert hub.repos["datasets/owner/refs"].tags["v3"] == hub.repos["datasets/owner/refs"].branches["more"]
    with pytest.raises(VlalignError, match="has no revision 'v9'"):
        pull("owner/refs", tmp_path / "d", revision="v9")


def test_someone_else_commits_meanwhile(store: Path, hub: HubServer, tmp_path: Path) -> None:
    push(store, "owner/busy", models=["dinov2-small"])

    def commit_first(method: str, path: str) -> None:
        if method == "PUT" and hub.repos["datasets/owner/busy"].branches["main"] == head:
            files = hub.files("datasets/owner/busy")
            hub.repos["datasets/owner/busy"].commit("main", dict(files), "theirs")

    head = hub.repos["datasets/owner/busy"].branches["main"]
    hub.fault = commit_first
    with pytest.raises(VlalignError, match=r"changed by someone else meanwhile \(branch main\): run the same command"):
        push(store, "owner/busy")
    hub.fault = None
    assert len(pull("owner/busy", tmp_path / "p")) == 1
    push(store, "owner/busy")
    assert len(pull("owner/busy", tmp_path / "q")) == 3


@pytest.mark.parametrize("where", ["second upload", "commit"])
def test_an_interrupted_push_is_invisible_and_goes_on(store: Path, hub: HubServer, tmp_path: Path, where: str) -> None:
    repo = f"owner/broken-{where.replace(' ', '-')}"
    sent: list[str] = []

    def fault(method: str, path: str) -> int | None:
        if method == "PUT" and path.startswith("/lfs-upload/"):
            sent.append(path)
            return 400 if where == "second upload" and len(sent) == 2 else None
        return 400 if where == "commit" and "/commit/" in path else None

    hub.fault = fault
    with pytest.raises(VlalignError, match="run the same command again"):
        push(store, repo, dtype="float32")
    assert set(hub.files(f"datasets/{repo}")) <= {".gitattributes"}
    with pytest.raises(VlalignError, match="holds no features that vlalign pushed"):
        pull(repo, tmp_path / "p")
    there = {path.rsplit("/", 1)[1] for path in sent} & set(hub.uploads)
    assert there
    hub.fault = None
    hub.clear()
    push(store, repo, dtype="float32")
    again = {request.path.rsplit("/", 1)[1] for request in hub.requests if request.path.startswith("/lfs-upload/")}
    assert not again & there
    assert len(again) == 4 - len(there)  # three Parquet files, one of token norms
    pull(repo, tmp_path / "p")
    assert contents(tmp_path / "p") == contents(store)


def test_a_dry_run_changes_nothing(store: Path, hub: HubServer) -> None:
    hub.clear()
    done = push(store, "owner/dry", dry_run=True)
    assert [item.state for item in done.items] == ["new"] * 3
    assert "datasets/owner/dry" not in hub.repos
    assert {request.method for request in hub.requests} == {"GET"}


def _results(store: Path, tmp_path: Path, permutations: int = 0) -> Path:
    x, y = (FeatureStore(store).find(name) for name in ("dinov2-small", "llama-7b"))
    record = score(x, y, permutations=permutations, half_samples=0)
    record.save(tmp_path / f"r{permutations}" / record.filename)
    return tmp_path / f"r{permutations}"


def test_results(store: Path, hub: HubServer, tmp_path: Path) -> None:
    one, two = _results(store, tmp_path), _results(store, tmp_path, 19)
    (one / "broken.json").write_text("{")
    done = push_results([str(one)], "owner/results")
    assert len(done.new) == 1
    assert [bad.path for bad in done.invalid] == ["broken.json"]
    (path,) = (p for p in hub.files("datasets/owner/results") if p.startswith("results/"))
    original = next(p for p in one.iterdir() if p.name != "broken.json")
    assert hub.files("datasets/owner/results")[path].read() == original.read_bytes()
    assert push_results([str(one)], "owner/results").commit is None
    both = push_results([str(one), str(two)], "owner/results")
    assert (len(both.new), len(both.same), both.total) == (1, 1, 2)
    assert len(push_results(["owner/results"], "owner/results-copied", tag="v1").new) == 2
    found = read_results([str(one), "owner/results", "hf://datasets/owner/results-copied@v1"])
    assert [one.source for one in found.records].count("owner/results") == 2
    assert len(found.records) == 5
    assert [bad.path for bad in found.invalid] == ["broken.json"]
    assert all(record.record.score == found.records[0].record.score for record in found.records)
    from datasets import load_dataset

    table = load_dataset("owner/results", split="train")
    assert sorted(table["file"]) == sorted(p for p in hub.files("datasets/owner/results") if p.startswith("results/"))
    with pytest.raises(VlalignError, match="holds something else"):
        push(store, "owner/results")
    for sources, reason in (
        ([], "no results given"),
        ([str(tmp_path / "nothing")], "no results at"),
        (["owner/nothing"], "no local file or folder owner/nothing, and on the Hub"),
        (["hf://datasets/x"], "is no data set of the Hub"),
    ):
        with pytest.raises(VlalignError, match=reason):
            read_results(sources)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.json").write_text("[]")
    with pytest.raises(VlalignError, match=r"none of 1 files is a sound score record, first a\.json"):
        push_results([str(tmp_path / "bad")], "owner/never")
    assert "datasets/owner/never" not in hub.repos
