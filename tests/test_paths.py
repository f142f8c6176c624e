"""Paths that users name, and the cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlalign.errors import VlalignError
from vlalign.paths import cache_folder, user_path


def test_paths_that_are_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a b/[x]") == tmp_path / "a b" / "[x]"
    assert user_path(tmp_path) == tmp_path
    (tmp_path / "file").write_text("")
    assert user_path(tmp_path / "file" / "b") == tmp_path / "file" / "b"
    (tmp_path / "gone").symlink_to("nowhere")
    assert user_path(tmp_path / "gone") == tmp_path / "gone"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "a path is empty"),
        ("  ", "a path is empty"),
        ("~no-such-user-here/x", "~no-such-user-here/x: there is no user of that name"),
        ("s" * 300, "sss: File name too long"),
        ("a/" * 3000, "File name too long"),
        ("a\0b", r"'a\\x00b' cannot be the name of a file"),
        ("a\ud800", r"'a\\ud800' cannot be the name of a file"),
    ],
)
def test_paths_that_cannot_be(name: str, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        user_path(name)


def test_a_circle_of_links(tmp_path: Path) -> None:
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for path in (tmp_path / "one", tmp_path / "one" / "x"):
        with pytest.raises(VlalignError, match="Too many levels of symbolic links"):
            user_path(path)


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VLALIGN_CACHE", "~/here")
    assert cache_folder() == Path.home() / "here"
    monkeypatch.delenv("VLALIGN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "vlalign"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "vlalign"
