"""Exercises of lesson 02 on learning a mixture: the M-step, and the M-step that no single point can fool."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .latent_mixture import LESSON

# --- the M-step: weights, means and covariances -----------------------------------------------------------------------


def m_step(x, responsibilities):
    counts = responsibilities.sum(0)
    means = responsibilities.T @ x / counts[:, None]
    difference = x[:, None] - means
    scatter = torch.einsum("nk,nki,nkj->kij", responsibilities, difference, difference)
    return counts / len(x), means, scatter / counts[:, None, None]


def _draw_points(generator, n=12, components=3):
    x = 2 * torch.randn(n, 2, generator=generator) + torch.tensor([1.5, -0.5])
    responsibilities = (2 * torch.randn(n, components, generator=generator) - torch.arange(components)).softmax(-1)
    return x, responsibilities


def _scatter(x, responsibilities, means):
    difference = x[:, None] - means
    return torch.einsum("nk,nki,nkj->kij", responsibilities, difference, difference)


def _with(weights=None, means=None, scatter=None, count=None):
    """An M-step with one part done otherwise: each a function of x, responsibilities and what came before."""

    def other(x, responsibilities):
        counts = responsibilities.sum(0)
        pi = counts / len(x) if weights is None else weights(x, responsibilities)
        mu = responsibilities.T @ x / counts[:, None] if means is None else means(x, responsibilities)
        total = _scatter(x, responsibilities, mu) if scatter is None else scatter(x, responsibilities, mu)
        return pi, mu, total / (counts if count is None else count(x, responsibilities)).view(-1, 1, 1)

    return other


def _best(x, responsibilities):
    return F.one_hot(responsibilities.argmax(-1), responsibilities.shape[1]).to(x.dtype)


def _hard(x, responsibilities):
    return m_step(x, _best(x, responsibilities))


def _hard_scatter(x, responsibilities, means):
    return _scatter(x, _best(x, responsibilities), means)


def _raw_moments(x, responsibilities, means):
    return torch.einsum("nk,ni,nj->kij", responsibilities, x, x)


def _around_the_overall_mean(x, responsibilities, means):
    return _scatter(x, responsibilities, x.mean(0).expand_as(means))


def _unweighted(x, responsibilities, means):
    return _scatter(x, torch.ones_like(responsibilities), means)


def _ones(x, responsibilities):
    return torch.ones(responsibilities.shape[1])


def _all(x, responsibilities):
    return torch.full((responsibilities.shape[1],), float(len(x)))


def _only_variances(x, responsibilities):
    weights, means, covariances = m_step(x, responsibilities)
    return weights, means, covariances.diagonal(dim1=1, dim2=2)


def _without_correlations(x, responsibilities):
    weights, means, covariances = m_step(x, responsibilities)
    return weights, means, torch.diag_embed(covariances.diagonal(dim1=1, dim2=2))


def _one_for_all(x, responsibilities):
    weights, means, covariances = m_step(x, responsibilities)
    return weights, means, covariances.sum(0)


def _by_covariance_function(x, responsibilities):
    """torch.cov with soft counts as weights; correction=0, for a maximum of the likelihood divides by N_h."""
    counts = responsibilities.sum(0)
    covariances = [torch.cov(x.T, aweights=r, correction=0) for r in responsibilities.T]
    return responsibilities.mean(0), (responsibilities / counts).T @ x, torch.stack(covariances)


def _by_second_moments(x, responsibilities):
    share = responsibilities / responsibilities.sum(0)
    means = share.T @ x
    return (
        responsibilities.mean(0),
        means,
        torch.einsum("nk,ni,nj->kij", share, x, x) - means[:, :, None] * means[:, None, :],
    )


def _by_loop(x, responsibilities):
    weights, means, covariances = [], [], []
    for r in responsibilities.unbind(1):
        mean = (r[:, None] * x).sum(0) / r.sum()
        weights.append(r.sum() / x.shape[0])
        means.append(mean)
        covariances.append((r[:, None] * (x - mean)).T @ (x - mean) / r.sum())
    return torch.stack(weights), torch.stack(means), torch.stack(covariances)


M_STEP = Exercise(
    "latent/m_step",
    m_step,
    _draw_points,
    lesson=LESSON,
    title="the M-step: weights, means, covariances",
    minutes=15,
    difficulty=2,
    hints=(
        "Begin with the soft counts N_h = Σ_n r_nh: responsibilities.sum(0), of shape (components,). The weights are "
        "N_h / n. Everything else is an average in which point n counts r_nh, so it is divided by N_h.",
        "All means at once: responsibilities.T @ x adds up the weighted points, (components, dim); divide by "
        "counts[:, None]. For the covariances, x[:, None] - means holds every point's distance from every mean, "
        "(n, components, dim).",
        'difference = x[:, None] - means; scatter = torch.einsum("nk,nki,nkj->kij", responsibilities, difference, '
        "difference); return counts / len(x), means, scatter / counts[:, None, None].",
    ),
    mistakes=(
        Mistake(
            _with(weights=lambda x, r: r.sum(0)),
            "Your weights are the soft counts N_h; divide them by the number of points, so that they sum to 1.",
        ),
        Mistake(
            _with(weights=lambda x, r: r.sum(0) / r.shape[1]),
            "You divided the soft counts by the number of components; divide by the number of points, len(x).",
        ),
        Mistake(
            _with(weights=lambda x, r: r.mean(1)),
            "You averaged the responsibilities over the components, axis 1; average over the points, axis 0.",
        ),
        Mistake(
            _with(means=lambda x, r: r.T @ x),
            "Your means are sums: divide each by its soft count N_h, counts[:, None].",
        ),
        Mistake(
            _with(means=lambda x, r: r.T @ x / len(x)),
            "You divided the means by the number of all points; component h has only N_h = Σ_n r_nh of them.",
            also=(
                _with(means=lambda x, r: r.T @ x / len(x), count=_all),
                _with(means=lambda x, r: (r[:, :, None] * x[:, None]).mean(0)),
            ),
        ),
        Mistake(
            _with(means=lambda x, r: r.T @ x / r.sum(0)),
            "counts has the shape (components,) and the sums (components, dim): give it a second axis, counts[:, None].",
        ),
        Mistake(
            _with(means=lambda x, r: r @ x),
            "responsibilities is (n, components) and x is (n, dim): the sum over n is responsibilities.T @ x.",
        ),
        Mistake(
            _with(count=_ones),
            "Your covariances are sums: divide each by its soft count N_h, counts[:, None, None].",
        ),
        Mistake(
            _with(count=_all),
            "You divided the covariances by the number of all points; component h has only N_h = Σ_n r_nh of them.",
            also=(_with(scatter=lambda x, r, m: _scatter(x, r, m) / len(x), count=_ones),),
        ),
        Mistake(
            _with(count=lambda x, r: r.sum(0) - 1),
            "You divided the covariances by N_h − 1 (as torch.cov does without correction=0), which makes them unbiased; the "
            "maximum of the likelihood divides by N_h.",
            also=(
                lambda x, responsibilities: (
                    *m_step(x, responsibilities)[:2],
                    torch.stack([torch.cov(x.T, aweights=r) for r in responsibilities.T]),
                ),
            ),
        ),
        Mistake(
            _with(scatter=_unweighted, count=_all),
            "In your covariances every point counts the same: weight each by its responsibility.",
            also=(_with(scatter=_unweighted), _with(scatter=_unweighted, count=_ones)),
        ),
        Mistake(
            _with(scatter=_around_the_overall_mean),
            "Your covariances are taken around the mean of all points; take each around its own component's mean.",
        ),
        Mistake(
            _with(scatter=_raw_moments),
            "This is E[x xᵀ]: subtract the component's mean from x first.",
        ),
        Mistake(
            _with(scatter=lambda x, r, m: _scatter(x, r.square(), m)),
            "The responsibilities enter your covariances twice: once before the squared distance is enough.",
        ),
        Mistake(
            _only_variances,
            "These are the variances alone; a covariance is a matrix, (dim, dim), for each component: the outer product of "
            "the difference with itself.",
        ),
        Mistake(
            _without_correlations,
            "Your covariances are diagonal, so no component can lie askew: use the outer product of the difference with itself.",
        ),
        Mistake(
            _one_for_all,
            "Your covariances are added up over the components; keep one matrix for each, (components, dim, dim).",
        ),
        Mistake(
            _hard,
            "You gave each point wholly to its best component (that is k-means); let it count in every component, with its "
            "responsibility.",
        ),
        Mistake(
            _with(scatter=_hard_scatter),
            "In your covariances each point belongs wholly to its best component; let it count in every component, with its "
            "responsibility, as it does in your means.",
            also=(_with(scatter=_hard_scatter, count=lambda x, r: _best(x, r).sum(0)),),
        ),
        Mistake(
            lambda x, responsibilities: (*m_step(x, responsibilities)[1::-1], m_step(x, responsibilities)[2]),
            "The order is weights, means, covariances.",
            also=(lambda x, responsibilities: (*m_step(x, responsibilities)[1:], m_step(x, responsibilities)[0]),),
        ),
    ),
    alternatives=(_by_covariance_function, _by_second_moments, _by_loop),
)


# --- repairing the collapse: a prior on covariances -------------------------------------------------------------------


def steady_covariances(covariances, counts, strength, spread):
    identity = torch.eye(covariances.shape[-1]).to(covariances)
    counts = counts[:, None, None]
    return (counts * covariances + strength * spread**2 * identity) / (counts + strength)


def _draw_collapsed(generator, components=4, dim=2):
    """The first component sits on a single point and has no spread at all; the second has lost every point."""
    root = torch.randn(components, dim, dim, generator=generator)
    covariances = root @ root.mT
    covariances[0] = 0.0
    counts = 1 + 20 * torch.rand(components, generator=generator)
    counts[:2] = torch.tensor([1.0, 0.0])
    strength, spread = (0.5 + 3 * torch.rand(2, generator=generator)).tolist()
    return covariances, counts, strength, spread


def _steady(given=lambda s, n, a: n, imagined=lambda a, b: a * b**2, total=lambda n, a: n + a, identity=torch.eye):
    """The repair with one part done otherwise."""

    def other(covariances, counts, strength, spread):
        n = counts[:, None, None]
        extra = imagined(strength, spread) * identity(covariances.shape[-1])
        return (given(covariances, n, strength) * covariances + extra) / total(n, strength)

    return other


def _by_share(covariances, counts, strength, spread):
    share = (counts / (counts + strength)).view(-1, 1, 1)
    return share * covariances + (1 - share) * spread**2 * torch.eye(2)


def _by_loop_of_matrices(covariances, counts, strength, spread):
    imagined = torch.diag(torch.full((covariances.shape[-1],), strength * spread**2))
    return torch.stack([(n * S + imagined) / (n + strength) for n, S in zip(counts, covariances, strict=True)])


REPAIR = Exercise(
    "latent/repair",
    steady_covariances,
    _draw_collapsed,
    lesson=LESSON,
    title="an M-step that no single point can fool",
    minutes=8,
    difficulty=2,
    hints=(
        "A covariance is an average over points. Add the imagined points to the sum, and to the number that it is divided by.",
        "counts[:, None, None] * covariances is the sum over the real points, strength * spread**2 * torch.eye(dim) that "
        "over the imagined ones. There are counts + strength points in all.",
        "(counts[:, None, None] * covariances + strength * spread**2 * torch.eye(covariances.shape[-1])) "
        "/ (counts[:, None, None] + strength); on a GPU, or in float64, add .to(covariances) after eye(…).",
    ),
    mistakes=(
        Mistake(
            _steady(given=lambda s, n, a: 1.0, total=lambda n, a: 1.0),
            "You added the imagined points to the covariance, and not to the sum behind it, so a component with a thousand "
            "points is widened as much as one with a single point: weight the covariances with their counts, and divide by "
            "counts + strength.",
        ),
        Mistake(
            _steady(total=lambda n, a: n),
            "You divided by the real points alone, which fails where a component has none: divide by counts + strength.",
        ),
        Mistake(
            _steady(given=lambda s, n, a: 1.0),
            "The covariances are averages already: make each a sum again, counts[:, None, None] * covariances, before you "
            "add to it.",
        ),
        Mistake(
            _steady(imagined=lambda a, b: a * b),
            "A covariance holds squares: the imagined points add strength · spread² on the diagonal.",
        ),
        Mistake(
            _steady(imagined=lambda a, b: b**2),
            "Each of the imagined points adds spread² to the sum, and there are `strength` of them: strength * spread**2.",
        ),
        Mistake(
            _steady(imagined=lambda a, b: a * b**2, identity=lambda dim: torch.ones(dim, dim)),
            "You added the number to every entry of the matrix; the imagined points are round, so it belongs on the "
            "diagonal alone: times torch.eye(dim).",
            also=(_steady(imagined=lambda a, b: a * b**2, identity=lambda dim: 1.0),),
        ),
        Mistake(
            _steady(total=lambda n, a: n.sum() + a),
            "You divided by the points of all components together; each has its own: counts[:, None, None] + strength.",
        ),
        Mistake(
            _steady(given=lambda s, n, a: n.sum(), total=lambda n, a: n.sum() + a),
            "You added up the counts of all components; each has its own points: counts[:, None, None] in place of the sum.",
            also=(_steady(given=lambda s, n, a: n.sum()),),
        ),
        Mistake(
            lambda covariances, counts, strength, spread: (
                counts[:, None, None] * covariances
                + strength * spread**2 * torch.eye(2) / (counts[:, None, None] + strength)
            ),
            "Brackets are missing: counts + strength divides the whole sum, the real points' part too.",
            also=(
                lambda covariances, counts, strength, spread: (
                    covariances + strength * spread**2 * torch.eye(2) / (counts[:, None, None] + strength)
                ),
                lambda covariances, counts, strength, spread: (
                    (counts[:, None, None] * covariances + strength * spread**2 * torch.eye(2)) / counts[:, None, None]
                    + strength
                ),
            ),
        ),
        Mistake(
            _steady(given=lambda s, n, a: 1.0, total=lambda n, a: 1.0 + a),
            "Your result does not depend on the counts: a component with a thousand points should hardly notice the imagined "
            "ones. Weight the covariances with counts, and divide by counts + strength.",
            also=(_steady(given=lambda s, n, a: 1.0, total=lambda n, a: a),),
        ),
        Mistake(
            _steady(total=lambda n, a: 1.0),
            "This is the sum over all points, real and imagined; divide it by their number, counts + strength.",
        ),
        Mistake(
            lambda covariances, counts, strength, spread: (
                (counts * covariances + strength * spread**2 * torch.eye(2)) / (counts + strength)
            ),
            "counts has one axis and the covariances three: write counts[:, None, None], so that each number meets its matrix.",
            also=(
                lambda covariances, counts, strength, spread: (
                    (counts[:, None] * covariances + strength * spread**2 * torch.eye(2)) / (counts[:, None] + strength)
                ),
            ),
        ),
        Mistake(
            lambda covariances, counts, strength, spread: covariances.clamp_min(spread**2),
            "This raises every entry to spread², those off the diagonal too, and forgets the counts: average real and "
            "imagined points.",
        ),
        Mistake(
            lambda covariances, counts, strength, spread: covariances + spread**2 * torch.eye(2),
            "This widens every component by the same, however many points it has: average real and imagined points, "
            "weighted by counts and strength.",
        ),
    ),
    alternatives=(
        _by_share,
        _by_loop_of_matrices,
        lambda covariances, counts, strength, spread: torch.lerp(
            spread**2 * torch.eye(2), covariances, (counts / (counts + strength))[:, None, None]
        ),
    ),
)
