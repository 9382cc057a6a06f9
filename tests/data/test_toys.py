"""The toy densities are what they claim: normalized, sampled as scored, with the right entropy and score."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate

from dgmcourse.data import TOYS, toy, toy_density

SAMPLES = 50_000

toys = pytest.mark.parametrize("name", TOYS)


def samples(name, n=SAMPLES, seed=5):
    return toy_density(name).sample(n, torch.Generator().manual_seed(seed))


def midpoints(cells, reach):
    """Centers of a cells × cells grid on [−reach, reach]² as (cells², 2) float64, and the area of one cell."""
    side = 2 * reach / cells
    axis = torch.arange(cells, dtype=torch.float64) * side + side / 2 - reach
    return torch.cartesian_prod(axis, axis), side**2


@toys
def test_density_integrates_to_one_and_entropy_agrees_with_an_independent_rule(name):
    cells, reach = (500, 25.0) if name == "banana" else (320, 10.0)
    points, area = midpoints(cells, reach)  # another rule, step and box than the package's
    log_p = toy_density(name).log_prob(points)
    assert float(log_p.exp().sum()) * area == pytest.approx(1, abs=1e-4)
    assert float(torch.special.entr(log_p.exp()).sum()) * area == pytest.approx(toy_density(name).entropy, abs=1e-4)


@toys
def test_samples_have_the_density_on_average(name):
    log_p = toy_density(name).log_prob(samples(name))
    error = float(log_p.std()) / math.sqrt(SAMPLES)
    assert abs(float(log_p.mean()) + toy_density(name).entropy) <= 3 * error + 1e-6


@toys
def test_samples_fill_cells_as_the_density_says(name):
    """Chi-square over the cells of a grid in which at least 20 samples are expected; all others are one cell."""
    cells, fine, reach = 24, 10, 6.0
    points, area = midpoints(cells * fine, reach)
    mass = toy_density(name).log_prob(points).exp().view(cells, fine, cells, fine).sum((1, 3)).flatten() * area
    x = samples(name)
    x = x[(x.abs() < reach).all(-1)]
    index = ((x + reach) / (2 * reach / cells)).long()
    counts = torch.bincount(index[:, 0] * cells + index[:, 1], minlength=cells**2).double()
    expected, large = mass * SAMPLES, mass * SAMPLES >= 20
    rest = SAMPLES * (1 - float(mass[large].sum()))
    statistic = float(((counts - expected).square() / expected)[large].sum())
    statistic += (SAMPLES - float(counts[large].sum()) - rest) ** 2 / max(rest, 1.0)
    degrees = int(large.sum())
    assert degrees > 30
    assert statistic < degrees + 4 * math.sqrt(2 * degrees)


def test_eight_gaussians_entropy():
    assert toy_density("eight_gaussians").entropy == pytest.approx(3.5248, abs=0.0007)


def test_eight_gaussians_is_eight_gaussians_of_radius_4_and_sigma_one_half():
    angle = torch.arange(8) * math.pi / 4
    centers = 4 * torch.stack((angle.cos(), angle.sin()), -1)
    normal = torch.distributions.MultivariateNormal(centers, 0.25 * torch.eye(2))
    mixture = torch.distributions.MixtureSameFamily(torch.distributions.Categorical(torch.ones(8)), normal)
    x = samples("eight_gaussians", 200)
    torch.testing.assert_close(toy_density("eight_gaussians").log_prob(x), mixture.log_prob(x))


def blurred_arc(x, arm, std):
    """∫₀¹ density(t) N(x; position(t), std² I) dt by scipy's adaptive quadrature."""

    def integrand(t):
        *position, density = arm(t)
        squared = float(((np.array(position) - x) ** 2).sum())
        return density * math.exp(-squared / (2 * std**2)) / (2 * math.pi * std**2)

    return integrate.quad(integrand, 0, 1, limit=500, epsabs=1e-13, points=np.linspace(0, 1, 41)[1:-1])[0]


def upper_moon(t):
    return 2.5 * (math.cos(math.pi * t) - 0.5), 2.5 * (math.sin(math.pi * t) - 0.25), 1.0


def spiral_arm(t):
    return 4.2 * t * math.cos(3 * math.pi * t), 4.2 * t * math.sin(3 * math.pi * t), 2 * t


@pytest.mark.parametrize(("name", "arm", "std"), [("moons", upper_moon, 0.25), ("spirals", spiral_arm, 0.2)])
def test_curves_equal_the_continuous_curve_blurred(name, arm, std):
    """Both curves are symmetric about the origin: the second arm is minus the first."""
    for x in samples(name, 8, seed=2).double().numpy():
        exact = (blurred_arc(x, arm, std) + blurred_arc(-x, arm, std)) / 2
        ours = float(toy_density(name).log_prob(torch.from_numpy(x)[None]))
        assert ours == pytest.approx(math.log(exact), abs=1e-9)


