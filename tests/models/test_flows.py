"""Flows as models: densities that integrate to one, bounds below the truth, both directions in agreement."""

import itertools
import math

import pytest
import torch
from torch import nn

from dgmcourse import Space, fit
from dgmcourse.core import Kind, Latent
from dgmcourse.data import toys
from dgmcourse.models.flows import AutoregressiveFlow, CouplingFlow, Flow, SplineFlow, log_standard_normal
from dgmcourse.models.flows.coupling import halves

PLANE = Space.real(2)
MAKERS = {
    "NICE": lambda space, **options: CouplingFlow(space, 4, (16,), scale="additive", **options),
    "RealNVP": lambda space, **options: CouplingFlow(space, 4, (16,), **options),
    "MAF": lambda space, **options: AutoregressiveFlow(space, 3, (16,), **options),
    "IAF": lambda space, **options: AutoregressiveFlow(space, 3, (16,), direction="sampling", **options),
    "spline coupling": lambda space, **options: SplineFlow(space, 4, hidden=(16,), **options),
    "masked spline": lambda space, **options: SplineFlow(space, 2, hidden=(16,), autoregressive=True, **options),
}
every_flow = pytest.mark.parametrize("name", MAKERS)


def made(name: str, space: Space = PLANE, std: float = 0.2, **options) -> Flow:
    """A flow in float64 whose weights are not those of the identity."""
    torch.manual_seed(0)
    flow = MAKERS[name](space, **options).double().eval()
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=std)
    return flow


def square(half: float = 14.0, side: int = 351) -> tuple[torch.Tensor, float]:
    """The middles of side² equal cells of [−half, half]², and the area of one."""
    step = 2 * half / side
    axis = (torch.arange(side, dtype=torch.float64) + 0.5) * step - half
    return torch.cartesian_prod(axis, axis), step**2


@every_flow
@torch.no_grad()
def test_the_density_integrates_to_one(name):
    points, area = square()
    flow = made(name)
    log_p = flow.log_density(points)
    assert (log_p - log_standard_normal(points)).abs().max() > 0.3  # it is not the identity
    assert float(log_p.exp().sum()) * area == pytest.approx(1, abs=1e-3)
    assert flow.log_prob(points[:3]).kind is Kind.EXACT


@every_flow
@torch.no_grad()
def test_a_conditional_density_integrates_to_one_for_each_label(name):
    (points, area), flow = square(side=281), made(name, classes=3)
    found = [flow.log_density(points, torch.full((len(points),), label)) for label in range(3)]
    for log_p in found:
        assert float(log_p.exp().sum()) * area == pytest.approx(1, abs=1e-3)
    assert (found[0] - found[1]).abs().max() > 0.01
    with pytest.raises(ValueError, match="pass y"):
        flow.log_prob(points[:2])


@every_flow
@torch.no_grad()
def test_samples_come_from_the_density(name):
    """Moments of 20,000 samples against the same moments of the density, by the grid."""
    torch.manual_seed(1)
    flow, (points, area) = made(name), square()
    weights = flow.log_density(points).exp() * area
    samples = flow.sample(20_000)
    for moment in (
        lambda x: x[:, 0],
        lambda x: x[:, 1],
        lambda x: x[:, 0] * x[:, 1],
        lambda x: x[:, 1].sin(),
    ):
        values = moment(samples)
        standard_error = float(values.std()) / math.sqrt(len(values))
        assert float(values.mean()) == pytest.approx(float(weights @ moment(points)), abs=4.5 * standard_error + 1e-3)


