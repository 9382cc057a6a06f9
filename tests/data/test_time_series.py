"""Linear and switching processes against multivariate normals and sums over every path."""

import itertools
import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from dgmcourse.data import ARProcess, RegimeProcess, series
from dgmcourse.data.linear_prediction import levinson, partial_autocorrelations

PROCESSES = [(), (0.7,), (-0.95,), (1.4, -0.85), (0.5, -0.3, 0.2), (0.1, 0.2, -0.3, 0.4)]
every_process = pytest.mark.parametrize("coefficients", PROCESSES)


def covariance(coefficients, scale: float, length: int) -> torch.Tensor:
    """By the response to single shocks, Cov(x_t, x_{t+k}) = σ² Σ_i ψ_i ψ_{i+k}: nothing of the code under test."""
    psi = [1.0]
    for t in range(1, 4000):
        psi.append(sum(c * psi[t - j] for j, c in enumerate(coefficients, 1) if t >= j))
    psi = torch.tensor(psi, dtype=torch.float64)
    gamma = torch.stack([(psi[: len(psi) - k] * psi[k:]).sum() for k in range(length)]) * scale**2
    times = torch.arange(length)
    return gamma[(times[:, None] - times).abs()]


@every_process
@pytest.mark.parametrize("length", [1, 2, 3, 12])
def test_density_and_entropy_are_the_multivariate_normals(coefficients, length):
    process = ARProcess(coefficients, 0.7, length, mean=2.0)
    truth = MultivariateNormal(torch.full((length,), 2.0, dtype=torch.float64), covariance(coefficients, 0.7, length))
    torch.manual_seed(0)
    x = truth.sample((6,))
    torch.testing.assert_close(process.log_prob(x), truth.log_prob(x), rtol=0, atol=1e-8)
    torch.testing.assert_close(process.covariance(), truth.covariance_matrix, rtol=0, atol=1e-8)
    assert process.entropy == pytest.approx(float(truth.entropy()), abs=1e-8)


@every_process
def test_partial_autocorrelations_are_the_inverse_of_levinson(coefficients):
    phi = torch.tensor(coefficients, dtype=torch.float64)
    partials = partial_autocorrelations(phi)
    assert (partials.abs() < 1).all()
    if coefficients:
        torch.testing.assert_close(levinson(partials)[-1], phi)


def test_samples_have_the_covariance_from_the_first_value_on():
    process = ARProcess((1.4, -0.85), 1.0, 6, mean=-1.0)
    x = process.sample(40_000, torch.Generator().manual_seed(0))
    process.space.check(x, values=True)
    torch.testing.assert_close(torch.cov(x.double().T), process.covariance(), rtol=0, atol=0.25)
    assert float((x.double().mean(0) + 1).abs().max()) < 0.06
    cost = -process.log_prob(x)
    assert float(cost.mean()) == pytest.approx(process.entropy, abs=4 * float(cost.std()) / 200)


def test_processes_that_explode_are_refused():
    for coefficients in ((1.0,), (1.4, 0.85), (0.0, -1.2)):
        with pytest.raises(ValueError, match="not stationary"):
            ARProcess(coefficients)
    with pytest.raises(ValueError, match="scale > 0"):
        ARProcess((0.5,), scale=0)


REGIMES = [
    RegimeProcess(length=6),
    RegimeProcess((0.9, 0.0, -0.6), (0.3, 2.0, 1.0), (0.9, 0.5, 0.8), length=5),
    RegimeProcess(length=1),
]


def by_paths(process: RegimeProcess, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """log p(x), and P(s_T | x), by summing over every path of the chain."""
    found, last = [], [[] for _ in range(process.regimes)]
    phi, sigma = process.coefficients, process.scales
    start = Normal(torch.zeros_like(phi), sigma / (1 - phi**2).sqrt())
    for path in itertools.product(range(process.regimes), repeat=process.length):
        log_p = process.start[path[0]].log() + start.log_prob(x[:, :1])[:, path[0]]
        for t in range(1, process.length):
            move = process.moves[path[t - 1], path[t]].log()
            log_p = log_p + move + Normal(phi[path[t]] * x[:, t - 1], sigma[path[t]]).log_prob(x[:, t])
        found.append(log_p)
        last[path[-1]].append(log_p)
    total = torch.stack(found).logsumexp(0)
    ends = torch.stack([torch.stack(paths).logsumexp(0) for paths in last], dim=-1)
    return total, (ends - total[:, None]).exp()


@pytest.mark.parametrize("process", REGIMES, ids=["two regimes", "three", "one moment"])
def test_the_forward_algorithm_sums_over_every_path(process):
    torch.manual_seed(0)
    x = torch.randn(7, process.length, dtype=torch.float64)
    total, ends = by_paths(process, x)
    torch.testing.assert_close(process.log_prob(x), total, rtol=0, atol=1e-10)
    torch.testing.assert_close(process.forward(x)[1][:, -1], ends, rtol=0, atol=1e-10)
    torch.testing.assert_close(process.start @ process.moves, process.start)  # the chain starts stationary
    torch.testing.assert_close(process.moves.sum(-1), torch.ones_like(process.start))


def test_the_density_of_two_regimes_integrates_to_one():
    process = RegimeProcess(length=2)
    line = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    grid = torch.cartesian_prod(line, line)
    mass = process.log_prob(grid).exp().sum() * (24 / 1200) ** 2
    assert float(mass) == pytest.approx(1, abs=1e-6)


def test_samples_of_regimes_cost_the_entropy_and_the_filter_knows_the_regime():
    process = RegimeProcess(length=20)
    x, regimes = process.sample_with_regimes(4000, torch.Generator().manual_seed(5))
    cost = -process.log_prob(x)
    error = math.hypot(process.entropy_error, float(cost.std()) / math.sqrt(4000))
    assert float(cost.mean()) == pytest.approx(process.entropy, abs=4 * error)
    assert process.entropy_error < 0.05
    share = regimes.double().mean(0)
    torch.testing.assert_close(share, process.start[1].expand(20), rtol=0, atol=0.04)
    believed = process.forward(x)[1]
    surely = believed[..., 1] > 0.9
    assert surely.any()
    assert float(regimes[surely].double().mean()) == pytest.approx(float(believed[..., 1][surely].mean()), abs=0.02)


@pytest.mark.parametrize("name", ["ar2", "regimes"])
def test_a_dataset_of_series(name):
    data = series(name, length=16, n=(30, 10, 20))
    assert (len(data.train), len(data.valid), len(data.test)) == (30, 10, 20)
    assert str(data.space) == "real(16)"
    assert data.truth.log_prob(data.test).shape == (20,)
    assert torch.equal(data.train, series(name, length=16, n=(30, 10, 20)).train)
    assert torch.equal(data.test, series(name, length=16, n=(60, 10, 20)).test)
    with pytest.raises(ValueError, match="'ar2' or 'regimes'"):
        series("ar3")


def test_regimes_out_of_range_are_refused():
    with pytest.raises(ValueError, match="one number for each"):
        RegimeProcess((0.9,), (0.3, 1.0), (0.9, 0.9))
    with pytest.raises(ValueError, match="must lie in"):
        RegimeProcess((1.0, 0.0), (0.3, 1.0), (0.9, 0.9))
