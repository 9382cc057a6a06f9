"""Lesson 10's exercises accept right answers however they are written, and agree with the package and with theory."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from dgmcourse import evaluation as package
from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "10_evaluation"}
REFERENCE = {name.split("/")[1]: one.reference for name, one in EXERCISES.items()}


def frechet_by_scipy(a, b):
    from scipy.linalg import sqrtm

    cov_a, cov_b = (torch.from_numpy(np.cov(x.numpy(), rowvar=False)) for x in (a, b))
    shared = torch.from_numpy(sqrtm((cov_a @ cov_b).numpy()).real.copy())
    return ((a.mean(0) - b.mean(0)) ** 2).sum() + torch.trace(cov_a) + torch.trace(cov_b) - 2 * torch.trace(shared)


def frechet_by_centering(a, b):
    means = [x.mean(0) for x in (a, b)]
    cov_a, cov_b = ((x - m).T @ (x - m) / (len(x) - 1) for x, m in zip((a, b), means, strict=True))
    values = torch.linalg.eigvals(cov_b @ cov_a).real.sqrt()
    return torch.dist(*means) ** 2 + torch.trace(cov_a + cov_b) - 2 * values.sum()


def mmd_by_masks(a, b, bandwidth):
    gamma = 1 / (2 * bandwidth**2)

    def k(x, y):
        return torch.exp(-gamma * (x[:, None] - y[None]).pow(2).sum(-1))

    kaa, kbb, kab = k(a, a), k(b, b), k(a, b)
    kaa.fill_diagonal_(0)
    kbb.fill_diagonal_(0)
    n, m = len(a), len(b)
    return kaa.sum() / (n * (n - 1)) + kbb.sum() / (m * (m - 1)) - 2 * kab.sum() / (n * m)


def manifold_by_sorted_rows(real, fake, neighbors):
    def rim(x):
        d = torch.cdist(x, x)
        d.fill_diagonal_(float("inf"))
        return d.topk(neighbors, dim=1, largest=False).values.amax(1)

    d = torch.cdist(fake, real)  # (fake, real)
    precise, found = (d < rim(real)).any(1), (d < rim(fake)[:, None]).any(0)
    return precise.float().mean(), found.sum() / len(real)


def importance_by_softmax(log_joint, log_q):
    log_w = log_joint - log_q
    w = F.softmax(log_w, dim=0)
    return torch.logsumexp(log_w, 0) - math.log(log_w.shape[0]), 1 / (w**2).sum(0) / log_w.shape[0]


def two_sample_by_counting(a, b, train):
    half = a.shape[0] // 2
    y = torch.tensor([0.0] * half + [1.0] * half)
    guess = train(torch.vstack([a[:half], b[:half]]), y)
    right = (guess(a[half:]) < 0.5).sum() + (guess(b[half:]) > 0.5).sum()
    t = 2 * (a.shape[0] - half)
    share = right / t
    return share, (share - 0.5) / math.sqrt(0.25 / t)


def copying_by_where(samples, train, test):
    d_s = torch.cdist(samples, train).topk(1, largest=False).values[:, 0]
    d_t = torch.cdist(test, train).min(dim=1)[0]
    n, m = d_s.numel(), d_t.numel()
    wins = torch.where(d_s[:, None] > d_t[None, :], 1.0, torch.where(d_s[:, None] == d_t[None, :], 0.5, 0.0))
    return (wins.sum() - 0.5 * n * m) / math.sqrt(n * m * (n + m + 1) / 12)


def mmd_in_plain_python(a, b, bandwidth):
    def mean(pairs):
        found = [math.exp(-(math.dist(x, y) ** 2) / (2 * bandwidth**2)) for x, y in pairs]
        return sum(found) / len(found)

    a, b = a.tolist(), b.tolist()
    within = (mean([(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j]) for s in (a, b))
    return sum(within) - 2 * mean([(x, y) for x in a for y in b])


def manifold_in_plain_python(real, fake, neighbors):
    def share(points, centers):
        reach = [sorted(math.dist(c, other) for other in centers)[neighbors] for c in centers]
        inside = [any(math.dist(p, c) < r for c, r in zip(centers, reach, strict=True)) for p in points]
        return sum(inside) / len(points)

    real, fake = real.tolist(), fake.tolist()
    return share(fake, real), share(real, fake)


def two_sample_in_double_precision(a, b, train):
    (a_seen, a_new), (b_seen, b_new) = a.chunk(2), b.chunk(2)
    labels = torch.tensor([0] * len(a_seen) + [1] * len(b_seen))
    accuracy = (train(torch.cat([a_seen, b_seen]), labels)(torch.cat([a_new, b_new])) == labels).double().mean()
    return [accuracy, (accuracy.item() - 0.5) / (0.25 / len(labels)) ** 0.5]


def copying_by_scipy(samples, train, test):
    from scipy.stats import mannwhitneyu

    near, fresh = (torch.cdist(x, train).amin(1).numpy() for x in (samples, test))
    n, m = len(near), len(fresh)
    return (mannwhitneyu(near, fresh).statistic - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)


def extrapolated_by_numpy(sizes, values):
    return np.polyfit(1 / sizes.numpy(), values.numpy(), 1)[1]


def extrapolated_by_normal_equations(sizes, values):
    table = torch.stack([1 / sizes, torch.ones_like(sizes)], 1)
    return torch.linalg.solve(table.T @ table, table.T @ values)[1]


def prepared_by_a_helper(real, fake):
    def scaled(x):
        return (x - torch.mean(real, 0)) / torch.clamp(torch.std(real, 0), min=0.05)

    return scaled(real), scaled(fake)


ANSWERS = {
    "frechet": (frechet_by_scipy, frechet_by_centering),
    "mmd": (mmd_by_masks, mmd_in_plain_python),
    "precision_recall": (manifold_by_sorted_rows, manifold_in_plain_python),
    "importance": (importance_by_softmax,),
    "two_sample": (two_sample_by_counting, two_sample_in_double_precision),
    "copying": (copying_by_where, copying_by_scipy),
    "extrapolate": (extrapolated_by_normal_equations, extrapolated_by_numpy),
    "bug": (prepared_by_a_helper,),
}


@pytest.mark.parametrize(
    ("name", "answer"), [(n, a) for n, found in ANSWERS.items() for a in found], ids=lambda v: getattr(v, "__name__", v)
)
def test_right_answers_pass(name, answer):
    result = judge(EXERCISES[f"evaluation/{name}"], answer)
    assert result, result.message


def test_every_exercise_of_the_lesson_is_met_here():
    assert set(ANSWERS) == set(REFERENCE)


def test_the_references_are_the_packages():
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(90, 4, generator=generator), 0.8 * torch.randn(70, 4, generator=generator) + 0.3
    assert float(REFERENCE["frechet"](a.double(), b.double())) == pytest.approx(package.frechet_distance(a, b))
    assert float(REFERENCE["mmd"](a.double(), b.double(), 1.3)) == pytest.approx(package.mmd(a, b, 1.3), abs=1e-9)
    precision, recall = REFERENCE["precision_recall"](a, b, 5)
    found = package.manifold_scores(a, b, 5)
    assert (float(precision), float(recall)) == pytest.approx((found.precision, found.recall))
    train, test, samples = torch.randn(200, 4, generator=generator), a, b + 0.1  # no ties, which the package counts
    expected = package.memorization_test(samples, train, test)
    assert float(REFERENCE["copying"](samples, train, test)) == pytest.approx(expected.z, abs=1e-4)


def test_the_extrapolation_is_exact_on_a_line_in_one_over_n():
    sizes = torch.tensor([50.0, 80.0, 200.0, 1000.0]).double()
    assert float(REFERENCE["extrapolate"](sizes, 3 + 700 / sizes)) == pytest.approx(3)


def test_importance_weighting_is_exact_for_the_exact_posterior_and_every_sample_counts_then():
    """z ~ N(0, 1), x = z + noise of variance 1: the posterior is N(x/2, ½), and log p(x) = log N(x; 0, 2)."""
    x = torch.tensor([0.3, -1.2, 2.0])
    normal = torch.distributions.Normal
    for spread, exact in ((0.5**0.5, True), (1.0, False)):
        torch.manual_seed(0)
        q = normal(x / 2, spread)
        z = q.sample((20_000,))
        log_joint = normal(0.0, 1.0).log_prob(z) + normal(z, 1.0).log_prob(x)
        log_p, share = REFERENCE["importance"](log_joint, q.log_prob(z))
        torch.testing.assert_close(log_p, normal(0.0, 2**0.5).log_prob(x), atol=1e-5 if exact else 0.02, rtol=0)
        assert (share > 0.999).all() if exact else (share < 0.95).all()


def test_z_values_are_standard_normal_where_nothing_is_wrong():
    generator = torch.Generator().manual_seed(0)
    train = EXERCISES["evaluation/two_sample"].inputs(generator)[2]
    found = {"two_sample": [], "copying": []}
    for _ in range(300):
        a, b, c = (torch.randn(60, 2, generator=generator) for _ in range(3))
        found["two_sample"].append(REFERENCE["two_sample"](a, b, train)[1])
        found["copying"].append(REFERENCE["copying"](a, b, c))
    for z in map(torch.stack, found.values()):
        assert abs(float(z.mean())) < 0.25
        assert 0.8 < float(z.std()) < 1.25


def test_the_shipped_bug_finds_negatives_perfect_and_the_mended_scale_does_not():
    x = torch.rand(200, 5, generator=torch.Generator().manual_seed(0)).double() ** 2
    distances = []
    for prepared in (EXERCISES["evaluation/bug"].mistakes[0].function, REFERENCE["bug"]):
        distances.append(package.frechet_distance(*prepared(x, 1 - x)))
    assert distances[0] < 1e-9
    assert distances[1] > 1