@toys
def test_far_away_is_minus_infinity_or_finite_but_never_nan(name):
    far = torch.tensor([[1e3, -1e3], [1e15, 1.0], [3e38, -3e38], [math.inf, 0.0], [0.0, -math.inf], [0.0, 0.0]])
    log_p = toy_density(name).log_prob(far)
    assert not log_p.isnan().any()
    assert (log_p[:5] < -100).all()
    assert (log_p[3:5] == -math.inf).all()
    assert toy_density(name).log_prob(torch.tensor([[math.nan, 0.0]])).isnan().all()


def test_checkerboard_is_flat_and_zero_outside():
    board = toy_density("checkerboard")
    inside = board.log_prob(torch.tensor([[-3.5, -3.5], [0.5, 0.5], [3.9, 3.9]]))
    torch.testing.assert_close(inside, torch.full((3,), -math.log(32)))
    assert (board.log_prob(torch.tensor([[-3.5, -1.5], [4.1, 0.0], [4.0, 4.0]])) == -math.inf).all()
    assert board.log_prob(samples("checkerboard")).isfinite().all()


@toys
def test_log_prob_is_differentiable_where_it_is_positive(name):
    x = samples(name, 64).double().requires_grad_()
    (gradient,) = torch.autograd.grad(toy_density(name).log_prob(x).sum(), x)
    assert gradient.isfinite().all()
    step = 1e-6 * torch.tensor([0.6, 0.8], dtype=torch.float64)
    log_prob = toy_density(name).log_prob
    slope = ((log_prob(x + step) - log_prob(x - step)) / 2e-6).detach()
    torch.testing.assert_close(gradient @ (step / 1e-6), slope, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in TOYS if name != "checkerboard"])
def test_score_is_the_gradient_of_the_log_density(name):
    x = samples(name, 64).double().requires_grad_()
    (gradient,) = torch.autograd.grad(toy_density(name).log_prob(x).sum(), x)
    torch.testing.assert_close(toy_density(name).score(x.detach()), gradient)
    assert toy_density(name).score(torch.zeros(1, 2)).isfinite().all()  # the ring's and the pinwheel's center


def test_checkerboard_refuses_a_score():
    with pytest.raises(ValueError, match="no score"):
        toy_density("checkerboard").score(torch.zeros(1, 2))


@pytest.mark.parametrize("name", ["eight_gaussians", "grid", "moons", "spirals", "ring"])
def test_noised_is_the_density_of_noised_samples(name):
    alpha, sigma = 0.8, 0.6
    noised = toy_density(name).noised(alpha, sigma)
    generator = torch.Generator().manual_seed(0)
    x = alpha * samples(name) + sigma * torch.randn(SAMPLES, 2, generator=generator)
    log_p = noised.log_prob(x)
    assert abs(float(log_p.mean()) + noised.entropy) <= 3 * float(log_p.std()) / math.sqrt(SAMPLES)
    assert noised.entropy > toy_density(name).entropy + 2 * math.log(alpha)  # noise only adds entropy


def test_noised_is_refused_where_it_has_no_closed_form():
    with pytest.raises(ValueError, match="banana"):
        toy_density("banana").noised(0.8, 0.6)


@toys
def test_float32_agrees_with_float64(name):
    x = samples(name, 500)
    torch.testing.assert_close(toy_density(name).log_prob(x), toy_density(name).log_prob(x.double()).float(), atol=2e-4, rtol=1e-4)  # fmt: skip


@toys
def test_dataset_repeats_by_seed_and_splits_are_independent(name):
    data, again, other = toy(name, (50, 20, 30)), toy(name, (60, 20, 30)), toy(name, (50, 20, 30), seed=1)
    assert (data.train.shape, data.valid.shape, data.test.shape) == ((50, 2), (20, 2), (30, 2))
    assert data.train.dtype == torch.float32
    assert torch.equal(data.test, again.test)  # whatever the size of train
    assert not torch.equal(data.test, other.test)
    assert not torch.equal(data.train[:20], data.valid)
    assert data.truth is toy_density(name)


@toys
def test_almost_all_mass_is_in_the_picture(name):
    density = toy_density(name)
    assert (samples(name, 20_000).abs().max(-1).values < density.extent).float().mean() > 0.99


def test_bad_arguments_are_refused_in_words():
    with pytest.raises(ValueError, match="choose from eight_gaussians"):
        toy("nine_gaussians")
    with pytest.raises(ValueError, match="three positive sizes"):
        toy("moons", n=(10, 0, 10))
    with pytest.raises(ValueError, match="three positive sizes"):
        toy("moons", n=100)
    with pytest.raises(ValueError, match=r"shape \(batch, 2\)"):
        toy_density("moons").log_prob(torch.zeros(2))
    with pytest.raises(ValueError, match="n ≥ 1"):
        toy_density("moons").sample(0)
