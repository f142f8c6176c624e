"""Edits of pixels, against slow and obvious references."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlalign.perturb import Perturbation
from vlalign.perturb.draws import draws
from vlalign.perturb.image import patch_delete, pixel_delete, pixel_noise

EDITS = {"pixel_delete": pixel_delete, "pixel_noise": pixel_noise, "patch_delete": patch_delete}
SIZES = st.tuples(st.integers(1, 40), st.integers(1, 40))
RATES = st.floats(0, 100)


def made_up(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Pixels of mean about 120, without the value that any of them would be replaced by."""
    values = np.random.RandomState(seed).randint(60, 180, (height, width, 3)).astype(np.uint8)
    mean = np.rint(values.mean((0, 1)))
    values[(values == mean).all(-1)] += 1
    return values


def edited(name: str, pixels: np.ndarray, rate: float, **parameters: int) -> np.ndarray:
    return EDITS[name](pixels, rate, draws(0, name, "s"), **parameters)


@pytest.mark.parametrize("name", EDITS)
@given(size=SIZES, one=RATES, other=RATES)
def test_shape_kind_and_nesting(name: str, size: tuple[int, int], one: float, other: float) -> None:
    pixels = made_up(*size)
    before = pixels.copy()
    few, many = (edited(name, pixels, rate) for rate in sorted((one, other)))
    assert few.shape == many.shape == pixels.shape
    assert few.dtype == many.dtype == np.uint8
    np.testing.assert_array_equal(pixels, before)  # the original is left alone
    hit = (few != pixels).any(-1)
    np.testing.assert_array_equal(few[hit], many[hit])  # what is edited at one rate is edited alike at the next
    np.testing.assert_array_equal(edited(name, pixels, 0), pixels)


@pytest.mark.parametrize("name", ["pixel_delete", "pixel_noise"])
def test_pixels_are_hit_with_the_probability_asked_for(name: str) -> None:
    pixels = made_up(120, 150)
    for rate in (10, 50, 90):
        hit = (edited(name, pixels, rate) != pixels).any(-1)
        assert hit.mean() == pytest.approx(rate / 100, abs=4 * np.sqrt(0.25 / hit.size))


def test_pixel_delete_is_the_mean_colour() -> None:
    pixels = made_up(9, 7)
    gone = edited("pixel_delete", pixels, 100)
    assert (gone == np.rint(pixels.reshape(-1, 3).mean(0))).all()
    draw = draws(0, "pixel_delete", "s").random_sample((9, 7))
    some = edited("pixel_delete", pixels, 30)
    for row in range(9):
        for column in range(7):
            expected = gone if draw[row, column] < 0.3 else pixels
            assert (some[row, column] == expected[row, column]).all()


def test_pixel_noise_looks_like_the_image_to_statistics() -> None:
    pixels = made_up(100, 100)
    noise = edited("pixel_noise", pixels, 100).astype(float)
    assert noise.mean() == pytest.approx(pixels.mean(), abs=1)
    assert noise.std() == pytest.approx(pixels.std(), abs=1)
    channels = noise.reshape(-1, 3)
    assert np.abs(np.corrcoef(channels.T) - np.eye(3)).max() < 0.05  # each channel is drawn by itself
    plain = np.full((5, 5, 3), 77, dtype=np.uint8)
    np.testing.assert_array_equal(edited("pixel_noise", plain, 100), plain)


def test_noise_is_cut_and_not_wrapped() -> None:
    pixels = np.zeros((40, 40, 3), dtype=np.uint8)
    pixels[:20] = 255
    noise = edited("pixel_noise", pixels, 100)
    assert (noise == 0).mean() > 0.1
    assert (noise == 255).mean() > 0.1


@pytest.mark.parametrize(("size", "grid"), [((28, 28), 14), ((31, 17), 5), ((224, 100), 14), ((7, 7), 7), ((9, 4), 1)])
@pytest.mark.parametrize("rate", [10, 33, 50, 100])
def test_patches_of_any_size(size: tuple[int, int], grid: int, rate: int) -> None:
    pixels = made_up(*size)
    got = edited("patch_delete", pixels, rate, grid=grid)
    hit = (got != pixels).any(-1)
    sides = [min(grid, side) for side in size]  # a tiny image has no more patches than pixels
    gone = 0
    names = [[min(i * grid // side, grid - 1) for i in range(side)] for side in size]
    for row in sorted(set(names[0])):
        for column in sorted(set(names[1])):
            patch = hit[np.ix_([n == row for n in names[0]], [n == column for n in names[1]])]
            assert patch.all() or not patch.any()
            gone += int(patch.all())
    assert gone == int(sides[0] * sides[1] * rate / 100)
    assert (got[hit] == np.rint(pixels.reshape(-1, 3).mean(0))).all()


@given(SIZES, st.integers(1, 60))
def test_patches_of_tiny_images(size: tuple[int, int], grid: int) -> None:
    pixels = made_up(*size)
    assert (edited("patch_delete", pixels, 100, grid=grid) == np.rint(pixels.mean((0, 1)))).all()


GOLDEN = {
    "pixel_delete": ([0, 12, 24, 36, 114], [114, 72, 114, 114, 108], "8ced6ae1613487e2"),
    "pixel_noise": ([0, 12, 24, 36, 48], [60, 72, 84, 72, 108], "cf74f58e207c297c"),
    "patch_delete": ([114, 114, 24, 36, 114], [60, 114, 84, 96, 108], "82134d3dead115ea"),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_pixels(name: str) -> None:
    pixels = (np.arange(60) * 4).astype(np.uint8).reshape(4, 5, 3)
    got = EDITS[name](pixels, 40, draws(0, name, "s1"))
    first, second, digest = GOLDEN[name]
    assert got[:2, :, 0].tolist() == [first, second]
    assert hashlib.sha256(got.tobytes()).hexdigest()[:16] == digest


@pytest.mark.parametrize("name", EDITS)
def test_pictures(name: str) -> None:
    picture = Image.fromarray(made_up(31, 17))
    got = Perturbation(name, 40).image("s", picture)
    assert (got.mode, got.size) == ("RGB", (17, 31))
    np.testing.assert_array_equal(np.asarray(got), edited(name, np.asarray(picture), 40))
    assert (np.asarray(got) != np.asarray(Perturbation(name, 40).image("t", picture))).any()
    assert (np.asarray(got) != np.asarray(Perturbation(name, 40, seed=1).image("s", picture))).any()
    assert Perturbation(name, 0).image("s", picture) is picture
