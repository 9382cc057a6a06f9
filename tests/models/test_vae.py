"""The VAE against truths that are known: PPCA, integrals over one latent, enumeration, ordered bounds."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from dgmcourse.core import Kind, Space
from dgmcourse.data import digits
from dgmcourse.evaluation.likelihood import integrated_log_prob, linear_gaussian_log_prob
from dgmcourse.models import VAE
from dgmcourse.models.vae import kl_to_standard_normal
from dgmcourse.training import fit

BINARY = Space.binary(1, 8, 8)


@pytest.fixture(scope="module")
def trained():
    """A VAE that has learned something, for the inequalities."""
    data = digits()
    torch.manual_seed(0)
    model = VAE(data.space, 8, hidden=(128,))
    fit(model, data, steps=600, progress=False)
    return model, data


def test_kl_to_standard_normal_equals_torchs():
    mean, log_var = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl_to_standard_normal(mean, log_var), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("latents", "truth"), [(2, 0.006), (8, 14.210)])
def test_a_linear_vae_reaches_the_likelihood_of_ppca(latents, truth):
    """Lucas et al. 2019, https://arxiv.org/abs/1911.02469: its optimum is PPCA, and then the bound is tight."""
    x = torch.cat([digits(17).train, digits(17).valid, digits(17).test]).flatten(1)
    torch.manual_seed(0)
    model = VAE(Space.real(64), latents, hidden=())
    fit(model, x, steps=2500, batch_size=256, lr=1e-2, schedule="cosine", progress=False)
    weight, bias, scale = model.decoder[-1].weight, model.decoder[-1].bias, model.log_scale.exp()
    with torch.no_grad():
        exact = linear_gaussian_log_prob(x, weight, bias, scale).value.mean()
        assert exact == pytest.approx(truth, abs=0.05)
        assert exact < truth + 5e-4  # PPCA is the maximum
        assert torch.stack([model.elbo(x).mean() for _ in range(20)]).mean() == pytest.approx(float(exact), abs=0.1)


def test_with_the_exact_posterior_the_gap_is_zero_for_every_z():
    """log p(x, z) − log p(z|x) = log p(x) whatever z is: the bound with the exact posterior has no gap and no noise."""
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    model = VAE(Space.real(6), 2, hidden=()).double()
    weight, bias, variance = model.decoder[-1].weight, model.decoder[-1].bias, model.log_scale.exp() ** 2
    x = torch.randn(5, 6, generator=generator, dtype=torch.float64)
    precision = torch.eye(2) + weight.T @ weight / variance
    mean = (x - bias) @ weight @ torch.linalg.inv(precision) / variance
    posterior = MultivariateNormal(mean, precision_matrix=precision)
    exact = linear_gaussian_log_prob(x, weight, bias, model.log_scale.exp()).value
    for _ in range(3):
        z = posterior.mean + torch.randn(5, 2, generator=generator, dtype=torch.float64)
        joint = model.likelihood(z).log_prob(x) - 0.5 * (z.square().sum(-1) + 2 * math.log(2 * math.pi))
        torch.testing.assert_close(joint - posterior.log_prob(z), exact, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("space", [BINARY, Space.grey(1, 8, 8, levels=17), Space.real(64)], ids=str)
def test_elbo_plus_kl_to_the_integrated_posterior_is_log_p(space):
    torch.manual_seed(0)
    model = VAE(space, 1, hidden=(16,)).double()
    x = torch.rand(4, *space.shape, dtype=torch.float64)
    x = space.quantize(x)
    z = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    dz = float(z[1] - z[0])
    with torch.no_grad():
        log_prior = Normal(0.0, 1.0).log_prob(z[:, 0])
        log_joint = model.likelihood(z).log_prob(x[:, None]) + log_prior  # (4, 4001)
        log_p = log_joint.logsumexp(-1) + math.log(dz)
        q = model.posterior(x)
        log_q = q.base_dist.__class__(q.mean, q.stddev).log_prob(z[:, 0])  # (4, 4001)
        elbo = (log_q.exp() * (log_joint - log_q)).sum(-1) * dz
        gap = (log_q.exp() * (log_q - (log_joint - log_p[:, None]))).sum(-1) * dz
        torch.testing.assert_close(elbo + gap, log_p, rtol=0, atol=1e-8)
        assert (gap > 0).all()
        found = integrated_log_prob(model, x, extent=9, nodes=4001)
        torch.testing.assert_close(found.value, log_p.to(found.value), rtol=0, atol=1e-5)
        assert found.kind is Kind.EXACT
        # the model's own ELBO is a fair estimate of this one
        draws = torch.stack([model.elbo(x) for _ in range(4000)])
        error = draws.std(0) / math.sqrt(len(draws))
        assert ((draws.mean(0) - elbo).abs() < 4 * error).all()


def test_integrated_probabilities_of_all_binary_images_sum_to_one():
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 3, 3), 2, hidden=(8,))
    images = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 9).view(-1, 1, 3, 3)
    total = integrated_log_prob(model, images, extent=6, nodes=60).value.logsumexp(0)
    assert float(total) == pytest.approx(0.0, abs=1e-5)


