"""Exercises of lesson 10 that count neighbors: precision and recall, and a test for copies."""

import torch

from . import Exercise, Mistake
from .evaluation_distances import LESSON, as_numbers

# --- precision and recall -----------------------------------------------------------------------------------------------


def precision_recall(real, fake, neighbors):
    def radii(x):
        return torch.cdist(x, x).kthvalue(neighbors + 1, dim=1).values

    distances = torch.cdist(real, fake)  # (real, fake)
    precision = (distances < radii(real)[:, None]).any(0).float().mean()
    recall = (distances < radii(fake)).any(1).float().mean()
    return precision, recall


def _draw_sets(generator):
    """Sixty points, and forty-five that only partly overlap them."""
    real = torch.randn(60, 2, generator=generator)
    fake = 0.6 * torch.randn(45, 2, generator=generator) + torch.tensor([1.3, 0.6])
    return real, fake, 3


def _like_manifold(own=1, of_real=None, of_fake=None, radii=None):
    """Other radii, or other ways to count what lies in the balls: of_real and of_fake take distances and both radii."""
    of_real = of_real or (lambda d, r, f: (d < r[:, None]).any(0).float().mean())
    of_fake = of_fake or (lambda d, r, f: (d < f).any(1).float().mean())
    radii = radii or (lambda x, k: torch.cdist(x, x).kthvalue(k + own, dim=1).values)

    def scores(real, fake, neighbors):
        arguments = torch.cdist(real, fake), radii(real, neighbors), radii(fake, neighbors)
        return of_real(*arguments), of_fake(*arguments)

    return scores


def _by_sorting(real, fake, neighbors):
    def inside(points, centers):
        reach = torch.cdist(centers, centers).sort(1).values[:, neighbors]
        return (torch.cdist(points, centers) <= reach).any(1).float().mean()

    return inside(fake, real), inside(real, fake)


def _by_counting(real, fake, neighbors):
    def share(points, centers):
        inside = 0
        reach = torch.cdist(centers, centers).topk(neighbors + 1, largest=False).values[:, -1]
        for point in points:
            inside += bool(((centers - point).norm(dim=1) < reach).any())
        return torch.tensor(inside / len(points))

    return share(fake, real), share(real, fake)


MANIFOLD = Exercise(
    "evaluation/precision_recall",
    precision_recall,
    _draw_sets,
    call=as_numbers,
    lesson=LESSON,
    title="precision and recall",
    minutes=10,
    difficulty=2,
    hints=(
        "Three tables of distances: within real, within fake, between. The radius of a ball is the k-th smallest distance within a set, "
        "but the smallest of all is that of the point to itself, 0.",
        "radii = torch.cdist(x, x).kthvalue(neighbors + 1, dim=1).values. With distances (real, fake): for precision compare row i with the radius of "
        "real i, radii(real)[:, None], and ask for each column whether .any(0) is true.",
        "precision = (distances < radii(real)[:, None]).any(0).float().mean(); recall = (distances < radii(fake)).any(1).float().mean()",
    ),
    mistakes=(
        Mistake(
            _like_manifold(own=0),
            "The nearest point of a set to a point of it is itself, at distance 0, and it does not count: take number neighbors + 1.",
        ),
        Mistake(
            lambda real, fake, neighbors: precision_recall(real, fake, neighbors)[::-1],
            "The two are exchanged: precision is a share of *fakes* (within balls around real points), recall a share of *real* points.",
        ),
        Mistake(
            _like_manifold(of_fake=lambda d, r, f: (d < r[:, None]).any(1).float().mean()),
            "Recall asks with balls around the *fakes*. With balls around the real points, this is coverage, which you meet below.",
        ),
        Mistake(
            _like_manifold(of_real=lambda d, r, f: (d < f).any(0).float().mean()),
            "Precision asks with balls around the *real* points: compare each row with its own radius, radii(real)[:, None].",
            also=(
                _like_manifold(
                    of_real=lambda d, r, f: (d < f).any(0).float().mean(),
                    of_fake=lambda d, r, f: (d < r[:, None]).any(1).float().mean(),
                ),
            ),
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d < r[:, None]).all(0).float().mean(),
                of_fake=lambda d, r, f: (d < f).all(1).float().mean(),
            ),
            "One ball is enough: .any, not .all.",
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d < r[:, None]).float().mean(), of_fake=lambda d, r, f: (d < f).float().mean()
            ),
            "This is a share of *pairs*. Ask for each point first whether any ball holds it, .any(…), then take the mean.",
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d < r[:, None]).any(1).float().mean(),
                of_fake=lambda d, r, f: (d < f).any(0).float().mean(),
            ),
            "You asked each *ball* whether it holds a point. Ask each point whether it lies in a ball: the other dimension of the table.",
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d.amin(0) < r.mean()).float().mean(),
                of_fake=lambda d, r, f: (d.amin(1) < f.mean()).float().mean(),
            ),
            "Each ball has a radius of its own: large where points are sparse, small where they are dense.",
        ),
        Mistake(
            _like_manifold(of_real=lambda d, r, f: (d < r).any(0).float().mean()),
            "In the table (real, fake) each *row* belongs to a real point, so its radius must stand in that row: radii(real)[:, None].",
            also=(_like_manifold(of_fake=lambda d, r, f: (d < f[:, None]).any(1).float().mean()),),
        ),
        Mistake(
            _like_manifold(radii=lambda x, k: torch.cdist(x, x).topk(k + 1, dim=1).values[:, -1]),
            "topk finds the largest distances; the nearest neighbors have the smallest: kthvalue, or topk(…, largest=False).",
            also=(_like_manifold(radii=lambda x, k: torch.cdist(x, x).topk(k, dim=1).values[:, -1]),),
        ),
        Mistake(
            _like_manifold(own=2),
            "One neighbor too many: with the point itself, at distance 0, the k-th neighbor is entry number k + 1.",
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d < r[:, None]).any(0).sum(), of_fake=lambda d, r, f: (d < f).any(1).sum()
            ),
            "These are numbers of points; return shares, .float().mean().",
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d.amin(0) < r[d.argmin(0)]).float().mean(),
                of_fake=lambda d, r, f: (d.amin(1) < f[d.argmin(1)]).float().mean(),
            ),
            "You asked the nearest ball alone; a point may lie outside of it and still within another, larger one: ask all, .any.",
        ),
        Mistake(
            _like_manifold(
                of_real=lambda d, r, f: (d.amin(0) < r.max()).float().mean(),
                of_fake=lambda d, r, f: (d.amin(1) < f.max()).float().mean(),
            ),
            "Every ball has got the same radius; each has its own.",
            also=(
                _like_manifold(
                    of_real=lambda d, r, f: (d.amin(0) < r.median()).float().mean(),
                    of_fake=lambda d, r, f: (d.amin(1) < f.median()).float().mean(),
                ),
            ),
        ),
        Mistake(
            lambda real, fake, neighbors: tuple(one.round() for one in precision_recall(real, fake, neighbors)),
            "The shares have become 0 or 1: take the mean of .float(), last of all.",
        ),
    ),
    alternatives=(_by_sorting, _by_counting),
)


