"""Batches by token budget, and what happens when one does not fit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vlalign.errors import VlalignError
from vlalign.extraction.batches import Halving, token_batches


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 1000))
def test_every_sample_once_and_no_batch_over_budget(lengths: list[int], budget: int) -> None:
    batches = token_batches(lengths, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget
    longest = [max(lengths[i] for i in batch) for batch in batches]
    assert longest == sorted(longest, reverse=True)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError("CUDA out of memory."), MemoryError()])
def test_out_of_memory_halves_the_batch_and_goes_on(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    tried: list[int] = []

    def run(batch: list[int]) -> list[int]:
        tried.append(len(batch))
        if len(batch) > 3:
            raise error
        return [i * i for i in batch]

    halving = Halving(run, len, "images", "--batch-images")
    with caplog.at_level("WARNING", "vlalign"):
        done = [pair for batch in (list(range(8)), list(range(8, 16))) for pair in halving(batch)]
    assert [i for part, _ in done for i in part] == list(range(16))
    assert [v for _, values in done for v in values] == [i * i for i in range(16)]
    assert tried == [8, 4, 2, 2, 2, 2, 2, 2, 2, 2]  # the second batch is not tried whole again
    assert "--batch-images" in caplog.text


def test_one_sample_that_does_not_fit_is_an_error() -> None:
    def run(batch: list[int]) -> None:
        raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(VlalignError, match="single sample"):
        list(Halving(run, len, "images", "--batch-images")([1, 2]))


def test_other_errors_pass_through() -> None:
    def run(batch: list[int]) -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        list(Halving(run, len, "images", "--batch-images")([1, 2]))
