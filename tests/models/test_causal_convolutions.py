"""Causal convolutions: the receptive field to the entry, sums and integrals to one, and streaming that changes nothing."""

import itertools
import math

import pytest
import torch
from torch.nn import functional as F

from dgmcourse.core import Kind, Space
from dgmcourse.models import CausalConvolutions

TOKENS, REAL = Space.tokens(24, 5), Space.real(24)


def stirred(space: Space, **sizes) -> CausalConvolutions:
    """A small model with large weights, in float64."""
    torch.manual_seed(0)
    model = CausalConvolutions(space, **{"channels": 8, "layers": 3} | sizes).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


def members(space: Space, n: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    if space.kind == "tokens":
        return torch.randint(space.levels, (n, *space.shape), generator=generator)
    return torch.randn(n, *space.shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(("layers", "kernel", "reach"), [(1, 2, 2), (3, 2, 8), (4, 2, 16), (2, 3, 7), (3, 3, 15)])
@pytest.mark.parametrize("space", [TOKENS, REAL], ids=str)
def test_the_receptive_field_is_exactly_as_documented(space, layers, kernel, reach):
    """A changed entry reaches the next `receptive_field` entries, all of them, and no other one."""
    model = stirred(space, layers=layers, kernel=kernel)
    assert model.receptive_field == reach == 1 + (kernel - 1) * (2**layers - 1)
    x = members(space, 3)
    before = model.logits(x)
    for i in (0, 3, 20):
        changed = x.clone()
        changed[:, i] = (changed[:, i] + 1) % 5
        moved = (model.logits(changed) != before).any(-1).any(0)
        expected = torch.zeros(24, dtype=torch.bool)
        expected[i + 1 : i + 1 + reach] = True
        assert torch.equal(moved, expected)


def test_the_jacobian_is_strictly_causal():
    model, x = stirred(REAL, layers=5), members(REAL, 1)
    jacobian = torch.autograd.functional.jacobian(lambda one: model.logits(one[None])[0], x[0])  # (24, 3, 24)
    size = jacobian.abs().sum(1)
    assert (size.triu() == 0).all()
    assert (size.tril(-1) + torch.ones_like(size).triu() > 0).all()


def test_a_layer_is_a_dilated_convolution():
    """The same numbers as torch's own convolution of the padded input."""
    model, x = stirred(REAL, layers=1, kernel=3), members(REAL, 2)
    layer = model.layers[0]
    h = model._embedded(x[:, :-1], first=True)
    kernel = layer.gates.weight.view(16, 3, 8).movedim(1, 2)  # (outputs, channels, kernel)
    gates = F.conv1d(F.pad(h.mT, (2, 0)), kernel, layer.gates.bias)
    a, b = gates.mT.chunk(2, dim=-1)
    expected = model.head(layer.skip(torch.tanh(a) * torch.sigmoid(b)))
    torch.testing.assert_close(model.logits(x), expected)


@pytest.mark.parametrize("classes", [None, 3])
@pytest.mark.parametrize("space", [TOKENS, REAL], ids=str)
def test_streaming_equals_computing_everything_anew(space, classes):
    model = stirred(space, classes=classes, kernel=3, components=2)
    y = None if classes is None else torch.tensor([0, 2, 1, 1])
    x = members(space, 4)
    at_once, score = model.logits(x, y), model.scorer(4, y)
    for t in (0, 1, 2, 7, 8, 23):  # entries that are given are skipped
        torch.testing.assert_close(score(x, t), at_once[:, t])
    torch.manual_seed(3)
    streamed = model.sample(4, y)
    model.scorer = super(CausalConvolutions, model).scorer
    torch.manual_seed(3)
    torch.testing.assert_close(streamed, model.sample(4, y))


@pytest.mark.parametrize("classes", [None, 2])
def test_probabilities_of_all_short_texts_sum_to_one(classes):
    model = stirred(Space.tokens(6, 3), layers=2, classes=classes)
    states = torch.tensor(list(itertools.product(range(3), repeat=6)))
    for label in range(classes or 1):
        found = model.log_prob(states, None if classes is None else torch.full((len(states),), label))
        assert found.kind is Kind.EXACT
        assert float(found.value.detach().exp().sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("components", [1, 3])
def test_the_density_of_two_values_integrates_to_one(components):
    model = stirred(Space.real(2), components=components)
    line = torch.linspace(-15, 15, 301, dtype=torch.float64)
    with torch.no_grad():
        mass = model.log_prob(torch.cartesian_prod(line, line)).value.exp().sum() * 0.1**2
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_samples_of_reals_are_distributed_as_the_density_says():
    """One value of a mixture of three: its probability integral transform is uniform."""
    model = stirred(Space.real(1), components=3)
    with torch.no_grad():
        torch.manual_seed(0)
        x = model.sample(20_000)[:, 0]
        weights, means, scales = model.mixture(model.logits(x[:1, None]))
        below = (weights.exp() * torch.distributions.Normal(means, scales.exp()).cdf(x[:, None, None])).sum(-1)[:, 0]
    even = (torch.arange(20_000) + 0.5) / 20_000
    assert float((below.sort().values - even).abs().max()) < 1.63 / math.sqrt(20_000)  # Kolmogorov, 1 %


def test_temperature_narrows_a_gaussian_to_its_power():
    """p^(1/T) of N(m, s²) is N(m, T s²)."""
    model = stirred(Space.real(1))
    torch.manual_seed(0)
    with torch.no_grad():
        _, mean, spread = model.mixture(model.logits(torch.zeros(1, 1, dtype=torch.float64))[0, 0])
        x = torch.cat(list(model.trajectory(20_000, temperature=0.25)))
    assert float(x.mean()) == pytest.approx(float(mean), abs=0.03 * float(spread.exp()))
    assert float(x.std()) == pytest.approx(0.5 * float(spread.exp()), rel=0.03)
    (cold,) = model.trajectory(2, temperature=0.0)
    torch.testing.assert_close(cold, mean.expand(2, 1))


def test_the_condition_reaches_every_entry():
    model, x = stirred(REAL, classes=3), members(REAL, 2)
    first, second = (model.logits(x, torch.full((2,), label)) for label in (0, 2))
    assert (first != second).any(-1).all()


def test_densities_stay_finite_where_a_value_repeats():
    """A series without noise would have an infinite density; the standard deviations have a floor."""
    model = stirred(REAL)
    with torch.no_grad():
        model.head[-1].bias[2] = -1e6
    assert torch.isfinite(model.log_prob(members(REAL, 3)).value).all()


def test_what_cannot_be_is_refused():
    for space in (Space.binary(1, 8, 8), Space.real(3, 4)):
        with pytest.raises(ValueError, match="tokens or a series"):
            CausalConvolutions(space)
    with pytest.raises(ValueError, match="kernel ≥ 2"):
        CausalConvolutions(TOKENS, kernel=1)
    with pytest.raises(ValueError, match="top_k and top_p choose among tokens"):
        next(CausalConvolutions(REAL).trajectory(2, top_p=0.5))
