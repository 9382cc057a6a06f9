"""AR(p) against the multivariate normal, against known coefficients, and against its own samples."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal

from dgmcourse.core import Kind, Space
from dgmcourse.data import ARProcess, series
from dgmcourse.models import AR
from dgmcourse.training import fit


def model_of(process: ARProcess) -> AR:
    model = AR(process.space, process.order).double()
    scale = torch.tensor(process.scale, dtype=torch.float64)
    return model._assign(torch.tensor(process.mean), process.partials.atanh(), scale.log())


@pytest.mark.parametrize("coefficients", [(0.7,), (1.4, -0.85), (0.1, 0.2, -0.3, 0.4)])
@pytest.mark.parametrize("length", [1, 3, 30])
def test_log_prob_is_the_multivariate_normals(coefficients, length):
    process = ARProcess(coefficients, 0.6, length, mean=1.5)
    model = model_of(process)
    torch.testing.assert_close(model.coefficients, process.coefficients)
    truth = MultivariateNormal(torch.full((length,), 1.5, dtype=torch.float64), process.covariance())
    torch.manual_seed(0)
    x = truth.sample((5,))
    found = model.log_prob(x)
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value, truth.log_prob(x), rtol=0, atol=1e-9)
    mean, spread = model.logits(x).unbind(-1)
    terms = torch.distributions.Normal(mean, spread.exp()).log_prob(x)
    torch.testing.assert_close(terms, model.log_conditionals(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("method", ["least_squares", "likelihood"])
def test_known_coefficients_are_recovered_within_their_standard_errors(method):
    data = series("ar2", length=64, n=(400, 10, 10))
    model = AR(data.space, 2).estimate(data.train, method)
    errors = model.standard_errors(400 * 62)
    assert float(errors.max()) < 0.01
    away = (model.coefficients - data.truth.coefficients) / errors
    assert float(away.abs().max()) < 3
    assert float(model.scale) == pytest.approx(1, abs=0.02)
    assert float(model.mean.detach()) == pytest.approx(0, abs=0.05)


def test_standard_errors_are_how_estimates_scatter():
    process = ARProcess((1.4, -0.85), 1.0, 50)
    generator = torch.Generator().manual_seed(0)
    found = torch.stack(
        [AR(process.space).estimate(process.sample(10, generator), "least_squares").coefficients for _ in range(300)]
    )
    expected = model_of(process).standard_errors(10 * 48)
    torch.testing.assert_close(found.double().std(0), expected, rtol=0.15, atol=0)


def test_the_likelihood_is_at_its_maximum_and_above_least_squares():
    """On short series the start matters: least squares leaves it out."""
    x = ARProcess((1.4, -0.85), 1.0, 5, mean=2.0).sample(200, torch.Generator().manual_seed(0)).double()
    space = Space.real(5)
    best, squares = (AR(space).double().estimate(x, method) for method in ("likelihood", "least_squares"))
    loss = -best.log_prob(x).value.mean()
    for gradient in torch.autograd.grad(loss, list(best.parameters())):
        assert float(gradient.abs().max()) < 1e-5
    assert float(loss.detach()) < float(-squares.log_prob(x).value.detach().mean())


def test_gradient_steps_reach_the_maximum_of_the_likelihood():
    data = series("ar2", length=32, n=(500, 50, 500))
    best = AR(data.space).estimate(data.train)
    model = AR(data.space)
    fit(model, data, steps=600, batch_size=500, lr=3e-2, schedule="cosine", progress=False)
    torch.testing.assert_close(model.coefficients, best.coefficients, rtol=0, atol=2e-3)
    gap = data.truth.log_prob(data.test).mean() - model.log_prob(data.test).value.mean()
    assert float(gap) < 0.02


def test_samples_have_the_processes_covariance():
    process = ARProcess((1.4, -0.85), 0.5, 5, mean=-1.0)
    torch.manual_seed(0)
    x = model_of(process).float().sample(40_000)
    torch.testing.assert_close(torch.cov(x.double().T), process.covariance(), rtol=0, atol=0.07)
    torch.testing.assert_close(x.mean(0), torch.full((5,), -1.0), rtol=0, atol=0.03)


def test_a_forecast_is_the_conditional_gaussian():
    """Given the first four values, the rest have the mean and covariance of the conditioned multivariate normal."""
    process = ARProcess((0.5, 0.3), 1.0, 7)
    model, covariance = model_of(process).float(), process.covariance()
    past = torch.tensor([1.0, -2.0, 0.5, 3.0])
    given = torch.cat([past, torch.zeros(3)]).expand(30_000, -1)
    torch.manual_seed(0)
    mask = torch.arange(7) < 4
    x = model.complete(given, mask)
    assert torch.equal(x[:, :4], given[:, :4])
    gain = covariance[4:, :4] @ torch.linalg.inv(covariance[:4, :4])
    torch.testing.assert_close(x[:, 4:].mean(0).double(), gain @ past.double(), rtol=0, atol=0.04)
    torch.testing.assert_close(
        torch.cov(x[:, 4:].double().T), covariance[4:, 4:] - gain @ covariance[:4, 4:], rtol=0, atol=0.06
    )
    cold = model.complete(given, mask, temperature=0.0)
    torch.testing.assert_close(cold[0, 4:].double(), gain @ past.double(), rtol=0, atol=1e-4)


def test_the_process_it_has_learned_scores_alike():
    model = AR(Space.real(9), 3)
    with torch.no_grad():
        model.raw_partials.copy_(torch.tensor([0.5, -1.0, 0.3]))
        model.mean.fill_(0.4)
    x = torch.randn(6, 9)
    torch.testing.assert_close(model.process().log_prob(x).float(), model.log_prob(x).value, rtol=0, atol=1e-4)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"needs a series real\(length\), got binary"):
        AR(Space.binary(1, 8, 8))
    with pytest.raises(ValueError, match="order ≥ 1"):
        AR(Space.real(9), 0)
    with pytest.raises(ValueError, match="longer or more series"):
        AR(Space.real(2), 2).estimate(torch.randn(50, 2))
    with pytest.raises(ValueError, match="least_squares"):
        AR(Space.real(9)).estimate(torch.randn(5, 9), "moments")
    growing = (1.1 ** torch.arange(20.0)).expand(3, -1) + 0.01 * torch.randn(3, 20)
    with pytest.raises(ValueError, match="not stationary"):
        AR(Space.real(20), 1).estimate(growing, "least_squares")
    assert math.isfinite(float(AR(Space.real(20), 1).estimate(growing).coefficients))  # the nearest stationary one
    with pytest.raises(ValueError, match="use temperature"):
        next(AR(Space.real(3)).trajectory(2, top_k=1))
    with pytest.raises(ValueError, match="model of tokens"):
        AR(Space.real(3)).next_distribution(torch.zeros(2, dtype=torch.int64))
