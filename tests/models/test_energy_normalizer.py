"""The normalizer of an energy, on a grid and by annealing, against closed forms; energies that are added."""

import math

import pytest
import torch
from gaussian_energies import gaussian_model, log_partition_of_points

from dgmcourse.core import Kind, Space
from dgmcourse.data.toys import toy_density
from dgmcourse.evaluation import annealed_log_prob, bracket
from dgmcourse.models.energy import JEM, EnergyModel, Mixture, Negation, Product, grid_density

TOY, PLANE = toy_density("eight_gaussians"), Space.real(2)


def gaussian_log_prob(x, mean, std):
    squared = ((x - torch.tensor(mean).to(x)) / std).square().sum(1)
    return -0.5 * squared - 2 * math.log(std) - math.log(2 * math.pi)


def bowl(mean, std, constant=0.0):
    """The energy of N(mean, std² I) in the plane, whose Z is exp(−constant)."""
    return lambda x: constant - gaussian_log_prob(x, mean, std)


# --- on a grid ------------------------------------------------------------------------------------------------------


def test_the_grid_normalizes_a_known_mixture():
    grid = grid_density(lambda x: 3.7 - TOY.log_prob(x), 2, extent=7.5, like=torch.zeros((), dtype=torch.float64))
    assert float(grid.log_partition) == pytest.approx(-3.7, abs=1e-6)
    x = TOY.sample(100)
    found = grid.log_prob(x)
    assert found.kind is Kind.EXACT
    torch.testing.assert_close(found.value, TOY.log_prob(x), rtol=0, atol=1e-4)
    assert grid.divergence_from(TOY.log_prob) == pytest.approx(0, abs=1e-6)
    torch.testing.assert_close(grid.log_density.flatten()[:5], TOY.log_prob(grid.points[:5]), rtol=1e-6, atol=1e-6)


def test_divergence_of_two_gaussians():
    """KL(N(m, s²) ‖ N(0, 1)) in the plane: ½‖m‖² + s² − 1 − 2 ln s."""
    grid = grid_density(bowl([0.0, 0.0], 1.0), 2, extent=9.0)
    found = grid.divergence_from(lambda x: gaussian_log_prob(x, [1.0, -0.5], 0.7))
    assert found == pytest.approx(0.5 * 1.25 + 0.49 - 1 - 2 * math.log(0.7), abs=1e-4)
    with pytest.raises(ValueError, match="sums to"):
        grid.divergence_from(lambda x: gaussian_log_prob(x, [9.0, 0.0], 1.0))


def test_mass_at_the_border_is_refused():
    with pytest.raises(ValueError, match="larger extent"):
        grid_density(bowl([0.0, 0.0], 1.0), 2, extent=1.5)
    with pytest.raises(ValueError, match="3 dimensions"):
        EnergyModel(Space.real(3)).log_partition()
    with pytest.raises(ValueError, match="for real vectors"):
        EnergyModel(Space.binary(2)).log_partition()


@pytest.mark.parametrize("space", [Space.real(1), Space.real(2)], ids=str)
def test_a_models_grid_finds_its_normalizer(space):
    model = gaussian_model(space, scale=2.0)
    truth = log_partition_of_points(model) + space.dim * math.log(2.0)  # an integral over x
    found = model.log_partition()
    assert found.kind is Kind.EXACT
    assert float(found.value) == pytest.approx(truth, abs=1e-4)
    grid = model.normalized()
    assert float((grid.log_density + grid.log_cell).exp().sum()) == pytest.approx(1)


# --- by annealing ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "space", [Space.real(2), Space.grey(1, 3, 3, levels=4), Space.binary(1, 3, 3)], ids=["real", "grey", "binary"]
)
def test_annealing_finds_the_normalizer_of_a_gaussian(space):
    torch.manual_seed(0)
    model = gaussian_model(space, scale=2.0, reference=1.0)
    unit = 2.0 if space.kind == "real" else space.levels / 2  # a cell is 2 / levels wide
    truth = log_partition_of_points(model) + space.dim * math.log(unit)
    found = model.log_partition("ais", chains=200, temperatures=100)
    assert abs(float(found.value) - truth) < 4 * found.standard_error
    assert found.standard_error < 0.1


def test_annealing_agrees_with_the_grid_from_both_sides():
    torch.manual_seed(0)
    model = JEM(Space.real(2), 3, hidden=(16,), reference=1.0)
    with torch.no_grad():
        model.network[0].weight.mul_(3)
        model.network[-1].weight.mul_(4)
    truth = float(model.log_partition(extent=10.0).value)
    lower, upper = bracket(model, chains=200, temperatures=100)
    assert abs(float(lower.value) - truth) < 4 * lower.standard_error
    assert abs(float(upper.value) - truth) < 4 * upper.standard_error
    x = torch.randn(5, 2)
    found = annealed_log_prob(model, x, chains=200, temperatures=100)
    torch.testing.assert_close(found.value, model.normalized(10.0).log_prob(x).value.detach().to(found.value),
                               rtol=0, atol=0.2)  # fmt: skip


