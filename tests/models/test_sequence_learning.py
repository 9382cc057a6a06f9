"""What models of sequences learn, against sources whose entropy is known."""

import math

import pytest
import torch

from dgmcourse.data import series, text
from dgmcourse.models import AR, CausalConvolutions, Transformer
from dgmcourse.training import fit

LEARNERS = {
    "Transformer": (lambda space: Transformer(space, 32, heads=2, layers=2), dict(steps=500, batch_size=32, lr=1e-2)),
    "CausalConvolutions": (lambda space: CausalConvolutions(space, 32, layers=2), dict(steps=400, lr=5e-3)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNERS)
def test_text_costs_hardly_more_than_the_entropy_of_its_source(name):
    """Within 0.02 bits per character, at every place that is long enough into the text, and never below it."""
    data = text("markov", 48, order=2, n=(8000, 500, 2000))
    make, settings = LEARNERS[name]
    torch.manual_seed(0)
    model = make(data.space)
    fit(model, data, schedule="cosine", warmup=20, clip=1.0, progress=False, **settings)
    with torch.no_grad():
        gap = (data.truth.log_conditionals(data.test) - model.log_conditionals(data.test)) / math.log(2)
    per_character = gap.mean(1)
    error = float(per_character.std()) / math.sqrt(len(gap))
    assert -3 * error < float(per_character.mean()) < 0.02
    assert float(gap[:, 2:].mean(0).max()) < 0.06


@pytest.mark.slow
def test_convolutions_hear_the_regimes_to_which_a_linear_process_is_deaf():
    data = series("regimes", length=48, n=(3000, 300, 1000))
    linear = AR(data.space, 2).estimate(data.train)
    torch.manual_seed(0)
    model = CausalConvolutions(data.space, 24, layers=4, components=2)
    fit(model, data, steps=300, batch_size=64, lr=5e-3, schedule="cosine", warmup=20, clip=1.0, progress=False)
    with torch.no_grad():
        gaps = [
            float((data.truth.log_prob(data.test) - one.log_prob(data.test).value).mean()) / 48
            for one in (model, linear)
        ]
    assert -0.005 < gaps[0] < 0.08
    assert gaps[1] > 0.25
