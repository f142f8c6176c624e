"""Exact decompositions: textbook cases, an independent optimiser, invariances, the synthetic task, and bad input."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.linalg import null_space
from scipy.optimize import LinearConstraint, minimize

from vlalign.decomposition import Decomposition, broja, mutual_information
from vlalign.decomposition.exact import decompose
from vlalign.errors import VlalignError
from vlalign.synthetic import Task
from vlalign.synthetic.quantities import decomposition

Floats = NDArray[np.float64]
PARTS = ("R", "U1", "U2", "S")


def gate(label: Any) -> Floats:
    """p(x1, x2, y) of a label that two uniform independent bits decide."""
    table = np.zeros((2, 2, 4))
    for a, b in product(range(2), repeat=2):
        table[a, b, label(a, b)] = 1 / 4
    return table


def copies() -> Floats:
    table = np.zeros((2, 2, 2))
    table[0, 0, 0] = table[1, 1, 1] = 1 / 2
    return table


def parts(result: Decomposition) -> list[float]:
    return [getattr(result, name) for name in PARTS]


@pytest.mark.parametrize(
    ("table", "bits"),
    [
        (gate(lambda a, b: a & b), (0.3113, 0, 0, 0.5)),
        (gate(lambda a, b: a ^ b), (0, 0, 0, 1)),
        (gate(lambda a, b: a), (0, 1, 0, 0)),
        (gate(lambda a, b: b), (0, 0, 1, 0)),
        (gate(lambda a, b: 2 * a + b), (0, 1, 1, 0)),
        (gate(lambda a, b: a + b), (0.5, 0, 0, 1)),  # "SUM" of Bertschinger et al. 2014
        (copies(), (1, 0, 0, 0)),
        (np.full((3, 2, 4), 1 / 24), (0, 0, 0, 0)),
    ],
    ids=["and", "xor", "copy of x1", "copy of x2", "both", "sum", "identical", "independent"],
)
def test_textbook_cases(table: Floats, bits: tuple[float, ...]) -> None:
    result = broja(table, units="bits", tolerance=1e-7)
    assert parts(result) == pytest.approx(bits, abs=1e-4)
    in_nats = broja(table.tolist(), tolerance=1e-7)
    assert parts(in_nats) == pytest.approx([value * math.log(2) for value in bits], abs=1e-4)
    assert (result.units, in_nats.units) == ("bits", "nats")


def slow_least(p: Floats) -> float:
    """The least I_q(X1,X2;Y), by a general optimiser on the polytope itself."""
    size = p.size
    rows = [np.eye(size).reshape(*p.shape, size).sum(axis=axis).reshape(-1, size) for axis in (0, 1)]
    basis = null_space(np.concatenate(rows))
    start = p.sum(axis=1)[:, None] * p.sum(axis=0)[None] / p.sum(axis=(0, 1))  # x1 and x2 independent given y
    tiny = 1e-12

    def table(z: Floats) -> Floats:
        return np.maximum(start.ravel() + basis @ z, tiny).reshape(-1, p.shape[2])

    def value(z: Floats) -> float:
        q = table(z)
        return float((q * np.log(q / q.sum(axis=1, keepdims=True))).sum())

    def slope(z: Floats) -> Floats:
        q = table(z)
        return np.asarray(basis.T @ np.log(q / q.sum(axis=1, keepdims=True)).ravel())

    inside = LinearConstraint(basis, tiny - start.ravel(), np.inf)
    done = minimize(
        value, np.zeros(basis.shape[1]), jac=slope, constraints=inside, method="SLSQP",
        options={"maxiter": 500, "ftol": 1e-10},
    )  # fmt: skip
    label = p.sum(axis=(0, 1))
    return float(done.fun) - float((label * np.log(label)).sum())


@pytest.mark.parametrize("seed", range(6))
def test_an_independent_optimiser_agrees(seed: int) -> None:
    draw = np.random.default_rng(seed)
    shape = [(2, 2, 2), (2, 3, 2), (3, 3, 2), (3, 2, 3), (4, 3, 2), (3, 3, 3)][seed]
    p = draw.dirichlet(np.full(math.prod(shape), [1.0, 0.4][seed % 2])).reshape(shape)
    result = broja(p)
    least = slow_least(p)
    assert pytest.approx(mutual_information(p.reshape(-1, shape[2]))) == result.I12
    assert parts(result) == pytest.approx(
        [result.I1 + result.I2 - least, least - result.I2, least - result.I1, result.I12 - least], abs=1e-4
    )


@st.composite
def tables(draw: st.DrawFn) -> Floats:
    shape = draw(st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3)))
    weights = draw(st.lists(st.integers(0, 9), min_size=math.prod(shape), max_size=math.prod(shape)).filter(any))
    return np.array(weights, dtype=float).reshape(shape) / sum(weights)


@given(tables(), st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_invariances(p: Floats, random: Any) -> None:
    result = broja(p)
    assert result.gap <= 1e-5
    assert min(parts(result)) >= 0
    assert sum(parts(result)) == pytest.approx(result.I12)
    assert pytest.approx(result.I1) == result.R + result.U1
    assert pytest.approx(result.I2) == result.R + result.U2
    near = {"abs": 3e-5}
    swapped = broja(p.transpose(1, 0, 2))
    assert parts(swapped) == pytest.approx([result.R, result.U2, result.U1, result.S], **near)
    permuted = p[random.sample(range(len(p)), len(p))][:, :, random.sample(range(p.shape[2]), p.shape[2])]
    assert parts(broja(permuted)) == pytest.approx(parts(result), **near)
    split = np.concatenate([p, np.zeros_like(p[:1]), 0.3 * p[:1]])  # one state becomes two, and one cannot occur
    split[0] *= 0.7
    assert parts(broja(split)) == pytest.approx(parts(result), **near)


def test_probabilities_of_very_different_sizes() -> None:
    for seed in range(8):
        p = np.random.default_rng(seed).dirichlet(np.full(60, 0.02)).reshape(4, 5, 3)
        result = broja(p, tolerance=1e-6)
        assert result.gap <= 1e-6
        assert min(parts(result)) >= 0


@pytest.mark.parametrize(
    ("uniqueness", "expected", "source"),
    [
        (5, (0.384, 0.110, 0.388, 0.278), 0.259),
        (6, (0.363, 0.130, 0.244, 0.421), 0.152),
        (8, (0.273, 0.094, 0.201, 0.591), 0),
    ],
)
def test_the_synthetic_task(uniqueness: int, expected: tuple[float, ...], source: float) -> None:
    result, shared = decomposition(Task(), uniqueness)
    assert result is not None
    assert parts(result) == pytest.approx(expected, abs=0.001)
    assert shared == pytest.approx(source, abs=0.001)


def test_shared_and_synergistic_bits() -> None:
    small = {"shared_bits": 3, "unique_bits": 2}
    shared, source = decomposition(Task(relevant_bits=2, **small), 0)
    assert shared is not None
    assert parts(shared) == pytest.approx([shared.I12, 0, 0, 0], abs=1e-4)
    assert source == pytest.approx(shared.I12)
    together, source = decomposition(Task(relevant_bits=2, synergy=2, **small), 0)
    assert together is not None
    assert parts(together) == pytest.approx([0, 0, 0, together.I12], abs=1e-4)
    assert source == pytest.approx(0, abs=1e-9)
    assert decomposition(Task(modalities=3, relevant_bits=2, **small), 1)[0] is None


def test_result_as_text_and_table() -> None:
    result = broja(gate(lambda a, b: a ^ b), units="bits")
    assert repr(result).startswith("Decomposition(R=0.0000, U1=0.0000, U2=0.0000, S=1.0000, I1=0.0000")
    frame = result.to_frame()
    assert frame.shape == (1, 9)
    assert frame["S"][0] == result.S
    assert frame["units"][0] == "bits"


@pytest.mark.parametrize(
    ("p", "message"),
    [
        (np.full((2, 4), 1 / 8), r"p: expected probabilities \[X1, X2, Y\], got shape \[2, 4\]"),
        (np.full((2, 2, 2), 1.0), "sum to 1, got 8"),
        ([[[1.5, -0.5]]], "at least 0, got -0.5"),
        ([[[math.nan, 1]]], "got NaN or infinity"),
        ("and", "p"),
    ],
)
def test_bad_tables(p: Any, message: str) -> None:
    with pytest.raises(VlalignError, match=message):
        broja(p)


def test_bad_options() -> None:
    with pytest.raises(VlalignError, match="units: expected nats or bits, got 'bans'"):
        broja(copies(), units="bans")  # type: ignore[arg-type]
    with pytest.raises(VlalignError, match="tolerance: expected a positive number, got 0"):
        broja(copies(), tolerance=0)
    wide = np.random.default_rng(0).dirichlet(np.ones(20), 1000) / 1000
    with pytest.raises(VlalignError, match="1000 × 1000 distinct states and 20 classes is too large"):
        decompose(wide, wide, 1.0)
