"""A leaderboard published as a static Space of the stand-in Hub."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.board import small_grid, write_results
from support.hub import STRANGER, HubServer
from support.repos import Blob, Repo

from vlalign import cli

pytestmark = pytest.mark.usefixtures("owner")


@pytest.fixture
def results(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    hub.repos.pop("spaces/owner/board", None)
    return write_results(tmp_path / "results", small_grid())


def publish(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    status = cli.main(["leaderboard", "results", "--out", "site", "--push", "owner/board", "-q", *more])
    shown = capsys.readouterr()
    return status, shown.out + shown.err


def test_the_site_is_published_and_renewed(
    hub: HubServer, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out = publish(capsys)
    assert status == 0, out
    assert f"pushed    {hub.url}/spaces/owner/board (commit " in out
    files = hub.files("spaces/owner/board")
    assert hub.repos["spaces/owner/board"].sdk == "static"
    site = {path.relative_to(tmp_path / "site").as_posix(): path for path in (tmp_path / "site").rglob("*.*")}
    assert set(files) == {*site, ".gitattributes"}
    assert all(files[name].read() == path.read_bytes() for name, path in site.items())
    assert b"sdk: static" in files["README.md"].read()
    assert "unchanged" in publish(capsys)[1]

    mine = Blob.make(b"---\ntitle: Mine\nsdk: static\n---\n", "README.md")
    hub.repos["spaces/owner/board"].commit("main", {**files, "README.md": mine}, "title")
    (results / "0000.json").unlink()
    assert publish(capsys)[0] == 0
    renewed = hub.files("spaces/owner/board")
    assert renewed["README.md"] == mine
    assert len([name for name in renewed if name.startswith("pairs/")]) == len(list(Path("site/pairs").glob("*.html")))
    assert len(renewed) == len(files) - 1


def test_a_space_with_something_else_is_refused(
    hub: HubServer, results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = hub.repos["spaces/owner/board"] = Repo("space", "owner/board", sdk="static")
    space.commit("main", {"app.js": Blob.make(b"1", "app.js")}, "an app")
    status, out = publish(capsys)
    assert (status, "Space 'owner/board' holds something else ('app.js')" in out) == (1, True)
    assert not Path("site").exists()
    assert publish(capsys, "--force")[0] == 0
    space.sdk = "docker"
    status, out = publish(capsys)
    assert (status, "is no static Space, it runs docker" in out) == (1, True)


def test_a_space_of_others_is_refused(
    hub: HubServer, results: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    status, out = publish(capsys)
    assert (status, "no Space 'owner/board' that this token may see" in out) == (1, True)
    hub.repos["spaces/owner/board"] = Repo("space", "owner/board", sdk="static")
    status, out = publish(capsys)
    assert (status, "may not write to Space 'owner/board'" in out) == (1, True)
