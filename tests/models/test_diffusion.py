"""Diffusion and flow matching against Gaussians in closed form, known noised densities, and sums over all images."""

import itertools
import math

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.data import toy, toy_density
from dgmcourse.models import Diffusion, FlowMatching
from dgmcourse.models.diffusion.likelihood import flow_log_prob, likelihood_times
from dgmcourse.samplers import exact_noise, probability_flow
from dgmcourse.schedules import StraightLine, noise_schedule
from dgmcourse.training import fit

PLANE, STD = Space.real(2), 0.7


def knows_a_gaussian(model):
    """The model, its network replaced by what is best for data N(0, STD² I)."""

    def network(x, t, condition):
        path = model.schedule
        alpha, sigma, rise, fall = (
            f(t.to(x)).expand(len(x)).view(-1, 1) for f in (path.alpha, path.sigma, path.sigma_dot, path.alpha_dot)
        )
        size = alpha**2 * STD**2 + sigma**2
        data, noise = alpha * STD**2 / size * x, sigma / size * x
        said = {"data": data, "noise": noise, "v": alpha * noise - sigma * data}
        return fall * data + rise * noise if model.prediction == "velocity" else said[model.prediction]

    model._network = network
    return model


MAKERS = {
    "noise": lambda: Diffusion(PLANE),
    "v, cosine": lambda: Diffusion(PLANE, "cosine", "v"),
    "data, exploding": lambda: Diffusion(PLANE, "ve", "data"),
    "flow": lambda: FlowMatching(PLANE),
}


@pytest.fixture(params=sorted(MAKERS))
def gaussian(request):
    return knows_a_gaussian(MAKERS[request.param]())


def test_samples_of_the_best_network_have_the_datas_variance(gaussian):
    torch.manual_seed(0)
    x = gaussian.sample(4000)
    error = STD**2 * math.sqrt(2 / 8000)
    assert float(x.square().mean()) == pytest.approx(STD**2, abs=4 * error + 0.02)  # 50 steps of first order


def test_the_best_network_proves_almost_all_of_the_likelihood(gaussian):
    torch.manual_seed(0)
    x = STD * torch.randn(300, 2)
    exact = -0.5 * (x / STD).square().sum(1) - 2 * math.log(STD) - math.log(2 * math.pi)
    bound = torch.stack([gaussian.bound(x) for _ in range(40)]).mean(0)  # noise and times averaged away
    assert float(bound.mean()) < float(exact.mean()) + 0.005
    assert float(bound.mean()) == pytest.approx(float(exact.mean()), abs=0.06)
    flow = gaussian.log_prob(x) if isinstance(gaussian, FlowMatching) else gaussian.probability_flow_log_prob(x)
    assert flow.kind is Kind.ESTIMATE
    torch.testing.assert_close(flow.value, exact, rtol=0, atol=5e-3)


def test_a_scaled_model_scores_in_the_datas_own_units():
    torch.manual_seed(0)
    x = torch.randn(50, 2)
    plain, scaled = knows_a_gaussian(FlowMatching(PLANE)), knows_a_gaussian(FlowMatching(PLANE, scale=3.0))
    torch.testing.assert_close(scaled.log_prob(3 * x).value, plain.log_prob(x).value - 2 * math.log(3))


def test_under_the_exact_score_the_flow_has_the_exact_density():
    density, schedule = toy_density("eight_gaussians"), noise_schedule("vp", last=30.0)
    x = density.sample(200, torch.Generator().manual_seed(0)).double()
    velocity = probability_flow(exact_noise(density, schedule), schedule)
    found = flow_log_prob(velocity, x, likelihood_times(schedule, 100), schedule)
    assert float((found - density.log_prob(x)).abs().mean()) < 0.01


def test_random_vectors_estimate_the_same_density():
    """Velocity sin(xM): its divergence by random vectors, averaged, and by one pass a dimension."""
    torch.manual_seed(0)
    matrix, schedule = torch.randn(3, 3, dtype=torch.float64), StraightLine()
    x, times = torch.randn(1, 3, dtype=torch.float64), torch.linspace(0, 1, 6)

    def velocity(x, t):
        return torch.sin(x @ matrix)

    exact = flow_log_prob(velocity, x, times, schedule)
    estimates = flow_log_prob(velocity, x.expand(500, 3), times, schedule, probes=2)
    assert estimates.std() > 0.01
    assert ((estimates.mean() - exact).abs() < 4 * estimates.std() / 500**0.5).all()


