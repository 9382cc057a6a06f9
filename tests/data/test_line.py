"""Mixtures on the line: what they say of themselves agrees with closed forms and with scipy's adaptive quadrature."""

import itertools
import math

import pytest
import torch
from scipy import integrate, stats

from dgmcourse.data import LineMixture

TWO = LineMixture([-2.0, 1.5], [0.5, 1.1], [0.35, 0.65])
OTHERS = {
    "one": LineMixture([0.3], [1.7]),
    "narrow": LineMixture([-2.0, 3.0], [0.15, 0.2], [0.6, 0.4]),
    "wide": LineMixture([-4.0, 6.0], [4.0, 0.5], [0.9, 0.1]),
    "three": LineMixture([-3.0, 0.0, 2.0], [0.4, 0.2, 0.9]),
    "far": LineMixture([-50.0, 60.0], [1.0, 2.0]),
}
others = pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)


def log_density(p, x):
    """log p(x) of one number, by scipy alone."""
    parts = zip(p.weights.tolist(), p.means.tolist(), p.stds.tolist(), strict=True)
    terms = [math.log(w) + stats.norm.logpdf(x, m, s) for w, m, s in parts]
    return max(terms) + math.log(sum(math.exp(t - max(terms)) for t in terms))


def integral(p, f):
    """∫ p(x) f(x) dx by adaptive quadrature, cut wherever a component has its middle or its tails."""
    cuts = sorted({float(m + k * s) for m, s in zip(p.means, p.stds, strict=True) for k in (-12, -6, -3, 0, 3, 6, 12)})
    edges = [(a, b) for a, b in itertools.pairwise(cuts) if b > a]
    pieces = [integrate.quad(lambda x: math.exp(log_density(p, x)) * f(x), a, b, epsabs=1e-12, limit=500)[0]
              for a, b in edges]  # fmt: skip
    return sum(pieces)


def test_the_density_is_scipys_and_takes_columns_too():
    x = torch.linspace(-6, 6, 41, dtype=torch.float64)
    expected = [log_density(TWO, float(value)) for value in x]
    assert TWO.log_prob(x).tolist() == pytest.approx(expected, abs=1e-12)
    assert TWO.log_prob(x[:, None].float()).dtype == torch.float32
    assert TWO.log_prob(x[:, None].float()).tolist() == pytest.approx(expected, rel=1e-6)


def test_a_gaussians_entropy_and_divergence_are_the_closed_forms():
    p, q = LineMixture([0.7], [0.3]), LineMixture([-1.0], [2.0])
    assert p.entropy == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 0.3**2), abs=1e-12)
    closed = math.log(2.0 / 0.3) + (0.3**2 + 1.7**2) / (2 * 2.0**2) - 0.5
    assert p.kl(q) == pytest.approx(closed, abs=1e-12)


@others
def test_both_divergences_and_the_entropy_agree_with_adaptive_quadrature(other):
    for p, q in ((TWO, other), (other, TWO)):
        expected = integral(p, lambda x, p=p, q=q: log_density(p, x) - log_density(q, x))
        assert p.kl(q) == pytest.approx(expected, rel=1e-8, abs=1e-8)
        assert p.kl(q) > 0
    assert other.entropy == pytest.approx(-integral(other, lambda x: log_density(other, x)), abs=1e-9)


def test_a_kink_between_two_far_and_narrow_components_is_resolved():
    """Between them log q changes its slope within a hundredth of σ; the trapezoid rule must not step over it."""
    q = LineMixture([-5.0, 5.0], [0.1, 0.1])
    kink = integrate.quad(
        lambda x: math.exp(log_density(TWO, x)) * log_density(q, x),
        -9,
        14,
        points=[-2, 0, 1.5],
        epsabs=1e-9,
        limit=2000,
    )[0]
    assert TWO.kl(q) == pytest.approx(-TWO.entropy - kink, rel=1e-6)


def test_a_density_does_not_diverge_from_itself():
    assert TWO.kl(TWO) == 0.0
    split = LineMixture([-2.0, 1.5, 1.5], [0.5, 1.1, 1.1], [0.35, 0.5, 0.15])
    assert abs(TWO.kl(split)) < 1e-14


def test_moments_are_those_of_the_density():
    assert float(TWO.expectation(lambda x: x)) == pytest.approx(TWO.mean, abs=1e-12)
    assert float(TWO.expectation(lambda x: (x - TWO.mean).square())) == pytest.approx(TWO.std**2, abs=1e-12)


def test_the_gradient_of_the_divergence_is_the_closed_forms():
    mean, std = torch.tensor([0.5], requires_grad=True), torch.tensor([0.8], requires_grad=True)
    q, p = LineMixture(mean, std), LineMixture([-1.0], [2.0])
    forward = torch.autograd.grad(p.divergence(q), [mean, std])
    assert float(forward[0]) == pytest.approx(1.5 / 0.8**2, rel=1e-6)  # d/dμ (σ_p² + (μ_p − μ)²) / 2σ²
    assert float(forward[1]) == pytest.approx(1 / 0.8 - (4 + 1.5**2) / 0.8**3, rel=1e-6)
    reverse = torch.autograd.grad(q.divergence(p), [mean, std])
    assert float(reverse[0]) == pytest.approx(1.5 / 4, rel=1e-6)
    assert float(reverse[1]) == pytest.approx(0.8 / 4 - 1 / 0.8, rel=1e-6)


def test_samples_follow_the_density_and_the_generator():
    x = TWO.sample(20_000, torch.Generator().manual_seed(1))
    assert x.shape == (20_000,)
    assert x.dtype == torch.float32

    def cumulative(values):
        parts = zip(TWO.weights.tolist(), TWO.means.tolist(), TWO.stds.tolist(), strict=True)
        return sum(w * stats.norm.cdf(values, m, s) for w, m, s in parts)

    assert stats.kstest(x.double().numpy(), cumulative).pvalue > 0.01
    assert torch.equal(x, TWO.sample(20_000, torch.Generator().manual_seed(1)))


def test_it_reads_as_a_formula():
    assert repr(TWO) == "0.35·N(−2, 0.5²) + 0.65·N(1.5, 1.1²)"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LineMixture([0.0, 1.0], [1.0]), "as long as each other"),
        (lambda: LineMixture([], []), "one number a component"),
        (lambda: LineMixture([0.0], [0.0]), "stds positive"),
        (lambda: LineMixture([math.nan], [1.0]), "finite"),
        (lambda: LineMixture([0.0, 1.0], [1.0, 1.0], [0.5, 0.6]), "sum to 1"),
        (lambda: LineMixture([0.0, 1.0], [1.0, 1.0], [1.5, -0.5]), "negative"),
        (lambda: TWO.log_prob(torch.zeros(3, 2)), r"\(batch,\) or \(batch, 1\), got \(3, 2\)"),
        (lambda: TWO.sample(0), "n ≥ 1"),
    ],
)
def test_what_is_no_mixture_is_refused_in_words(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_integers_are_refused_in_words():
    with pytest.raises(TypeError, match=r"x\.float\(\)"):
        TWO.log_prob(torch.arange(3))
