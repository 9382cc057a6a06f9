"""Lesson 02's exercises accept right answers however they are written."""

from functools import reduce
from itertools import pairwise

import pytest
import torch
from torch.distributions import Bernoulli, Categorical, Independent, MixtureSameFamily, Normal, kl_divergence
from torch.nn import functional as F

from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "02_latent_variables"}


def marginal_by_loop(w, ll):
    total = w[0].log() + ll[:, 0]
    for k in range(1, len(w)):
        total = torch.logaddexp(total, w[k].log() + ll[:, k])
    return total


def m_step_by_broadcasting(x, r):
    n = r.sum(dim=0)
    mu = (r.unsqueeze(-1) * x.unsqueeze(1)).sum(0) / n.unsqueeze(-1)
    d = x.unsqueeze(1) - mu.unsqueeze(0)
    outer = d.unsqueeze(-1) * d.unsqueeze(-2)
    return n / n.sum(), mu, (r[..., None, None] * outer).sum(0) / n[:, None, None]


def m_step_by_batched_product(x, r):
    n = r.sum(0)
    mu = torch.einsum("nk,nd->kd", r, x) / n[:, None]
    d = x[None] - mu[:, None]
    return n / x.shape[0], mu, (d * r.T[..., None]).mT @ d / n.view(-1, 1, 1)


def m_step_in_double(x, r):
    return tuple(part.float() for part in m_step_by_broadcasting(x.double(), r.double()))


def m_step_by_roots(x, r):
    n = r.sum(0)
    mu = (r / n).T @ x
    d = (r / n).sqrt()[:, :, None] * (x[:, None] - mu)
    return [r.mean(0), mu, torch.einsum("nki,nkj->kij", d, d)]


def m_step_by_diagonal_matrices(x, r):
    weights, means, covariances = r.mean(0), [], []
    for k in range(r.shape[1]):
        share = r[:, k] / r[:, k].sum()
        means.append(share @ x)
        covariances.append((x - means[-1]).T @ torch.diag(share) @ (x - means[-1]))
    return weights, torch.stack(means), torch.stack(covariances)


def bound_by_terms(log_joint, q):
    terms = torch.where(q > 0, q * (log_joint - q.log()), 0.0)
    elbo = terms.sum(-1)
    return elbo, log_joint.logsumexp(-1) - elbo


def bound_by_loop(log_joint, q):
    elbos, gaps = [], []
    for joint, guess in zip(log_joint, q, strict=True):
        kept = guess > 0
        log_posterior = joint - joint.logsumexp(0)
        elbos.append((guess[kept] * (joint[kept] - guess[kept].log())).sum())
        gaps.append((guess[kept] * (guess[kept].log() - log_posterior[kept])).sum())
    return torch.stack(elbos), torch.stack(gaps)


def eye(weight):
    return torch.eye(weight.size(-1), dtype=weight.dtype)


def posterior_one_by_one(x, weight, bias, variance):
    precision = weight.T @ weight + variance * eye(weight)
    means = [torch.linalg.solve(precision, weight.T @ (one - bias)) for one in x]
    return torch.stack(means), variance * torch.linalg.inv(precision)


def posterior_by_eigenvectors(x, weight, bias, variance):
    values, vectors = torch.linalg.eigh(weight.T @ weight)
    inverse = vectors @ torch.diag(1 / (values + variance)) @ vectors.T
    return (x - bias) @ weight @ inverse.T, variance * inverse


def posterior_by_cholesky(x, weight, bias, variance):
    factor = torch.linalg.cholesky(weight.T @ weight + variance * eye(weight))
    return torch.cholesky_solve(weight.T @ (x - bias).T, factor).T, variance * torch.cholesky_inverse(factor)


def ppca_step_by_loop(centered, mean, covariance):
    second = sum(torch.outer(m, m) + covariance for m in mean)
    cross = sum(torch.outer(row, m) for row, m in zip(centered, mean, strict=True))
    weight = cross @ torch.linalg.inv(second)
    error = sum(
        row @ row - 2 * row @ weight @ m + torch.trace((torch.outer(m, m) + covariance) @ weight.T @ weight)
        for row, m in zip(centered, mean, strict=True)
    )
    return weight, error / centered.numel()


def ppca_step_by_trace(centered, mean, covariance):
    cross = mean.T @ centered
    second = mean.T @ mean + covariance * mean.shape[0]
    weight = (torch.inverse(second) @ cross).T
    return weight, (centered.square().sum() - torch.trace(weight @ cross)) / centered.numel()