@every_flow
@torch.no_grad()
def test_encoding_and_decoding_undo_each_other_and_states_lead_from_noise_to_data(name):
    flow = made(name, Space.real(2, 3))
    assert isinstance(flow, Latent)
    assert flow.latents == 6
    x = torch.randn(50, 2, 3, dtype=torch.float64)
    z = flow.encode(x)
    assert z.shape == (50, 6)
    torch.testing.assert_close(flow.decode(z), x, rtol=0, atol=1e-9)
    states = list(flow.states(z))
    assert len(states) == len(flow.layers) + 1
    assert all(state.shape == x.shape for state in states)
    torch.testing.assert_close(states[0].flatten(1), z)
    torch.testing.assert_close(states[-1], x, rtol=0, atol=1e-9)
    state = x.flatten(1)
    for layer, expected in zip(flow.layers, reversed(states[:-1]), strict=True):  # and back, layer by layer
        state, _ = layer(state)
        torch.testing.assert_close(state, expected.flatten(1), rtol=0, atol=1e-8)


@every_flow
@torch.no_grad()
def test_a_samples_density_is_its_noises_less_the_stretching_on_the_way(name):
    """What the slow direction finds is what the fast one says: for MAF the sampling is slow, for IAF the density."""
    flow = made(name, Space.real(4))
    z = torch.randn(30, 4, dtype=torch.float64)
    state, total = z, torch.zeros(30, dtype=torch.float64)
    for layer in reversed(flow.layers):
        state, log_det = layer.inverse(state)
        total = total + log_det
    torch.testing.assert_close(flow.log_density(state), log_standard_normal(z) - total, rtol=0, atol=1e-8)
    torch.testing.assert_close(flow.encode(state), z, rtol=0, atol=1e-8)


