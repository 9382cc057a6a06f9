"""The map of families: answers are found by asking, of a model or of a class."""

import pytest
import torch

from dgmcourse.core import GenerativeModel, Kind, LogProb, Space, Step
from dgmcourse.evaluation import abilities, family_map
from dgmcourse.models import DBM, DBN, GAN, MODELS, PPCA, RBM, VAE, BernoulliMixture, GaussianMixture


class Mute(GenerativeModel):
    """Cannot score; walks 7 steps."""

    def __init__(self, space: Space, steps: int = 7):
        super().__init__(space)
        self.steps = steps
        self.place = torch.nn.Parameter(torch.zeros(space.shape))

    def training_step(self, x, y=None):
        yield Step((x - self.place).square().mean())

    def trajectory(self, n, y=None):
        for _ in range(self.steps):
            yield self.place.expand(n, *self.space.shape)


class Standard(Mute):
    """N(0, I): exact on the reals, a bound of dequantized images, and no density for tokens."""

    def __init__(self, space: Space):
        super().__init__(space, 1)
        if space.kind == "tokens":
            raise ValueError("no tokens")

    def log_prob(self, x, y=None):
        value = torch.distributions.Normal(0.0, 1.0).log_prob(self.space.dequantize(x)).flatten(1).sum(-1)
        return LogProb(value + self.space.log_cell_volume, Kind.LOWER_BOUND if self.space.discrete else Kind.EXACT)


def test_each_model_answers_for_itself():
    exact, mute = Standard(Space.real(2)), Mute(Space.real(2))
    conditional = VAE(Space.real(2), 3, classes=4).train()
    assert abilities(exact)["can it score x?"] == "= exactly"
    assert abilities(mute)["can it score x?"] == "no"
    assert abilities(exact)["latent space"] == "none"
    found = abilities(conditional)
    assert found["can it score x?"] == "≥ a lower bound"
    assert found["latent space"] == "3 numbers"
    assert found["states on the way to a sample"] == "2"
    assert found["takes a condition"] == "yes"
    assert conditional.training  # asking changes nothing
    table = family_map(exact, mute, conditional)
    assert [row[0] for row in table.rows] == ["Standard", "Mute", "VAE"]
    assert '<th scope="col"' in table._repr_html_()


def test_a_class_answers_for_every_space_that_it_agrees_to():
    found = abilities(Standard)
    assert found["where x may live"] == "binary, grey, real"
    assert found["can it score x?"] == "≥ a lower bound (binary, grey); = exactly (real)"
    assert abilities(Mute)["where x may live"] == "binary, grey, real, tokens"
    assert abilities(VAE)["takes a condition"] == "yes"  # its default model takes none, but the class can
    assert abilities(Standard)["takes a condition"] == "no"


def test_a_latent_is_numbers_or_units_or_a_choice():
    space = Space.real(2)
    assert abilities(VAE(space, 1))["latent space"] == "1 number"
    assert abilities(PPCA)["latent space"] == "2 numbers (binary, grey); 1 number (real)"
    assert abilities(RBM(space, 1))["latent space"] == "1 on/off unit"
    assert abilities(RBM)["latent space"] == "64 on/off units"
    images = Space.binary(1, 2, 2)
    assert abilities(DBN(images, (5, 3), sweeps=2))["latent space"] == "3 on/off units"
    assert abilities(DBM(images, (5, 3), sweeps=2))["latent space"] == "3 on/off units"
    assert abilities(GaussianMixture(space, 5))["latent space"] == "one of 5"
    assert abilities(BernoulliMixture(Space.binary(1, 8, 8), 12))["latent space"] == "one of 12"


def test_a_latent_space_without_a_way_into_it_is_one_too():
    assert abilities(GAN(Space.real(2), 5))["latent space"] == "5 numbers, no encoder"
    assert abilities(GAN(Space.grey(1, 4, 4, levels=4), 1))["latent space"] == "1 number, no encoder"
    model = Mute(Space.real(2))
    model.latents = 3  # a name alone leads nowhere
    assert abilities(model)["latent space"] == "none"


def test_steps_are_counted_up_to_many():
    space = Space.real(2)
    assert abilities(Mute)["states on the way to a sample"] == "7"
    assert abilities(Mute(space, 100))["states on the way to a sample"] == "100"
    assert abilities(Mute(space, 10**9))["states on the way to a sample"] == "over 100"


def test_asking_leaves_the_random_state_alone():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    abilities(VAE)
    assert torch.equal(torch.rand(4), expected)


def test_a_class_that_no_space_suits_is_refused():
    class Stubborn(Mute):
        def __init__(self, space: Space):
            raise ValueError("never")

    with pytest.raises(ValueError, match="ask an instance"):
        abilities(Stubborn)


def test_the_map_without_arguments_has_every_family_of_the_course():
    assert [row[0] for row in family_map().rows] == list(MODELS)
