"""Disentanglement where the answer is known: one latent a factor, rotated by 45°, independent, constant."""

import math

import pytest
import torch
from sklearn.metrics import mutual_info_score

from dgmcourse.data import glyphs
from dgmcourse.evaluation import dci, mutual_information, mutual_information_gap, sap_score


def uniform(n, seed):
    return torch.rand(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def levels(n, k, seed):
    return torch.randint(k, (n,), generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def factors():
    """One discrete factor, two continuous ones, all independent."""
    return {"class": levels(4000, 4, 0), "slant": uniform(4000, 1), "scale": 5 * uniform(4000, 2) - 2}


@pytest.fixture(scope="module")
def perfect(factors):
    """A latent of its own for each factor, in other units and another order, one that is noise, one that is constant."""
    noise = uniform(4000, 3)
    columns = [-3 * factors["scale"], noise, factors["class"].double() * 2, torch.ones(4000).double(), factors["slant"]]
    return torch.stack(columns, 1)


@pytest.fixture(scope="module")
def rotated():
    """Two equally wide factors and their sum and difference: each latent says as much about either."""
    square = torch.stack([uniform(4000, 4), uniform(4000, 5)], 1) - 0.5
    turn = torch.tensor([[1.0, 1.0], [1.0, -1.0]]).double() / math.sqrt(2)
    return square @ turn, square


def test_mutual_information_equals_scikit_learns_on_what_is_discrete(factors):
    z = torch.stack([levels(4000, 3, 8), factors["class"] + levels(4000, 2, 9)], 1)
    found = mutual_information(z.double(), {"class": factors["class"]})
    for row, column in enumerate(z.T):
        expected = mutual_info_score(factors["class"], column)
        assert float(found[row, 0]) == pytest.approx(expected, abs=1e-12)


def test_mutual_information_of_correlated_gaussians_is_known():
    generator = torch.Generator().manual_seed(0)
    a, noise = torch.randn(2, 200_000, generator=generator, dtype=torch.float64)
    b = 0.8 * a + 0.6 * noise
    found = float(mutual_information(a[:, None], {"b": b}, bins=60))
    assert found == pytest.approx(-0.5 * math.log(1 - 0.8**2), abs=0.01)


def test_a_latent_for_each_factor_is_perfect(perfect, factors):
    assert mutual_information_gap(perfect, factors) == pytest.approx(1, abs=0.03)  # chance adds to the second best
    found = dci(perfect, factors)
    assert found.disentanglement == pytest.approx(1, abs=0.01)
    assert found.completeness == pytest.approx(1, abs=0.01)
    assert found.informativeness == pytest.approx(1, abs=0.01)
    assert found.importance.argmax(0).tolist() == [2, 4, 0]


def test_without_chance_the_gap_is_exactly_one():
    grid = torch.cartesian_prod(torch.arange(5), torch.arange(4), torch.arange(3))
    factors = {"a": grid[:, 0], "b": grid[:, 1], "c": grid[:, 2]}
    assert mutual_information_gap(grid.double(), factors) == pytest.approx(1, abs=1e-12)
    assert sap_score(grid.double(), factors) == pytest.approx((4 / 5 + 3 / 4 + 2 / 3) / 3)  # right minus guessing


def test_separated_attribute_predictability_is_one_for_lines_and_one_minus_guessing_for_classes(perfect, factors):
    numbers = {name: factors[name] for name in ("slant", "scale")}
    assert sap_score(perfect, numbers) == pytest.approx(1, abs=0.01)
    assert sap_score(perfect, {"class": factors["class"]}) == pytest.approx(1 - 1 / 4, abs=0.05)


def test_a_rotation_by_45_degrees_leaves_nothing_of_the_gaps(rotated):
    z, factors = rotated
    assert mutual_information_gap(z, factors) == pytest.approx(0, abs=0.02)
    assert sap_score(z, factors) == pytest.approx(0, abs=0.05)
    found = dci(z, factors)
    assert found.disentanglement < 0.02
    assert found.completeness < 0.02
    assert found.informativeness > 0.95  # all is there, but mixed
    turned_back = torch.stack([z[:, 0] + z[:, 1], z[:, 0] - z[:, 1]], 1)
    assert dci(turned_back, factors).disentanglement > 0.98


def test_independent_latents_say_nothing(factors):
    z = torch.stack([uniform(4000, seed) for seed in range(20, 24)], 1)
    assert mutual_information_gap(z, factors) < 0.02
    assert sap_score(z, factors) < 0.02
    found = dci(z, factors)
    assert found.informativeness < 0.05
    assert found.disentanglement < 0.05
    assert found.completeness < 0.05


def test_constant_latents_say_nothing_and_spoil_nothing(perfect, factors):
    constant = torch.full((4000, 2), 0.3)
    assert mutual_information_gap(constant, factors) == 0
    assert sap_score(constant, factors) == 0
    assert dci(constant, factors)[:3] == pytest.approx((0, 0, 0), abs=0.01)
    numbers = {name: factors[name] for name in ("slant", "scale")}
    alone = perfect[:, [0, 1, 2, 4]]
    assert sap_score(perfect, numbers) == pytest.approx(sap_score(alone, numbers))
    assert mutual_information_gap(perfect, factors) == pytest.approx(
        mutual_information_gap(perfect[:, [0, 1, 2, 4]], factors)
    )


def test_one_latent_for_two_factors_is_complete_but_not_disentangled():
    """z = a + 10 b tells both: each factor has one latent, that latent has two factors."""
    a, b = levels(4000, 3, 30), levels(4000, 3, 31)
    z = torch.stack([(a + 10 * b).double(), uniform(4000, 32)], 1)
    found = dci(z, {"a": a, "b": b})
    assert found.completeness > 0.95
    assert found.disentanglement < 0.05
    assert found.informativeness > 0.99


def test_two_latents_for_one_factor_are_disentangled_but_not_complete():
    a, b = levels(4000, 4, 40), levels(4000, 4, 41)
    z = torch.stack([(a // 2).double(), (a % 2).double(), b.double()], 1)
    found = dci(z, {"a": a, "b": b})
    assert found.disentanglement > 0.98
    assert found.completeness == pytest.approx(1 - 0.5 * math.log(2) / math.log(3), abs=0.05)
    assert mutual_information_gap(z, {"a": a, "b": b}) == pytest.approx(0.5, abs=0.01)


def test_known_factors_of_glyphs_can_be_given_as_they_are():
    data = glyphs(side=8, characters="AB", n=(300, 10, 10), vary=("slant",), seed=0)
    known = {name: data.factors[name] for name in ("class", "slant")}
    z = torch.stack([known["slant"].double(), known["class"].double()], 1)
    assert mutual_information_gap(z, known) > 0.8
    assert dci(z, known).disentanglement > 0.98


def test_what_does_not_fit_is_refused_in_words(perfect, factors):
    with pytest.raises(ValueError, match="two latents"):
        mutual_information_gap(perfect[:, :1], factors)
    with pytest.raises(ValueError, match="two factors"):
        dci(perfect, {"class": factors["class"]})
    with pytest.raises(ValueError, match="'still' is constant"):
        sap_score(perfect, factors | {"still": torch.zeros(4000)})
    with pytest.raises(ValueError, match=r"'slant' must be \(4000,\), got \(3999,\)"):
        mutual_information(perfect, {"slant": factors["slant"][1:]})
    with pytest.raises(ValueError, match="NaN"):
        dci(perfect / 0, factors)
    with pytest.raises(ValueError, match="bins"):
        mutual_information(perfect, factors, bins=1)
