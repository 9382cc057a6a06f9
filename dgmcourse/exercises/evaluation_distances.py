"""Exercises of lesson 10 on distances between sets of points: Fréchet's, and the maximum mean discrepancy."""

from numbers import Real

import torch

from . import Exercise, Mistake

LESSON = "10_evaluation"


def as_numbers(answer, *arguments):
    """What an answer returns, in double precision. Nothing is differentiated here, so Python's and NumPy's numbers will do."""
    value = answer(*arguments)
    return tuple(map(_as_number, value)) if isinstance(value, (tuple, list)) else _as_number(value)


def _as_number(value):
    number = isinstance(value, (torch.Tensor, Real)) and not isinstance(value, bool)
    return torch.as_tensor(value, dtype=torch.float64) if number else value


# --- the Fréchet distance ---------------------------------------------------------------------------------------------


def root(matrix):
    """The symmetric root of a covariance: root(S) @ root(S) = S."""
    values, vectors = torch.linalg.eigh(matrix)
    return vectors * values.clamp_min(0).sqrt() @ vectors.mT


def frechet(a, b):
    cov_a, cov_b = a.T.cov(), b.T.cov()
    overlap = root(root(cov_a) @ cov_b @ root(cov_a))
    return (a.mean(0) - b.mean(0)).square().sum() + (cov_a + cov_b - 2 * overlap).trace()


def _draw_clouds(generator):
    """Forty and thirty points in three dimensions, stretched along different directions."""
    stretch = [torch.eye(3) + 0.8 * torch.randn(3, 3, generator=generator) for _ in range(2)]
    a, b = (torch.randn(n, 3, generator=generator) @ s for n, s in zip((40, 30), stretch, strict=True))
    return a.double(), b.double() + torch.tensor([1.0, -0.5, 0.7])


def _overlap(cov_a, cov_b):
    return root(root(cov_a) @ cov_b @ root(cov_a))


def _like_frechet(join=None, overlap=_overlap, covariance=lambda x: x.T.cov()):
    """Other ways to join the difference of means and the traces, to overlap, or to estimate a covariance."""
    join = join or (lambda gap, cov_a, cov_b, o: gap.square().sum() + (cov_a + cov_b - 2 * o).trace())

    def distance(a, b):
        cov_a, cov_b = covariance(a), covariance(b)
        return join(a.mean(0) - b.mean(0), cov_a, cov_b, overlap(cov_a, cov_b))

    return distance


def _by_singular_values(a, b):
    factors = [torch.linalg.cholesky(x.T.cov()) for x in (a, b)]
    nuclear = torch.linalg.svdvals(factors[0].T @ factors[1]).sum()
    traces = a.var(0).sum() + b.var(0).sum()
    return (a.mean(0) - b.mean(0)).pow(2).sum() + traces - 2 * nuclear


def _by_eigenvalues(a, b):
    cov_a, cov_b = torch.cov(a.mT), torch.cov(b.mT)
    shared = torch.linalg.eigvals(cov_a @ cov_b).real.clamp_min(0).sqrt().sum()
    gap = a.mean(0) - b.mean(0)
    return gap @ gap + cov_a.trace() + cov_b.trace() - 2 * shared


