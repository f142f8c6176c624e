"""Settings from YAML files: kinds of values, what is written is read back, errors that name a place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.settings import check_value, check_values, known_keys, read_yaml, shown, yaml_text

PATH = Path("grid.yaml")


@pytest.mark.parametrize(
    ("value", "kind", "found"),
    [
        ("a", "str", "a"),
        (3, "int", 3),
        (3, "float", 3),
        (0.5, "float", 0.5),
        (False, "bool", False),
        (None, "int | None", None),
        (3, "int | None", 3),
        ([], "tuple[int, ...]", ()),
        ([1, 2], "tuple[int, ...]", (1, 2)),
        (4, "tuple[int, ...]", (4,)),
        ([1, 0.5], "tuple[float, ...]", (1, 0.5)),
        ("a", "tuple[str, ...]", ("a",)),
        (["a", "b"], "tuple[str, ...] | None", ("a", "b")),
        (None, "tuple[str, ...] | None", None),
    ],
)
def test_values_of_a_kind(value: Any, kind: str, found: Any) -> None:
    read = check_value("key", value, kind, PATH)
    assert read == found
    assert type(read) is type(found)


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (3, "str", "key is a text in quotes, not 3"),
        ([3], "str", r"key is a text, not \[3\]"),
        (True, "int", "key is a whole number, not true"),
        (1.0, "int", "key is a whole number, not 1.0"),
        (False, "float", "key is a number, not false"),
        (0, "bool", "key is true or false, not 0"),
        (None, "float", "key is a number, not null"),
        ("x", "int | None", r"key is a whole number or nothing \(null\), not 'x'"),
        ([1, True], "tuple[int, ...]", r"key is a list of whole numbers, not \[1, True\]"),
        ([1, [2]], "tuple[float, ...]", "key is a list of numbers"),
        (["a", 1], "tuple[str, ...] | None", r"key is a list of texts or nothing \(null\)"),
        (None, "tuple[int, ...]", "key is a list of whole numbers, not null"),
        ({"a": 1}, "tuple[int, ...]", "key is a list of whole numbers"),
    ],
)
def test_values_of_another_kind(value: Any, kind: str, message: str) -> None:
    with pytest.raises(VlalignError, match=f"^grid.yaml: {message}") as caught:
        check_value("key", value, kind, PATH)
    assert "\n" not in str(caught.value)


def test_keys() -> None:
    kinds = {"seeds": "tuple[int, ...]", "out": "str"}
    assert check_values({"seeds": 1}, kinds, PATH) == {"seeds": (1,)}
    with pytest.raises(VlalignError, match=r"grid\.yaml: unknown key Seed \(did you mean seeds\?\)"):
        check_values({"Seed": 1}, kinds, PATH)
    with pytest.raises(VlalignError, match=r"unknown key grid\.zzz: there is seeds, out"):
        known_keys({"zzz": 1}, kinds, PATH, inside="grid.")
    with pytest.raises(VlalignError, match="unknown key 3: there is"):
        check_values({3: 1}, kinds, PATH)


def test_long_values_are_cut() -> None:
    assert (shown(None), shown(True), shown("a b"), shown([1, 2])) == ("null", "true", "'a b'", "[1, 2]")
    assert shown(list(range(99))).endswith("…")
    assert len(shown("x" * 200)) == 80
    with pytest.raises(VlalignError) as caught:
        check_value("key", "x\ny" * 99, "int", PATH)
    assert len(str(caught.value)) < 130
    assert "\n" not in str(caught.value)


def test_keys_that_are_numbers_and_keys_twice_in_lists(tmp_path: Path) -> None:
    path = tmp_path / "tuned.yaml"
    path.write_text("modality 1:\n  0: {rate: 1}\n  8: {rate: 2}\n")
    assert read_yaml(path) == {"modality 1": {0: {"rate": 1}, 8: {"rate": 2}}}
    path.write_text("modality 1:\n  0: {rate: 1}\n  0: {rate: 2}\n")
    with pytest.raises(VlalignError, match="line 3: not valid YAML: 0 is there twice"):
        read_yaml(path)
    path.write_text("a:\n- {b: 1}\n- {b: 1}\n- {b: 1, b: 2}\n")
    with pytest.raises(VlalignError, match="line 4: not valid YAML: b is there twice"):
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
        ("- 1", "is not a file of settings"),
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
    with pytest.raises(VlalignError, match=r"cannot read the settings .*: Is a directory"):
        read_yaml(tmp_path)
    assert shown(10**5000) == "a number of more than 80 digits"
