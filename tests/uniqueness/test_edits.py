"""What the edits of a study did is measured, and said where it is nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from support.study import line

from vlalign.data import DataSpec, PairedData, open_data
from vlalign.perturb import parse_perturbation, perturb_data
from vlalign.uniqueness import UniquenessResult
from vlalign.uniqueness.edits import EditFacts, measure_edits


@pytest.fixture
def captions(tmp_path: Path) -> PairedData:
    table = pd.DataFrame({"id": list("abcd"), "text": ["one", "two", "three four", "one two three four"]})
    table.to_csv(tmp_path / "c.csv", index=False)
    return open_data(DataSpec(str(tmp_path / "c.csv")), {"text"})


def edited(data: PairedData, text: str) -> PairedData:
    return perturb_data(data, [parse_perturbation(text)], allow_empty=True)


def test_captions(captions: PairedData) -> None:
    versions = [captions, *(edited(captions, f"word_delete:{rate}") for rate in (100, 50, 10))]
    none, half, all_ = measure_edits(versions)
    assert [none.rate, half.rate, all_.rate] == [10, 50, 100]
    assert (none.changed, none.left, none.blank) == (0, 100, 0)
    assert half.changed == 50  # those of two words and of four
    assert (all_.changed, all_.left, all_.blank, all_.pixels) == (100, 0, 4, None)
    assert any("too few words" in note for note in none.notes)


def test_images() -> None:
    data = open_data(DataSpec("builtin:emoji", max_samples=70), {"vision"})
    some, all_ = measure_edits([edited(data, "pixel_delete:50"), edited(data, "pixel_delete:100")])
    assert some.left is None
    assert some.changed == 100
    assert 0 < (some.pixels or 0) < (all_.pixels or 0) <= 100


def test_images_that_an_edit_leaves_as_they_are(tmp_path: Path) -> None:
    """Deleted pixels are those of the image's mean colour: nothing changes in an image of one colour."""
    noise = np.random.default_rng(0).integers(0, 256, (2, 16, 16, 3), dtype=np.uint8)
    for i in range(8):
        pixels = noise[i] if i < 2 else np.full((16, 16, 3), 30 * i, np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i}.png")
    data = open_data(DataSpec(str(tmp_path)), {"vision"})
    (facts,) = measure_edits([edited(data, "pixel_delete:50")])
    assert facts.changed == 25
    assert 0 < (facts.pixels or 0) < 25


def test_edits_that_change_nothing_are_the_first_finding() -> None:
    facts = [EditFacts(rate, changed, 100.0, None, 0, []) for rate, changed in ((10, 0.0), (20, 0.0), (30, 5.0))]
    points = line([0.5, 0.5, 0.5, 0.4])
    found = UniquenessResult.from_points(points, config={}, data={}, seconds={}, environment={}, edits=facts)
    assert found.findings[0].startswith("nothing was changed at 10, 20 %")
    found = UniquenessResult.from_points(points, config={}, data={}, seconds={}, environment={}, edits=facts[2:])
    assert not any("nothing was changed" in text for text in found.findings)


def test_edits_are_kept(tmp_path: Path) -> None:
    facts = [EditFacts(10.0, 97.5, 90.2, None, 1, ["a note"])]
    found = UniquenessResult.from_points(line([0.5]), config={}, data={}, seconds={}, environment={}, edits=facts)
    found.save(tmp_path)
    assert UniquenessResult.load(tmp_path).edits == facts


def test_q_values_are_of_all_points() -> None:
    points = [*line([0.5, 0.4], p_value=0.01), *line([0.3], y="bloom", p_value=0.03), *line([0.2], y="other")]
    table = UniquenessResult.from_points(points, config={}, data={}, seconds={}, environment={}).to_frame()
    assert table.q_value[:3].tolist() == pytest.approx([0.015, 0.015, 0.03])
    assert table.q_value.isna().tolist() == [False, False, False, True]
