"""Independent pixels and Gaussians against counting, enumeration, quadrature, SciPy and scikit-learn."""

import math

import numpy
import pytest
import torch
from members import BINARY, GREY, TOKENS, correlated, every, seeded, some
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.naive_bayes import GaussianNB

from dgmcourse.core import Kind, Space
from dgmcourse.data import digits
from dgmcourse.evaluation.likelihood import average_log_prob
from dgmcourse.models import ClassConditionalGaussian, Gaussian, IndependentPixels, KernelDensity
from dgmcourse.training import fit


def labelled(n: int = 300, classes: int = 3, dim: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping Gaussian classes of different shapes and sizes."""
    y = torch.randint(classes, (n,), generator=seeded(1)).minimum(torch.randint(classes, (n,), generator=seeded(2)))
    x = torch.stack([correlated(n, dim, seed=5 + label) + label for label in range(classes)])
    return x[y, torch.arange(n)], y


def gradient_at(model, x, y=None) -> torch.Tensor:
    """The largest entry of the training loss's gradient."""
    (step,) = model.training_step(x, y)
    model.zero_grad()
    step.loss.backward()
    return max(parameter.grad.abs().max() for parameter in model.parameters())


# --- independent pixels ------------------------------------------------------------------------------------------------


def test_independent_pixels_on_binary_digits():
    data = digits(levels=2)
    found = average_log_prob(IndependentPixels(data.space).estimate(data.train), data.test)
    assert found.kind is Kind.EXACT
    assert found.value == pytest.approx(-25.2, abs=0.3)


@pytest.mark.parametrize("space", [Space.grey(2, 3, levels=3), BINARY, TOKENS], ids=str)
def test_independent_pixels_sum_to_one(space):
    model = IndependentPixels(space).double()
    with torch.no_grad():
        model.logits.normal_(generator=seeded())
    total = model.log_prob(every(space)).value.logsumexp(0)
    assert float(total.detach()) == pytest.approx(0, abs=1e-9)


def test_estimated_pixels_are_counted_frequencies():
    space = Space.grey(2, levels=3)
    x = torch.tensor([[0.0, 0.5], [0.0, 0.5], [1.0, 0.5]])
    model = IndependentPixels(space).double().estimate(x, pseudo_count=1)
    expected = torch.tensor([[3, 1, 2], [1, 4, 1]], dtype=torch.float64) / 6
    torch.testing.assert_close(model.probabilities, expected)
    model.estimate(x, pseudo_count=0)
    torch.testing.assert_close(model.probabilities, torch.tensor([[2, 0, 1], [0, 3, 0]], dtype=torch.float64) / 3)
    found = model.log_prob(torch.tensor([[0.0, 0.5], [0.5, 0.5]], dtype=torch.float64)).value.detach()
    assert float(found[0]) == pytest.approx(math.log(2 / 3))
    assert float(found[1]) == -math.inf  # maximum likelihood has never seen it


@pytest.mark.parametrize("space", [BINARY, GREY, TOKENS], ids=str)
def test_sampled_pixels_have_the_tables_frequencies(space):
    model = IndependentPixels(space)
    with torch.no_grad():
        model.logits.normal_(generator=seeded())
    torch.manual_seed(0)
    found = IndependentPixels(space).estimate(model.sample(40_000), pseudo_count=0).probabilities
    error = (model.probabilities * (1 - model.probabilities) / 40_000).sqrt()
    assert ((found - model.probabilities).abs() < 4.5 * error).all()


def test_training_pixels_approaches_counting():
    data = digits(levels=2)
    truth = IndependentPixels(data.space).estimate(data.train, pseudo_count=0)
    model = IndependentPixels(data.space)
    fit(model, data.train, steps=300, batch_size=1300, lr=0.3, schedule="cosine", progress=False)
    best = float(truth.log_prob(data.train).value.detach().mean())
    found = float(model.log_prob(data.train).value.detach().mean())
    assert best - 0.01 < found < best + 1e-4


# --- one Gaussian --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 2, 3)])
def test_gaussian_log_prob_equals_scipys(shape):
    x = correlated(50, math.prod(shape))
    model = Gaussian(Space.real(*shape)).assign(x.mean(0) + 1, torch.cov(x.T).reshape(x.shape[1], x.shape[1]))
    expected = multivariate_normal(model.mean.numpy(), model.covariance.double().numpy()).logpdf(x.numpy())
    found = model.log_prob(x.float().view(-1, *shape))
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value.double(), torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


def test_estimated_gaussian_has_the_moments_of_the_data():
    x = correlated(5000, 4) + 1000  # far from the origin: sums of squares would lose their digits
    model = Gaussian(Space.real(4)).double().estimate(x)
    torch.testing.assert_close(model.mean, x.mean(0))
    covariance = torch.from_numpy(numpy.cov(x.numpy().T, bias=True))
    torch.testing.assert_close(model.covariance, covariance)
    entropy = 0.5 * (4 * math.log(2 * math.pi * math.e) + torch.logdet(covariance))
    assert float(model.log_prob(x).value.detach().mean()) == pytest.approx(-float(entropy), abs=1e-8)
    model.estimate(x, ridge=0.5)
    torch.testing.assert_close(model.covariance, covariance + 0.5 * torch.eye(4, dtype=torch.float64))


@pytest.mark.parametrize("space", [Space.real(3), GREY, BINARY], ids=str)
def test_at_the_estimate_the_gradient_is_zero(space):
    """Of the likelihood for reals, of the bound averaged over the noise for levels."""
    x = some(space, 200).double()
    assert gradient_at(Gaussian(space).double().estimate(x), x) < 1e-10
    y = torch.arange(200) % 2
    for covariance in ("full", "shared", "diagonal"):
        model = ClassConditionalGaussian(space, 2, covariance).double()
        assert gradient_at(model, x, y) > 0.01
        assert gradient_at(model.estimate(x, y), x, y) < 1e-10


def test_a_dequantized_gaussian_bounds_the_exact_probability():
    """P(x) is the Gaussian's mass in the cell of x; the bound is the mean over the cell of its log density."""
    space = Space.grey(2, levels=4)
    mean, covariance = torch.tensor([0.6, 0.4]), torch.tensor([[0.04, 0.02], [0.02, 0.05]])
    model = Gaussian(space).double().assign(mean, covariance)
    x = every(space).double()
    found = model.log_prob(x)
    assert found.kind is Kind.LOWER_BOUND
    normal = multivariate_normal(mean.numpy(), covariance.numpy())
    for corner, bound in zip((x * 3 / 4).numpy(), found.value.detach(), strict=True):
        exact = math.log(normal.cdf(corner + 1 / 4, lower_limit=corner))
        assert exact - 2 < float(bound) < exact
    torch.manual_seed(0)
    u = space.dequantize(x.repeat(4000, 1))
    draws = torch.from_numpy(normal.logpdf(u.numpy())).view(4000, -1) + space.log_cell_volume
    error = draws.std(0) / math.sqrt(4000)
    assert ((draws.mean(0) - found.value).abs() < 4 * error).all()


def test_training_a_gaussian_approaches_the_closed_form():
    x = correlated(500, 3, seed=4).float()
    best = Gaussian(Space.real(3)).estimate(x).log_prob(x).value.mean()
    model = Gaussian(Space.real(3))
    fit(model, x, steps=600, batch_size=500, lr=0.1, schedule="cosine", progress=False)
    found = model.log_prob(x).value.mean()
    assert best - 0.01 < found < best + 1e-4


def test_samples_of_a_gaussian_have_its_moments():
    mean, covariance = torch.tensor([1.0, -2.0]), torch.tensor([[2.0, -1.0], [-1.0, 1.0]])
    model = Gaussian(Space.real(2)).assign(mean, covariance)
    torch.manual_seed(0)
    x = model.sample(100_000)
    torch.testing.assert_close(x.mean(0), mean, rtol=0, atol=0.02)
    torch.testing.assert_close(torch.cov(x.T), covariance, rtol=0, atol=0.03)


def test_grey_samples_follow_the_data_they_were_estimated_from():
    data = digits(levels=17)
    torch.manual_seed(0)
    x = Gaussian(data.space).estimate(data.train).sample(4000)
    data.space.check(x, values=True)
    assert (x.mean(0) - data.train.mean(0)).abs().mean() < 0.04  # clipping to [0, 1] costs a little
    inner = data.train.std(0) > 0.3
    torch.testing.assert_close(x.std(0)[inner], data.train.std(0)[inner], rtol=0.25, atol=0)


def test_a_singular_covariance_is_refused_in_words():
    model, x = Gaussian(Space.real(3)), correlated(50, 3).float()
    for flat in (
        torch.cat([x[:, :2], torch.ones(50, 1)], 1),
        torch.cat([x[:, :2], x[:, :1] + 2 * x[:, 1:2]], 1),
        x[:3],
        x[:1],
    ):
        with pytest.raises(ValueError, match=r"singular.*ridge"):
            model.estimate(flat)
        assert torch.isfinite(model.estimate(flat, ridge=1e-3).log_prob(x).value).all()
    with pytest.raises(ValueError, match=r"ridge must not be negative"):
        model.estimate(x, ridge=-1)
    with pytest.raises(ValueError, match="NaN"):
        model.estimate(x * math.nan)
    with pytest.raises(ValueError, match="at least one example"):
        model.estimate(x[:0])
    with pytest.raises(ValueError, match="symmetric"):
        model.assign(torch.zeros(3), torch.tensor([[1.0, 0.5, 0], [0, 1, 0], [0, 0, 1]]))
    with pytest.raises(ValueError, match=r"mean must have shape \(3,\), got \(2,\)"):
        model.assign(torch.zeros(2), torch.eye(3))


# --- a Gaussian for each class -----------------------------------------------------------------------------------------


def conditional(covariance: str, classes: int = 3, dim: int = 2) -> ClassConditionalGaussian:
    return ClassConditionalGaussian(Space.real(dim), classes, covariance).double()


def test_posteriors_equal_scikit_learns():
    x, y = labelled()
    new = torch.cat([x, 4 * x[:50]])
    linear = LinearDiscriminantAnalysis(solver="lsqr").fit(x, y)  # its covariance is divided by n, as ours
    naive = GaussianNB(var_smoothing=0).fit(x, y)
    for reference, covariance in ((linear, "shared"), (naive, "diagonal")):
        found = conditional(covariance).estimate(x, y).log_posterior(new).exp()
        torch.testing.assert_close(found.detach(), torch.from_numpy(reference.predict_proba(new)), rtol=0, atol=1e-6)
    quadratic = QuadraticDiscriminantAnalysis(store_covariance=True).fit(x, y)
    covariances = torch.from_numpy(numpy.stack(quadratic.covariance_))  # divided by n or n − 1, as its version has it
    model = conditional("full").assign(*map(torch.from_numpy, (quadratic.priors_, quadratic.means_)), covariances)
    expected = torch.from_numpy(quadratic.predict_proba(new))
    torch.testing.assert_close(model.log_posterior(new).exp().detach(), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("covariance", ["full", "shared", "diagonal"])
def test_estimates_are_the_moments_of_each_class(covariance):
    x, y = labelled()
    model = conditional(covariance).estimate(x, y, ridge=0.25)
    priors = torch.bincount(y) / len(y)
    parts = [x[y == label] for label in range(3)]
    covariances = torch.from_numpy(numpy.stack([numpy.cov(part.numpy().T, bias=True) for part in parts]))
    if covariance == "shared":
        covariances = (priors.double()[:, None, None] * covariances).sum(0).expand(3, 2, 2)
    if covariance == "diagonal":
        covariances = covariances * torch.eye(2)
    torch.testing.assert_close(model.priors.float(), priors)
    torch.testing.assert_close(model.means, torch.stack([part.mean(0) for part in parts]))
    torch.testing.assert_close(model.covariances, covariances + 0.25 * torch.eye(2))


@pytest.mark.parametrize("covariance", ["full", "shared", "diagonal"])
def test_bayes_rule_against_scipy_and_quadrature(covariance):
    x, y = labelled()
    model = conditional(covariance).estimate(x, y)
    with torch.no_grad():
        joint, marginal = model.log_joint(x), model.log_prob(x)
        each = [multivariate_normal(m.numpy(), c.numpy()) for m, c in zip(model.means, model.covariances, strict=True)]
        expected = torch.from_numpy(numpy.stack([normal.logpdf(x.numpy()) for normal in each], 1))
        torch.testing.assert_close(joint, expected + model.priors.log(), rtol=1e-8, atol=1e-8)
        torch.testing.assert_close(model.log_prob(x, y).value, expected[torch.arange(len(y)), y])
        torch.testing.assert_close(marginal.value, joint.logsumexp(1))
        assert marginal.kind is Kind.EXACT
        torch.testing.assert_close(model.log_posterior(x), joint - marginal.value[:, None])
        side = torch.linspace(-18, 24, 400, dtype=torch.float64)
        mass = model.log_joint(torch.cartesian_prod(side, side)).exp().sum(0) * (side[1] - side[0]) ** 2
        torch.testing.assert_close(mass, model.priors, rtol=0, atol=1e-5)  # ∫ p(x, y) dx = p(y)


def test_labels_and_examples_are_drawn_from_the_joint():
    x, y = labelled()
    model = conditional("full").estimate(x, y)
    torch.manual_seed(0)
    for label in range(3):
        draws = model.sample(40_000, torch.full((40_000,), label))
        torch.testing.assert_close(draws.mean(0), model.means[label], rtol=0, atol=0.1)
        torch.testing.assert_close(torch.cov(draws.T), model.covariances[label], rtol=0.05, atol=0.05)
    labels = model.sample_labels(40_000)
    torch.testing.assert_close(torch.bincount(labels).double() / 40_000, model.priors, rtol=0, atol=0.01)
    draws, mean = model.sample(40_000), model.priors @ model.means
    total = torch.einsum("c,cij->ij", model.priors, model.covariances)
    total = total + torch.einsum("c,ci,cj->ij", model.priors, model.means - mean, model.means - mean)
    torch.testing.assert_close(draws.mean(0), mean, rtol=0, atol=0.1)
    torch.testing.assert_close(torch.cov(draws.T), total, rtol=0.05, atol=0.05)


def test_digits_are_told_apart_and_scored_in_pieces():
    data = digits(levels=17)
    model = ClassConditionalGaussian(data.space, 10).estimate(data.train, data.train_labels, ridge=0.01)
    with torch.no_grad():
        found = model.log_posterior(data.test)
        assert (found.argmax(1) != data.test_labels).float().mean() < 0.03
        assert model.log_prob(data.test).kind is Kind.LOWER_BOUND
        torch.testing.assert_close(found, model.log_posterior(data.test))  # the bound has no noise
        many = model.log_joint(data.test.repeat(30, 1, 1, 1))
        torch.testing.assert_close(many, model.log_joint(data.test).repeat(30, 1), rtol=1e-5, atol=1e-3)


def test_class_conditional_gaussian_refuses_in_words():
    x, y = labelled()
    for covariance in ("full", "shared", "diagonal"):
        model = conditional(covariance)
        with pytest.raises(ValueError, match=r"no example of label 1, so its mean is unknown"):
            model.estimate(x, torch.where(y == 1, 2, y))
        with pytest.raises(ValueError, match=r"labels must lie in 0 … 2, got 1 … 3"):
            model.estimate(x, y + 1)
        with pytest.raises(TypeError, match="int64"):
            model.estimate(x, y.float())
        with pytest.raises(ValueError, match=r"one label for each example"):
            model.estimate(x, y[:-1])
        with pytest.raises(ValueError, match=r"ridge=1e-3"):
            model.estimate(x * torch.tensor([1.0, 0.0]), y)
        with pytest.raises(ValueError, match="labels must lie in"):
            model.log_prob(x, y + 1)
        with pytest.raises(ValueError, match="pass y"):
            next(model.training_step(x))
    one = torch.cat([y[y > 0], torch.zeros(1, dtype=torch.int64)])
    with pytest.raises(ValueError, match=r"covariance of label 0 is singular"):
        conditional("full").estimate(x[: len(one)], one)
    with pytest.raises(ValueError, match="sum to 1"):
        conditional("full").assign(torch.ones(3), torch.zeros(3, 2), torch.eye(2).expand(3, 2, 2))
    with pytest.raises(ValueError, match="classes ≥ 2"):
        ClassConditionalGaussian(Space.real(2), 1)
    with pytest.raises(ValueError, match=r"'full', 'shared', 'diagonal', got 'round'"):
        ClassConditionalGaussian(Space.real(2), 3, "round")


@pytest.mark.parametrize("make", [Gaussian, lambda space: ClassConditionalGaussian(space, 2)])
def test_gaussians_refuse_tokens_and_pixels_refuse_reals(make):
    with pytest.raises(ValueError, match="for tokens use IndependentPixels"):
        make(TOKENS)
    with pytest.raises(ValueError, match="for real numbers use Gaussian"):
        IndependentPixels(Space.real(2))


def test_autocast_changes_no_likelihood():
    data = digits(levels=2)
    models = [
        IndependentPixels(data.space).estimate(data.train),
        Gaussian(data.space).estimate(data.train),
        KernelDensity(data.space, 1300, 0.05).remember(data.train),
        ClassConditionalGaussian(data.space, 10).estimate(data.train, data.train_labels),
    ]
    for model in models:
        expected = model.log_prob(data.test).value
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(model.log_prob(data.test).value, expected, msg=type(model).__name__)
