"""Precision of text models."""

from __future__ import annotations

import pytest
import torch

from vlalign.errors import VlalignError
from vlalign.extraction.options import ExtractOptions
from vlalign.models.precision import check_quantization, choose_dtype


@pytest.mark.parametrize(("requested", "modality", "expected"), [
    ("auto", "text", "float32"), ("auto", "vision", "float32"), ("bfloat16", "text", "bfloat16"),
])  # fmt: skip
def test_dtype_on_a_cpu(requested: str, modality: str, expected: str) -> None:
    name, reason = choose_dtype(requested, modality, torch.device("cpu"))
    assert name == expected
    assert reason


def test_dtype_on_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert choose_dtype("auto", "text", torch.device("cuda"))[0] == "bfloat16"
    name, reason = choose_dtype("auto", "vision", torch.device("cuda"))
    assert (name, "published ones are float32" in reason) == ("bfloat16", True)
    assert choose_dtype("auto", "vision", torch.device("xpu"))[0] == "float32"
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    assert choose_dtype("auto", "text", torch.device("cuda"))[0] == "float16"
    assert choose_dtype("auto", "vision", torch.device("cuda"))[0] == "float32"


def test_quantization_is_checked() -> None:
    check_quantization("nf4", "text", "m")
    with pytest.raises(VlalignError, match="vision model"):
        check_quantization("int8", "vision", "m")
    for wrong in ({"quantization": "int4"}, {"dtype": "float64"}):
        with pytest.raises(VlalignError, match=rf"{next(iter(wrong))}: expected .*(int8|float32)"):
            ExtractOptions(models=("m",), **wrong)
