"""Data sets of the Hub, from the stand-in server and with its refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.data import make_prh
from support.hub import HubServer
from support.tiny import TinyModels

from vlalign.data import DataSpec, open_data
from vlalign.errors import VlalignError

BOTH = {"text", "vision"}


def fails(message: str, spec: DataSpec) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        open_data(spec, BOTH)
    assert "\n" not in str(caught.value)


@pytest.fixture
def prh(hub: HubServer) -> HubServer:
    """The stand-in Hub, which has minhuh/prh."""
    return hub


def test_default_set(prh: HubServer) -> None:
    data = open_data(DataSpec(), BOTH)
    assert (data.n, data.name, data.id_source) == (24, "minhuh/prh", "row")
    assert data.ids[:2] == ["row-000000", "row-000001"]
    assert data.revision is not None
    assert len(data.revision) == 40
    assert data.identity("text")["revision"] == data.revision
    assert data.image(3).mode == "RGB"
    assert open_data(DataSpec(revision=data.revision), BOTH).identity("vision") == data.identity("vision")


def test_what_is_not_there(prh: HubServer) -> None:
    fails("data set 'nobody/nothing' is not on the Hub", DataSpec("nobody/nothing"))
    fails("data set 'minhuh/prh' has no revision 'wit_9'", DataSpec(revision="wit_9"))
    fails(r'data set minhuh/prh: Unknown split "test"\. Should be one of', DataSpec(split="test"))
    fails(r"no column 'caption' for --text-column.*columns: image \(image\), text", DataSpec(text_column="caption"))


def test_gated_set(prh: HubServer, tiny: TinyModels) -> None:
    prh.add_dataset("someone/secret", tiny.path("prh"), gated=True)
    fails("data set 'someone/secret' is gated: .* HF_TOKEN", DataSpec("someone/secret"))


def test_image_folder_on_the_hub(prh: HubServer, pictures: Path) -> None:
    (pictures / "metadata.csv").write_text("file_name,text\nred.png,fire\ngreen.png,grass\n")
    prh.add_dataset("someone/pictures", pictures)
    data = open_data(DataSpec("someone/pictures"), BOTH)
    assert data.captions == ["fire", "grass"]
    assert data.image(0).getpixel((0, 0)) == (255, 0, 0)


def test_empty_repository(prh: HubServer, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    prh.add_dataset("someone/empty", tmp_path)
    fails("data set someone/empty holds no samples", DataSpec("someone/empty"))


def unreachable(*_: Any, **__: Any) -> Any:
    raise httpx2.ConnectError("no route")


def test_without_network(prh: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    from huggingface_hub import HfApi

    prh.add_dataset("someone/cached", make_prh(cache / "cached", 8))
    prh.add_dataset("someone/cached", make_prh(cache / "later", 6), revision="later")
    spec = DataSpec("someone/cached")
    online = open_data(spec, BOTH)
    for name in ("repo_info", "dataset_info", "hf_hub_download"):
        monkeypatch.setattr(HfApi, name, unreachable)
    offline = open_data(spec, BOTH)
    assert offline.identity("text") == online.identity("text")
    assert offline.identity("vision") == online.identity("vision")
    fails("no network: data set 'someone/cached' is not in the local", DataSpec("someone/cached", revision="later"))
    fails("no network: data set 'a/b' is not in the local cache", DataSpec("a/b"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache / "fresh")
    fails("no network: data set 'someone/cached' is not in the local cache", spec)


def test_offline_takes_this_commit_not_the_newest(prh: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    prh.add_dataset("someone/two", make_prh(cache / "smaller", 8), revision="main")
    first = open_data(DataSpec("someone/two"), BOTH)
    prh.add_dataset("someone/two", make_prh(cache / "more", 10), revision="more")
    assert open_data(DataSpec("someone/two", revision="more"), BOTH).n == 10
    for name in ("repo_info", "dataset_info", "hf_hub_download"):
        monkeypatch.setattr(HfApi, name, unreachable)
    assert open_data(DataSpec("someone/two"), BOTH).identity("text") == first.identity("text")
    assert open_data(DataSpec("someone/two", revision="more"), BOTH).n == 10


@pytest.mark.parametrize("name", ["not a name", "a--b/c..d"])
def test_impossible_name(name: str) -> None:
    fails("is not a Hub name", DataSpec(name))