def test_levels_are_a_distribution_over_the_levels_themselves():
    torch.manual_seed(0)
    model = VAE(Space.grey(1, 1, 2, levels=5), 1, hidden=(4,)).double()
    pairs = torch.cartesian_prod(*[torch.linspace(0, 1, 5, dtype=torch.float64)] * 2).view(-1, 1, 1, 2)
    p = model.likelihood(torch.zeros(1, 1, dtype=torch.float64))
    probabilities = torch.stack([p.log_prob(pair[None]) for pair in pairs]).exp()
    assert float(probabilities.sum()) == pytest.approx(1, abs=1e-9)
    mean = (probabilities[..., None, None, None] * pairs[:, None]).sum(0)
    torch.testing.assert_close(mean.view(-1), p.mean.to(mean).view(-1), rtol=0, atol=1e-6)


def test_importance_weighted_bounds_are_ordered(trained):
    """L₁ ≤ L₅ ≤ L₅₀ within two standard errors, over 100 draws of each."""
    model, data = trained
    x = data.test[:100]
    with torch.no_grad():
        torch.manual_seed(0)
        bounds = {
            k: torch.stack([model.importance_weighted_bound(x, samples=k).mean() for _ in range(100)])
            for k in (1, 5, 50)
        }
        elbo = torch.stack([model.elbo(x).mean() for _ in range(100)])
    for low, high in ((1, 5), (5, 50)):
        error = math.sqrt((bounds[low].var() + bounds[high].var()) / 100)
        assert bounds[high].mean() - bounds[low].mean() > -2 * error
    assert bounds[50].mean() - bounds[1].mean() > 0.3
    error = math.sqrt((bounds[1].var() + elbo.var()) / 100)
    assert abs(float(bounds[1].mean() - elbo.mean())) < 3 * error  # L₁ is the ELBO


def test_many_importance_samples_reach_the_integral():
    torch.manual_seed(0)
    data = digits()
    model = VAE(data.space, 1, hidden=(32,))
    fit(model, data, steps=200, progress=False)
    x = data.test[:50]
    with torch.no_grad():
        exact = integrated_log_prob(model, x, nodes=2000).value
        bound = model.importance_weighted_bound(x, samples=5000)
    assert (bound - exact).abs().mean() < 0.01


def test_chunks_change_the_memory_and_not_the_bound(trained):
    model, data = trained
    with torch.no_grad():
        weights = []
        for rows in (90, 1000, 10_000):
            torch.manual_seed(0)
            weights.append(model.importance_weighted_bound(data.test[:40], samples=2000, rows=rows).mean())
    assert max(weights) - min(weights) < 0.05


def test_rate_and_distortion_make_up_the_elbo(trained):
    model, data = trained
    with torch.no_grad():
        torch.manual_seed(0)
        rate, distortion = model.rate_and_distortion(data.test)
        torch.manual_seed(0)
        torch.testing.assert_close(model.elbo(data.test), -distortion - rate.sum(-1))
        torch.manual_seed(0)
        torch.testing.assert_close(model.elbo(data.test, beta=3), -distortion - 3 * rate.sum(-1))
    assert rate.shape == (297, 8)
    assert (rate >= 0).all()


def test_a_beta_vae_reports_the_bound_itself():
    torch.manual_seed(0)
    model = VAE(BINARY, 2, hidden=(8,), beta=10.0)
    x = digits().test
    torch.manual_seed(1)
    reported = model.log_prob(x)
    torch.manual_seed(1)
    torch.testing.assert_close(reported.value, model.elbo(x, beta=1.0))
    assert reported.kind is Kind.LOWER_BOUND


