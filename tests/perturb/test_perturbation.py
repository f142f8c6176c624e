"""Perturbations as users write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.perturb import OPERATIONS, Perturbation, parse_perturbation


def test_what_can_be_written() -> None:
    assert parse_perturbation("char_delete:30") == Perturbation("char_delete", 30)
    assert parse_perturbation(" patch_delete:20, grid=8 ,seed=1") == Perturbation("patch_delete", 20, 1, {"grid": 8})
    assert parse_perturbation("pixel_noise:rate=2.5") == Perturbation("pixel_noise", 2.5)
    assert parse_perturbation("patch_delete,grid=8", rate=5) == Perturbation("patch_delete", 5, 0, {"grid": 8})
    file = parse_perturbation("captions_file:50,file=a=b/edits.json")
    assert file.parameters == {"file": "a=b/edits.json"}


def test_rates_and_seeds_given_elsewhere() -> None:
    assert parse_perturbation("word_delete", rate=10, seed=4) == Perturbation("word_delete", 10, 4)
    assert parse_perturbation("word_delete:20,seed=1", rate=10, seed=4) == Perturbation("word_delete", 20, 1)
    assert parse_perturbation("word_delete", rate=0) == Perturbation("word_delete", 0)


MISTAKES = {
    "char_delet:30": "did you mean char_delete",
    "chardelete:1,2": "unknown operation 'chardelete'",
    "": "unknown operation ''",
    "char_delete": "write char_delete:RATE",
    "char_delete:101": "0 to 100, not 101",
    "char_delete:-1": "0 to 100",
    "char_delete:nan": "0 to 100",
    "char_delete:many": "0 to 100, not many",
    "char_delete:30,40": "'40' is no param=value",
    "char_delete,30": "'30' is no param=value",
    "char_delete:seed=1,30": "'30' is no param=value",
    "char_delete:30,rate=40": "has two values of rate",
    "patch_delete:30,grid=8,grid=9": "has two values of grid",
    "char_delete:30,grid=8": "no parameter 'grid': it takes only rate and seed",
    "patch_delete:30,gird=8": "no parameter 'gird': it takes grid",
    "patch_delete:30,grid=0": "grid must be an integer of at least 1, not 0",
    "patch_delete:30,grid=1.5": "grid must be an integer",
    "patch_delete:30,grid=": "grid must be an integer",
    "patch_delete:30,grid=inf": "grid must be an integer",
    "char_delete:30,seed=-1": "seed must be an integer of at least 0",
    "captions_file:30": "needs a file",
    "captions_file:30,file=": "needs a file",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_mistakes(text: str) -> None:
    with pytest.raises(VlalignError) as error:
        parse_perturbation(text)
    assert MISTAKES[text] in str(error.value)
    assert "\n" not in str(error.value)


def test_mistakes_in_python() -> None:
    for wrong in ({"seed": float("inf")}, {"seed": None}, {"parameters": {"grid": 4}}, {"rate": None}):
        with pytest.raises(VlalignError):
            Perturbation(**({"name": "char_delete", "rate": 10} | wrong))  # type: ignore[arg-type]
    with pytest.raises(VlalignError, match="needs a file"):
        Perturbation("captions_file", 10, parameters={"file": None})


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(VlalignError, match="cannot read the captions file"):
        parse_perturbation(f"captions_file:10,file={tmp_path / 'none.json'}").texts(["a"], ["A"])


@given(
    st.sampled_from([name for name in OPERATIONS if name not in ("captions_file", "patch_delete")]),
    st.floats(0, 100), st.integers(0, 10**6),
)  # fmt: skip
def test_the_text_form_comes_back(name: str, rate: float, seed: int) -> None:
    perturbation = Perturbation(name, rate, seed)
    assert parse_perturbation(str(perturbation)) == perturbation
    assert hash(parse_perturbation(str(perturbation))) == hash(perturbation)


def test_the_text_form_names_what_is_not_the_default() -> None:
    assert str(Perturbation("patch_delete", 20.0)) == "patch_delete:20"
    assert str(Perturbation("patch_delete", 2.5, 1, {"grid": 8})) == "patch_delete:2.5,grid=8,seed=1"


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "char_delete:30": {"operation": "char_delete", "rate": 30, "seed": 0, "version": 1},
    "pixel_noise:2.5,seed=3": {"operation": "pixel_noise", "rate": 2.5, "seed": 3, "version": 1},
    "patch_delete:20": {"operation": "patch_delete", "rate": 20, "seed": 0, "version": 1, "grid": 14},
    "captions_file:50,file=x": {"operation": "captions_file", "rate": 50, "seed": 0, "version": 1},
}


@pytest.mark.parametrize("text", DESCRIPTIONS)
def test_descriptions_for_the_run_key(text: str) -> None:
    found = parse_perturbation(text).describe()
    assert found == DESCRIPTIONS[text]
    assert type(found["rate"]) is type(DESCRIPTIONS[text]["rate"])  # 30 and 30.0 are two texts in JSON


def test_samples_do_not_depend_on_their_neighbours() -> None:
    ids, texts = ["a", "b", "c"], ["first caption here", "second caption here", "third caption here"]
    for name in ("char_delete", "char_replace", "word_delete", "word_shuffle"):
        perturbation = Perturbation(name, 70, 2)
        together = perturbation.texts(ids, texts)
        assert together != texts
        assert perturbation.texts(ids[::-1], texts[::-1]) == together[::-1]
        assert [perturbation.texts([i], [t])[0] for i, t in zip(ids, texts, strict=True)] == together