# --- a test for copies ----------------------------------------------------------------------------------------------------


def copying_z(samples, train, test):
    near, fresh = (torch.cdist(x, train).amin(1) for x in (samples, test))
    n, m = len(near), len(fresh)
    difference = near[:, None] - fresh  # (n, m)
    u = (difference > 0).sum() + 0.5 * (difference == 0).sum()
    return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5


def _draw_copies(generator):
    """Training points, fresh ones, and samples, on a grid so that there are ties; some samples are copies, or some lie far away."""
    train, test, samples = (torch.randint(0, 6, (n, 3), generator=generator).float() for n in (30, 12, 15))
    if torch.rand((), generator=generator) < 0.5:
        samples[:4] = train[:4]
    else:
        samples[:6] += 3
    return samples, train, test


def _like_copying(near=None, count=None, center=lambda n, m: n * m / 2, spread=lambda n, m: (n * m * (n + m + 1) / 12) ** 0.5):  # fmt: skip
    """Other distances, other counts of pairs, another mean or standard deviation of U."""
    near = near or (lambda samples, train, test: tuple(torch.cdist(x, train).amin(1) for x in (samples, test)))
    count = count or (lambda d: (d > 0).sum() + 0.5 * (d == 0).sum())

    def z(samples, train, test):
        a, b = near(samples, train, test)
        n, m = len(a), len(b)
        return (count(a[:, None] - b) - center(n, m)) / spread(n, m)

    return z


