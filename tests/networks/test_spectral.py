"""Spectral normalization against the singular value decomposition and against torch's own."""

import copy

import pytest
import torch
from torch import nn

from dgmcourse.networks import MLP, ConvEncoder, spectrally_normalized

LAYERS = [nn.Linear(20, 30), nn.Linear(5, 1), nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 4, stride=2)]


@pytest.mark.parametrize("layer", LAYERS, ids=str)
def test_after_enough_steps_the_largest_singular_value_is_one(layer):
    torch.manual_seed(0)
    layer = copy.deepcopy(layer).double()
    plain = layer.weight.detach().clone()
    spectrally_normalized(layer).train()
    for _ in range(300):
        weight = layer.weight  # each use in training mode is one iteration
    torch.testing.assert_close(torch.linalg.svdvals(weight.flatten(1))[0].item(), 1.0, rtol=1e-6, atol=0)
    torch.testing.assert_close(weight * torch.linalg.svdvals(plain.flatten(1))[0], plain)


def test_it_agrees_with_torchs_own_once_both_have_converged():
    torch.manual_seed(0)
    ours = nn.Linear(7, 9).double()
    theirs = nn.utils.parametrizations.spectral_norm(copy.deepcopy(ours))
    spectrally_normalized(ours)
    for _ in range(500):
        found, expected = ours.weight, theirs.weight
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-8)
    gradients = []
    for layer in (ours, theirs):
        layer(torch.ones(2, 7, dtype=torch.float64)).pow(3).sum().backward()
        gradients.append(layer.parametrizations.weight.original.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-7)


def test_in_evaluation_mode_nothing_moves():
    network = spectrally_normalized(MLP(4, (8,), 1)).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    x = torch.randn(3, 4)
    torch.testing.assert_close(network(x), network(x), rtol=0, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_two_uses_before_one_backward_pass_are_allowed():
    """Power iteration moves u in place; the graph of the first use must not notice."""
    network = spectrally_normalized(ConvEncoder((1, 8, 8), (4,), 1)).train()
    x = torch.randn(2, 1, 8, 8)
    (network(x).sum() + network(x + 1).sum()).backward()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters())


def test_half_precision_leaves_the_norm_alone():
    torch.manual_seed(0)
    layer = spectrally_normalized(nn.Linear(30, 20)).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(200):
            weight = layer.weight
    assert weight.dtype == torch.float32
    assert float(torch.linalg.svdvals(weight.detach())[0]) == pytest.approx(1, abs=1e-4)