def ppca_step_by_expectation(centered, mean, covariance):
    cross = mean.T @ centered
    second = (mean[:, :, None] * mean[:, None] + covariance).sum(0)
    weight = torch.linalg.solve(second, cross).T
    error = centered.square().sum() - 2 * (cross.T * weight).sum() + (second * (weight.T @ weight)).sum()
    return weight, error / (len(centered) * centered.shape[1])


def loss(error):
    return lambda x, encoder, decoder: error(decoder(encoder(x)), x)


RIGHT = {
    "marginal": [
        marginal_by_loop,
        lambda w, ll: torch.logsumexp(w.log() + ll, 1),
        lambda w, ll: torch.logsumexp(ll + torch.log(w)[None, :], dim=-1),
        lambda w, ll: (w.double().log() + ll.double()).logsumexp(-1).float(),
        lambda w, ll: ll.amax(1) + ((ll - ll.amax(1, keepdim=True)).exp() @ w).log(),
        lambda w, ll: reduce(torch.logaddexp, (w.log() + ll).unbind(1)),
        lambda w, ll: (w.log() + ll)[:, 0] - (w.log() + ll).log_softmax(-1)[:, 0],
        lambda w, ll: torch.stack([(w.log() + row).logsumexp(0) for row in ll]),
        lambda w, ll: torch.special.logsumexp(w.log().expand_as(ll) + ll, -1),
        lambda w, ll: (w.log() + ll).logcumsumexp(-1)[:, -1],
        lambda w, ll: torch.einsum("kb->bk", w.log()[:, None] + ll.T).logsumexp(1),
    ],
    "e_step": [
        lambda w, ll: F.softmax(w.log() + ll, dim=1),
        lambda w, ll: torch.softmax(torch.log(w) + ll, -1),
        lambda w, ll: (w.log() + ll).log_softmax(1).exp(),
        lambda w, ll: (w.log() + ll - marginal_by_loop(w, ll)[:, None]).exp(),
        lambda w, ll: (w.log() + ll - (w.log() + ll).logsumexp(-1, keepdim=True)).exp(),
        lambda w, ll: torch.stack([(w.log() + row).softmax(0) for row in ll]),
        lambda w, ll: (w[:, None].log() + ll.T).softmax(0).T,
        lambda w, ll: F.normalize(w * (ll - ll.amax(1, keepdim=True)).exp(), p=1, dim=1),
        lambda w, ll: Categorical(logits=w.log() + ll).probs,
        lambda w, ll: F.softmax(w.double().log() + ll.double(), -1).float(),
        lambda w, ll: w * ll.softmax(-1) / (w * ll.softmax(-1)).sum(-1, keepdim=True),
    ],
    "m_step": [
        m_step_by_broadcasting,
        m_step_by_batched_product,
        m_step_in_double,
        m_step_by_roots,
        m_step_by_diagonal_matrices,
    ],
    "elbo": [
        bound_by_terms,
        bound_by_loop,
        lambda j, q: (
            (q * j).sum(1) + torch.special.entr(q).sum(1),
            -torch.special.entr(q).sum(1) - (q * F.log_softmax(j, 1)).sum(1),
        ),
        lambda j, q: (
            (q * (j - (q + 1e-20).log())).sum(-1),
            (q * ((q + 1e-20).log() - j.log_softmax(-1))).sum(-1),
        ),
        lambda j, q: (
            torch.einsum("nk,nk->n", q, j) + Categorical(q).entropy(),
            kl_divergence(Categorical(q), Categorical(logits=j)),
        ),
        lambda j, q: (
            (q * j - torch.nan_to_num(q * q.log())).sum(-1),
            (torch.nan_to_num(q * q.log()) - q * (j - j.logsumexp(-1, keepdim=True))).sum(-1),
        ),
        lambda j, q: (
            -F.kl_div(j, q, reduction="none").sum(-1),
            F.kl_div(j.log_softmax(-1), q, reduction="none").sum(-1),
        ),
        lambda j, q: tuple(part.float() for part in bound_by_terms(j.double(), q.double())),
    ],
    "ppca_posterior": [
        posterior_one_by_one,
        posterior_by_eigenvectors,
        posterior_by_cholesky,
        lambda x, w, b, v: (
            torch.linalg.lstsq(w.T @ w + v * eye(w), (w.T @ (x - b).T)).solution.T,
            v * (w.T @ w + v * eye(w)).inverse(),
        ),
        lambda x, w, b, v: (
            (x - b) @ torch.linalg.pinv(torch.cat([w, v.sqrt() * eye(w)]))[:, : len(w)].T,
            torch.linalg.inv(w.T @ w / v + eye(w)),
        ),
        lambda x, w, b, v: (
            torch.einsum("nd,dk,kl->nl", x - b, w, torch.linalg.inv(w.mT @ w + v * eye(w))),
            torch.linalg.inv(w.mT @ w + v * eye(w)) * v,
        ),
        lambda x, w, b, v: tuple(part.float() for part in posterior_by_cholesky(x.double(), w.double(), b, v.double())),
    ],
    "bug": [ppca_step_by_loop, ppca_step_by_trace, ppca_step_by_expectation],
    "autoencoder_loss": [
        loss(lambda y, x: F.binary_cross_entropy_with_logits(y, x, reduction="none").sum(1).mean()),
        loss(lambda y, x: F.binary_cross_entropy_with_logits(y, x, reduction="sum") / x.shape[0]),
        loss(lambda y, x: F.binary_cross_entropy_with_logits(y, x) * x.size(1)),
        loss(lambda y, x: -Bernoulli(logits=y).log_prob(x).sum(-1).mean()),
        loss(lambda y, x: -Independent(Bernoulli(logits=y), 1).log_prob(x).mean()),
        loss(lambda y, x: (y.clamp(min=0) - x * y + torch.log1p(torch.exp(-y.abs()))).sum(-1).mean()),
        loss(lambda y, x: F.softplus((1 - 2 * x) * y).sum(-1).mean()),
        loss(lambda y, x: -(x * F.logsigmoid(y) + (1 - x) * F.logsigmoid(-y)).sum() / len(x)),
        loss(
            lambda y, x: torch.stack(
                [F.binary_cross_entropy_with_logits(b, a, reduction="sum") for a, b in zip(x, y, strict=True)]
            ).mean()
        ),
    ],
    "repair": [
        lambda c, n, a, s: (n[:, None, None] * c + a * s**2 * torch.eye(c.size(-1))) / (n[:, None, None] + a),
        lambda c, n, a, s: (n.view(-1, 1, 1) * c + torch.diag(torch.full((2,), a * s * s))) / (n + a).view(-1, 1, 1),
        lambda c, n, a, s: (
            torch.einsum("k,kij->kij", n / (n + a), c) + torch.einsum("k,ij->kij", a * s**2 / (n + a), torch.eye(2))
        ),
        lambda c, n, a, s: c + (a / (n + a))[:, None, None] * (s**2 * torch.eye(2) - c),
        lambda c, n, a, s: torch.stack([(n[k] * c[k] + a * s**2 * torch.eye(2)) / (n[k] + a) for k in range(len(n))]),
        lambda c, n, a, s: ((n / a)[:, None, None] * c + s**2 * torch.eye(2)) / (1 + n / a)[:, None, None],
    ],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"latent/{name}"], RIGHT[name][index]).message == ""


