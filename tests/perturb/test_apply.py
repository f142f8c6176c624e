"""Data sets with perturbations."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from support.perturb import CAPTIONS, small_set

from vlalign.errors import VlalignError
from vlalign.perturb import (
    Perturbation,
    PerturbedData,
    check_perturbations,
    describe_perturbations,
    parse_perturbation,
    perturb_data,
)


def of(*texts: str) -> list[Perturbation]:
    return [parse_perturbation(text) for text in texts]


def test_nothing_to_do_is_the_data_itself() -> None:
    data = small_set()
    assert perturb_data(data, []) is data
    assert perturb_data(data, of("char_delete:0", "pixel_noise:0")) is data
    assert describe_perturbations(data, "text") == []


def test_both_modalities() -> None:
    data = small_set()
    words, pixels = of("char_delete:30", "pixel_noise:40")
    made = perturb_data(data, [words, pixels])
    assert isinstance(made, PerturbedData)
    assert made.ids == data.ids
    assert made.captions == words.texts(data.ids, CAPTIONS)
    assert data.captions == list(CAPTIONS)
    for i in range(data.n):
        expected = pixels.image(data.ids[i], data.image(i))
        np.testing.assert_array_equal(np.asarray(made.image(i)), np.asarray(expected))
        assert (np.asarray(made.image(i)) != np.asarray(data.image(i))).any()
    for modality in ("text", "vision"):
        assert made.identity(modality) == data.identity(modality)


def test_one_after_the_other() -> None:
    data = small_set()
    first, second = of("word_delete:30", "char_replace:30")
    made = perturb_data(data, [first, second])
    assert made.captions == second.texts(data.ids, first.texts(data.ids, CAPTIONS))
    masks, noise = of("patch_delete:30", "pixel_noise:30")
    picture = perturb_data(data, [masks, noise]).image(2)
    expected = noise.image("s2", masks.image("s2", data.image(2)))
    np.testing.assert_array_equal(np.asarray(picture), np.asarray(expected))


def test_edited_data_are_edited_further() -> None:
    data = small_set()
    steps = of("word_delete:30", "patch_delete:20", "pixel_noise:30")
    whole, stepwise = perturb_data(data, steps), data
    for step in steps:
        stepwise = perturb_data(stepwise, [step])
    assert stepwise.captions == whole.captions
    np.testing.assert_array_equal(np.asarray(stepwise.image(0)), np.asarray(whole.image(0)))
    for modality in ("text", "vision"):
        assert describe_perturbations(stepwise, modality) == describe_perturbations(whole, modality) != []
    with pytest.raises(VlalignError, match="word_delete is given 2 times"):
        perturb_data(stepwise, of("word_delete:50"))


def test_it_can_be_pickled() -> None:
    made = perturb_data(small_set(), of("char_delete:30", "pixel_noise:40"))
    again = pickle.loads(pickle.dumps(made))
    assert again.captions == made.captions
    np.testing.assert_array_equal(np.asarray(again.image(3)), np.asarray(made.image(3)))
    assert describe_perturbations(again, "text") == describe_perturbations(made, "text")


def test_descriptions_belong_to_their_modality() -> None:
    data = small_set()
    made = perturb_data(data, of("char_delete:30", "pixel_noise:40,seed=2"))
    text, vision = describe_perturbations(made, "text"), describe_perturbations(made, "vision")
    assert vision == [{"operation": "pixel_noise", "rate": 40, "seed": 2, "version": 1}]
    assert text[0] == {"operation": "char_delete", "rate": 30, "seed": 0, "version": 1}
    assert set(text[1]) == {"captions"}
    assert len(text[1]["captions"]) == 64
    only = perturb_data(data, of("char_delete:30"))
    assert describe_perturbations(only, "text") == text
    assert describe_perturbations(only, "vision") == []
    assert describe_perturbations(perturb_data(data, of("char_delete:30,seed=1")), "text")[1] != text[1]


def test_what_a_file_holds_is_in_the_description(tmp_path: Path) -> None:
    data, found = small_set(), []
    for text in ("new", "newer"):
        path = tmp_path / f"{text}.csv"
        path.write_text("id,rate,text\n" + "".join(f"{name},10,{text}\n" for name in data.ids))
        found.append(describe_perturbations(perturb_data(data, of(f"captions_file:10,file={path}")), "text"))
    assert found[0] != found[1]
    assert "csv" not in json.dumps(found)


def test_empty_captions() -> None:
    data = small_set()
    with pytest.raises(VlalignError, match=r"char_delete:100 leaves 8 of 8 captions empty, first 's0'.*--allow-empty"):
        perturb_data(data, of("char_delete:100"))
    assert perturb_data(data, of("char_delete:100"), allow_empty=True).captions == [""] * 8
    blank = perturb_data(small_set([" a"], n=1), of("char_delete:50"))
    assert blank.captions in ([" "], ["a"])


def test_mistakes(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="char_delete is given 2 times"):
        check_perturbations(of("char_delete:10", "char_delete:20,seed=1"))
    with pytest.raises(VlalignError, match="char_delete is given 2 times"):
        check_perturbations(of("char_delete:10", "char_delete:0"))
    with pytest.raises(VlalignError, match="pixel_noise edits images, but small was opened without"):
        perturb_data(small_set(images=False), of("pixel_noise:10"))
    with pytest.raises(VlalignError, match="char_delete edits texts, but small was opened without captions"):
        perturb_data(small_set(None), of("char_delete:10"))
    with pytest.raises(VlalignError, match="give captions_file first"):
        check_perturbations(of("char_delete:10", f"captions_file:10,file={tmp_path}"))
    check_perturbations(of("pixel_noise:10", f"captions_file:10,file={tmp_path}", "char_delete:10"))


def test_only_edits_that_do_something_are_kept() -> None:
    assert check_perturbations(of("char_delete:0", "pixel_noise:1")) == tuple(of("pixel_noise:1"))