@pytest.mark.slow
def test_the_bound_of_images_leaves_no_more_than_all_probability():
    """Σ_x exp(bound) ≤ 1 over all 16 images, for an untrained network and for one that has learned two of them."""
    space = Space.binary(1, 2, 2)
    images = torch.tensor(list(itertools.product([0.0, 1.0], repeat=4))).view(16, 1, 2, 2)
    data = images[torch.tensor([3, 12])].repeat(200, 1, 1, 1)
    torch.manual_seed(0)
    model = Diffusion(space, hidden=(64, 64))
    totals = []
    for steps in (0, 600):
        if steps:
            fit(model, data, steps=steps, batch_size=64, lr=3e-3, progress=False)
        bound = torch.stack([model.bound(images, evaluations=10).detach() for _ in range(100)]).mean(0)
        totals.append(float(bound.exp().sum()))
        assert totals[-1] <= 1.001
    assert float(bound[[3, 12]].mean()) == pytest.approx(-math.log(2), abs=1.0)
    assert set(model.sample(64).flatten(1).unique(dim=0).sum(1).tolist()) == {2.0}


def test_few_and_many_evaluations_of_the_bound_agree_on_average():
    torch.manual_seed(0)
    model, x = Diffusion(Space.grey(1, 3, 3, levels=5), hidden=(16,)), torch.randint(5, (4, 1, 3, 3)) / 4
    few = torch.stack([model.bound(x, evaluations=1).detach() for _ in range(400)])
    many = torch.stack([model.bound(x, evaluations=20).detach() for _ in range(60)])
    spread = (few.var(0) / 400 + many.var(0) / 60).sqrt()
    assert ((few.mean(0) - many.mean(0)).abs() < 4 * spread).all()


def test_optimal_transport_pairs_so_that_paths_are_shortest():
    torch.manual_seed(0)
    model, data, noise = FlowMatching(PLANE, coupling="optimal"), torch.randn(5, 2), torch.randn(5, 2)
    kept, dealt = model.pair(data, noise)
    assert torch.equal(kept, data)
    best = min((data - noise[list(order)]).square().sum() for order in itertools.permutations(range(5)))
    torch.testing.assert_close((data - dealt).square().sum(), best)
    assert {tuple(row) for row in dealt.tolist()} == {tuple(row) for row in noise.tolist()}


@pytest.mark.parametrize("sampler", ["ddpm", "ddim", "dpm-solver++"])
def test_known_pixels_are_kept(sampler):
    torch.manual_seed(0)
    model, x = Diffusion(Space.binary(1, 4, 4), hidden=(16,)), torch.randint(2, (1, 1, 4, 4)).float()
    mask = torch.arange(16).view(1, 1, 4, 4) < 8
    *_, found = model.trajectory(3, sampler=sampler, steps=10, given=(x, mask))
    assert torch.equal(found[:, :, :2], x.expand(3, 1, 4, 4)[:, :, :2])


def test_guidance_goes_beyond_the_condition():
    torch.manual_seed(0)
    model = Diffusion(PLANE, classes=3)
    torch.nn.init.normal_(model.network.last.weight)
    x, t, y = torch.randn(4, 2), torch.tensor(0.5), torch.tensor([0, 1, 2, 0])
    with_label, without = model.noise(y)(x, t), model.noise(None)(x, t)
    torch.testing.assert_close(model.noise(y, 2.0)(x, t), 3 * with_label - 2 * without)
    assert (with_label - without).abs().max() > 1e-3
    with pytest.raises(ValueError, match=r"needs classes=…, drop_label above 0, and y"):
        Diffusion(PLANE, classes=3, drop_label=0.0).noise(y, 1.0)


@pytest.mark.parametrize(("shape", "patch"), [((1, 8, 8), 1), ((3, 7, 9), 1), ((2, 8, 12), 2)])
def test_the_unet_sees_the_whole_image_and_its_time(shape, patch):
    torch.manual_seed(0)
    model = Diffusion(Space.grey(*shape, levels=4), channels=(8, 16), patch=patch)
    for parameter in model.network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x = torch.randn(2, *shape, requires_grad=True)
    found = model.predict(x, torch.tensor(0.3))
    (gradient,) = torch.autograd.grad(found[:, :, 0, 0].sum(), x)
    assert (gradient != 0).all()
    assert (model.predict(x, torch.tensor(0.6)) - found).abs().max() > 1e-3