FRECHET = Exercise(
    "evaluation/frechet",
    frechet,
    _draw_clouds,
    call=as_numbers,
    lesson=LESSON,
    title="the Fréchet distance",
    minutes=10,
    difficulty=2,
    hints=(
        "Means: a.mean(0). Covariances: .cov() expects one variable a row, so a.T.cov(). The root of a matrix is `root`, not .sqrt().",
        "overlap = root(root(cov_a) @ cov_b @ root(cov_a)); the rest is the squared length of a difference, and traces.",
        "(a.mean(0) - b.mean(0)).square().sum() + (cov_a + cov_b - 2 * overlap).trace(), with cov_a = a.T.cov(), cov_b = b.T.cov()",
    ),
    mistakes=(
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: gap.square().sum() + (cov_a + cov_b - o).trace()),
            "The overlap counts twice: − 2 tr(…). With 1, two equal Gaussians have a distance above 0.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: gap.square().sum() + (cov_a + cov_b + 2 * o).trace()),
            "The overlap is subtracted: with a plus, two equal Gaussians are far apart.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: gap.norm() + (cov_a + cov_b - 2 * o).trace()),
            "The means enter by their *squared* distance, in the same units as a variance.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: gap.square().mean() + (cov_a + cov_b - 2 * o).trace()),
            "A squared length is the sum of the squared entries, not their mean.",
        ),
        Mistake(
            lambda a, b: frechet(a, b) - (a.mean(0) - b.mean(0)).square().sum() + (a.mean() - b.mean()).square(),
            "A mean for each of the d coordinates: a.mean(0), not a.mean(), which mixes them all into one number.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: gap.square().sum() + (cov_a + cov_b - 2 * o).sum()),
            "tr is the trace, the sum of the *diagonal*: .trace(), not .sum().",
            also=(
                _like_frechet(
                    lambda gap, cov_a, cov_b, o: gap.square().sum() + (cov_a + cov_b - 2 * o).diagonal().mean()
                ),
            ),
        ),
        Mistake(
            _like_frechet(overlap=lambda cov_a, cov_b: (cov_a.diagonal() * cov_b.diagonal()).sqrt().diag()),
            "You compared each coordinate by itself, as if none were correlated with another: the covariances off the diagonal count, too.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: (gap.square().sum() + (cov_a + cov_b - 2 * o).trace()).sqrt()),
            "This is the distance itself; the field reports its square. Leave the last root out.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: gap.square().sum()),
            "Only the means are compared. Two clouds with the same mean and different shapes would have the distance 0.",
        ),
        Mistake(
            _like_frechet(lambda gap, cov_a, cov_b, o: (cov_a + cov_b - 2 * o).trace()),
            "The means are missing: two clouds of the same shape in different places would have the distance 0.",
        ),
        Mistake(
            _like_frechet(overlap=lambda cov_a, cov_b: root(cov_a) @ root(cov_b)),
            "The root of a product is not the product of the roots, unless both matrices commute: root(root(cov_a) @ cov_b @ root(cov_a)).",
        ),
        Mistake(
            _like_frechet(overlap=lambda cov_a, cov_b: root(cov_a @ cov_b)),
            "cov_a @ cov_b is not symmetric, and `root` is for symmetric matrices: put root(cov_a) on both sides of cov_b instead.",
        ),
        Mistake(
            _like_frechet(overlap=lambda cov_a, cov_b: (cov_a @ cov_b).abs().sqrt()),
            "This is the root of every entry; the root of a matrix is another thing: use `root`.",
            also=(
                _like_frechet(overlap=lambda cov_a, cov_b: (cov_a @ cov_b).sqrt()),
                _like_frechet(overlap=lambda cov_a, cov_b: (root(cov_a) @ cov_b @ root(cov_a)).sqrt()),
            ),
        ),
        Mistake(
            _like_frechet(overlap=lambda cov_a, cov_b: root(cov_a) @ cov_b @ root(cov_a)),
            "The outer root is missing: what is subtracted must have the unit of a variance, not of its square.",
            also=(_like_frechet(overlap=lambda cov_a, cov_b: cov_a @ cov_b),),
        ),
        Mistake(
            _like_frechet(covariance=lambda x: x.T.cov(correction=0)),
            "Divide by n − 1 here, as .cov() does unless told otherwise, so that the numbers can be compared.",
        ),
        Mistake(
            _like_frechet(covariance=lambda x: x.T @ x / (len(x) - 1)),
            "A covariance is about the mean: subtract x.mean(0) before you multiply, or use x.T.cov().",
            also=(_like_frechet(covariance=lambda x: x.T @ x / len(x)), _like_frechet(covariance=lambda x: x.T @ x)),
        ),
        Mistake(
            _like_frechet(covariance=lambda x: x.T.cov() * (len(x) - 1)),
            "These covariances are sums over all points, which grow with their number: divide by n − 1.",
        ),
        Mistake(
            _like_frechet(covariance=lambda x: x.T.corrcoef()),
            "corrcoef divides by the standard deviations, so that all spreads are 1: use .cov().",
        ),
        Mistake(
            _like_frechet(overlap=lambda cov_a, cov_b: root(cov_a @ cov_b @ cov_a)),
            "The roots inside are missing: root(cov_a) stands on both sides of cov_b, not cov_a itself.",
        ),
        Mistake(
            lambda a, b: frechet(a.T, b.T),
            "torch's .cov() takes one variable a row, and one observation a column: a.T.cov(), a matrix (d, d).",
            also=(_like_frechet(covariance=lambda x: x.cov()),),
        ),
    ),
    alternatives=(_by_singular_values, _by_eigenvalues),
)


# --- the maximum mean discrepancy ---------------------------------------------------------------------------------------