def test_they_stand_in_the_order_of_the_lesson():
    order = ("marginal", "e_step", "m_step", "elbo", "repair", "ppca_posterior", "bug", "autoencoder_loss")
    assert list(EXERCISES) == [f"latent/{name}" for name in order]
    assert set(RIGHT) == set(order)


def test_the_marginal_is_that_of_torch_s_own_mixture():
    torch.manual_seed(0)
    weights, means, x = torch.rand(3).softmax(-1), torch.randn(3), torch.randn(7)
    mixture = MixtureSameFamily(Categorical(weights), Normal(means, 0.5))
    log_likelihood = Normal(means, 0.5).log_prob(x[:, None])
    torch.testing.assert_close(EXERCISES["latent/marginal"].reference(weights, log_likelihood), mixture.log_prob(x))


def test_bound_and_gap_add_up_to_the_marginal_whatever_the_guess():
    torch.manual_seed(0)
    log_joint, q = torch.randn(100, 5).double() * 4, torch.randn(100, 5).double().softmax(-1)
    q[:10] = torch.eye(5).double().repeat(2, 1)
    elbo, gap = EXERCISES["latent/elbo"].reference(log_joint, q)
    torch.testing.assert_close(elbo + gap, log_joint.logsumexp(-1))
    assert (gap >= 0).all()