def test_what_cannot_be_is_refused():
    for make, words in (
        (lambda: Diffusion(Space.tokens(4, 5)), "tokens cannot be made noisy"),
        (lambda: Diffusion(PLANE, "straight"), "use FlowMatching"),
        (lambda: Diffusion(PLANE, prediction="score"), "prediction must be"),
        (lambda: Diffusion(PLANE, sampler="magic"), "no sampler 'magic'"),
        (lambda: Diffusion(PLANE, hidden=(8, 16)), "layers of one width"),
        (lambda: FlowMatching(PLANE, classes=3, coupling="optimal"), "pair noise with labels"),
        (lambda: Diffusion(PLANE, channels=(8,)), "U-Net needs images"),
        (lambda: Diffusion(Space.binary(1, 7, 8), channels=(8,), patch=2), "patch must be at least 1 and divide"),
        (lambda: Diffusion(Space.binary(1, 4, 4)).probability_flow_log_prob(torch.zeros(1, 1, 4, 4)), "use bound"),
    ):
        with pytest.raises(ValueError, match=words):
            make()


# --- learned ---------------------------------------------------------------------------------------------------------


def score_error(model, density, x):
    """The learned score's mean squared error relative to the exact one's mean square, averaged over t."""
    data, errors = model.to_path(x), []
    for t in torch.linspace(0.02, 0.98, 25):
        alpha, sigma = float(model.schedule.alpha(t)), float(model.schedule.sigma(t))
        x_t = model.schedule.noised(data, torch.randn_like(data), t)
        exact = density.noised(alpha / model.scale, sigma).score(x_t)
        with torch.no_grad():
            errors.append(float((model.score(x_t, t) - exact).square().sum() / exact.square().sum()))
    return sum(errors) / len(errors)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["diffusion", "flow matching"])
def test_eight_gaussians_are_learned(kind):
    torch.manual_seed(0)
    data = toy("eight_gaussians")
    model = (
        FlowMatching(data.space, scale=3.0)
        if kind == "flow matching"
        else Diffusion(data.space, "cosine", "v", scale=3.0)
    )
    fit(model, data, steps=2500, batch_size=512, lr=2e-3, schedule="cosine", ema=0.995, progress=False)
    assert score_error(model, data.truth, data.test[:2000]) < 0.05
    nats = -float(data.truth.log_prob(model.sample(4000)).mean())
    assert nats == pytest.approx(data.truth.entropy, abs=0.1)
    x = data.test[:1000]
    with torch.no_grad():
        bound, exact = float(model.bound(x).mean()), float(data.truth.log_prob(x).mean())
    flow = model.log_prob(x[:300]) if kind == "flow matching" else model.probability_flow_log_prob(x[:300])
    assert bound < exact
    assert float(flow.value.mean()) == pytest.approx(float(data.truth.log_prob(x[:300]).mean()), abs=0.1)


@pytest.mark.slow
def test_flow_matching_from_gaussian_to_gaussian_finds_the_closed_form():
    """Data N(m, s²): E[noise − data | x_t] = −m + (t − (1−t)s²) / ((1−t)²s² + t²) · (x_t − (1−t)m)."""
    mean, std = 0.5, 0.6
    torch.manual_seed(0)
    model = FlowMatching(Space.real(1), hidden=(64, 64))
    data = mean + std * torch.randn(100_000, 1)
    fit(model, data, steps=4000, batch_size=2048, lr=2e-3, schedule="cosine", ema=0.998, progress=False)
    worst = 0.0
    for t in torch.linspace(0.05, 0.95, 10):
        variance = (1 - t) ** 2 * std**2 + t**2
        x = (1 - t) * mean + variance.sqrt() * torch.randn(2000, 1)
        exact = -mean + (t - (1 - t) * std**2) / variance * (x - (1 - t) * mean)
        with torch.no_grad():
            worst = max(worst, float((model.velocity(x, t) - exact).square().mean().sqrt()))
    assert worst < 0.01
    assert isinstance(model.schedule, StraightLine)
