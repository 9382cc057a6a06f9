"""Conditional diffusion on the 8×8 digits: samples show what was asked for, are recognized, and are new."""

import pytest
import torch

from dgmcourse.data import digits
from dgmcourse.evaluation.nearest import nearest_distance
from dgmcourse.models import Diffusion
from dgmcourse.training import fit

STEPS = 1000


@pytest.mark.slow
def test_samples_are_what_they_were_asked_to_be_and_as_new_as_test_images():
    """The settings, seed and judge of benchmarks/diffusion_digits.py."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    data = digits(levels=17)
    machine = CalibratedClassifierCV(SVC(C=10), ensemble=False).fit(data.train.flatten(1).numpy(), data.train_labels)

    def chances(x):
        return torch.from_numpy(machine.predict_proba(x.flatten(1).numpy()))  # (n, 10)

    def sure(x):
        return float((chances(x).amax(1) > 0.9).double().mean())

    torch.manual_seed(0)
    model = Diffusion(data.space, "cosine", "v", channels=(24, 48), classes=10, sampler="dpm-solver++", steps=20)
    fit(model, data, steps=STEPS, batch_size=64, lr=3e-3, schedule="cosine", warmup=50, ema=0.99, progress=False)
    asked = torch.arange(10).repeat(100)
    torch.manual_seed(0)
    *_, x = model.trajectory(1000, asked)
    *_, guided = model.trajectory(1000, asked, guidance=1.0)
    assert float((chances(x).argmax(1) == asked).double().mean()) >= 0.95
    assert float((chances(guided).argmax(1) == asked).double().mean()) >= 0.99
    assert sure(x) >= 0.9 * sure(data.test)
    usual = float(nearest_distance(data.test, data.train).mean())
    # 1.098 where it was measured: the least margin of all, with room for another machine's rounding
    assert float(nearest_distance(x, data.train).mean()) / usual == pytest.approx(1.0, abs=0.12)
