"""A user of the stand-in Hub, and a store to push."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.features import make_store
from support.hub import TOKEN, HubServer
from support.repos import Blob


@pytest.fixture
def owner(hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.uploads.clear()  # what other tests have uploaded would be there already
    yield
    hub.fault = None


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_store(tmp_path / "features").root


def corrupt(hub: HubServer, repo: str, change: Callable[[bytes], bytes], ending: str) -> None:
    """Change the files of a data set that end in ``ending``, in a commit."""
    files = dict(hub.files(f"datasets/{repo}"))
    for path, blob in list(files.items()):
        if path.endswith(ending):
            files[path] = Blob.make(change(blob.read()), path)
    hub.repos[f"datasets/{repo}"].commit("main", files, "damage")
