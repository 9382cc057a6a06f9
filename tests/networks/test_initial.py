"""Where networks start."""

import pytest
import torch
from torch import nn

from dgmcourse.networks import MLP, ConvDecoder, ConvEncoder, he_initialized


def test_signals_keep_their_size_through_a_deep_network():
    torch.manual_seed(0)
    deep = he_initialized(MLP(200, (200,) * 10, 200, "leaky_relu"))
    shrinking = MLP(200, (200,) * 10, 200, "leaky_relu")
    x = torch.randn(500, 200)
    with torch.no_grad():
        assert 0.5 < float(deep(x).std()) < 2.5
        assert float(shrinking(x).std()) < 0.1


@pytest.mark.parametrize(
    ("layer", "summed"),
    [
        (nn.Linear(300, 400), 300),
        (nn.Conv2d(32, 48, 3, stride=2), 32 * 9),
        (nn.ConvTranspose2d(32, 48, 4, stride=2), 32 * 4),  # of 16 kernel entries, 4 meet in each output
    ],
    ids=["linear", "convolution", "transposed"],
)
def test_the_variance_is_two_over_the_inputs_of_one_output(layer, summed):
    torch.manual_seed(0)
    he_initialized(layer, slope=0.0)
    assert float(layer.weight.detach().var()) == pytest.approx(2 / summed, rel=0.05)
    assert not layer.bias.detach().any()


def test_every_layer_of_the_convolutional_networks_is_reached():
    torch.manual_seed(0)
    for network in (ConvEncoder((1, 8, 8), (4, 8), 3), ConvDecoder(3, (1, 8, 8), (4, 8), 1)):
        he_initialized(network)
        assert not any(p.detach().any() for name, p in network.named_parameters() if name.endswith("bias"))
