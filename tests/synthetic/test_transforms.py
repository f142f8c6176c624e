"""φ against torch.nn networks built in the documented order; the same for every U and every grid."""

from __future__ import annotations

import pytest
import torch
from support.synthetic import small
from torch import Tensor, nn

from vlalign.errors import VlalignError
from vlalign.synthetic import make_data
from vlalign.synthetic.distribution import all_bits
from vlalign.synthetic.transforms import PHI_NONLINEARITIES, linear_init, make_phi

FUNCTIONS = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "relu": nn.ReLU}


def built_in_order(width: int, deepest: int, modalities: int, nonlinearity: str, seed: int) -> list[list[nn.Module]]:
    """φ of each depth from 1 and modality, one after the other from one generator, as the released code draws them."""
    torch.manual_seed(seed)
    made = []
    for depth in range(1, deepest + 1):
        networks: list[nn.Module] = []
        for _ in range(modalities):
            layers: list[nn.Module] = [nn.Linear(width, width)]
            for _ in range(depth):
                layers += [FUNCTIONS[nonlinearity](), nn.Linear(width, width)]
            networks.append(nn.Sequential(*layers))
        made.append(networks)
    return made


def values(network: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return network(x)


@pytest.mark.parametrize("nonlinearity", PHI_NONLINEARITIES)
@pytest.mark.parametrize("modalities", [1, 2])
def test_networks_are_those_of_torch(nonlinearity: str, modalities: int) -> None:
    x = torch.from_numpy(all_bits(6)).float()
    expected = built_in_order(6, 4, modalities, nonlinearity, 0)
    for depth, networks in enumerate(expected, start=1):
        phis = make_phi(6, depth, modalities, nonlinearity, 0)
        assert [len(phi.weights) for phi in phis] == [depth + 1] * modalities
        for phi, network in zip(phis, networks, strict=True):
            linears = [layer for layer in network.children() if isinstance(layer, nn.Linear)]
            for weight, bias, layer in zip(phi.weights, phi.biases, linears, strict=True):
                assert torch.equal(weight, layer.weight)
                assert torch.equal(bias, layer.bias)
            assert torch.equal(phi(x), values(network, x))


def test_the_published_transform_of_modality_2() -> None:
    x = torch.from_numpy(all_bits(12)).float()
    for depth, (network,) in enumerate(built_in_order(12, 10, 1, "tanh", 0), start=1):
        assert torch.equal(make_phi(12, depth, 1)[0](x), values(network, x))


def test_seeds_and_global_generators() -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, again, other = make_phi(5, 2, 1), make_phi(5, 2, 1), make_phi(5, 2, 1, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first[0].weights, again[0].weights, strict=True))
    assert not torch.equal(first[0].weights[0], other[0].weights[0])


def test_features_pass_through_the_same_transform_whatever_u_and_the_grid() -> None:
    config = small(phi_depths=(3,))
    grid = small(phi_depths=(1, 2, 3, 9))
    for modality in (0, 1):
        tables = []
        for made, uniqueness in ((config, 0), (config, 5), (grid, 0), (grid, 5)):
            data = make_data(made, uniqueness)
            tables.append(data.inputs(modality, 3)[0])
        # the split differs with U, and with it mean and sd of train: the features are the same up to both
        assert torch.equal(tables[0], tables[2])
        assert torch.equal(tables[1], tables[3])
        scaled = [(table - table.mean(dim=0)) / table.std(dim=0) for table in tables]
        assert torch.allclose(scaled[0], scaled[1], atol=1e-5)


def test_modality_1_has_a_transform_only_if_asked() -> None:
    plain, transformed = make_data(small(), 0), make_data(small(phi_on="all"), 0)
    assert torch.equal(plain.inputs(0, 1)[0], plain.inputs(0, 3)[0])
    assert len(plain.inputs(0, 1)[0].unique()) <= 2 * 12  # two values a bit
    assert len(transformed.inputs(0, 1)[0].unique()) > 1000
    assert not torch.equal(transformed.inputs(0, 1)[0], transformed.inputs(0, 3)[0])
    assert not torch.equal(transformed.inputs(0, 1)[0], transformed.inputs(1, 1)[0])


def test_linear_layers_that_are_not_square() -> None:
    torch.manual_seed(4)
    layer = nn.Linear(7, 3)
    weight, bias = linear_init(3, 7, torch.Generator().manual_seed(4))
    assert torch.equal(weight, layer.weight)
    assert torch.equal(bias, layer.bias)


def test_errors() -> None:
    with pytest.raises(VlalignError, match="phi_nonlinearity is 'gelu': allowed is tanh, sigmoid, relu"):
        make_phi(3, 1, 1, "gelu")
    for depth in (0, -1):
        with pytest.raises(VlalignError, match=f"phi_depths has {depth}: allowed is 1 or more"):
            make_phi(3, depth, 1)
