"""Edits of texts, against slow and obvious references."""

from __future__ import annotations

import re
import string
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.perturb import Perturbation
from vlalign.perturb.draws import draws
from vlalign.perturb.text import char_delete, char_replace, clusters, word_delete, word_shuffle, words

FAMILY, FLAG, CAFE, HAN, WAVE = "👩‍👩‍👧", "🇩🇪", "e\u0301", "\u1112\u1161\u11ab", "👋🏽"
TEXT = f"Ein {FLAG} café — 한국어, {FAMILY} and a red kite over\r\nthe sea"
# characters that are no cluster by themselves stand in whole ones, so that texts hold what people write
PIECES = st.sampled_from([*string.ascii_letters, *" \t.,é東", "\r\n", FAMILY, FLAG, CAFE, HAN, WAVE])
TEXTS = st.lists(PIECES, max_size=40).map("".join)
RATES = st.floats(0, 100)
OPERATIONS = [char_delete, char_replace, word_delete, word_shuffle]


def drawn(name: str = "op", seed: int = 0) -> np.random.RandomState:
    return draws(seed, name, "sample")


@pytest.mark.parametrize("whole", [FAMILY, FLAG, CAFE, HAN, WAVE, "\r\n", "각", "नि", "1️⃣"])
def test_a_grapheme_cluster_is_one_character(whole: str) -> None:
    assert clusters(f"a{whole}b") == ["a", whole, "b"]


@given(TEXTS)
def test_parts_make_the_text(text: str) -> None:
    assert "".join(clusters(text)) == text
    assert "".join(words(text)) == (text if text.strip() else "")
    assert [part.strip() for part in words(text)] == text.split()


@pytest.mark.parametrize("edit", OPERATIONS)
@given(text=TEXTS)
def test_rate_0_changes_nothing(edit, text: str) -> None:  # type: ignore[no-untyped-def]
    assert edit(text, 0, drawn()) == text


@given(TEXTS, st.integers(0, 100), st.integers(0, 5))
def test_char_delete_is_the_references(text: str, rate: int, seed: int) -> None:
    parts = clusters(text)
    order = draws(seed, "char_delete", "s").permutation(len(parts)).tolist()
    gone = order[: int(len(parts) * rate / 100)]
    expected = ""
    for place, part in enumerate(parts):
        if place not in gone:
            expected += part
    assert Perturbation("char_delete", rate, seed).texts(["s"], [text]) == [expected]


def test_on_plain_ascii_characters_are_code_points() -> None:
    text = string.ascii_letters + string.digits
    for rate in range(0, 101, 7):
        kept = char_delete(text, rate, drawn())
        assert len(kept) == len(text) - int(len(text) * rate / 100)
        assert list(kept) == sorted(kept, key=text.index)


@given(TEXTS, RATES, RATES)
def test_char_delete_is_nested_and_splits_nothing(text: str, one: float, other: float) -> None:
    few, many = (char_delete(text, rate, drawn()) for rate in sorted((one, other)))
    left = iter(clusters(few))
    parts = clusters(text)
    assert Counter(few) <= Counter(text)
    assert Counter(many) <= Counter(few)
    if not {"\r", "\n"} & set(text):  # deleting may bring characters together that then form one
        assert all(part in parts for part in left)


@given(TEXTS, RATES, RATES)
def test_char_replace(text: str, one: float, other: float) -> None:
    parts = clusters(text)
    order = drawn().permutation(len(parts)).tolist()
    texts = []
    for rate in sorted((one, other)):
        new = clusters(char_replace(text, rate, drawn()))
        assert len(new) == len(parts)
        hit = set(order[: int(len(parts) * rate / 100)])
        assert all(new[i] in string.ascii_letters if i in hit else new[i] == parts[i] for i in range(len(parts)))
        texts.append((new, hit))
    (few, hit), (many, hits) = texts
    assert hit <= hits
    assert all(few[i] == many[i] for i in hit)  # the same letter at both rates


@given(TEXTS, RATES)
def test_word_delete(text: str, rate: float) -> None:
    parts = words(text)
    order = drawn().permutation(len(parts)).tolist()
    gone = set(order[: int(len(parts) * rate / 100)])
    left = word_delete(text, rate, drawn())
    assert left.split() == [part.strip() for i, part in enumerate(parts) if i not in gone]
    if gone and len(parts) - 1 in gone:
        assert left == left.rstrip()
    if gone and 0 in gone:
        assert left == left.lstrip()


@given(TEXTS, RATES, RATES)
def test_word_delete_is_nested(text: str, one: float, other: float) -> None:
    few, many = (word_delete(text, rate, drawn()).split() for rate in sorted((one, other)))
    rest = iter(few)
    assert all(word in rest for word in many)  # a subsequence


@given(st.lists(st.sampled_from(["  ", "\n", "\t", " "]), min_size=13, max_size=13), st.integers(0, 12), RATES, RATES)
def test_word_shuffle_moves_every_chosen_word(gaps: list[str], n: int, one: float, other: float) -> None:
    text = gaps[0] + "".join(f"w{i}{gaps[i + 1]}" for i in range(n))
    moved = []
    for rate in sorted((one, other)):
        new = word_shuffle(text, rate, drawn())
        assert Counter(new.split()) == Counter(text.split())
        assert re.findall(r"\s+", new) == re.findall(r"\s+", text)
        places = {i for i, word in enumerate(new.split()) if word != f"w{i}"}
        count = int(n * rate / 100)
        assert len(places) == (count if count > 1 else 0)
        moved.append(places)
    assert moved[0] <= moved[1]


@given(TEXTS, RATES)
def test_word_shuffle_keeps_words_and_white_space(text: str, rate: float) -> None:
    new = word_shuffle(text, rate, drawn())
    assert Counter(new.split()) == Counter(text.split())
    assert re.split(r"\S+", new) == re.split(r"\S+", text)


@pytest.mark.parametrize("blank", ["", " ", "\n\t "])
def test_texts_without_words(blank: str) -> None:
    for edit in (word_delete, word_shuffle):
        assert edit(blank, 100, drawn()) == blank


def test_rate_100() -> None:
    assert char_delete(TEXT, 100, drawn()) == word_delete(TEXT, 100, drawn()) == ""
    replaced = char_replace(TEXT, 100, drawn())
    assert re.fullmatch("[a-zA-Z]+", replaced)
    assert len(replaced) == len(clusters(TEXT))
    assert word_shuffle("only", 100, drawn()) == "only"
    assert word_shuffle("a b", 100, drawn()) == "b a"


GOLDEN = {
    ("char_delete", 10): f"Ei {FLAG} café — 한국어,{FAMILY} ad  red kite over\r\nthe sea",
    ("char_delete", 50): f"Ei {FLAG} cf — 한국 e ke verhse",
    ("char_replace", 10): f"Eino{FLAG} café — 한국어, {FAMILY} anG aured kyte over\r\nthe sea",
    ("char_replace", 50): f"vito{FLAG} chfR M 한y어C {FAMILY} mnG xurdd myWe ivzoxMYe sea",
    ("word_delete", 10): f"Ein {FLAG} café — 한국어, {FAMILY} and red kite over\r\nthe sea",
    ("word_delete", 50): f"{FLAG} — 한국어, {FAMILY} and the sea",
    ("word_shuffle", 50): f"Ein {FLAG} sea — 한국어, {FAMILY} café red kite and over\r\nthe a",
}


@pytest.mark.parametrize(("name", "rate"), GOLDEN)
def test_golden_texts(name: str, rate: int) -> None:
    assert Perturbation(name, rate).texts(["s1"], [TEXT]) == [GOLDEN[name, rate]]
