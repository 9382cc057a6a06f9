"""Energy models on a density that is known: how much of it they miss, summed over a grid."""

import pytest
import torch

from dgmcourse.core import Space
from dgmcourse.data.toys import toy
from dgmcourse.models.energy import EnergyModel
from dgmcourse.training import fit


@pytest.mark.slow
@pytest.mark.parametrize("settings", [{"objective": "sliced"}, {"objective": "noise-contrastive", "noise_ratio": 4}],
                         ids=lambda settings: settings["objective"])  # fmt: skip
def test_eight_gaussians_are_learned_to_within_a_twentieth_of_a_nat(settings):
    """KL(p‖model) ≤ 0.05 nats, with no estimate in it; and who learns by noise contrast knows its Z."""
    data = toy("eight_gaussians", n=(40_000, 2000, 2000))
    torch.manual_seed(0)
    model = EnergyModel(Space.real(2), hidden=(64, 64, 64), reference=3.0, **settings)
    fit(model, data, steps=3000, batch_size=256, lr=3e-3, schedule="cosine", ema=0.99, progress=False)
    grid = model.normalized(extent=15.0, nodes=500)
    assert 0 <= grid.divergence_from(data.truth.log_prob) <= 0.05
    if settings["objective"] == "noise-contrastive":
        assert abs(float(grid.log_partition)) < 0.03
