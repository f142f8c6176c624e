"""Files of tensors: what they are of and their checksum are compared before they are used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from vlalign.errors import VlalignError
from vlalign.store.tensors import load_tensors, save_tensors

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.tensor(7)}
TOLD = {"key": "k", "layer": 3}


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.safetensors"
    save_tensors(path, {**TENSORS, "a": TENSORS["a"].T}, TOLD)  # not contiguous
    found = load_tensors(path, TOLD)
    assert found.keys() == TENSORS.keys()
    assert torch.equal(found["a"], TENSORS["a"].T)
    assert torch.equal(found["b"], TENSORS["b"])
    assert [one.name for one in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("told", [{"key": "other", "layer": 3}, {"key": "k"}, {**TOLD, "more": 1}])
def test_files_of_something_else_are_refused(told: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS, TOLD)
    with pytest.raises(VlalignError, match="is of other settings"):
        load_tensors(path, told)


@given(st.data())
def test_any_changed_byte_of_the_numbers_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("tensors") / "file.safetensors"
    save_tensors(path, TENSORS, TOLD)
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(1, 6 * 4 + 8))
    content[-at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content)
    with pytest.raises(VlalignError, match="do not match their checksum"):
        load_tensors(path, TOLD)


@pytest.mark.parametrize("how", ["missing", "cut", "text", "no metadata", "odd metadata"])
def test_damage_is_one_line(how: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS, TOLD)
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    elif how == "text":
        path.write_text("hello")
    else:
        save_file(TENSORS, path, metadata=None if how == "no metadata" else {"vlalign": json.dumps([1])})
    with pytest.raises(VlalignError) as error:
        load_tensors(path, TOLD)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_they_are_of_can_be_read_without_vlalign(tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    save_tensors(path, TENSORS, TOLD)
    with safe_open(path, framework="pt") as file:
        told = json.loads(file.metadata()["vlalign"])
    assert len(told.pop("sha256")) == 64
    assert told == TOLD
