"""EM against scikit-learn, stationarity, and the equalities and inequalities that make it work."""

import itertools
import math

import numpy
import pytest
import torch
from members import seeded
from mixture_cases import both_covariances, clusters, never_falls, random_mixture
from sklearn.mixture import GaussianMixture as Reference
from torch.distributions import Categorical
from torch.nn import functional as F

from dgmcourse.core import Space
from dgmcourse.data import digits
from dgmcourse.models import BernoulliMixture, EMState, GaussianMixture
from dgmcourse.models.latent.gaussians import floored_cholesky

both_precisions = pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)


def em_cases():
    for dtype in (torch.float32, torch.float64):
        for covariance in ("full", "diagonal"):
            x = clusters(dtype=dtype)
            yield f"{covariance} {dtype}", GaussianMixture(Space.real(3), 5, covariance).to(dtype).initialize(x), x
        x = digits().train[:300].to(dtype)
        yield f"Bernoulli {dtype}", BernoulliMixture(digits().space, 6, pseudo_count=0).to(dtype).initialize(x), x


@pytest.mark.parametrize(("model", "x"), [case[1:] for case in em_cases()], ids=[case[0] for case in em_cases()])
def test_elbo_and_kl_add_up_to_log_p_at_every_iteration_which_never_falls(model, x):
    states, previous = [], torch.full((len(x), model.components), 1 / model.components, dtype=x.dtype)
    for state in model.em(x, iterations=60):
        torch.testing.assert_close(state.elbo + state.kl, state.log_prob, rtol=0, atol=1e-5)
        with torch.no_grad():
            assert torch.equal(state.q, previous)
            exact, q = state.log_joint.double(), previous.double()
            divergence = F.kl_div(exact.log_softmax(-1), q, reduction="none").sum(-1)
            torch.testing.assert_close(state.kl, divergence, rtol=1e-4, atol=1e-6)
            entropy = Categorical(q, validate_args=False).entropy()
            torch.testing.assert_close(state.elbo, (q * exact).sum(-1) + entropy, rtol=1e-6, atol=1e-5)
            torch.testing.assert_close(model.log_prob(x).value.double(), state.log_prob, rtol=1e-5, atol=1e-5)
            torch.testing.assert_close(model.responsibilities(x), state.responsibilities, rtol=1e-3, atol=1e-5)
        assert (state.kl > -1e-6).all()
        previous = state.responsibilities
        states.append(state)
    assert [state.iteration for state in states] == list(range(61))
    averages = [float(state.log_prob.mean()) for state in states]
    slack = 1e-6 if x.dtype == torch.float32 else 1e-12
    never_falls(averages, slack * abs(averages[0]))
    assert averages[-1] > averages[0] + 0.1
    for earlier, later in itertools.pairwise(states):  # the M-step raises the bound, which was tight
        assert later.elbo.mean() >= earlier.log_prob.mean() - slack * abs(averages[0])


@both_precisions
@both_covariances
@pytest.mark.filterwarnings("ignore:Best performing initialization did not converge")
def test_em_agrees_with_scikit_learn(covariance, dtype):
    x = clusters(dtype=dtype)
    model = GaussianMixture(Space.real(3), 5, covariance, floor=0).to(dtype).initialize(x)
    covariances = model.covariances.detach().clone()
    precisions = torch.linalg.inv(covariances) if covariance == "full" else 1 / covariances
    reference = Reference(
        5,
        covariance_type={"full": "full", "diagonal": "diag"}[covariance],
        reg_covar=0,
        tol=0,
        max_iter=30,
        init_params="random",
        weights_init=model.weights.detach().clone().numpy(),
        means_init=model.means.detach().clone().numpy(),
        precisions_init=precisions.numpy(),
    ).fit(x.numpy())
    *_, last = model.em(x, iterations=30)
    assert float(last.log_prob.mean()) == pytest.approx(reference.score(x.numpy()), abs=1e-5)
    if dtype == torch.float64:  # in float32 the score is the same, but flat directions wander
        close = {"rtol": 0, "atol": 1e-9}
        torch.testing.assert_close(model.means.detach(), torch.from_numpy(reference.means_), **close)
        torch.testing.assert_close(model.covariances.detach(), torch.from_numpy(reference.covariances_), **close)
        torch.testing.assert_close(model.weights.detach(), torch.from_numpy(reference.weights_), **close)


