"""The losses of GANs against closed forms, hand gradients and quadrature; penalties against critics of known slope."""

import math

import pytest
import torch
from torch.distributions import Normal
from torch.nn import functional as F

from dgmcourse.models.gan.objectives import (
    OBJECTIVES,
    critic_loss,
    discriminator_loss,
    gradient_norm,
    gradient_penalty,
    hinge_loss,
    non_saturating_loss,
    optimal_discriminator,
    saturating_loss,
    score_loss,
    value,
    zero_centered_penalty,
)


def scores(n: int = 50, seed: int = 0) -> torch.Tensor:
    return 3 * torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def slope(loss, *inputs) -> list[torch.Tensor]:
    """n · dloss/dscore, for each of the inputs."""
    inputs = [x.clone().requires_grad_() for x in inputs]
    return [len(x) * g for x, g in zip(inputs, torch.autograd.grad(loss(*inputs), inputs), strict=True)]


def test_the_discriminators_loss_is_two_cross_entropies():
    real, fake = scores(), scores(70, seed=1)
    expected = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    expected += F.binary_cross_entropy_with_logits(fake, torch.zeros_like(fake))
    torch.testing.assert_close(discriminator_loss(real, fake), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(value(real, fake), -expected, rtol=1e-12, atol=1e-12)
    assert float(discriminator_loss(torch.zeros(3), torch.zeros(4))) == pytest.approx(2 * math.log(2))


def test_every_gradient_is_the_one_derived_by_hand():
    real, fake = scores(), scores(70, seed=1)
    by_real, by_fake = slope(discriminator_loss, real, fake)
    torch.testing.assert_close(by_real, -(1 - real.sigmoid()))  # −(1 − D)
    torch.testing.assert_close(by_fake, fake.sigmoid())  # D
    torch.testing.assert_close(slope(saturating_loss, fake)[0], -fake.sigmoid())  # −D
    torch.testing.assert_close(slope(non_saturating_loss, fake)[0], -(1 - fake.sigmoid()))  # −(1 − D)
    by_real, by_fake = slope(hinge_loss, real, fake)
    torch.testing.assert_close(by_real, -(real < 1).double())
    torch.testing.assert_close(by_fake, (fake > -1).double())
    by_real, by_fake = slope(critic_loss, real, fake)
    torch.testing.assert_close(by_real, -torch.ones_like(real))
    torch.testing.assert_close(by_fake, torch.ones_like(fake))
    torch.testing.assert_close(slope(score_loss, fake)[0], -torch.ones_like(fake))


def test_only_the_saturating_loss_stops_teaching_where_the_discriminator_is_sure():
    sure = torch.full((10,), -20.0, dtype=torch.float64)  # D ≈ 2e-9 on every sample
    assert float(slope(saturating_loss, sure)[0].abs().max()) < 1e-8
    torch.testing.assert_close(slope(non_saturating_loss, sure)[0], -torch.ones_like(sure))
    undecided = torch.zeros(10, dtype=torch.float64)  # at D = ½ the two agree
    torch.testing.assert_close(slope(saturating_loss, undecided), slope(non_saturating_loss, undecided))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_and_gradients_stay_finite_for_extreme_scores(name):
    extreme = torch.tensor([-500.0, 500.0])
    for loss, inputs in ((OBJECTIVES[name].critic, (extreme, extreme)), (OBJECTIVES[name].generator, (extreme,))):
        assert torch.isfinite(loss(*inputs))
        assert all(torch.isfinite(g).all() for g in slope(loss, *inputs))


@pytest.mark.parametrize(("p", "q"), [(Normal(0.0, 1.0), Normal(1.5, 0.7)), (Normal(-1.0, 0.5), Normal(1.0, 2.0))])
def test_at_the_optimal_discriminator_the_value_is_minus_ln_4_plus_twice_the_js_divergence(p, q):
    grid = torch.linspace(-15, 15, 60_001, dtype=torch.float64)
    dx = float(grid[1] - grid[0])
    log_p, log_q = p.log_prob(grid), q.log_prob(grid)
    log_mixture = torch.logaddexp(log_p, log_q) - math.log(2)
    js = 0.5 * (log_p.exp() * (log_p - log_mixture) + log_q.exp() * (log_q - log_mixture)).sum() * dx
    # the means of `value` as integrals: points at the middle of cells of equal probability
    cells = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    logits = [p.log_prob(x) - q.log_prob(x) for x in (p.icdf(cells), q.icdf(cells))]
    best = value(*logits)
    assert float(best) == pytest.approx(-math.log(4) + 2 * float(js), abs=1e-4)
    for change in (0.3, -0.3):  # no other discriminator does better
        assert value(logits[0] + change, logits[1] + change) < best
        assert value(logits[0] * (1 + change), logits[1] * (1 + change)) < best
    density = optimal_discriminator(log_p, log_q)
    torch.testing.assert_close(density, log_p.exp() / (log_p.exp() + log_q.exp()), rtol=1e-9, atol=1e-12)


def test_the_optimal_discriminator_is_stable_where_both_densities_underflow():
    log_p, log_q = torch.tensor([-1000.0, -2000.0]), torch.tensor([-1001.0, -1000.0])
    expected = torch.tensor([1 / (1 + math.exp(-1)), 0.0])
    torch.testing.assert_close(optimal_discriminator(log_p, log_q), expected)


@pytest.mark.parametrize("shape", [(5,), (1, 4, 4)])
def test_the_gradient_norm_of_known_critics(shape):
    generator = torch.Generator().manual_seed(0)
    x, weight = torch.randn(7, *shape, generator=generator), torch.randn(shape, generator=generator)
    linear = gradient_norm(lambda x: (x * weight).flatten(1).sum(-1), x)
    torch.testing.assert_close(linear, weight.norm().expand(7))
    bowl = gradient_norm(lambda x: 0.5 * x.square().flatten(1).sum(-1), x)
    torch.testing.assert_close(bowl, x.flatten(1).norm(dim=-1))
    with torch.no_grad():  # a critic is also measured where no gradients are wanted
        torch.testing.assert_close(gradient_norm(lambda x: (x * weight).flatten(1).sum(-1), x), linear)


def test_the_penalties_of_a_linear_critic_and_their_gradients():
    """Slope ‖w‖ everywhere: (‖w‖ − 1)² and ½‖w‖², with gradients 2 (‖w‖ − 1) w / ‖w‖ and w."""
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 9, 4, generator=generator)
    for length in (0.4, 2.5):
        weight = F.normalize(torch.randn(4, generator=generator), dim=0).mul(length).requires_grad_()
        two_sided = gradient_penalty(lambda x, w=weight: x @ w, real, fake)
        assert float(two_sided.detach()) == pytest.approx((length - 1) ** 2, abs=1e-5)
        (found,) = torch.autograd.grad(two_sided, weight)
        torch.testing.assert_close(found, 2 * (length - 1) * weight.detach() / length)
        one_sided = gradient_penalty(lambda x, w=weight: x @ w, real, fake, one_sided=True)
        assert float(one_sided.detach()) == pytest.approx(max(0.0, length - 1) ** 2, abs=1e-5)
        flat = zero_centered_penalty(lambda x, w=weight: x @ w, real)
        assert float(flat.detach()) == pytest.approx(0.5 * length**2, rel=1e-5)
        torch.testing.assert_close(torch.autograd.grad(flat, weight)[0], weight.detach())


