"""A record of information for experiments: estimating one takes longer than an experiment of tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

_ONE = {"value": 0.4, "low": 0.3, "high": 0.5, "null": 0.01, "p": 0.005, "detected": True}
_NONE = {"value": 0.01, "low": 0.0, "high": 0.03, "null": 0.02, "p": 0.3, "detected": False}
RECORD: dict[str, Any] = {
    "estimates": {"R": _ONE, "U1": _NONE, "U2": {**_ONE, "value": 0.25}, "S": _NONE},
    "units": "bits",
    "label_entropy": 1.0,
    "samples": 60,
}


@pytest.fixture(scope="package", autouse=True)
def _information() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vlalign.advice.study.estimate", lambda *_: RECORD)
        yield
