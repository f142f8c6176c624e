"""Presets: equal to the plain reference code."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import normalize

from vlalign.arrays import LazyLayer, whole
from vlalign.errors import VlalignError
from vlalign.metrics.base import normalise_rows, resolved
from vlalign.metrics.engine.neighbours import knn
from vlalign.scoring import score
from vlalign.scoring.inputs import Side
from vlalign.scoring.layers import PreparedSide
from vlalign.scoring.options import ScoreOptions
from vlalign.scoring.preprocessing import PRESETS, clip_threshold, prepare_platonic


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), min_size=1, max_size=4),
    st.floats(0, 0.999),
    st.integers(0, 10**6),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from(["normal", "ties", "wide"]),
)
def test_threshold_equals_a_full_sort(
    shapes: list[tuple[int, int]], q: float, seed: int, dtype: torch.dtype, kind: str
) -> None:
    generator = torch.Generator().manual_seed(seed)
    layers = [torch.randn(*shape, generator=generator, dtype=dtype) for shape in shapes]
    if kind == "ties":
        layers = [layer.round() for layer in layers]
    elif kind == "wide":
        layers = [layer**9 * 1e-20 for layer in layers]
    values = torch.cat([layer.flatten() for layer in layers]).abs().sort().values
    assert clip_threshold(lambda: layers, q) == values[int(q * len(values))].item()


@pytest.mark.parametrize("kind", ["bounded", "misleading", "many"])
def test_threshold_of_many_values(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds from a sample that hold the threshold, that do not, and none."""
    layers = [torch.randn(200, width, generator=torch.Generator().manual_seed(width)) for width in (257, 300)]
    if kind == "misleading":
        layers[0][:, 0], layers[1].view(-1)[::257] = 100.0, 100.0
    elif kind == "many":
        monkeypatch.setattr("vlalign.scoring.preprocessing._FEW", 0)
    values = torch.cat([layer.flatten() for layer in layers]).abs().sort().values
    for q in (0.0, 0.05, 0.5, 0.95, 0.999):
        assert clip_threshold(lambda: layers, q) == values[int(q * len(values))].item()


def test_platonic_equals_the_reference_code() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(40, 5, 12, generator=generator) ** 3  # [N, L, D]
    bound = features.abs().flatten().sort().values[int(0.95 * features.numel())]
    expected = [normalize(features.clamp(-bound, bound)[:, i], p=2, dim=-1) for i in range(5)]
    found, threshold = prepare_platonic(list(features.unbind(1)))
    assert threshold == bound.item()
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_widths_may_differ_and_other_presets() -> None:
    layers = [torch.randn(10, 3), torch.randn(10, 7)]
    assert [layer.shape[1] for layer in prepare_platonic(layers)[0]] == [3, 7]
    cosine, none = (PreparedSide(Side(layers, "x"), PRESETS[name], False, None) for name in ("cosine", "none"))
    assert cosine.threshold is None
    assert torch.equal(cosine.layer(1), normalize(layers[1], dim=1))
    assert all(torch.equal(none.layer(i), layer) for i, layer in enumerate(layers))
    assert prepare_platonic([layer.double() for layer in layers])[0][0].dtype == torch.float64
    assert prepare_platonic([layer.half() for layer in layers])[0][0].dtype == torch.float32


def test_zero_rows_stay_zero_and_are_counted() -> None:
    layer, zero = normalise_rows(torch.tensor([[0.0, 0.0], [3.0, 4.0]]))
    assert zero == 1
    assert layer.tolist() == [[0.0, 0.0], pytest.approx([0.6, 0.8])]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_of_any_scale_are_normalised(dtype: torch.dtype) -> None:
    x = torch.randn(40, 8, dtype=dtype, generator=torch.Generator().manual_seed(0))
    x[3] = 0
    expected = normalize(x, dim=1)
    for scale in (1e-14, 1e-22, 1e-30):
        for layer in (x * scale, LazyLayer.of(x * scale)):
            found, zero = normalise_rows(layer)
            assert zero == 1
            torch.testing.assert_close(whole(found), expected)
    mixed = x.clone()
    mixed[::2] *= 1e-30
    assert torch.equal(normalise_rows(mixed)[0][1::2], expected[1::2])  # others keep their bytes


def test_scores_do_not_depend_on_scale() -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(120, 4))
    x, y = (z @ rng.normal(size=(4, 16)) + rng.normal(size=(120, 16)) for _ in range(2))
    scores = [
        score((x * scale).astype(dtype), y, preset="cosine", permutations=0, half_samples=0).score
        for scale in (1, 1e-14, 1e-25)
        for dtype in ("f4", "f8")
    ]
    assert scores == [scores[0]] * 6


@pytest.mark.parametrize("metric", ["mutual_knn", "cka"])
def test_a_common_offset_of_float32_features_keeps_the_score(metric: str) -> None:
    rng = np.random.default_rng(0)
    z = rng.normal(size=(150, 4))
    x, y = (z @ rng.normal(size=(4, 16)) + rng.normal(size=(150, 16)) for _ in range(2))
    for offset in (1e3, 1e5):
        near, exact = (
            score(*((side + offset).astype("f4").astype(dtype) for side in (x, y)), preset="cosine", metric=metric)
            for dtype in ("f4", "f8")
        )
        assert near.score == pytest.approx(exact.score, abs=1e-6)
        assert "the features have a large common offset" in near.checks["notes"][0]
        assert "near-duplicate" not in " ".join(near.checks["notes"])


def test_layers_with_a_common_offset_are_computed_in_float64() -> None:
    x = torch.randn(100, 8, generator=torch.Generator().manual_seed(0))
    scale = 2.0 ** torch.arange(100).remainder(7)[:, None]  # of rows that are normalised
    for features, unit, dtype in (
        (x, False, torch.float32),
        (x + 30, True, torch.float32),
        (x + 1e4, False, torch.float64),
        (scale * (x + 1e4), False, torch.float32),
        (scale * (x + 1e4), True, torch.float64),
        (torch.eye(3)[torch.arange(100) * 3 // 100], True, torch.float32),  # repeated rows
        (torch.zeros(100, 8), True, torch.float32),
    ):
        for layer in (features, LazyLayer.of(features)):
            assert resolved(layer, unit).dtype == dtype
    assert torch.equal(whole(resolved(LazyLayer.of(x + 1e4))), (x + 1e4).double())
    far = x + 1e4
    assert torch.equal(knn(far, 5), knn(far.double(), 5))


def test_errors() -> None:
    with pytest.raises(VlalignError, match="platonic"):
        ScoreOptions(preset="platonik")  # type: ignore[arg-type]
    with pytest.raises(VlalignError, match="a value of layer 1 is not finite"):
        prepare_platonic([torch.ones(3, 2), torch.tensor([[1.0, float("inf")]] * 3)])
    with pytest.raises(VlalignError, match="quantile"):
        clip_threshold(lambda: [torch.ones(2, 2)], 1.0)
    assert list(PRESETS) == ["platonic", "cosine", "none"]
