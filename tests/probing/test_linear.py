"""Linear models of probes against slow solutions in the original features."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from vlalign.probing.linear import logistic, outputs_of, principal_axes, ridge

STRENGTHS = (1e-3, 1e-1)


@pytest.fixture(params=[5, 70], ids=["narrow", "wide"])
def x(request: pytest.FixtureRequest) -> Tensor:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(40, request.param, generator=draw) * 3 + 1
    x[:, 1] = 7.0  # constant
    return x


def standardised(x: Tensor) -> Tensor:
    spread = x.std(dim=0, correction=0)
    z = (x - x.mean(dim=0)) / spread / x.shape[1] ** 0.5
    return torch.where(spread > 0, z, 0).double()


def test_ridge_solves_the_normal_equations(x: Tensor) -> None:
    y = torch.randn(40, 2, generator=torch.Generator().manual_seed(1))
    axes, z = principal_axes(x), standardised(x)
    outputs = outputs_of(ridge(axes, y, STRENGTHS), axes.coordinates(x))
    for one, strength in zip(outputs, STRENGTHS, strict=True):
        centred = y.double() - y.double().mean(dim=0)
        system = z.T @ z / 40 + strength * torch.eye(x.shape[1]).double()
        slow = z @ torch.linalg.solve(system, z.T @ centred / 40) + y.double().mean(dim=0)
        assert torch.allclose(one.double(), slow, atol=1e-4)


@pytest.mark.parametrize("joint", [True, False], ids=["classes", "labels"])
def test_logistic_minimises_the_penalised_loss(x: Tensor, joint: bool) -> None:
    places = torch.arange(40) % 3
    y = F.one_hot(places, 3).bool() if joint else torch.stack([places == 0, places < 2], dim=1)
    axes, z = principal_axes(x), standardised(x)
    outputs = outputs_of(logistic(axes, y, STRENGTHS, joint), axes.coordinates(x))
    for one, strength in zip(outputs, STRENGTHS, strict=True):
        w = torch.zeros(x.shape[1], y.shape[1], dtype=torch.float64, requires_grad=True)
        b = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
        slow = torch.optim.LBFGS([w, b], max_iter=300, line_search_fn="strong_wolfe", tolerance_change=1e-14)

        def loss(w: Tensor = w, b: Tensor = b, strength: float = strength) -> Tensor:
            for one in (w, b):
                one.grad = None
            if joint:
                value = F.cross_entropy(z @ w + b, places)
            else:
                weight = (~y).sum(dim=0) / y.sum(dim=0)
                value = F.binary_cross_entropy_with_logits(z @ w + b, y.double(), pos_weight=weight, reduction="sum")
                value = value / len(y)
            value = value + strength / 2 * w.square().sum()
            value.backward()
            return value

        slow.step(loss)
        difference = one.double() - (z @ w + b).detach()
        if joint:  # the softmax does not see a constant
            difference = difference - difference.mean(dim=1, keepdim=True)
        assert difference.abs().max() < 0.02 * (z @ w).detach().abs().max()