def test_warm_up_raises_the_weight_of_the_kl_term_step_by_step():
    torch.manual_seed(0)
    model = VAE(BINARY, 2, hidden=(8,), beta=2.0, warmup=4)
    x, weights = digits().train[:32], []
    for _ in range(6):
        for step in model.training_step(x):
            weights.append(float((step.loss - step.logs["distortion"]) / step.logs["rate"]))
    assert weights == pytest.approx([0.5, 1.0, 1.5, 2.0, 2.0, 2.0], rel=1e-3)


def test_free_bits_charge_no_latent_below_its_allowance():
    torch.manual_seed(0)
    model = VAE(BINARY, 4, hidden=(8,), free_bits=0.5)
    x = digits().train[:64]
    torch.manual_seed(1)
    step = next(model.training_step(x))
    torch.manual_seed(1)
    rate, distortion = model.rate_and_distortion(x)
    per_latent = rate.mean(0)
    assert (per_latent < 0.5).any()  # else this tests nothing
    expected = distortion.mean() + torch.where(per_latent > 0.5, per_latent, torch.tensor(0.5)).sum()
    torch.testing.assert_close(step.loss, expected)


def test_training_with_several_samples_climbs_the_importance_weighted_bound():
    torch.manual_seed(0)
    model = VAE(BINARY, 2, hidden=(8,), samples=20)
    x = digits().train[:64]
    torch.manual_seed(1)
    step = next(model.training_step(x))
    torch.manual_seed(1)
    weights = model.log_weights(x, samples=20)
    torch.testing.assert_close(step.loss, -(weights.logsumexp(0) - math.log(20)).mean())
    assert float(step.loss) < -float(weights.mean(0).mean()) - 0.1  # L₂₀ lies well above L₁


def test_conditional_bounds_pair_each_image_with_its_own_label():
    torch.manual_seed(0)
    model = VAE(Space.binary(1, 3, 3), 1, hidden=(8,), classes=3)
    x, y = torch.bernoulli(torch.full((9, 1, 3, 3), 0.4)), torch.arange(9) % 3
    with torch.no_grad():
        exact = integrated_log_prob(model, x, y).value
        for rows in (4, 10_000):
            bound = model.importance_weighted_bound(x, y, samples=4000, rows=rows)
            torch.testing.assert_close(bound, exact, rtol=0, atol=0.02)


def test_bounds_in_half_precision_are_summed_in_full():
    torch.manual_seed(0)
    model = VAE(BINARY, 2, hidden=(8,))
    z = torch.randn(3, 50, 2)
    x = digits().test[:50]
    with torch.no_grad():
        whole = model._log_likelihood(x, z, None)
        with torch.autocast("cpu", torch.bfloat16):
            half = model._log_likelihood(x, z, None)
    assert half.dtype == torch.float32
    assert (half - whole).abs().max() < 0.3  # the decoder's rounding; a sum in bfloat16 is off by more


def test_a_conditional_vae_draws_the_class_that_it_is_asked_for():
    from sklearn.linear_model import LogisticRegression

    data = digits()
    torch.manual_seed(0)
    model = VAE(data.space, 8, hidden=(128,), classes=10)
    fit(model, data, steps=800, progress=False)
    judge = LogisticRegression(max_iter=2000).fit(data.train.flatten(1), data.train_labels)
    y = torch.arange(10).repeat_interleave(40)
    torch.manual_seed(0)
    images = model.decode(model.prior(400), y).round()
    assert judge.score(images.flatten(1).detach(), y) > 0.9


def test_constructor_refuses_what_makes_no_sense():
    for message, make in (
        ("needs a binary, grey or real space", lambda: VAE(Space.tokens(5, 3))),
        ("latents ≥ 1", lambda: VAE(BINARY, 0)),
        ("no KL term to weigh", lambda: VAE(BINARY, 2, samples=5, beta=2.0)),
        ("convolutions need images", lambda: VAE(Space.real(4), 2, channels=(4,))),
        ("activation must be one of", lambda: VAE(BINARY, 2, activation="sulu")),
        ("activation must be one of", lambda: VAE(BINARY, 2, channels=(4,), activation="sulu")),
        ("names no level", lambda: VAE(BINARY, 2, channels=())),
        ("classes ≥ 2", lambda: VAE(BINARY, 2, classes=0)),
    ):
        with pytest.raises(ValueError, match=message):
            make()
    with pytest.raises(TypeError, match="needs a Space first"):
        VAE((1, 8, 8), 2)
    with pytest.raises(ValueError, match=r"z must have shape \(batch, 2\)"):
        VAE(BINARY, 2).decode(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="too large"):
        integrated_log_prob(VAE(BINARY, 3), digits().test)
