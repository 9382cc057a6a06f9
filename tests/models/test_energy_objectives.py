"""Each way to learn an energy, against closed forms and against the others: they differ by known constants."""

import itertools
import math

import numpy
import pytest
import torch

from dgmcourse.models.energy import (
    contrastive,
    denoising_score_matching,
    noise_contrastive,
    score_matching,
    sliced_score_matching,
)

STD = 0.4


def bowl(x):
    return 0.5 * x.flatten(1).square().sum(1)


def quartic(x):
    """Not quadratic, so that its curvature depends on x, and a polynomial, so that quadrature is exact."""
    return (x.pow(4) / 4 + x.square() / 2 - 0.3 * x).flatten(1).sum(1)


def coupled(x):
    """An energy whose Hessian is not diagonal."""
    return (x[:, 0] * x[:, 1]).sin() + x[:, 2].pow(3) * x[:, 0] + bowl(x)


def gauss_hermite(nodes):
    """Points (nodes, 1) and weights of a standard normal expectation, exact for polynomials below degree 2 · nodes."""
    points, weights = numpy.polynomial.hermite_e.hermegauss(nodes)
    return torch.tensor(points)[:, None], torch.tensor(weights / weights.sum())


@pytest.mark.parametrize("dim", [1, 3, 10])
def test_score_matching_of_the_standard_normal_is_minus_half_the_dimension(dim):
    torch.manual_seed(0)
    x = torch.randn(20_000, dim, dtype=torch.float64)
    found = score_matching(bowl, x).detach()
    torch.testing.assert_close(found, bowl(x) - dim)  # ½‖x‖² − d, at every x
    assert abs(float(found.mean()) + dim / 2) < 3 * math.sqrt(dim / 2 / len(x))


def test_score_matching_is_the_fisher_divergence_less_a_constant():
    """E[½ s² + s'] = ½ E(s − s_p)² − ½ E s_p²: for p = N(0, 1), whose score is −x."""
    x, weights = gauss_hermite(12)
    found = weights @ score_matching(quartic, x)
    score = -(x.pow(3) + x - 0.3)[:, 0]
    divergence = 0.5 * weights @ (score + x[:, 0]).square()
    torch.testing.assert_close(found, divergence - 0.5)


def test_denoising_is_score_matching_of_the_noised_data_but_for_half_the_dimension():
    (data, w), (noise, v) = gauss_hermite(12), gauss_hermite(12)
    x, n = data.repeat_interleave(12, 0), noise.repeat(12, 1)  # every point with every noise
    weights = (w[:, None] * v).flatten()
    denoising = weights @ denoising_score_matching(quartic, x, STD, noise=n)
    exact = weights @ score_matching(quartic, x + STD * n)
    torch.testing.assert_close(denoising, STD**2 * exact + 0.5)


@pytest.mark.parametrize("reduced", [True, False])
def test_slices_in_every_direction_are_exact_score_matching(reduced):
    torch.manual_seed(0)
    x = torch.randn(50, 3, dtype=torch.float64)
    signs = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    probes = signs[:, None].expand(8, 50, 3)
    found = sliced_score_matching(coupled, x, reduced=reduced, probes=probes)
    torch.testing.assert_close(found, score_matching(coupled, x))


def test_random_slices_are_unbiased_and_less_noisy_when_reduced():
    torch.manual_seed(0)
    x = torch.randn(1, 3, dtype=torch.float64).expand(40_000, 3)
    exact, spreads = score_matching(coupled, x[:1]).detach(), []
    for reduced in (True, False):
        found = sliced_score_matching(coupled, x, reduced=reduced).detach()
        assert abs(float(found.mean() - exact)) < 4 * float(found.std()) / 200
        spreads.append(float(found.std()))
    assert spreads[0] < spreads[1]


def test_images_are_taken_as_vectors():
    torch.manual_seed(0)
    x = torch.randn(4, 1, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(score_matching(quartic, x), score_matching(quartic, x.flatten(1)))
    torch.manual_seed(1)
    found = sliced_score_matching(bowl, x)  # the Hessian is the identity, and vᵀv = d
    torch.testing.assert_close(found, bowl(x) - 6)
    noise = torch.randn_like(x)
    torch.testing.assert_close(denoising_score_matching(bowl, x, torch.full((4,), STD), noise),
                               bowl(noise - STD * (x + STD * noise)))  # fmt: skip


def test_score_losses_reach_the_parameters():
    """Of E = ½ a‖x‖² on N(0, 1): ½ a² − a, whose slope is a − 1."""
    x, weights = gauss_hermite(8)
    a = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(weights @ score_matching(lambda x: a * bowl(x), x), a)
    torch.testing.assert_close(slope, a.detach() - 1)


def test_an_energy_without_curvature_is_refused():
    with pytest.raises(ValueError, match="curvature"):
        score_matching(lambda x: x.sum(1), torch.zeros(2, 2))


def test_contrastive_is_a_difference_of_means():
    loss = contrastive(torch.tensor([1.0, 3.0]), torch.tensor([0.0, 1.0, 2.0]))
    assert float(loss) == 1.0


def quantiles(std, n=4000):
    """n points of N(0, std²) that halve n cells of equal mass: expectations without noise."""
    p = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    return std * torch.special.ndtri(p)


@pytest.mark.parametrize("ratio", [1, 4])
def test_noise_contrast_is_least_at_the_normalized_truth(ratio):
    """E = c + ½ b x² on N(0, 1), noise from N(0, 2²): best are c = ½ ln 2π and b = 1, so Z is learned too."""
    data, noise = quantiles(1.0), quantiles(2.0, 4000 * ratio)

    def loss(c, b):
        def log_ratio(x):
            return -(c + 0.5 * b * x.square()) + 0.5 * (x / 2).square() + math.log(2) + 0.5 * math.log(2 * math.pi)

        return noise_contrastive(log_ratio(data), log_ratio(noise))

    c, b = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (0.5 * math.log(2 * math.pi), 1.0))
    best = loss(c, b)
    assert all(float(g.abs()) < 2e-3 for g in torch.autograd.grad(best, (c, b)))
    for dc, db in ((0.1, 0.0), (-0.1, 0.0), (0.0, 0.1), (0.0, -0.1), (0.1, -0.2)):
        assert float(loss(c + dc, b + db).detach()) > float(best.detach()) + 5e-5


def test_noise_contrast_of_equal_densities_is_a_coin_flip():
    zeros = torch.zeros(10)
    assert float(noise_contrastive(zeros, zeros)) == pytest.approx(2 * math.log(2))
    found = float(noise_contrastive(zeros, torch.zeros(30)))  # 1 in 4 is data
    assert found == pytest.approx(math.log(4) + 3 * math.log(4 / 3))