def mmd(a, b, bandwidth):
    def kernel(x, y):
        return (-torch.cdist(x, y).square() / (2 * bandwidth**2)).exp()

    n, m = len(a), len(b)
    within_a = (kernel(a, a).sum() - n) / (n * (n - 1))
    within_b = (kernel(b, b).sum() - m) / (m * (m - 1))
    return within_a + within_b - 2 * kernel(a, b).mean()


def _draw_neighbors(generator):
    """Seven points, and five of another set, of which four lie next to the first: the unbiased value is below 0."""
    a = 1.5 * torch.randn(7, 3, generator=generator).double()
    b = torch.cat([a[:4] + 0.2 * torch.randn(4, 3, generator=generator), torch.randn(1, 3, generator=generator)])
    return a, b, 1.2 + 0.3 * float(torch.rand((), generator=generator))


def _like_mmd(kernel=None, within=None, between=lambda k: k.mean(), join=lambda a, b, c: a + b - 2 * c):
    """Another kernel of distances, another mean within a set or between both, or another sum."""
    kernel = kernel or (lambda d, s: (-d.square() / (2 * s**2)).exp())
    within = within or _without_diagonal

    def value(a, b, bandwidth):
        k = {name: kernel(torch.cdist(x, y), bandwidth) for name, x, y in (("a", a, a), ("b", b, b), ("c", a, b))}
        return join(within(k["a"]), within(k["b"]), between(k["c"]))

    return value


def _without_diagonal(k):
    return (k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1))


def _within(x, bandwidth):
    return _without_diagonal((-torch.cdist(x, x).square() / (2 * bandwidth**2)).exp())


def _by_pdist(a, b, bandwidth):
    within = [(-0.5 * (torch.pdist(x) / bandwidth) ** 2).exp().mean() for x in (a, b)]
    between = (-0.5 * (torch.cdist(a, b) / bandwidth) ** 2).exp().mean()
    return sum(within) - 2 * between


def _by_loops(a, b, bandwidth):
    def k(x, y):
        return torch.exp(-(x - y).square().sum() / (2 * bandwidth**2))

    aa = [k(x, y) for i, x in enumerate(a) for j, y in enumerate(a) if i != j]
    bb = [k(x, y) for i, x in enumerate(b) for j, y in enumerate(b) if i != j]
    ab = [k(x, y) for x in a for y in b]
    return torch.stack(aa).mean() + torch.stack(bb).mean() - 2 * torch.stack(ab).mean()


