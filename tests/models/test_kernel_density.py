"""Kernel density estimation against scikit-learn, enumeration and brute force."""

import math

import numpy
import pytest
import torch
from members import BINARY, GREY, TOKENS, correlated, every, some
from sklearn.neighbors import KernelDensity as ReferenceKernelDensity
from torch.utils._python_dispatch import TorchDispatchMode

from dgmcourse.core import Kind, Space
from dgmcourse.data import digits
from dgmcourse.models import KernelDensity
from dgmcourse.training import fit


@pytest.mark.parametrize("bandwidth", [0.05, 0.5, 3.0])
def test_kernel_density_equals_scikit_learns(bandwidth):
    points, x = correlated(200, 3).float(), correlated(40, 3, seed=1).float()
    model = KernelDensity(Space.real(3), 200, bandwidth).remember(points)
    # one leaf: where a tree prunes, it loses nats far from every point
    reference = ReferenceKernelDensity(bandwidth=bandwidth, leaf_size=200).fit(points.double().numpy())
    for batch in (points, x):
        found, expected = model.log_prob(batch), torch.from_numpy(reference.score_samples(batch.double().numpy()))
        assert found.kind is Kind.EXACT
        torch.testing.assert_close(found.value.double(), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("space", [BINARY, GREY, TOKENS], ids=str)
@pytest.mark.parametrize("bandwidth", [0.01, 0.3])
def test_the_discrete_kernel_sums_to_one(space, bandwidth):
    model = KernelDensity(space, 5, bandwidth).remember(some(space, 5))
    assert float(model.log_prob(every(space)).value.detach().logsumexp(0)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("space", [BINARY, GREY, TOKENS], ids=str)
def test_the_discrete_kernel_is_a_product_over_entries(space):
    points, x = some(space, 6), some(space, 9, seed=1)
    model = KernelDensity(space, 6, 0.2).remember(points)
    same = (x.flatten(1)[:, None] - points.flatten(1)).abs() < 1e-6  # (9, 6, dim)
    kernels = torch.where(same, 0.8, 0.2 / (space.levels - 1)).prod(-1)
    torch.testing.assert_close(model.log_prob(x).value, kernels.mean(1).log(), rtol=1e-5, atol=1e-5)


def test_half_changed_binary_entries_are_uniform():
    model = KernelDensity(BINARY, 4, 0.5).remember(some(BINARY, 4))
    torch.testing.assert_close(model.log_prob(every(BINARY)).value, torch.full((512,), -9 * math.log(2)))


@pytest.mark.parametrize("space", [Space.real(2), BINARY, GREY, TOKENS], ids=str)
def test_leave_one_out_equals_brute_force(space):
    points = some(space, 12)
    points[3] = points[7]  # a duplicate: each still finds the other
    model = KernelDensity(space, 12, 0.2).remember(points)
    found = model.leave_one_out()
    assert found.kind is Kind.EXACT
    for i in range(12):
        others = torch.cat([points[:i], points[i + 1 :]])
        alone = KernelDensity(space, 11, 0.2).remember(others).log_prob(points[i : i + 1]).value
        torch.testing.assert_close(found.value[i : i + 1], alone, rtol=1e-5, atol=1e-5)
    (step,) = KernelDensity(space, 3, 0.2).training_step(points)  # of the batch; nothing need be remembered
    torch.testing.assert_close(step.loss, -found.value.mean())


@pytest.mark.parametrize("kind", ["real", "binary"])
def test_a_vanishing_bandwidth_memorizes_without_nan(kind):
    data = digits(levels=2)
    space = Space.real(1, 8, 8) if kind == "real" else data.space
    train, test = data.train[:300], data.test[:100]
    test = test[(test[:, None] != train).flatten(2).any(-1).all(1)]  # none that was remembered
    model = KernelDensity(space, 300).remember(train)
    seen, new = [], []
    for bandwidth in (1e-1, 1e-2, 1e-4, 1e-6, 1e-9):
        model.bandwidth = bandwidth
        seen.append(float(model.log_prob(train).value.detach().mean()))
        new.append(float(model.log_prob(test).value.detach().mean()))
    assert all(math.isfinite(value) for value in seen + new)
    assert seen == sorted(seen)
    assert new == sorted(new, reverse=True)
    assert new[-1] < (-1e15 if kind == "real" else -60)
    model.bandwidth = 1e-30
    for value in (model.log_prob(train).value, model.log_prob(test).value, model.leave_one_out().value):
        assert not value.isnan().any()


def test_a_small_bandwidth_far_from_the_origin_keeps_its_digits():
    """‖x‖² + ‖x_j‖² − 2 x·x_j would round these distances to nothing."""
    points = 1e4 + 1e-3 * some(Space.real(5), 50).double()
    x = points + 1e-6 * some(Space.real(5), 50, seed=1).double()
    model = KernelDensity(Space.real(5), 50).double().remember(points)
    model.bandwidth = 1e-6
    squares = (x[:, None] - points).square().sum(-1)
    expected = (-squares / 2e-12).logsumexp(1) - math.log(50) - 5 * math.log(1e-6 * math.sqrt(2 * math.pi))
    torch.testing.assert_close(model.log_prob(x).value, expected, rtol=1e-6, atol=1e-6)


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        found = function(*arguments, **(keywords or {}))
        parts = found if isinstance(found, tuple | list) else [found]
        self.numel = max([self.numel, *(part.numel() for part in parts if isinstance(part, torch.Tensor))])
        return found


@pytest.mark.parametrize("space", [Space.real(2), Space.binary(2)], ids=str)
def test_many_points_are_scored_in_pieces(space):
    """Neither on the way there nor on the way back does the table of all pairs exist."""
    n, kept = 3000, []
    points = some(space, n)
    model = KernelDensity(space, n, 0.3).remember(points)
    noted = torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t)
    with Largest() as largest, noted:
        model.leave_one_out().value.mean().backward()
    assert n**2 > 2 * 2**22 > 2 * largest.numel
    assert sum(kept) < n**2 / 10
    few = KernelDensity(space, 500, 0.3).remember(points[:500])
    assert largest.numel >= 2**21  # and the pieces are not crumbs
    (gradient,) = torch.autograd.grad(few.log_prob(points[:7]).value.sum(), few.raw_bandwidth)
    assert torch.isfinite(gradient)
    whole = [model.log_prob(points[i : i + 500]).value for i in range(0, n, 500)]  # each one piece
    torch.testing.assert_close(model.log_prob(points).value, torch.cat(whole))


def test_fit_finds_the_best_bandwidth_and_moves_nothing_else():
    points = some(Space.real(2), 200)
    model = KernelDensity(Space.real(2), 200, bandwidth=2.0).remember(points)
    fit(model, points, steps=150, batch_size=200, lr=0.1, schedule="cosine", progress=False)
    torch.testing.assert_close(model.remembered, points)
    found, at = float(model.leave_one_out().value.detach().mean()), model.bandwidth
    scores = {}
    for scale in numpy.linspace(0.2, 1.0, 81):
        model.bandwidth = scale
        scores[scale] = float(model.leave_one_out().value.detach().mean())
    best = max(scores, key=scores.get)
    assert at == pytest.approx(best, abs=0.02)
    assert found > scores[best] - 1e-3


def test_samples_lie_around_remembered_points():
    point = torch.tensor([[3.0, -1.0]])
    torch.manual_seed(0)
    x = KernelDensity(Space.real(2), 1, 0.5).remember(point).sample(50_000)
    torch.testing.assert_close(x.mean(0), point[0], rtol=0, atol=0.01)
    torch.testing.assert_close(x.std(0), torch.full((2,), 0.5), rtol=0, atol=0.01)
    grey = KernelDensity(GREY, 1, 0.3).remember(torch.full((1, 1, 2, 2), 1 / 3)).sample(50_000)
    shares = (
        torch.stack([(GREY.quantize(grey) - level / 3).abs() < 1e-3 for level in range(4)]).float().mean((1, 2, 3, 4))
    )
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.7, 0.1, 0.1]), rtol=0, atol=0.005)


