"""Score records as pull requests on a data set that others own, checked and merged there."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.features import make_key, make_run
from support.hub import STRANGER, TOKEN, HubServer

from vlalign import cli
from vlalign.errors import VlalignError
from vlalign.hub import pull, push, push_results, read_results
from vlalign.hub.record_table import from_parquet
from vlalign.hub.upload_results import TABLE
from vlalign.scoring import score

REPO = "somebody/board"
METRICS = ("mutual_knn", "unbiased_cka", "svcca")


@pytest.fixture
def folders(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Three folders with one record each; that of the first is in the data set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.repos.pop(f"datasets/{REPO}", None)
    hub.uploads.clear()
    runs = [make_run(tmp_path / "features", make_key(*one)) for one in (("llama-7b",), ("dinov2-small", "vision"))]
    for metric in METRICS:
        score(*runs, metric=metric, k=5, permutations=0, half_samples=0).save(f"{metric}/record.json")
    push_results([METRICS[0]], REPO)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    return list(METRICS)


def test_pull_requests_are_opened_checked_merged_and_shown(
    hub: HubServer, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for number, folder in enumerate(folders[1:], 1):
        assert cli.main(["push-results", folder, "--repo", REPO, "--create-pr", "-q"]) == 0
        out = capsys.readouterr().out
        assert f"pushed    {hub.url}/datasets/{REPO}/discussions/{number} (commit " in out
        assert "1 new, 0 replaced, 0 unchanged; 2 in all" in out
    assert len(read_results([REPO]).records) == 1  # nothing is changed before it is merged
    for number in (1, 2):
        source = f"{REPO}@refs/pr/{number}"
        assert len(read_results([source]).records) == 2
        assert cli.main(["leaderboard", "check", source, "--features", "features", "-q"]) == 0
        assert "2 verified" in capsys.readouterr().out
        hub.repos[f"datasets/{REPO}"].merge(number)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    done = push_results([REPO], REPO)  # renews table and card
    assert (len(done.same), done.total, done.pull_request) == (3, 3, None)
    files = hub.files(f"datasets/{REPO}")
    assert len(from_parquet(files[TABLE].read())) == 3
    assert b"unbiased_cka" in files["README.md"].read()


def test_features_of_others_arrive_by_a_pull_request(
    hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    repo = "somebody/shared"
    hub.repos.pop(f"datasets/{repo}", None)
    for name in ("llama-7b", "bloom-560m"):
        make_run(tmp_path / name, make_key(name))
    push(tmp_path / "llama-7b", repo)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    words = ["push", str(tmp_path / "bloom-560m"), "--repo", repo, "--create-pr", "-q"]
    assert cli.main([*words, "--dry-run"]) == 0
    assert not hub.repos[f"datasets/{repo}"].pull_requests
    assert cli.main(words) == 0
    assert f"pushed    {hub.url}/datasets/{repo}/discussions/1 (commit " in capsys.readouterr().out
    assert len(pull(repo, tmp_path / "before")) == 1  # nothing is changed before it is merged
    hub.repos[f"datasets/{repo}"].merge(1)
    assert len(pull(repo, tmp_path / "after")) == 2
    assert b"config_name: bloom-560m" in hub.files(f"datasets/{repo}")["README.md"].read()
    assert cli.main(words) == 0  # all of it is there
    assert "unchanged" in capsys.readouterr().out
    assert len(hub.repos[f"datasets/{repo}"].pull_requests) == 1


def test_a_pull_request_without_a_new_record_is_not_opened(hub: HubServer, folders: list[str]) -> None:
    assert push_results([folders[0]], REPO, create_pr=True).commit is None
    assert push_results(folders, REPO, create_pr=True, dry_run=True).commit is None
    assert not hub.repos[f"datasets/{REPO}"].pull_requests


def test_a_data_set_without_records_gets_table_and_card_too(hub: HubServer, folders: list[str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    hub.add_dataset("somebody/empty", tmp_path / "empty")
    done = push_results(folders, "somebody/empty", create_pr=True)
    assert done.pull_request == f"{hub.url}/datasets/somebody/empty/discussions/1"
    merged = hub.repos["datasets/somebody/empty"].merge(1)
    assert {TABLE, "README.md", "vlalign/results.json"} < set(merged.files)


def test_what_a_pull_request_cannot_do(folders: list[str]) -> None:
    with pytest.raises(VlalignError, match=r"a pull request is to the branch main and sets no tag"):
        push_results(folders, REPO, create_pr=True, tag="v1")
    with pytest.raises(VlalignError, match=r"a pull request is to the branch main"):
        push_results(folders, REPO, create_pr=True, revision="other")
    with pytest.raises(VlalignError, match=r"data set 'somebody/nothing'"):
        push_results(folders, "somebody/nothing", create_pr=True)
    with pytest.raises(VlalignError, match=r"may not write to data set"):
        push_results(folders, REPO)
