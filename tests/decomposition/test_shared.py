"""Directions that two modalities share: as many as there are, none of noise, and none of shuffled pairs."""

from __future__ import annotations

import pytest
import torch

from vlalign.decomposition.classifiers import prepared
from vlalign.decomposition.shared import SharedPart, shared_part


def _part(shared: int, samples: int = 1000, width: int = 20, shuffled: bool = False) -> SharedPart:
    draw = torch.Generator().manual_seed(0)
    common = torch.randn(samples, shared, generator=draw)
    views = []
    for _ in range(2):
        own = torch.randn(samples, width - shared, generator=draw)
        mixing = torch.randn(width, width, generator=draw)
        views.append(torch.cat([common, own], dim=1) @ mixing)
    if shuffled:
        views[1] = views[1][torch.randperm(samples, generator=draw)]
    return shared_part(prepared(views[0])[1], prepared(views[1])[1], 0)


@pytest.mark.parametrize(
    ("shared", "shuffled", "expected"), [(0, False, 0), (1, False, 1), (3, False, 3), (3, True, 0)]
)
def test_directions(shared: int, shuffled: bool, expected: int) -> None:
    part = _part(shared, shuffled=shuffled)
    assert len(part.correlations) == part.places[0].shape[1] == part.places[1].shape[1] == expected
    assert all(value > 0.9 for value in part.correlations)
    assert 0 < part.null < 0.4


def test_more_features_than_samples_share_nothing_by_chance() -> None:
    assert _part(0, samples=60, width=200).correlations == []
