"""What a data set's descriptions may say: altered ones are refused in one line, those of other kinds passed over."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.features import make_key, make_run
from support.hub import TOKEN, HubServer
from support.repos import Blob
from support.synthetic import small

from vlalign.errors import VlalignError
from vlalign.hub import pull, push
from vlalign.hub.build import build_run
from vlalign.hub.metadata import About
from vlalign.hub.synthetic import push_synthetic
from vlalign.store import FeatureStore
from vlalign.synthetic import make_data

Change = Callable[[dict[str, Any]], object]
#: JSON of values that are out of place everywhere; the last two are read as infinity
ODD = ["null", "-1", "1" + "0" * 400, '"x"', "[]", "{}", "true", "Infinity", "1e400"]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("about")
    run = make_run(folder / "store", make_key("llama-7b", edits=[("char_delete", 30)]), norms=True)
    made: dict[str, Any] = json.loads(
        build_run(run, folder / "out", "c", "float16", "vlalign push features").to_bytes()
    )
    return made


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the scalars are."""
    if isinstance(value, dict | list):
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, name))
    else:
        yield path


def put(told: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """A copy that is changed in one place."""
    made = copy.deepcopy(told)
    part: Any = made
    for name in path[:-1]:
        part = part[name]
    part[path[-1]] = value
    return made


def read(data: bytes) -> tuple[About | None, str]:
    """What it says, or why it is refused."""
    try:
        return About.read(data, "it"), ""
    except VlalignError as error:
        return None, str(error)


def test_any_scalar_changed_is_refused_or_harmless(told: dict[str, Any]) -> None:
    kept = set()
    for path in places(told):
        for odd in ODD:
            data = json.dumps(put(told, path, "@")).replace('"@"', odd).encode()
            about, reason = read(data)
            assert "\n" not in reason
            assert len(reason) < 400
            if about is None:
                continue
            assert About.read(about.to_bytes(), "it") == about
            kept.add(".".join("*" if isinstance(name, int) else name for name in path))
    assert kept == {
        "command", "licence", "extras.*.dtype", "layers.*.column", "layers.*.convention", "layers.*.index",
        "layers.*.name", "pulled", "run.facts.parameters", "made_with.vlalign", "made_with.torch",
        "made_with.transformers", "made_with.datasets", "made_with.pyarrow",
    }  # fmt: skip


ALTERED: dict[str, tuple[Change, str]] = {
    "format": (lambda told: told.update(format=2), "format 2"),
    "layers": (lambda told: told.pop("layers"), "it lacks layers"),
    "key": (lambda told: told["run"]["key"].update(dtype="int8"), "run key was altered"),
    "no rows": (lambda told: told.update(shard_rows=0), "shard_rows is 0"),
    "negative rows": (lambda told: told.update(shard_rows=-3), "shard_rows is -3"),
    "other rows": (lambda told: told.update(shard_rows=15), "shards do not have 15 rows"),
    "infinity": (lambda told: told.update(n=float("inf")), "it holds Infinity"),
    "width": (lambda told: told["layers"][1].update(width="6"), r"layers\.1\.width is '6'"),
    "names": (lambda told: told["layers"][1].update(name="block_0"), "two layers have one name"),
    "column": (lambda told: told["extras"][0].update(column="id"), "not named as its extra"),
    "shape": (lambda told: told["extras"][0].update(shape=[-1]), r"extras\.0\.shape\.0 is -1"),
    "part": (lambda told: told["parts"][0].update(path="../x.parquet"), "do not lie where they belong"),
    "parent": (lambda told: told["parts"][0].update(path="data/c/.."), "do not lie where they belong"),
    "elsewhere": (lambda told: told["parts"][0].update(path="README.md"), "do not lie where they belong"),
    "shard": (lambda told: told["shards"][0].update(file="../../../../etc/passwd"), "do not lie where they belong"),
    "cover": (lambda told: told["parts"][0].update(stop=59), "do not cover rows"),
    "config": (lambda told: told.update(config="../x"), "config is '../x', but it should match pattern"),
    "licence": (lambda told: told.update(licence=[]), r"licence is \[\], but it should be a valid string"),
    "precision": (lambda told: told["precision"].update(exact="no"), "precision.exact is 'no'"),
    "exactness": (lambda told: told["precision"].update(exact=True), "its precision is invalid"),
}


@pytest.mark.parametrize("case", ALTERED)
def test_altered_descriptions(told: dict[str, Any], case: str) -> None:
    change, reason = ALTERED[case]
    made = copy.deepcopy(told)
    change(made)
    with pytest.raises(VlalignError, match=f"it does not describe .*{reason}"):
        About.read(json.dumps(made).encode(), "it")


def test_a_description_without_the_command(told: dict[str, Any]) -> None:
    """As versions before wrote it."""
    assert told["command"] == "vlalign push features"
    earlier = {name: value for name, value in told.items() if name != "command"}
    assert About.read(json.dumps(earlier).encode(), "it").command is None


@pytest.fixture
def pushed(hub: HubServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    return make_run(tmp_path / "features", make_key("llama-7b")).path.parents[1]


def alter(hub: HubServer, repo: str, path: str, data: bytes) -> None:
    """Put other content there, as its owner might."""
    files = dict(hub.files(f"datasets/{repo}"))
    files[path] = Blob.make(data, path)
    hub.repos[f"datasets/{repo}"].commit("main", files, "altered")


@pytest.mark.parametrize("case", ["no rows", "negative rows", "infinity", "width", "parent", "shard", "shape"])
def test_pulling_an_altered_description(hub: HubServer, pushed: Path, tmp_path: Path, case: str) -> None:
    push(pushed, "owner/altered", dtype="float32", force=True)
    path = "vlalign/llama-7b.json"
    made = json.loads(hub.files("datasets/owner/altered")[path].read())
    change, reason = ALTERED[case]
    change(made)
    alter(hub, "owner/altered", path, json.dumps(made).replace("data/c/", "data/llama-7b/").encode())
    with pytest.raises(VlalignError, match=f"{path} of data set 'owner/altered' does not describe .*{reason}"):
        pull("owner/altered", tmp_path / "p")
    assert not (tmp_path / "p").exists()
    del hub.repos["datasets/owner/altered"]


def test_two_descriptions_of_one_configuration(hub: HubServer, pushed: Path, tmp_path: Path) -> None:
    push(pushed, "owner/doubled")
    data = hub.files("datasets/owner/doubled")["vlalign/llama-7b.json"].read()
    alter(hub, "owner/doubled", "vlalign/b.json", data)
    with pytest.raises(VlalignError, match=r"vlalign/b\.json of .* describes vlalign/llama-7b\.json: remove it"):
        pull("owner/doubled", tmp_path / "p")


def test_features_beside_what_is_of_another_kind(hub: HubServer, pushed: Path, tmp_path: Path) -> None:
    push_synthetic(make_data(small(), 3), 2, "owner/syn")
    before = hub.files("datasets/owner/syn")
    with pytest.raises(VlalignError, match="holds no features that vlalign pushed"):
        pull("owner/syn", tmp_path / "p")
    with pytest.raises(VlalignError, match="holds something else"):
        push(pushed, "owner/syn")
    push(pushed, "owner/syn", force=True)
    after = hub.files("datasets/owner/syn")
    assert {path: after[path].sha256 for path in before if path != "README.md"} == {
        path: before[path].sha256 for path in before if path != "README.md"
    }
    assert len(pull("owner/syn", tmp_path / "p")) == 1
    assert not FeatureStore(tmp_path / "p").verify()
    alter(hub, "owner/syn", "vlalign/synthetic.json", b"{")
    for act in (lambda: pull("owner/syn", tmp_path / "p"), lambda: push(pushed, "owner/syn", force=True)):
        with pytest.raises(VlalignError, match=r"vlalign/synthetic\.json of data set 'owner/syn' does not describe"):
            act()
