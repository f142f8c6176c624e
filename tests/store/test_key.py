"""Run keys: hash, names, differences."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.store import RunKey, diff_keys

MODEL = {"name": "huggyllama/llama-7b", "modality": "text"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


def test_hash_is_sha256_of_canonical_json():
    data = {"model": MODEL, "layers": (1, 2), "dtype": "größe"}
    text = '{"dtype":"größe","layers":[1,2],"model":{"modality":"text","name":"huggyllama/llama-7b"}}'
    key = RunKey(data)
    assert key.hash == hashlib.sha256(text.encode()).hexdigest()
    assert key.short == key.hash[:16]
    assert (key.model, key.modality, key.slug) == ("huggyllama/llama-7b", "text", "huggyllama__llama-7b")


@settings(deadline=None, max_examples=50)
@given(VALUES)
def test_key_survives_the_file(value):
    key = RunKey({"model": MODEL, "value": value})
    assert RunKey(json.loads(key.to_bytes())) == key
    assert diff_keys(key, key) == []


@settings(deadline=None)
@given(VALUES, VALUES)
@example(1, True)
@example(1, 1.0)
@example({"a.b": 1}, {"a": {"b": 1}})
@example({}, None)
def test_difference_exactly_when_hashes_differ(a, b):
    left, right = RunKey({"model": MODEL, "value": a}), RunKey({"model": MODEL, "value": b})
    same_value = json.dumps(left.data, sort_keys=True) == json.dumps(right.data, sort_keys=True)
    assert (left == right) is same_value
    assert bool(diff_keys(left, right)) is not same_value


def test_integer_names_hash_as_they_are_read_back():
    key = RunKey({"model": MODEL, "map": {10: "a", 9: "b"}})
    assert RunKey(json.loads(key.to_bytes())) == key


def test_key_is_a_copy():
    data = {"model": dict(MODEL)}
    key = RunKey(data)
    data["model"]["name"] = "other"
    assert key.model == "huggyllama/llama-7b"
    assert key == RunKey({"model": MODEL})
    assert len({key, RunKey({"model": MODEL})}) == 1


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("llama-7b", "llama-7b"),
        ("timm:vit_small.augreg in21k", "timm-vit_small.augreg-in21k"),
        ("/models/tiny", "models__tiny"),
        ("..", "model"),
        (".hidden", "hidden"),
        ("größe", "gr-e"),
        ("x" * 300, "x" * 100),
    ],
)
def test_slug(name, slug):
    assert RunKey({"model": {"name": name, "modality": "text"}}).slug == slug


@settings(deadline=None)
@given(st.text(min_size=1))
def test_slug_is_one_safe_folder(name):
    slug = RunKey({"model": {"name": name, "modality": "text"}}).slug
    assert slug
    assert slug.isascii()
    assert not set(slug) & set('/\\:*?"<>| \0')
    assert slug not in (".", "..")


@pytest.mark.parametrize(
    "data", [{}, {"model": {"name": "a"}}, {"model": {"name": "", "modality": "text"}}, {"model": 1}]
)
def test_key_needs_name_and_modality(data):
    with pytest.raises(VlalignError, match=r"lacks model\.(name|modality)"):
        RunKey(data)


@pytest.mark.parametrize("value", [float("nan"), {1, 2}, b"x"])
def test_key_must_be_json(value):
    with pytest.raises(VlalignError, match="cannot be written as JSON"):
        RunKey({"model": MODEL, "value": value})


def test_diff_lines():
    a = RunKey({"model": MODEL, "dtype": "float32", "text": {"max_length": 512}, "layers": [1]})
    b = RunKey({"model": MODEL, "dtype": "bfloat16", "image": None, "layers": [1, 2]})
    assert diff_keys(a, b) == [
        "dtype: float32 != bfloat16",
        "image: absent != null",
        "layers: [1] != [1,2]",
        "text.max_length: 512 != absent",
    ]


def test_diff_shortens_long_values():
    a, b = RunKey({"model": MODEL, "x": "a" * 500}), RunKey({"model": MODEL, "x": "b" * 500})
    (line,) = diff_keys(a, b)
    assert len(line) < 200