MMD = Exercise(
    "evaluation/mmd",
    mmd,
    _draw_neighbors,
    call=as_numbers,
    lesson=LESSON,
    title="the unbiased maximum mean discrepancy",
    minutes=8,
    difficulty=2,
    hints=(
        "Three means of kernels: within a, within b, between a and b. Within a set, a point is not compared with itself.",
        "kernel(a, a) has n² entries, of which the n on its diagonal are 1: take them from the sum, and divide by n(n − 1). Between the sets all n·m count.",
        "k = lambda x, y: (-torch.cdist(x, y).square() / (2 * bandwidth**2)).exp(); within = lambda x: (k(x, x).sum() - len(x)) / (len(x) * (len(x) - 1)); "
        "return within(a) + within(b) - 2 * k(a, b).mean()",
    ),
    mistakes=(
        Mistake(
            _like_mmd(within=lambda k: k.mean()),
            "This is the biased version: each point is compared with itself, too, and its kernel is 1. Two samples of one distribution then seem to differ, "
            "the more the fewer they are.",
        ),
        Mistake(
            _like_mmd(within=lambda k: (k.sum() - len(k)) / len(k) ** 2),
            "You left the diagonal out of the sum, but not out of the count: n(n − 1) pairs are left.",
        ),
        Mistake(
            _like_mmd(within=lambda k: k.sum() / (len(k) * (len(k) - 1))),
            "You divide by n(n − 1), but the diagonal is still in the sum: take its n ones out.",
        ),
        Mistake(
            _like_mmd(within=lambda k: k.triu(1).sum() / (len(k) * (len(k) - 1))),
            "You summed each pair once, and divided by n(n − 1), which counts it twice.",
        ),
        Mistake(
            _like_mmd(within=lambda k: 2 * _without_diagonal(k)),
            "The table within a set holds each pair twice already, and so does n(n − 1): no further 2.",
        ),
        Mistake(
            _like_mmd(within=lambda k: k.triu(1).mean()),
            "triu puts zeros in the place of the other half, and .mean() counts them: divide the sum by the number of pairs.",
        ),
        Mistake(
            _like_mmd(within=lambda k: 2 * k.triu().sum() / (len(k) * (len(k) - 1))),
            "triu() keeps the diagonal; triu(1) leaves it out.",
        ),
        Mistake(
            lambda a, b, bandwidth: (
                mmd(a, b, bandwidth) + _within(b, bandwidth) * (len(b) * (len(b) - 1) / (len(a) * (len(a) - 1)) - 1)
            ),
            "The sets need not be of one size: n(n − 1) pairs within a, m(m − 1) within b.",
        ),
        Mistake(
            _like_mmd(within=lambda k: k.sum() - k.diagonal().sum(), between=lambda k: k.sum()),
            "These are sums over pairs; means are asked for: divide each by its number of pairs.",
        ),
        Mistake(
            _like_mmd(between=lambda k: (k.sum() - k.diagonal().sum()) / (k.numel() - min(k.shape))),
            "Between the sets nothing is left out: point i of a is not point i of b.",
        ),
        Mistake(
            _like_mmd(between=lambda k: k.sum() / (len(k) * (len(k) - 1))),
            "Between the sets there are n·m pairs, with n points of the one and m of the other: the mean of the whole table.",
            also=(
                _like_mmd(between=lambda k: k.sum() / len(k) ** 2),
                _like_mmd(between=lambda k: k.sum() / (len(k) * (k.shape[1] - 1))),
                _like_mmd(between=lambda k: k.sum() / ((len(k) - 1) * (k.shape[1] - 1))),
            ),
        ),
        Mistake(
            _like_mmd(join=lambda a, b, c: a + b - c),
            "The kernel between the sets counts twice: a + b − 2c is what a square leaves when it is multiplied out.",
        ),
        Mistake(
            _like_mmd(join=lambda a, b, c: a + b + 2 * c),
            "What is between the sets is subtracted: sets that are alike have kernels between them as large as within.",
        ),
        Mistake(
            _like_mmd(join=lambda a, b, c: 2 * c - a - b),
            "The sign is turned round: within minus between, as sets that differ are more alike within.",
        ),
        Mistake(
            _like_mmd(kernel=lambda d, s: (-d.square() / s**2).exp()),
            "A factor of 2 is missing in the kernel: exp(−‖x − y‖² / (2σ²)).",
            also=(
                _like_mmd(kernel=lambda d, s: (-d.square() / (2 * s)).exp()),
                _like_mmd(kernel=lambda d, s: (-d.square() / (4 * s**2)).exp()),
            ),
        ),
        Mistake(
            _like_mmd(kernel=lambda d, s: (-d / (2 * s**2)).exp()),
            "The distance is squared in the kernel: torch.cdist(x, y).square().",
            also=(_like_mmd(kernel=lambda d, s: (-d / s).exp()),),
        ),
        Mistake(
            _like_mmd(kernel=lambda d, s: (-d.square() / 2 * s**2).exp()),
            "All of 2σ² stands below the line: d² / (2 * bandwidth**2), in brackets.",
            also=(
                _like_mmd(kernel=lambda d, s: (-s * d.square()).exp()),
                _like_mmd(kernel=lambda d, s: (-(s**2) * d.square()).exp()),
            ),
        ),
        Mistake(
            _like_mmd(kernel=lambda d, s: (-(d**4) / (2 * s**2)).exp()),
            "The distance is squared twice.",
        ),
        Mistake(
            _like_mmd(kernel=lambda d, s: d),
            "This averages distances; put each through the kernel first.",
            also=(_like_mmd(kernel=lambda d, s: d.square()),),
        ),
        Mistake(
            _like_mmd(kernel=lambda d, s: (d.square() / (2 * s**2)).exp()),
            "The kernel falls with distance: a minus is missing in the exponent.",
        ),
        Mistake(
            lambda a, b, bandwidth: mmd(a, b, bandwidth).clamp_min(0),
            "Without bias, some values *must* be below 0 when both sets come from one distribution, or their mean would not be 0. Do not cut them off.",
        ),
        Mistake(
            lambda a, b, bandwidth: mmd(a, b, bandwidth).sqrt(),
            "The square is asked for: MMD². Its root is not defined where the estimate is below 0.",
            also=(lambda a, b, bandwidth: mmd(a, b, bandwidth).abs().sqrt(),),
        ),
        Mistake(
            lambda a, b, bandwidth: (a.mean(0) - b.mean(0)).square().sum(),
            "This is the difference of the means, the discrepancy of the kernel x·y. A Gaussian kernel sees every difference.",
        ),
    ),
    alternatives=(_by_pdist, _by_loops),
)