def test_em_of_the_references_is_that_of_scikit_learn():
    from sklearn.mixture import GaussianMixture

    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 2, generator=generator).double() @ torch.tensor([[1.0, 0.5], [0.0, 2.0]]).double()
    x[:100, 0] += 5
    x[100:150, 1] -= 6
    weights, means = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64), x[[0, 100, 200]]
    covariances = torch.eye(2).double().expand(3, -1, -1)
    theirs = GaussianMixture(3, weights_init=weights.numpy(), means_init=means.numpy(), reg_covar=0.0,
                             precisions_init=covariances.numpy(), max_iter=1000, tol=1e-10).fit(x.numpy())  # fmt: skip
    for _ in range(600):
        log_likelihood = torch.distributions.MultivariateNormal(means, covariances).log_prob(x[:, None])
        responsibilities = EXERCISES["latent/e_step"].reference(weights, log_likelihood)
        weights, means, covariances = EXERCISES["latent/m_step"].reference(x, responsibilities)
    torch.testing.assert_close(means, torch.as_tensor(theirs.means_), atol=1e-3, rtol=0)
    torch.testing.assert_close(covariances, torch.as_tensor(theirs.covariances_), atol=1e-3, rtol=0)
    log_likelihood = torch.distributions.MultivariateNormal(means, covariances).log_prob(x[:, None])
    mine = EXERCISES["latent/marginal"].reference(weights, log_likelihood).mean()
    assert abs(float(mine) - theirs.score(x.numpy())) < 1e-6


def ppca_em(m_step, iterations):
    """Mean log-likelihoods along EM on 300 points in five dimensions, and the largest that two latents can reach."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(300, 5, generator=generator).double() @ torch.randn(5, 5, generator=generator).double()
    weight, bias, variance = torch.randn(5, 2, generator=generator).double(), x.mean(0), torch.ones(()).double()
    scores = []
    for _ in range(iterations):
        covariance = weight @ weight.T + variance * torch.eye(5).double()
        scores.append(float(torch.distributions.MultivariateNormal(bias, covariance).log_prob(x).mean()))
        e_step = EXERCISES["latent/ppca_posterior"].reference(x, weight, bias, variance)
        weight, variance = m_step(x - bias, *e_step)
    values = torch.linalg.eigvalsh(torch.cov(x.T, correction=0)).flip(0)
    left = values[2:].mean()
    best = -0.5 * (5 * torch.tensor(2 * torch.pi).log() + values[:2].log().sum() + 3 * left.log() + 5)
    return scores, float(best)


def test_em_of_the_references_reaches_the_closed_form_of_ppca():
    scores, best = ppca_em(EXERCISES["latent/bug"].reference, 400)
    assert min(after - before for before, after in pairwise(scores)) > -1e-9
    assert abs(scores[-1] - best) < 1e-6


def test_the_shipped_bug_lowers_the_likelihood_which_em_never_does():
    scores, best = ppca_em(EXERCISES["latent/bug"].mistakes[0].function, 100)
    assert scores[-1] < max(scores) - 0.1 < best


def test_the_repaired_m_step_climbs_its_own_objective():
    """log p(x) plus the log of the prior that the imagined points stand for never falls."""
    generator = torch.Generator().manual_seed(0)
    x = 2 * torch.randn(30, 2, generator=generator).double()
    strength, spread, components = 3.0, 1.0, 6
    weights = torch.full((components,), 1 / components).double()
    means, covariances = x[:components], torch.cov(x.T).expand(components, -1, -1)
    objectives = []
    for _ in range(200):
        log_likelihood = torch.distributions.MultivariateNormal(means, covariances).log_prob(x[:, None])
        inverse = torch.linalg.inv(covariances)
        prior = -0.5 * strength * (torch.logdet(covariances) + spread**2 * inverse.diagonal(dim1=1, dim2=2).sum(-1))
        objectives.append(float(EXERCISES["latent/marginal"].reference(weights, log_likelihood).sum() + prior.sum()))
        responsibilities = EXERCISES["latent/e_step"].reference(weights, log_likelihood)
        weights, means, covariances = EXERCISES["latent/m_step"].reference(x, responsibilities)
        covariances = EXERCISES["latent/repair"].reference(covariances, weights * len(x), strength, spread)
    assert min(after - before for before, after in pairwise(objectives)) > -1e-9