def test_an_images_probability_is_the_middle_of_its_cell_times_its_volume():
    """Over a fine scale of levels the sum over all images is the integral."""
    space = Space.grey(1, levels=401)
    model = gaussian_model(space, slope=0.0, reference=0.2)  # all mass lies within [−1, 1]
    x = torch.linspace(0, 1, 401)[:, None]
    truth = log_partition_of_points(model) + math.log(401 / 2)
    assert float((-model.energy(x)).logsumexp(0).detach()) == pytest.approx(truth, abs=1e-4)


# --- compositions ---------------------------------------------------------------------------------------------------


def test_a_product_of_gaussians_is_the_gaussian_of_added_precisions():
    """N(m₁, s₁²) · N(m₂, s₂²) ∝ N(m, s²), 1/s² = 1/s₁² + 1/s₂², m/s² = m₁/s₁² + m₂/s₂²."""
    product = Product([bowl([1.0, 0.0], 1.0), bowl([-1.0, 2.0], 2.0, constant=5.0)], space=PLANE)
    precision = 1 + 1 / 4
    mean, std = [(1 - 1 / 4) / precision, (2 / 4) / precision], precision**-0.5
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(product.normalized(8.0).log_prob(x).value, gaussian_log_prob(x, mean, std),
                               rtol=0, atol=1e-4)  # fmt: skip
    torch.testing.assert_close(product.score(x), (torch.tensor(mean) - x) / std**2)
    torch.manual_seed(0)
    *_, samples = product.trajectory(torch.zeros(10_000, 2), steps=60, step_size=1.0)
    assert ((samples.mean(0) - torch.tensor(mean)).abs() < 3 * std / 100).all()
    assert ((samples.var(0) / std**2 - 1).abs() < 3 * math.sqrt(2 / 10_000)).all()


def test_a_mixture_needs_its_normalizers_in_its_weights():
    """Two energies of Z = e^−5 and 1: the weights 0.3 e^5 and 0.7 make shares of 0.3 and 0.7."""
    parts = [bowl([2.0, 0.0], 1.0, constant=5.0), bowl([-2.0, 0.0], 0.5)]
    mixture = Mixture(parts, [0.3 * math.exp(5.0), 0.7], PLANE)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    truth = torch.logaddexp(gaussian_log_prob(x, [2.0, 0.0], 1.0) + math.log(0.3),
                            gaussian_log_prob(x, [-2.0, 0.0], 0.5) + math.log(0.7))  # fmt: skip
    torch.testing.assert_close(-mixture.energy(x), truth)
    assert float(mixture.normalized(8.0).log_partition) == pytest.approx(0, abs=1e-4)


def test_a_negation_widens_a_product_and_has_no_normalizer_alone():
    """N(0, 1) / N(0, 2²)^½ ∝ a Gaussian of precision 1 − ½ · ¼."""
    wide = Negation(bowl([0.0, 0.0], 2.0), weight=0.5, space=PLANE)
    product = Product([bowl([0.0, 0.0], 1.0), wide])
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    truth = gaussian_log_prob(x, [0.0, 0.0], (1 - 1 / 8) ** -0.5)
    torch.testing.assert_close(product.normalized(8.0).log_prob(x).value, truth, rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="border"):
        wide.normalized(8.0)


def test_models_and_compositions_are_composed():
    one, other = gaussian_model(), gaussian_model(slope=-0.2)
    product = Product([one, Mixture([one, other])], weights=[2.0, 0.5])
    x = torch.randn(4, 2)
    mixture = -torch.logaddexp(-one.energy(x), -other.energy(x))
    torch.testing.assert_close(product.energy(x), 2 * one.energy(x) + 0.5 * mixture)
    assert product.log_prob(x).kind is Kind.UNNORMALIZED


def test_what_cannot_be_composed_is_refused_in_words():
    with pytest.raises(ValueError, match="one and the same space"):
        Product([gaussian_model(), gaussian_model(Space.real(3))])
    with pytest.raises(ValueError, match="pass space"):
        Product([bowl([0.0, 0.0], 1.0)])
    with pytest.raises(ValueError, match="a weight for each"):
        Product([gaussian_model()], [1.0, 2.0])
    with pytest.raises(ValueError, match="must not be negative"):
        Mixture([gaussian_model()], [-1.0])
    with pytest.raises(ValueError, match="for real vectors"):
        Product([EnergyModel(Space.binary(2))]).normalized(3.0)
