"""Resuming: exactly what an unbroken run gives, after a kill, an interruption, a damaged file; other runs are refused."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from known_models import REAL, Game, Mean, points

from dgmcourse.core import Space
from dgmcourse.data import Dataset
from dgmcourse.models import VAE
from dgmcourse.training import fit


def test_an_interrupted_fit_says_so_and_keeps_what_it_learned(tmp_path):
    model, reached = Mean(REAL), []

    def stop(step, m):
        if step == 30:
            reached.append(m.mean.detach().clone())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"stopped at step 30 of 100; the model keeps.*resume"):
        fit(model, points(), steps=100, watch=stop, checkpoint=tmp_path, progress=False)
    torch.testing.assert_close(model.mean.detach(), reached[0], rtol=0, atol=0)
    unbroken = Mean(REAL)
    fit(unbroken, points(), steps=100, progress=False)
    history = fit(model, points(), steps=100, checkpoint=tmp_path, progress=False)
    assert len(history.losses["model"]) == 100
    torch.testing.assert_close(model.mean, unbroken.mean, rtol=0, atol=0)


def test_an_interruption_within_a_step_resumes_from_the_last_whole_one(tmp_path):
    class Stops(Mean):
        def training_step(self, x, y=None):
            yield from super().training_step(x, y)
            self.count = getattr(self, "count", 0) + 1
            if self.count == 30:
                raise KeyboardInterrupt  # the weights have moved, the step is not over

    with pytest.raises(KeyboardInterrupt, match="the same call resumes"):
        fit(Stops(REAL), points(), steps=60, checkpoint=tmp_path, checkpoint_every=10, progress=False)
    resumed, unbroken = Stops(REAL), Mean(REAL)
    resumed.count = 100
    history = fit(resumed, points(), steps=60, checkpoint=tmp_path, checkpoint_every=10, progress=False)
    fit(unbroken, points(), steps=60, progress=False)
    assert len(history.losses["model"]) == 60
    torch.testing.assert_close(resumed.mean, unbroken.mean, rtol=0, atol=0)


@pytest.mark.parametrize("settings", [{}, {"ema": 0.9}, {"ema": 0.9, "keep_best": True}, {"clip": 0.5}], ids=str)
def test_convolutions_resume_exactly_too(settings, tmp_path):
    """Their weights lie in another memory layout than the saved tensors."""
    x = torch.bernoulli(torch.full((60, 1, 6, 6), 0.3))
    data = Dataset("noise", Space.binary(1, 6, 6), x[:40], x[40:50], x[50:])

    def make():
        torch.manual_seed(0)
        return VAE(data.space, 2, hidden=(8,), channels=(4, 8))

    unbroken, model = make(), make()
    arguments = {"steps": 40, "batch_size": 8, "progress": False, **settings}
    fit(unbroken, data, **arguments)

    def stop(step, m):
        if step == 25:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fit(model, data, **arguments, checkpoint=tmp_path, checkpoint_every=10, watch=stop)
    resumed = make()
    history = fit(resumed, data, **arguments, checkpoint=tmp_path, checkpoint_every=10)
    assert len(history.losses["model"]) == 40
    for name, value in unbroken.state_dict().items():
        torch.testing.assert_close(resumed.state_dict()[name], value, rtol=0, atol=0)


RUN = """
import os, sys, time, torch
from dgmcourse import VAE, Space, fit
from safetensors.torch import save_file
torch.manual_seed(0)
x = (torch.rand(200, 1, 4, 4) < 0.3).float()
model = VAE(Space.binary(1, 4, 4), 2, hidden=(16,), warmup=50)
slow = (lambda step, m: time.sleep(0.02)) if sys.argv[2] == "slow" else None
history = fit(model, x, steps=150, batch_size=32, schedule="cosine", ema=0.95, clip=1.0, seed=3, watch=slow,
              checkpoint=sys.argv[1], checkpoint_every=10, progress=False)
save_file({**model.state_dict(), "losses": torch.tensor(history.losses["model"], dtype=torch.float64)}, sys.argv[3])
"""


def test_a_killed_and_resumed_run_equals_an_unbroken_one_bit_for_bit(tmp_path):
    from safetensors.torch import load_file

    run = [sys.executable, "-c", RUN]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([*run, tmp_path / "unbroken", "fast", tmp_path / "a"], check=True, env=environment)
    process = subprocess.Popen([*run, tmp_path / "killed", "slow", tmp_path / "b"], env=environment)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "killed").glob("step-0000003*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "b").exists()
    subprocess.run([*run, tmp_path / "killed", "fast", tmp_path / "b"], check=True, env=environment)
    unbroken, resumed = load_file(tmp_path / "a"), load_file(tmp_path / "b")
    assert unbroken["losses"].shape == (150,)
    for name, value in unbroken.items():
        torch.testing.assert_close(resumed[name], value, rtol=0, atol=0)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    model, unbroken = Mean(REAL), Mean(REAL)
    fit(model, points(), steps=20, checkpoint=tmp_path, checkpoint_every=10, progress=False)
    files = sorted(tmp_path.glob("*.safetensors"))
    assert [path.name[:13] for path in files] == ["step-00000010", "step-00000020"]
    files[1].write_bytes(files[1].read_bytes()[:100])
    resumed = Mean(REAL)
    fit(resumed, points(), steps=20, checkpoint=tmp_path, progress=False)
    fit(unbroken, points(), steps=20, progress=False)
    torch.testing.assert_close(resumed.mean, unbroken.mean, rtol=0, atol=0)
    for path in tmp_path.glob("*.safetensors"):
        path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"can be read; delete the folder"):
        fit(Mean(REAL), points(), steps=20, checkpoint=tmp_path, progress=False)


def test_another_runs_checkpoint_is_refused_and_left_alone(tmp_path):
    fit(Mean(REAL), points(), steps=5, checkpoint=tmp_path, progress=False)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"another run \(lr: saved 0.001, now 0.1\)"):
        fit(Mean(REAL), points(), steps=5, lr=0.1, checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match="model: saved Mean, now Game"):
        fit(Game(REAL), points(), steps=5, checkpoint=tmp_path, progress=False)
    with pytest.raises(ValueError, match="is at step 5, past steps=3"):
        fit(Mean(REAL), points(), steps=3, checkpoint=tmp_path, progress=False)
    assert before == {path: path.read_bytes() for path in tmp_path.iterdir()}
    fit(VAE(REAL, 1, hidden=()), points(), steps=5, checkpoint=tmp_path / "vae", progress=False)
    with pytest.raises(ValueError, match=r"arguments: saved .*'beta': 1.0.*now .*'beta': 2.0"):
        fit(VAE(REAL, 1, hidden=(), beta=2.0), points(), steps=5, checkpoint=tmp_path / "vae", progress=False)
