"""What perturbations did, counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from support.perturb import CAPTIONS, small_set

from vlalign.perturb import image_facts, notes, parse_perturbation, perturb_data, text_facts
from vlalign.perturb.facts import ImageFacts


def test_text_facts() -> None:
    facts = text_facts(["abcd", "👩‍👩‍👧🇩🇪", "ab", "x", "y"], ["abc", "🇩🇪", "ab", "", "  "])
    assert (facts.n, facts.characters_before, facts.characters_after) == (5, 10, 8)
    assert facts.removed == pytest.approx(20)
    assert (facts.changed, facts.unchanged, facts.empty, facts.blank) == (4, 1, 1, 1)
    assert facts.tokens_before is facts.tokens_after is None
    assert text_facts([], []).removed == 0
    assert text_facts(["a"], ["abc"]).removed == pytest.approx(-200)


def test_tokens_of_empty_texts_are_none() -> None:
    seen: list[str] = []

    def encode(texts):  # type: ignore[no-untyped-def]
        seen.extend(texts)
        return [[0, *map(ord, text)] for text in texts]

    facts = text_facts(["ab", "c"], ["b", ""], encode)
    assert (facts.tokens_before, facts.tokens_after) == (5, 2)
    assert "" not in seen
    assert text_facts(["a"], [""], encode).tokens_after == 0


def test_image_facts() -> None:
    data = small_set()
    made = perturb_data(data, [parse_perturbation("pixel_delete:50")])
    facts = image_facts(made, [1, 4])
    shares, changes = [], []
    for row in (1, 4):
        old, new = (np.asarray(which.image(row)).astype(int) for which in (data, made))
        shares.append(100 * float((old != new).any(-1).mean()))
        changes.append(float(np.abs(old - new).mean()))
    assert facts.n == 2
    assert facts.changed == pytest.approx(np.mean(shares))
    assert 30 < facts.changed < 55
    assert facts.difference == pytest.approx(np.mean(changes))
    assert facts.shorter_side == np.median([min(data.image(row).size) for row in (1, 4)])
    assert (facts.large, facts.differing) == (0, 2)
    same = image_facts(data, [0])
    assert (same.changed, same.difference, same.differing) == (0, 0, 0)
    with pytest.raises(ValueError, match="needs rows"):
        image_facts(data, [])


def told(*operations: str, images: ImageFacts | None = None) -> str:
    made = perturb_data(small_set(), [parse_perturbation(text) for text in operations], allow_empty=True)
    return "\n".join(notes(made, images))


def test_notes_on_texts() -> None:
    assert notes(small_set()) == []
    assert "char_delete:10: 3 of 8 captions are unchanged" in told("char_delete:10")  # fewer than 10 characters
    said = told("word_shuffle:30")
    assert "5 of 8 captions have too few words for this rate to take 2 (2 of them one word)" in said
    assert "5 of 8 captions are unchanged" in said
    assert "unchanged" not in told("char_delete:50")
    assert "too few" not in told("word_delete:100")


def test_notes_on_swaps() -> None:
    assert "no caption is swapped, 1 of 8 is too few" in told("caption_swap:20")
    data = small_set(["same"] * 4, n=4)
    made = perturb_data(data, [parse_perturbation("caption_swap:100")])
    assert notes(made) == ["caption_swap:100: 4 of 4 swapped captions got a caption of the same text"]
    distinct = small_set([f"caption {i}" for i in range(4)], n=4)
    assert notes(perturb_data(distinct, [parse_perturbation("caption_swap:50")])) == []


def test_notes_on_large_images() -> None:
    large = ImageFacts(n=10, changed=10, difference=5, shorter_side=700, large=7, differing=10)
    for name in ("pixel_noise", "pixel_delete"):
        said = told(f"{name}:10", images=large)
        assert f"{name}: 7 of 10 images have a shorter side above 512 pixels" in said
        assert "\n" not in said
    assert told("patch_delete:10", images=large) == ""
    assert told("pixel_noise:10", images=ImageFacts(10, 10, 5, 512, 0, 10)) == ""
    assert told("pixel_noise:10") == ""


def test_the_captions_are_as_the_tests_say() -> None:
    assert [len(text.split()) for text in CAPTIONS].count(1) == 2
