"""Vectors of trivial features: neighbours by cosine are the samples with the nearest values."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from vlalign.baseline.image import measure
from vlalign.baseline.text import WIDTH, TextFeatures, grams_of, tokens_of
from vlalign.baseline.vectors import hashed, on_circle, rank_scaled, rotated
from vlalign.scoring.preprocessing import prepare_platonic

DRAW = np.random.default_rng(0)


def cosines(x: np.ndarray) -> np.ndarray:
    rows = x / np.linalg.norm(x, axis=1, keepdims=True)
    return rows @ rows.T


@pytest.mark.parametrize("preset", ["none", "platonic"])
def test_neighbours_of_a_number_are_the_nearest_values(preset: str) -> None:
    """Reference: for every sample, a larger difference of ranks never has a larger cosine; equal numbers have 1."""
    values = DRAW.integers(3, 60, 80)
    z = rank_scaled(values)
    order = {v: (np.sum(values < v) + np.sum(values <= v) - 1) / 2 / 79 for v in values}
    np.testing.assert_allclose(z, [order[v] for v in values], atol=1e-12)
    rows = torch.from_numpy(on_circle(z[:, None]).astype(np.float32))
    near = cosines((rows if preset == "none" else prepare_platonic([rows])[0][0]).double().numpy())
    for i in range(len(values)):
        by_distance = np.argsort(np.abs(z - z[i]), kind="stable")
        both = near[i, by_distance]
        apart = np.abs(z - z[i])[by_distance]
        for side in (z[by_distance] <= z[i], z[by_distance] >= z[i]):
            assert np.all(np.diff(both[side]) <= 1e-6)
        if preset == "none":
            np.testing.assert_allclose(both, np.cos(np.pi / 2 * apart), atol=1e-6)
    same = values[:, None] == values[None]
    assert np.array_equal(rows[:, None].eq(rows[None]).all(-1).numpy(), same)  # ties stay exact ties


def test_colours_are_nearest_by_euclidean_distance() -> None:
    colours = DRAW.uniform(0.4, 0.5, (40, 3))
    distance = ((colours[:, None] - colours[None]) ** 2).sum(-1)
    near = cosines(on_circle(colours))
    np.testing.assert_allclose(1 - near, np.pi**2 / 8 * distance / 3, rtol=0.01, atol=1e-12)


def test_rotation_and_hashes() -> None:
    x = np.where(DRAW.uniform(size=(9, 64)) < 0.1, DRAW.normal(size=(9, 64)), 0.0)
    turned = rotated(x)
    np.testing.assert_allclose(turned @ turned.T, x @ x.T, atol=1e-12)
    bags = [Counter(a=2, b=1), Counter(b=1, a=2), Counter(c=3), Counter()]
    rows = hashed(bags, WIDTH)
    assert np.array_equal(rows[0], rows[1])
    assert sorted(np.abs(rows[0][rows[0] != 0])) == [1, 2]  # buckets of their own, of these names
    assert rows[0] @ rows[2] == 0
    assert not rows[3].any()


def test_features_of_captions() -> None:
    captions = ["A cat, a cat!", "the dog", "THE  DOG", "the bird sings loudly", "!!!"]
    features = TextFeatures(captions)
    assert tokens_of(captions[0]) == ["a", "cat", "a", "cat"]
    assert grams_of("THE  DOG") == grams_of("the dog")
    everything = slice(0, 5)
    rows = features.rows("TF-IDF", everything)["tf_idf"]
    vocabulary = sorted({token for one in captions for token in tokens_of(one)})
    exact = np.zeros((5, len(vocabulary)))
    for row, caption in zip(exact, captions, strict=True):
        for token, count in Counter(tokens_of(caption)).items():
            having = sum(token in tokens_of(other) for other in captions)
            row[vocabulary.index(token)] = (1 + math.log(count)) * (1 + math.log(6 / (1 + having)))
    np.testing.assert_allclose(rows @ rows.T, exact @ exact.T, atol=1e-9)
    counts = features.rows("bag of tokens", everything)["counts"]
    assert counts[0] @ counts[0] == pytest.approx(8)
    assert np.array_equal(counts[1], counts[2])
    np.testing.assert_array_equal(features.rows("bag of tokens", slice(2, 4))["counts"], counts[2:4])
    grams = features.rows("character n-grams", everything)["counts"]
    assert cosines(grams[:4])[1, 2] == pytest.approx(1)
    lengths = features.rows("caption length", everything)
    assert list(lengths) == ["characters", "words"]
    assert [len(set(map(tuple, layer))) for layer in lengths.values()] == [5, 3]


def test_measures_of_an_image() -> None:
    image = Image.new("RGB", (40, 20), (255, 0, 0))
    image.paste((0, 0, 255), (0, 0, 10, 20))
    size, colour, histogram, small = np.split(measure(image).numpy(), [2, 5, 69])
    assert size.tolist() == [40, 20]
    np.testing.assert_allclose(colour, [0.75, 0, 0.25])
    assert {int(i): float(histogram[i]) for i in np.flatnonzero(histogram)} == {3: 0.25, 48: 0.75}
    pixels = small.reshape(16, 16, 3)
    assert np.array_equal(pixels[:, :4], np.broadcast_to([0, 0, 1], (16, 4, 3)))
    assert np.array_equal(pixels[:, 4:], np.broadcast_to([1, 0, 0], (16, 12, 3)))