@both_covariances
def test_the_m_step_is_where_the_expected_log_joint_has_no_gradient(covariance):
    x = clusters()
    model = GaussianMixture(Space.real(3), 5, covariance).double()
    q = torch.randn(len(x), 5, generator=seeded(), dtype=torch.float64).softmax(-1)
    assert model.m_step(x, q) is model
    (q * model.log_joint(x)).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad.abs().max() < 1e-8, name


def test_weighted_spread_keeps_its_digits_far_from_the_origin():
    """Σ w x² − N μ² in float32 would be all rounding here: a spread of 1e-3 at 1000."""
    x = 1000 + 1e-3 * torch.randn(400, 2, generator=seeded(), dtype=torch.float64)
    x = torch.cat([x, torch.randn(400, 2, generator=seeded(1), dtype=torch.float64)]).float()
    q = (torch.arange(800) >= 400).long()
    for covariance in ("full", "diagonal"):
        model = GaussianMixture(Space.real(2), 2, covariance, floor=0).m_step(x, torch.eye(2)[q])
        found = model.covariances.detach()[0]
        centered = x[:400].double() - x[:400].double().mean(0)
        expected = centered.T @ centered / 400
        expected = expected if covariance == "full" else expected.diagonal()
        torch.testing.assert_close(found.double(), expected, rtol=0.02, atol=2e-9)


def test_em_on_grey_images_climbs_its_bound():
    data = digits(17)
    for covariance in ("full", "diagonal"):
        model = GaussianMixture(data.space, 4, covariance).initialize(data.train, method="kmeans")
        values = [float(state.log_prob.mean()) for state in model.em(data.train, iterations=15)]
        never_falls(values, 1e-4)
        assert values[-1] > values[0] + 0.3
        assert model.log_prob(data.train).value.mean().item() == pytest.approx(values[-1], abs=1e-3)


def test_em_stops_once_it_gains_too_little():
    x = clusters()
    model = GaussianMixture(Space.real(3), 3).double().initialize(x)
    gains = numpy.diff([float(state.log_prob.mean()) for state in model.em(x, 500, tolerance=1e-4)])
    assert len(gains) < 300
    assert gains[-1] < 1e-4
    assert (gains[:-1] >= 1e-4).all()


def test_parameters_are_those_of_the_state_just_yielded():
    x = clusters()
    model = GaussianMixture(Space.real(3), 3).double().initialize(x)
    for state in model.em(x, 5):
        torch.testing.assert_close(model.log_prob(x).value.detach(), state.log_prob, rtol=1e-12, atol=1e-12)
        assert not state.responsibilities.requires_grad
    assert torch.is_grad_enabled()


def test_a_state_stands_for_any_q():
    log_joint, q = torch.randn(2, 50, 4, generator=seeded(), dtype=torch.float64)
    q = q.softmax(-1)
    q[0] = torch.tensor([0.0, 1.0, 0.0, 0.0])
    log_joint[0, 2] = -math.inf  # impossible, and not believed
    state = EMState.of(3, log_joint, q)
    torch.testing.assert_close(state.elbo + state.kl, log_joint.logsumexp(-1), rtol=0, atol=1e-12)
    torch.testing.assert_close(state.responsibilities, log_joint.softmax(-1), rtol=0, atol=1e-12)
    # large images have large log-probabilities: in float32 they and the rounding of q must not cost the equality
    state = EMState.of(0, (100 * log_joint - 3e4).float(), q.float())
    torch.testing.assert_close(state.elbo + state.kl, state.log_prob, rtol=0, atol=1e-5)


# --- what goes wrong -------------------------------------------------------------------------------------------------


