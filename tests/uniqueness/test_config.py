"""Settings: what is refused, YAML files, flags over files, and folders that hold another study."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.data import DataSpec
from vlalign.errors import VlalignError
from vlalign.extraction import ExtractOptions
from vlalign.study import config as study_config
from vlalign.study.config import check_folder, write_config
from vlalign.uniqueness.config import UniquenessConfig

BASE: dict[str, Any] = {"x": ("dinov2-small",), "y": ("llama-7b",), "op": "char_delete", "rates": (10.0,)}


def made(**values: Any) -> UniquenessConfig:
    return UniquenessConfig(**{**BASE, **values})


def refused(message: str, **values: Any) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        made(**values)
    assert "\n" not in str(caught.value)


def test_rates_are_sorted_once_each_and_start_at_zero() -> None:
    assert made(rates=[90, 10, 10.0, 50]).rates == (0.0, 10.0, 50.0, 90.0)
    assert made(rates=(0,)).rates == (0.0,)
    assert made(rates=(-0.0, 1)).rates == (0.0, 1.0)


def test_names() -> None:
    assert made(x="dinov2-small").x == ("dinov2-small",)
    assert made(y=["a", "b", "a"]).y == ("a", "b")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"x": ()}, "required: x: give --x"),
        ({"y": []}, "required: y"),
        ({"y": ("a", " ")}, "--y: expected names of models, none empty"),
        ({"rates": ()}, "required: rates: give --rates"),
        ({"rates": (10, 101)}, "rates: expected a list of numbers from 0 to 100"),
        ({"rates": (-1,)}, "rates: expected a list of numbers from 0 to 100"),
        ({"rates": (float("nan"),)}, "rates: expected a list of numbers from 0 to 100"),
        ({"rates": ("much",)}, "rates: expected a list of numbers from 0 to 100"),
        ({"rates": (True,)}, "rates: expected a list of numbers from 0 to 100"),
        ({"op": "char_delet"}, "unknown operation 'char_delet' .did you mean char_delete"),
        ({"op": "char_delete:30"}, "names a rate: leave it out and give --rates"),
        ({"op": "char_delete:0"}, "names a rate"),
        ({"op": "char_delete:100"}, "names a rate"),
        ({"op": "patch_delete:grid=8,rate=10"}, "names a rate"),
        ({"op": "char_delete:seed=0"}, "names a seed: leave it out and give --seed"),
        ({"op": "patch_delete:gird=8"}, "no parameter 'gird'"),
        ({"op": "captions_file"}, "needs a file"),
        ({"side": "z"}, "side: expected auto, x or y, got 'z'"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, got -1"),
        ({"k": 0}, "k: expected a whole number of at least 1, got 0"),
        ({"permutations": -1}, "permutations: expected a whole number from 0 to"),
        ({"half_samples": 1}, "half_samples: an interval needs at least 2 half-samples, got 1"),
        ({"metric": " "}, "--metric is empty"),
        ({"out": ""}, "out: expected the name of a folder"),
        ({"dtype": "float8"}, "dtype: expected"),
        ({"shard_rows": 0}, "shard_rows: expected"),
        ({"cpu": True, "parallel": "split"}, "--parallel split"),
    ],
)
def test_wrong_values(values: dict[str, Any], message: str) -> None:
    refused(message, **values)


def test_settings_of_extractions_have_one_default() -> None:
    shared = {entry.name for entry in fields(ExtractOptions)} - {"models", "revision", "perturb"}
    assert shared <= {entry.name for entry in fields(UniquenessConfig)}
    plain = made()
    assert plain.extraction(["llama-7b"]) == ExtractOptions(models=("llama-7b",))
    assert made(dtype="float16", store="s", loss=False).extraction(["a", "b"]) == ExtractOptions(
        models=("a", "b"), dtype="float16", store="s", loss=False
    )


def test_perturbation() -> None:
    found = made(op="patch_delete:grid=8", seed=3).perturbation(20)
    assert str(found) == "patch_delete:20,grid=8,seed=3"


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "study.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_read(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "x: dinov2-small\ny: [llama-7b, bloomz-560m]\nop: patch_delete:grid=8\nrates: [0, 12.5]\n"
        "data: {source: builtin:emoji, max_samples: 30}\nloss: no\nmax_length: null\nk: 5\n",
    )
    values = UniquenessConfig.read(path)
    assert values == {
        "x": ("dinov2-small",),
        "y": ("llama-7b", "bloomz-560m"),
        "op": "patch_delete:grid=8",
        "rates": (0.0, 12.5),
        "data": {"source": "builtin:emoji", "max_samples": 30},
        "loss": False,
        "max_length": None,
        "k": 5,
    }
    config = UniquenessConfig.make(values)
    assert config.data == DataSpec("builtin:emoji", max_samples=30)
    assert UniquenessConfig.read(written(tmp_path, "data: pictures/")) == {"data": {"source": "pictures/"}}
    assert UniquenessConfig.read(written(tmp_path, "# nothing yet\n")) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ratse: [1]", "unknown key ratse .did you mean rates"),
        ("zzz: 1", "unknown key zzz: known are permutations, k"),
        ("data: {max_sample: 3}", "unknown key data.max_sample .did you mean max_samples"),
        ("rates: [10, '20']", "rates: expected a list of numbers from 0 to 100"),
        ("rates: [true]", "rates: expected a list of numbers from 0 to 100"),
        ("x: 3", "x: expected a list of texts, got 3"),
        ("y: [a, 3]", "y: expected a list of texts"),
        ("k: ten", "k: expected a whole number of at least 1, got 'ten'"),
        ("k: 1.5", "k: expected a whole number"),
        ("seed: true", "seed: expected a whole number of at least 0, got true"),
        ("k: null", "k: expected a whole number of at least 1, got null"),
        ("loss: 0", "loss: expected true or false, got 0"),
        ("max_length: long", "max_length: expected a whole number of at least 1 or null"),
        ("store: 3", "store: expected a text in quotes, got 3"),
        ("data: 3", "data: expected a mapping of source, revision"),
        ("data: {revision: 12}", "data.revision: expected a text in quotes or null"),
        ("data: {caption: first}", "data.caption: expected a whole number"),
        ("k: 3\nrates: [1, 2\nseed: 0\n", r"study\.yaml, line 3: not valid YAML"),
        ("k: 3\nseed: 1\nk: 4\n", r"study\.yaml, line 3: not valid YAML: k occurs twice"),
        ("k: !!python/object/apply:os.getcwd []", "line 1: not valid YAML"),
        ("[1, 2]: 3\n", "line 1: not valid YAML: a key that is not a text"),
        ("- x", "is not a settings file"),
        ("just words", "is not a settings file"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(VlalignError, match=message) as caught:
        UniquenessConfig.read(written(tmp_path, text))
    assert "\n" not in str(caught.value)
    assert "study.yaml" in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match=r"cannot read the settings file .*nowhere\.yaml: No such file"):
        UniquenessConfig.read(tmp_path / "nowhere.yaml")
    (tmp_path / "study.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(VlalignError, match="not text in UTF-8"):
        UniquenessConfig.read(tmp_path / "study.yaml")


def test_a_setting_that_nothing_gives() -> None:
    for name in BASE:
        values = {key: value for key, value in BASE.items() if key != name}
        with pytest.raises(VlalignError, match=f"required: {name}: give --{name}"):
            UniquenessConfig.make(values)
    assert UniquenessConfig.make({**BASE, "data": "builtin:emoji"}).data == DataSpec("builtin:emoji")
    assert UniquenessConfig.make(BASE).data == DataSpec()


CONFIGS = st.builds(
    made,
    rates=st.lists(st.floats(0, 100), min_size=1, max_size=5),
    seed=st.integers(0, 2**40),
    x=st.lists(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1), min_size=1, max_size=3),
    y=st.sampled_from([("null",), ("1e3", "yes"), ("~/m: #x",), ("2024-01-01",)]),
    data=st.builds(
        DataSpec, source=st.sampled_from(["builtin:emoji", "a b"]), max_samples=st.none() | st.integers(1, 9)
    ),
    permutations=st.none() | st.integers(0, 9),
    loss=st.booleans(),
    quantization=st.sampled_from(["none", "nf4"]),
)


@given(CONFIGS)
def test_round_trips(tmp_path_factory: pytest.TempPathFactory, config: UniquenessConfig) -> None:
    config = replace(config, out=str(tmp_path_factory.mktemp("study")))
    path = write_config(config)
    assert UniquenessConfig.make(UniquenessConfig.read(path)) == config
    assert UniquenessConfig.make(json.loads(json.dumps(config.resolved()))) == config
    check_folder(config)


def test_resolved_starts_with_the_study(tmp_path: Path) -> None:
    values = made(rates=(12.5, 50)).resolved()
    assert sorted(values) == sorted(entry.name for entry in fields(UniquenessConfig))
    assert list(values)[:4] == ["x", "y", "op", "rates"]
    assert values["rates"] == [0, 12.5, 50]
    assert "rates: [0, 12.5, 50]\n" in write_config(made(rates=(12.5, 50), out=str(tmp_path))).read_text()
    assert [file.name for file in tmp_path.iterdir()] == ["config.yaml"]


def test_a_folder_may_grow(tmp_path: Path) -> None:
    first = made(op="patch_delete", out=str(tmp_path))
    check_folder(replace(first, out=str(tmp_path / "new")))
    write_config(first)
    for values in (
        {"x": ("vit",), "y": ("a", "b"), "rates": (5,), "store": "other", "batch_tokens": 7},
        {"batch_images": 3, "workers": 0, "shard_rows": 5, "cpu": True},
        {"parallel": "split"},
        {"allow_empty": True},
        {"op": "patch_delete:grid=14"},  # its default, spelt out
    ):
        check_folder(replace(first, **values))


def test_what_a_folder_loses_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(study_config.log, "warning", lambda text, *values: told.append(text % values))
    write_config(made(x=("vit", "dino"), rates=(20, 60), out=str(tmp_path)))
    check_folder(made(x=("vit", "dino", "clip"), rates=(20, 40, 60), out=str(tmp_path)))
    assert not told
    check_folder(made(x=("vit",), rates=(40, 60), out=str(tmp_path)))
    assert [text.partition("also holds ")[2].partition(":")[0] for text in told] == ["x dino", "rates 20"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"op": "word_delete"}, "op was 'char_delete', is now 'word_delete'"),
        ({"op": "patch_delete:grid=8"}, "op was 'char_delete', is now 'patch_delete,grid=8'"),
        ({"k": 5, "seed": 2}, "seed was 0, is now 2; k was 10, is now 5"),
        ({"data": DataSpec(max_samples=9)}, "data.max_samples was null, is now 9"),
        ({"loss": False}, "loss was true, is now false"),
        ({"side": "y"}, "side was 'auto', is now 'y'"),
        ({"dtype": "float32"}, "dtype"),
        ({"permutations": 9}, "permutations was null, is now 9"),
    ],
)
def test_a_folder_of_another_study(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    write_config(made(out=str(tmp_path)))
    with pytest.raises(VlalignError) as caught:
        check_folder(made(**values, out=str(tmp_path)))
    assert message in str(caught.value)
    assert str(caught.value).endswith("name another folder with --out")


def test_settings_import_no_heavy_library() -> None:
    code = (
        "import sys, vlalign.uniqueness, vlalign.uniqueness.config\n"
        "print([m for m in ['torch', 'pandas', 'datasets', 'PIL', 'scipy', 'timm', 'matplotlib'] if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
