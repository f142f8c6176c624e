"""Data sets of the Hub, from the stand-in server and with its refusals."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi
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


def repository(folder: Path, files: dict[str, str | bytes]) -> Path:
    """Write files, such as a README with the data files it declares, into a new folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def parquet(rows: list[dict[str, Any]]) -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), stream)
    return stream.getvalue().to_pybytes()


TABLES: dict[str, tuple[str, str | bytes]] = {
    "csv": ("data/train.csv", "id,text,width\n007,NA,1\n1.0,None,2\n"),
    "semicolons": ("train.csv", "id;text;width\n007;NA;1\n1.0;None;2\n"),
    "tsv": ("train.tsv", "id\ttext\n007\tNA\n1.0\tNone\n"),
    "jsonl": ("train.jsonl", '{"id": "007", "text": "NA"}\n{"id": "1.0", "text": "None"}\n'),
    "gz": ("train.jsonl.gz", gzip.compress(b'{"id": "007", "text": "NA"}\n{"id": "1.0", "text": "None"}\n')),
    "columns": ("train.json", '{"id": ["007", "1.0"], "text": ["NA", "None"]}'),
}


@pytest.mark.parametrize("kind", TABLES)
def test_text_tables_keep_their_text(
    prh: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    name, content = TABLES[kind]
    prh.add_dataset(f"someone/{kind}", repository(tmp_path / "set", {name: content}))
    online = open_data(DataSpec(f"someone/{kind}"), {"text"})
    assert (online.ids, online.captions) == (["007", "1.0"], ["NA", "None"])
    for method in ("repo_info", "dataset_info", "hf_hub_download"):
        monkeypatch.setattr(HfApi, method, unreachable)
    offline = open_data(DataSpec(f"someone/{kind}"), {"text"})
    assert offline.identity("text") == online.identity("text")
    fails(
        rf"data set someone/{kind} has no split 'tset': its one split is train",
        DataSpec(f"someone/{kind}", split="tset"),
    )


def test_options_of_a_readme(prh: HubServer, tmp_path: Path) -> None:
    head = "---\nconfigs:\n- config_name: {0}\n  data_files: d.csv\n  {1}\n---\n"
    table = "skip this\n7|seven\n8|eight\n"
    for name, option in (("sep", "sep: '|'"), ("names", "sep: '|'\n  skiprows: 1\n  column_names: [id, text]")):
        text = table if name == "names" else table.replace("skip this", "id|text")
        files: dict[str, str | bytes] = {"d.csv": text, "README.md": head.format("default", option)}
        prh.add_dataset(f"someone/{name}", repository(tmp_path / name, files))
        assert open_data(DataSpec(f"someone/{name}"), {"text"}).captions == ["seven", "eight"]


def test_metadata_on_the_hub_keeps_its_text(prh: HubServer, pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pictures / "metadata.csv").write_text("file_name,id,text\nred.png,007,NA\ngreen.png,1.0,None\n")
    prh.add_dataset("someone/numbers", pictures)
    for _ in range(2):  # from the Hub, then from the cache
        data = open_data(DataSpec("someone/numbers"), BOTH)
        assert (data.ids, data.captions) == (["007", "1.0"], ["NA", "None"])
        assert data.image(1).getpixel((0, 0)) == (0, 128, 0)
    assert "4 of 6 images have no row in its metadata, left out" in caplog.text
    assert "outside" not in caplog.text


def test_images_on_the_hub_outside_the_splits(prh: HubServer, pictures: Path, caplog: pytest.LogCaptureFixture) -> None:
    (pictures / "metadata.csv").unlink(missing_ok=True)
    (pictures / "red.png").rename(pictures / "a train.png")
    prh.add_dataset("someone/names", pictures)
    assert open_data(DataSpec("someone/names"), {"vision"}).n == 1
    assert "5 images lie outside its splits (train) and are left out: 'black.png', 'blue" in caplog.text


def test_images_of_this_machine_are_not_read(prh: HubServer, tmp_path: Path, pictures: Path) -> None:
    mine = str(pictures / "red.png")
    for place, image in enumerate((mine, {"bytes": None, "path": mine}, "/dev/zero", "red.png", "../red.png")):
        files: dict[str, str | bytes] = {"data/train.parquet": parquet([{"id": "a", "image": image, "text": "x"}])}
        prh.add_dataset(f"someone/names{place}", repository(tmp_path / str(place), files))
        fails("the data set carries no such file", DataSpec(f"someone/names{place}"))
    rows = f'{{"id": "a", "image": "{mine}", "text": "x"}}\n'
    prh.add_dataset("someone/lines", repository(tmp_path / "lines", {"train.jsonl": rows}))
    fails("the data set carries no such file", DataSpec("someone/lines"))
    head = (
        "---\ndataset_info:\n  features:\n  - name: image\n    dtype: image\n  - name: text\n    dtype: string\n---\n"
    )
    typed: dict[str, str | bytes] = {"train.parquet": parquet([{"image": mine, "text": "x"}]), "README.md": head}
    prh.add_dataset("someone/typed", repository(tmp_path / "typed", typed))
    fails("the data set carries no such file", DataSpec("someone/typed"))


@pytest.mark.parametrize("place", ["{0}/secret.csv", "../secret.csv", "file://{0}/secret.csv", "{0}/*.csv"])
def test_a_readme_that_names_data_outside(prh: HubServer, tmp_path: Path, place: str) -> None:
    name = f"someone/readme{sum(map(ord, place))}"
    (tmp_path / "secret.csv").write_text("id,text\na,mine\n")
    files: dict[str, str | bytes] = {
        "README.md": f"---\nconfigs:\n- config_name: default\n  data_files: '{place.format(tmp_path)}'\n---\n"
    }
    files["train.csv"] = "id,text\na,theirs\n"
    prh.add_dataset(name, repository(tmp_path / "set", files))
    fails(r"its README\.md names '.*' as data: only files inside", DataSpec(name))


@pytest.mark.parametrize("name", ["README.md", ".huggingface.yaml"])
def test_a_folder_of_this_machine_is_not_listed(
    prh: HubServer, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = []
    monkeypatch.setattr("datasets.data_files.resolve_pattern", lambda *call, **options: listed.append(call) or [])
    yaml = f"configs:\n- config_name: default\n  data_dir: {tmp_path}\n"
    files: dict[str, str | bytes] = {"train.csv": "id,text\na,x\n"}
    files[name] = f"---\n{yaml}---\n" if name == "README.md" else yaml
    prh.add_dataset(f"someone/dir-{name[-4:]}", repository(tmp_path / "set", files))
    fails(r"its README\.md names '/.*' as data: only files inside", DataSpec(f"someone/dir-{name[-4:]}"))
    assert not listed


def test_a_readme_that_repeats_itself_without_end(prh: HubServer, tmp_path: Path) -> None:
    bomb = "".join(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}' if i else 'x'] * 9)}]\n" for i in range(9))
    head = f"---\n{bomb}configs:\n- config_name: default\n  data_files: *b8\n---\n"
    prh.add_dataset("someone/bomb", repository(tmp_path / "set", {"README.md": head, "train.csv": "id,text\na,b\n"}))
    fails(r"data set someone/bomb: its README\.md declares more than 100,000 values", DataSpec("someone/bomb"))


def test_empty_repository(prh: HubServer, tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("nothing")
    prh.add_dataset("someone/empty", tmp_path)
    fails("data set someone/empty holds no samples", DataSpec("someone/empty"))


def unreachable(*_: Any, **__: Any) -> Any:
    raise httpx2.ConnectError("no route")


def test_without_network(prh: HubServer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

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