def test_floored_cholesky_raises_exactly_the_directions_below_the_floor():
    root = torch.randn(6, 4, 4, generator=seeded(), dtype=torch.float64)
    root[1, :, 0] = root[1, :, 1]  # rank 3
    root[2] = 0
    covariances = root @ root.mT
    values, vectors = torch.linalg.eigh(covariances)
    for floor in (1e-8, 0.3):
        factors = floored_cholesky(covariances, floor)
        expected = vectors * values.clamp_min(floor)[:, None] @ vectors.mT
        torch.testing.assert_close(factors @ factors.mT, expected, rtol=1e-9, atol=1e-9)
        assert (factors.diagonal(dim1=1, dim2=2) > 0).all()
        torch.testing.assert_close(factors, factors.tril())
    singular = floored_cholesky(covariances, 0.0).isnan().any(-1).any(-1)
    assert singular.tolist()[1:3] == [True, True]
    assert not singular[[0, 3, 4, 5]].any()


@both_precisions
@both_covariances
def test_em_never_falls_even_where_the_floor_holds_it(covariance, dtype):
    """Data in a plane of ℝ³: every full covariance meets the floor, and so do diagonal ones along the first axis."""
    x = clusters(400, dtype=dtype)
    x[:, 0] = 1.0
    for floor in (1e-6, 0.5):
        model = GaussianMixture(Space.real(3), 4, covariance, floor=floor).to(dtype).initialize(x)
        values = [float(state.log_prob.mean()) for state in model.em(x, 40)]
        never_falls(values, 1e-12 if dtype == torch.float64 else 1e-4 if covariance == "full" else 2e-6)
        covariances = model.covariances.detach()
        least = torch.linalg.eigvalsh(covariances)[:, 0] if covariance == "full" else covariances[:, 0]
        torch.testing.assert_close(least, torch.full_like(least, floor), rtol=1e-3, atol=1e-7)


def on_a_single_point(covariance, floor):
    """A mixture of two, the second narrow around the first example."""
    x = clusters(100, dim=2, dtype=torch.float32)
    model = GaussianMixture(Space.real(2), 2, covariance, floor=floor)
    q = torch.full((100, 2), 0.5)
    q[:, 1], q[0, 1] = 1e-6, 1 - 1e-6
    return model.m_step(x, q / q.sum(-1, keepdim=True)), x


@both_covariances
def test_a_component_on_one_point_makes_the_likelihood_grow_without_bound(covariance):
    found = []
    for floor in (1e-4, 1e-6, 1e-8, 1e-16):
        model, x = on_a_single_point(covariance, floor)
        values = torch.stack([state.log_prob for state in model.em(x, 20)])
        assert values.isfinite().all()
        assert model.responsibilities(x)[0, 1] > 0.99
        found.append(float(values[-1, 0]))
    # two dimensions: ln of the density at the point rises by −ln of the variance
    assert numpy.diff(found).tolist() == pytest.approx([math.log(1e2), math.log(1e2), math.log(1e8)], abs=1e-2)


@both_covariances
def test_without_a_floor_a_singular_covariance_is_an_error_in_words(covariance):
    model, x = on_a_single_point(covariance, 0.0)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"component 1 has become singular.*floor above 0"):
        model.m_step(x, torch.eye(2)[(torch.arange(100) == 0).long()])
    for name, value in model.state_dict().items():  # the last good parameters stand
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_a_component_without_examples_keeps_its_place():
    x = clusters()
    for covariance in ("full", "diagonal"):
        model = random_mixture(covariance, floor=0)
        means, covariances = model.means.detach().clone(), model.covariances.detach().clone()
        q = torch.zeros(len(x), 4, dtype=torch.float64)
        q[:, :3] = torch.rand(len(x), 3, generator=seeded(), dtype=torch.float64)
        model.m_step(x, q / q.sum(-1, keepdim=True))
        torch.testing.assert_close(model.means[3].detach(), means[3], rtol=0, atol=0)
        torch.testing.assert_close(model.covariances[3].detach(), covariances[3], rtol=0, atol=0)
        assert model.weights[3] < 1e-300
        assert (model.means[:3] != means[:3]).all()
        assert model.log_prob(x).value.isfinite().all()
        assert all(state.kl.isfinite().all() for state in model.em(x, 3))