def test_a_critic_without_slope_has_a_finite_gradient():
    weight = torch.zeros(3, requires_grad=True)
    penalty = gradient_penalty(lambda x: x @ weight, torch.randn(5, 3), torch.randn(5, 3))
    assert float(penalty.detach()) == pytest.approx(1)
    assert torch.isfinite(torch.autograd.grad(penalty, weight)[0]).all()


def test_the_penalty_is_taken_at_one_point_of_each_line_between_data_and_samples():
    generator = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, 200, 3, generator=generator)
    seen = []

    def critic(x):
        seen.append(x.detach())
        return x.sum(-1)

    gradient_penalty(critic, real, fake)
    share = (seen[0] - real) / (fake - real)  # (200, 3): the same along every axis
    torch.testing.assert_close(share, share[:, :1].expand(-1, 3), rtol=1e-3, atol=1e-3)
    share = share[:, 0]
    assert float(share.min()) >= -1e-4
    assert float(share.max()) <= 1 + 1e-4
    assert float(share.mean()) == pytest.approx(0.5, abs=0.07)
    assert float(share.std()) == pytest.approx(1 / math.sqrt(12), abs=0.05)


def test_in_one_dimension_a_wrong_slope_is_a_trap_for_the_two_sided_penalty_alone():
    """For p = N(μ, 1), q = N(0, 1) the loss of a critic with slope s is −sμ + λ (|s| − 1)²."""
    mean, strength = 1.0, 10.0
    real, fake = torch.randn(20_000, 1), torch.randn(20_000, 1)
    real = real - real.mean() + mean
    fake = fake - fake.mean()

    def pull(s: float, one_sided: bool) -> float:
        slope = torch.tensor([s], requires_grad=True)
        loss = critic_loss(real @ slope, fake @ slope)
        loss = loss + strength * gradient_penalty(lambda x: x @ slope, real, fake, one_sided)
        return float(torch.autograd.grad(loss, slope)[0])

    for one_sided in (False, True):
        assert pull(1 + mean / (2 * strength), one_sided) == pytest.approx(0, abs=1e-3)  # where it should rest
    assert pull(-1 + mean / (2 * strength), False) == pytest.approx(0, abs=1e-3)  # but here it rests too
    assert pull(-1 + mean / (2 * strength), True) == pytest.approx(-mean, abs=1e-3)  # one-sided, it is pulled up
