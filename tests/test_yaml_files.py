"""YAML files: values written are read back, and files that are not plain settings are refused with their line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.yaml_files import read_yaml, shown, yaml_text


def test_long_values_are_cut() -> None:
    assert (shown(None), shown(True), shown("a b"), shown([1, 2])) == ("null", "true", "'a b'", "[1, 2]")
    assert shown(list(range(99))).endswith("…")
    assert len(shown("x" * 200)) == 80
    assert shown(10**5000) == "a number of more than 80 digits"


def test_keys_that_are_numbers_and_keys_twice_in_lists(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    path.write_text("modality 1:\n  0: {rate: 1}\n  8: {rate: 2}\n")
    assert read_yaml(path) == {"modality 1": {0: {"rate": 1}, 8: {"rate": 2}}}
    path.write_text("modality 1:\n  0: {rate: 1}\n  0: {rate: 2}\n")
    with pytest.raises(VlalignError, match="line 3: not valid YAML: 0 occurs twice"):
        read_yaml(path)
    path.write_text("a:\n- {b: 1}\n- {b: 1}\n- {b: 1, b: 2}\n")
    with pytest.raises(VlalignError, match="line 4: not valid YAML: b occurs twice"):
        read_yaml(path)


VALUES = st.dictionaries(
    st.text(st.characters(categories=["L", "N"], exclude_characters="\x85"), min_size=1, max_size=9),
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["", "yes", "1e3", "a: b"])
    | st.lists(st.integers(), max_size=40) | st.lists(st.text(st.characters(categories=["L", "P"])), max_size=9),
    max_size=6,
)  # fmt: skip


@given(VALUES)
def test_what_is_written_is_read_back(tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]) -> None:
    path = tmp_path_factory.mktemp("yaml") / "settings.yaml"
    path.write_text(yaml_text(values), encoding="utf-8")
    found = read_yaml(path)
    assert found == values
    assert list(found) == list(values)


def test_lists_are_on_one_line() -> None:
    text = yaml_text({"seeds": [2, 22, 42], "widths": None, "metrics": ["cka", "mutual_knn:k=5"], "phi_on": "all"})
    assert text == "seeds: [2, 22, 42]\nwidths: null\nmetrics: [cka, 'mutual_knn:k=5']\nphi_on: all\n"


def _bomb(levels: int) -> str:
    text = "[x,x,x,x,x,x,x,x,x]"
    for i in range(levels):
        text = f"[&a{i} {text}," + ",".join([f"*a{i}"] * 8) + "]"
    return text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("depths: 2001-13-45", "line 1: not valid YAML: '2001-13-45' cannot be read as timestamp"),
        ("a: 1\nout: !!int 'abc'", "line 2: not valid YAML: 'abc' cannot be read as int"),
        ("out: !!bool maybe", "'maybe' cannot be read as bool"),
        ("samples: " + "9" * 6000, "9…9.* cannot be read as int"),
        ("depths: " + "[" * 3000 + "]" * 3000, "nested too deeply"),
        ("depths: " + "{a: " * 3000 + "}" * 3000, "nested too deeply"),
        (f"depths: {_bomb(7)}", "more than 100,000 values"),
        ("a: &x [*x]", "x refers to itself"),
        ("a: &x {b: {c: *x}}", "x refers to itself"),
        ("out: !!python/object/apply:os.system [id]", "could not determine a constructor for the tag"),
        ("a: 1\n---\nb: 2", "another document"),
        ("a:\n\tb: 1", "cannot start any token"),
        ("- 1", "is not a settings file"),
        ("out: a\0b", "special characters are not allowed"),
        ("a: " + "x" * 200_000, "more than 200 kB"),
        ("samples: 0x" + "f" * 4000, "line 1: not valid YAML: a number of more than 300 bits"),
        ("samples: " + ":".join(["59"] * 3000), "a number of more than 300 bits"),
        ('out: "\\U00110000"', "not valid YAML: chr"),
    ],
)
def test_odd_yaml_is_refused_on_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(text)
    with pytest.raises(VlalignError, match=message) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_yaml_of_other_programs(tmp_path: Path) -> None:
    path = tmp_path / "odd.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: &x {k: [1, 2]}\nb: {<<: *x, m: 3}\nc: *x\n")
    assert read_yaml(path) == {"a": {"k": [1, 2]}, "b": {"k": [1, 2], "m": 3}, "c": {"k": [1, 2]}}
    path.write_text("a: 1".encode("utf-16").decode("latin-1"), encoding="latin-1")
    with pytest.raises(VlalignError, match="not text in UTF-8"):
        read_yaml(path)
    with pytest.raises(VlalignError, match=r"cannot read the settings file .*: Is a directory"):
        read_yaml(tmp_path)