def _by_ranks(samples, train, test):
    near, fresh = torch.cdist(samples, train).min(1).values, torch.cdist(test, train).min(1).values
    both = torch.cat([near, fresh])
    ranks = torch.stack([(both < one).sum() + 0.5 * ((both == one).sum() + 1) for one in near])
    n, m = len(near), len(fresh)
    return (ranks.sum() - n * (n + 1) / 2 - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5


def _by_signs(samples, train, test):
    near, fresh = (torch.stack([(train - one).norm(dim=1).min() for one in x]) for x in (samples, test))
    signs = torch.sign(near[:, None] - fresh[None])
    n, m = signs.shape
    return 0.5 * signs.sum() / (n * m * (n + m + 1) / 12) ** 0.5


COPYING = Exercise(
    "evaluation/copying",
    copying_z,
    _draw_copies,
    call=as_numbers,
    lesson=LESSON,
    title="a test for copies",
    minutes=10,
    difficulty=2,
    hints=(
        "First two lists of distances to the *training* examples: torch.cdist(x, train).amin(1), for x the samples and for x the fresh examples.",
        "U counts pairs: near[:, None] - fresh is a table (n, m); how many entries are above 0, and half of those that are 0?",
        "d = near[:, None] - fresh; u = (d > 0).sum() + 0.5 * (d == 0).sum(); return (u - n * m / 2) / (n * m * (n + m + 1) / 12) ** 0.5",
    ),
    mistakes=(
        Mistake(
            _like_copying(count=lambda d: (d < 0).sum() + 0.5 * (d == 0).sum()),
            "The sign is turned round: U counts pairs in which the sample is the *farther* one, so that copies make z fall below 0.",
        ),
        Mistake(
            _like_copying(count=lambda d: (d > 0).sum()),
            "Equal distances count half: a tie speaks for neither side.",
            also=(_like_copying(count=lambda d: (d >= 0).sum()),),
        ),
        Mistake(
            _like_copying(near=lambda s, train, test: (torch.cdist(s, test).amin(1), torch.cdist(test, train).amin(1))),
            "Samples are compared with the *training* examples, like the fresh ones: whether a sample lies near a test image is another question.",
        ),
        Mistake(
            _like_copying(near=lambda s, train, test: (torch.cdist(s, train).amin(1), torch.cdist(test, s).amin(1))),
            "The fresh examples, too, are held against the training examples: how near does an example come that nobody has copied?",
        ),
        Mistake(
            _like_copying(
                near=lambda s, train, test: (
                    torch.cdist(s, train).amin(1),
                    torch.cdist(train, train).fill_diagonal_(torch.inf).amin(1),
                )
            ),
            "You compare with the training examples' distances from each other; the fresh examples are the measure.",
        ),
        Mistake(
            _like_copying(near=lambda s, train, test: tuple(torch.cdist(x, train).mean(1) for x in (s, test))),
            "Take the distance to the *nearest* training example, .amin(1), not the mean distance: a copy is near one of them, not near all.",
        ),
        Mistake(
            _like_copying(near=lambda s, train, test: tuple(torch.cdist(x, train).amin(0) for x in (s, test))),
            "You have, for each training example, the nearest sample. Ask for each sample: .amin(1).",
        ),
        Mistake(
            _like_copying(center=lambda n, m: 0),
            "If nothing is copied, half of the pairs go either way: subtract n·m / 2.",
        ),
        Mistake(
            _like_copying(spread=lambda n, m: n * m * (n + m + 1) / 12),
            "You divided by the variance; divide by its root.",
        ),
        Mistake(
            _like_copying(spread=lambda n, m: 1),
            "Not standardized yet: divide by the standard deviation √(n m (n + m + 1) / 12).",
            also=(
                _like_copying(center=lambda n, m: 0, spread=lambda n, m: 1),
                _like_copying(spread=lambda n, m: n * m),
                _like_copying(center=lambda n, m: 0, spread=lambda n, m: n * m),
            ),
        ),
        Mistake(
            _like_copying(spread=lambda n, m: (n * m / 4) ** 0.5),
            "The n·m pairs are not independent, as each point is in many of them: the variance is n m (n + m + 1) / 12, much larger.",
            also=(
                _like_copying(spread=lambda n, m: (n * m / 12) ** 0.5),
                _like_copying(spread=lambda n, m: (n * m * (n + m) / 12) ** 0.5),
            ),
        ),
        Mistake(
            _like_copying(count=lambda d: ((d > 0).sum() + 0.5 * (d == 0).sum()) / d.numel()),
            "U is the *number* of pairs, not their share: its mean n·m / 2 is a number, too.",
        ),
        Mistake(
            _like_copying(count=lambda d: d.diagonal().gt(0).sum() + 0.5 * d.diagonal().eq(0).sum()),
            "You compared sample i with fresh example i. Every sample meets every fresh example: a table (n, m), near[:, None] − fresh.",
        ),
        Mistake(
            _like_copying(near=lambda s, train, test: tuple(torch.cdist(x, train).amax(1) for x in (s, test))),
            "This is the *farthest* training example; the nearest is asked for: .amin(1).",
        ),
        Mistake(
            _like_copying(
                near=lambda s, train, test: tuple(torch.cdist(x, train).kthvalue(2).values for x in (s, test))
            ),
            "You took the second nearest. Neither samples nor fresh examples are among the training examples, so no distance is a point's to itself: the nearest.",
        ),
        Mistake(
            _like_copying(near=lambda s, train, test: (torch.cdist(s, test).amin(1), torch.cdist(test, s).amin(1))),
            "The training examples are not looked at: both lists hold distances to the nearest *training* example.",
        ),
        Mistake(
            lambda samples, train, test: torch.special.ndtr(copying_z(samples, train, test)),
            "This is a p-value; return z itself.",
            also=(
                lambda samples, train, test: 1 - torch.special.ndtr(copying_z(samples, train, test)),
                lambda samples, train, test: 2 * torch.special.ndtr(-copying_z(samples, train, test).abs()),
            ),
        ),
        Mistake(
            lambda samples, train, test: copying_z(samples, train, test).abs(),
            "Keep the sign: below 0 are copies, above 0 is something else.",
        ),
        Mistake(
            _like_copying(count=lambda d: d.sum(), center=lambda n, m: 0),
            "Count pairs, do not add up differences: one far sample would outweigh many copies.",
        ),
    ),
    alternatives=(_by_ranks, _by_signs),
)
