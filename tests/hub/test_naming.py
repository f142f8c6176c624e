"""Names of configurations: safe, readable, different for different runs, and stable when others are added."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.features import make_key

from vlalign.hub.metadata import STORED
from vlalign.hub.naming import name_runs


def test_the_name_says_what_differs() -> None:
    plain = make_key("llama-7b")
    data = dict(plain.data["data"], name="owner/other", fingerprint="0" * 64)
    keys = [plain, make_key("llama-7b", dtype="bfloat16"), make_key("llama-7b", data=data)]
    keys += [make_key("llama-7b", quantization="nf4"), make_key("llama-7b", edits=[("char_delete", 30)])]
    assert name_runs(keys) == [
        "llama-7b--unquantized--float32--minhuh__prh",
        "llama-7b--bfloat16",
        "llama-7b--owner__other",
        "llama-7b--nf4",
        "llama-7b--char_delete-30",
    ]
    data = dict(plain.data["data"], fingerprint="0" * 64)
    assert name_runs([plain, make_key("llama-7b", data=data)]) == [
        "llama-7b--fingerprint-ffffffff",
        "llama-7b--fingerprint-00000000",
    ]
    assert name_runs([plain, make_key("dinov2-small", "vision")]) == ["llama-7b", "dinov2-small"]


def test_names_that_are_taken_stay() -> None:
    plain, other = make_key("llama-7b"), make_key("llama-7b", dtype="bfloat16")
    assert name_runs([other], {"llama-7b": plain}) == ["llama-7b--bfloat16"]
    assert name_runs([other, plain], {"llama-7b": plain}) == ["llama-7b--bfloat16", "llama-7b"]
    rounded = make_key("llama-7b", **{STORED: "float16"})
    assert name_runs([rounded], {"llama-7b": plain}) == ["llama-7b--stored-float16"]


@pytest.mark.parametrize(
    "name", ["org/a b", "<script>alert(1)</script>", "../../etc/passwd", "模型", "a" * 300, "-", "a:b*c?", "CON", "ü|x"]
)
def test_odd_names(name: str) -> None:
    (made,) = name_runs([make_key(name)])
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", made)


@given(st.lists(st.tuples(st.text("ab/ 模", min_size=1, max_size=4), st.sampled_from("xyz")), unique=True, min_size=1))
def test_different_runs_have_different_names(runs: list[tuple[str, str]]) -> None:
    keys = [make_key(name, dtype=dtype) for name, dtype in runs]
    names = name_runs(keys)
    assert len({name.casefold() for name in names}) == len(keys)
    more = name_runs([make_key("a", dtype="new"), *keys], dict(zip(names, keys, strict=True)))
    assert more[1:] == names
    assert more[0].casefold() not in {name.casefold() for name in names}
