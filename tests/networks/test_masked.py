"""Masked networks: what may see what, exactly."""

import pytest
import torch

from dgmcourse.networks import MaskedLinear, MaskedMLP, autoregressive_masks

ORDERINGS = [(0, 1, 2, 3, 4), (4, 3, 2, 1, 0), (2, 0, 4, 1, 3)]


def reach(masks: list[torch.Tensor]) -> torch.Tensor:
    """Number of paths from each input to each output: (outputs, inputs)."""
    paths = masks[0].double()
    for mask in masks[1:]:
        paths = mask.double() @ paths
    return paths


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("hidden", [(), (16,), (24, 32), (3, 64)], ids=str)
@pytest.mark.parametrize("seed", [None, 0])
def test_there_is_a_path_exactly_from_what_comes_before(ordering, hidden, seed):
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    found = reach(autoregressive_masks(ordering, hidden, 2, generator))
    place = torch.tensor(ordering)
    before = (place[:, None] > place).repeat_interleave(2, 0)
    assert not found[~before].any()
    if seed is None and min(hidden, default=4) >= 4:  # wide enough for each degree, spread evenly
        assert found[before].all()


def test_a_context_is_seen_by_all_and_hides_nothing():
    found = reach(autoregressive_masks((1, 0, 2), (12, 12), 1, context=2))
    assert found[:, 3:].all()
    assert (found[:, :3] > 0).tolist() == [[False, True, False], [False, False, False], [True, True, False]]


@pytest.mark.parametrize("ordering", [(0, 0, 1), (1, 2, 3), ()])
def test_an_ordering_is_a_permutation(ordering):
    with pytest.raises(ValueError, match="permutation"):
        autoregressive_masks(ordering, (8,), 1)


def test_random_degrees_leave_no_hidden_unit_blind():
    for seed in range(20):
        for mask in autoregressive_masks(range(9), (4, 30, 30), 1, torch.Generator().manual_seed(seed))[:-1]:
            assert mask.any(1).all()


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize("seed", [None, 5])
def test_the_jacobian_is_exactly_zero_where_it_must_be(ordering, context, seed):
    torch.manual_seed(0)
    network = MaskedMLP(5, (32, 32), 2, ordering, context, "silu", seed)
    y = torch.randn(1, context) if context else None
    jacobian = torch.autograd.functional.jacobian(lambda x: network(x, y)[0], torch.randn(1, 5))[:, :, 0]
    place = torch.tensor(ordering)
    after = place[:, None] <= place
    assert (jacobian.abs().amax(1)[after] == 0).all()
    if seed is None:
        assert (jacobian.abs().amin(1)[~after] > 0).all()
    if context:
        by_context = torch.autograd.functional.jacobian(lambda y: network(torch.zeros(1, 5), y)[0], y)[:, :, 0]
        assert (by_context.abs().amax((1, 2)) > 0).all()  # the first output too


@pytest.mark.parametrize("ordering", ORDERINGS)
@pytest.mark.parametrize(("hidden", "seed"), [((), None), ((16,), None), ((24, 40, 16), None), ((24, 40, 16), 3)])
@pytest.mark.parametrize("context", [0, 2])
def test_one_by_one_gives_what_the_whole_network_gives(ordering, hidden, seed, context):
    torch.manual_seed(1)
    network = MaskedMLP(5, hidden, 3, ordering, context, "silu", seed).double()
    x, y = torch.randn(4, 5).double(), torch.randn(4, context).double() if context else None
    whole, turns = network(x, y), network.one_by_one(4, y)
    out = next(turns)
    for i in network.order:
        torch.testing.assert_close(out, whole[:, i], rtol=1e-12, atol=1e-12)
        out = turns.send(x[:, i])
    assert out is None


def test_gradients_through_one_by_one_are_those_of_the_whole():
    torch.manual_seed(2)
    network = MaskedMLP(4, (16, 16), 2, (2, 0, 3, 1)).double()
    x = torch.randn(6, 4).double()
    network(x).square().sum().backward()
    whole = [p.grad.clone() for p in network.parameters()]
    network.zero_grad()
    turns, total = network.one_by_one(6), 0
    out = next(turns)
    for i in network.order:
        total = total + out.square().sum()
        out = turns.send(x[:, i])
    total.backward()
    for p, expected in zip(network.parameters(), whole, strict=True):
        torch.testing.assert_close(p.grad, expected)


def test_connecting_anew_changes_the_masks_in_place():
    network = MaskedMLP(4, (16,), 1)
    before = [layer.mask for layer in network.layers]
    network.connect((3, 2, 1, 0), seed=1)
    assert all(layer.mask is mask for layer, mask in zip(network.layers, before, strict=True))
    assert network.order == [3, 2, 1, 0]
    assert not network(torch.randn(2, 4))[:, 3].sub(network(torch.randn(2, 4))[:, 3]).any()
    with pytest.raises(ValueError, match="place 4 inputs"):
        network.connect((0, 1))


def test_masked_weights_get_no_gradient_and_masks_are_not_saved():
    layer = MaskedLinear(3, 2)
    layer.mask[0, 1] = 0
    layer(torch.randn(5, 3)).sum().backward()
    assert layer.weight.grad[0, 1] == 0
    assert layer.weight.grad.count_nonzero() == 5
    assert set(layer.state_dict()) == {"weight", "bias"}


def test_a_missing_or_unexpected_context_is_refused_in_words():
    with pytest.raises(ValueError, match=r"context of shape \(2, 3\), got None"):
        MaskedMLP(4, (8,), 1, context=3)(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"shape None, got \(2, 3\)"):
        MaskedMLP(4, (8,), 1)(torch.zeros(2, 4), torch.zeros(2, 3))