def test_a_saved_kernel_density_remembers(tmp_path):
    points = some(BINARY, 8)
    KernelDensity(BINARY, 8, 0.07).remember(points).save_pretrained(tmp_path)
    loaded = KernelDensity.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.remembered, points)
    assert loaded.bandwidth == pytest.approx(0.07)
    assert torch.isfinite(loaded.leave_one_out().value).all()


def test_kernel_density_says_what_is_missing():
    model = KernelDensity(Space.real(2), 3)
    for ask in (lambda: model.log_prob(torch.zeros(1, 2)), model.leave_one_out, lambda: model.sample(1)):
        with pytest.raises(RuntimeError, match=r"call model\.remember"):
            ask()
    with pytest.raises(ValueError, match=r"remembers 3 points, got 4; build it with points=4"):
        model.remember(torch.zeros(4, 2))
    with pytest.raises(ValueError, match="at least two points"):
        next(model.training_step(torch.zeros(1, 2)))
    for wrong in (0, -1, math.inf, math.nan):
        with pytest.raises(ValueError, match="bandwidth must be positive"):
            KernelDensity(Space.real(2), 3, wrong)
    for wrong in (0.0, 1.0, 2.0):
        with pytest.raises(ValueError, match="bandwidth must be between 0 and 1"):
            KernelDensity(BINARY, 3, wrong)
    with pytest.raises(ValueError, match="points ≥ 1"):
        KernelDensity(BINARY, 0)