@torch.no_grad()
def test_iaf_is_maf_the_other_way_round():
    maf, iaf = made("MAF", Space.real(4)), made("IAF", Space.real(4))
    for layer, other in zip(maf.layers, iaf.layers, strict=True):
        other.bijection.load_state_dict(layer.state_dict())
    x = torch.randn(20, 4, dtype=torch.float64)
    for layer, other in zip(maf.layers, iaf.layers, strict=True):
        for ours, theirs in zip(layer(x), other.inverse(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)
        for ours, theirs in zip(layer.inverse(x), other(x), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_nice_keeps_volume_but_for_its_last_scale():
    flow, x = made("NICE"), torch.randn(9, 2, dtype=torch.float64)
    for layer in flow.layers[:-1]:
        assert not layer(x)[1].any()
    torch.testing.assert_close(flow.to_noise(x, None)[1], flow.layers[-1].log_scale.sum().expand(9))


@every_flow
@pytest.mark.parametrize("far", [1e6, -1e6, 5.5, -5.5])
def test_far_points_have_a_finite_density_and_gradient(name, far):
    torch.manual_seed(0)
    flow = MAKERS[name](PLANE)
    for parameter in flow.parameters():
        nn.init.normal_(parameter, std=0.1)
    loss = -flow.log_prob(torch.tensor([[far, 0.0], [0.3, far], [far, far]])).value.sum()
    assert torch.isfinite(loss)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in flow.parameters() if p.grad is not None)


@pytest.mark.parametrize("dim", [2, 3, 5, 6, 64])
def test_every_pair_of_entries_is_parted_by_some_coupling(dim):
    bits = (dim - 1).bit_length()
    layers = torch.tensor([halves(dim, i) for i in range(2 * bits)])
    for i, j in itertools.combinations(range(dim), 2):
        assert (layers[:, i] & ~layers[:, j]).any()
        assert (layers[:, j] & ~layers[:, i]).any()
    assert all(0 < int(kept.sum()) < dim for kept in layers)
    assert (layers[0::2] ^ layers[1::2]).all()


# --- discrete spaces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("preprocess", ["logit", "scale"])
@pytest.mark.parametrize("space", [Space.binary(2), Space.grey(2, levels=3)], ids=str)
@torch.no_grad()
def test_a_discrete_log_prob_is_a_lower_bound_of_the_density_integrated_over_the_cell(space, preprocess):
    flow, levels, per_cell = made("RealNVP", space, preprocess=preprocess), space.levels, 200
    axis = (torch.arange(levels * per_cell, dtype=torch.float64) + 0.5) / (levels * per_cell)
    density = flow.log_density(torch.cartesian_prod(axis, axis)).exp().view(levels, per_cell, levels, per_cell)
    probability = density.mean((1, 3)) / levels**2  # of every discrete x, exactly
    assert 0.1 < float(probability.sum()) <= 1 + 1e-3  # some mass may lie outside of the unit square
    values = torch.linspace(0, 1, levels, dtype=torch.float64)
    x = torch.cartesian_prod(values, values)
    torch.manual_seed(0)
    found = flow.log_prob(x.repeat(2000, 1))
    assert found.kind is Kind.LOWER_BOUND
    bound = found.value.view(2000, -1)
    gap = probability.log().flatten() - bound.mean(0)
    assert (gap > -4 * bound.std(0) / math.sqrt(2000)).all()
    torch.testing.assert_close(bound.exp().mean(0), probability.flatten(), rtol=0.1, atol=0)  # E[exp(bound)] = P(x)


@every_flow
@torch.no_grad()
def test_images_come_back_from_their_noise_and_samples_are_images(name):
    space = Space.grey(1, 4, 4, levels=5)
    flow = made(name, space, std=0.05)
    x = torch.randint(5, (20, 1, 4, 4)).double() / 4
    decoded = flow.decode(flow.encode(x))
    torch.testing.assert_close(space.quantize(decoded), x)
    assert 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    space.check(flow.sample(7), values=True)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CouplingFlow(Space.tokens(4, 3)), "tokens have no volume"),
        (lambda: CouplingFlow(Space.real(1)), "2 entries or more"),
        (lambda: SplineFlow(Space.real(1)), "a masked flow takes one"),
        (lambda: CouplingFlow(PLANE, scale="linear"), "'affine' or 'additive'"),
        (lambda: CouplingFlow(PLANE, layers=0), "layers ≥ 1"),
        (lambda: CouplingFlow(PLANE, classes=1), "classes ≥ 2"),
        (lambda: CouplingFlow(PLANE, preprocess="none"), "'logit' or 'scale'"),
        (lambda: AutoregressiveFlow(PLANE, direction="both"), "'density'"),
        (lambda: next(CouplingFlow(PLANE).states(torch.zeros(3, 5))), r"\(batch, 2\), got \(3, 5\)"),
    ],
)
def test_what_cannot_be_is_refused_in_words(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@torch.no_grad()
def test_one_entry_is_enough_for_a_masked_flow():
    flow = made("masked spline", Space.real(1))
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
    assert float(flow.log_density(x).exp().sum()) * 24 / 4000 == pytest.approx(1, abs=1e-3)


# --- what is learned -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["RealNVP", "MAF", "spline coupling"])
def test_a_correlated_gaussian_is_learned_to_its_entropy(name):
    torch.manual_seed(0)
    factor = torch.tensor([[1.0, 0.0], [1.2, 0.5]])
    x = torch.randn(20_000, 2) @ factor.T
    flow = MAKERS[name](PLANE)
    fit(flow, x[:10_000], steps=400, batch_size=256, lr=5e-3, schedule="cosine", progress=False)
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), scale_tril=factor)
    with torch.no_grad():
        gap = float((truth.log_prob(x[10_000:]) - flow.log_prob(x[10_000:]).value).mean())
    assert 0 <= gap < 0.02


@pytest.mark.slow
def test_a_spline_flow_learns_eight_gaussians_within_three_hundredths_of_a_nat():
    """The settings of benchmarks/flow_toys.py, which finds a gap of 0.02."""
    truth = toys.toy_density("eight_gaussians")
    torch.manual_seed(0)
    flow = SplineFlow(PLANE)
    data = toys.toy("eight_gaussians", n=(40_000, 2000, 20_000))
    fit(flow, data, steps=1500, batch_size=256, lr=5e-3, schedule="cosine", ema=0.99, progress=False)
    with torch.no_grad():
        test_nll = -float(flow.log_prob(data.test).value.mean())
        gap = float(truth.log_prob(data.test).mean()) + test_nll
    assert 0 < gap < 0.03
    assert test_nll - truth.entropy < 0.03 + 0.01  # and of the entropy, with the test set's own deviation
