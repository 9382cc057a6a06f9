"""The training loop: exact repetition, resumption after a kill, divergence, groups, averaging, precision."""

import os

import pytest
import torch
from known_models import REAL, Game, Mean, dataset, points
from torch import nn

from dgmcourse.core import Kind, LogProb, Space, Step
from dgmcourse.data import Dataset, digits
from dgmcourse.models import VAE
from dgmcourse.training import TrainingDiverged, fit


class Broken(Mean):
    """Yields what it was told to, from the third step on."""

    def training_step(self, x, y=None):
        self.count = getattr(self, "count", 0) + 1
        loss = (x - self.mean).square().mean()
        yield self.wrong(loss) if self.count >= 3 else Step(loss)


def test_fit_equals_a_loop_written_by_hand():
    """Plain Adam over the same batches reaches the same weights, to the last bit."""
    x, model, by_hand = points(), Mean(REAL), Mean(REAL)
    fit(model, x, steps=30, batch_size=50, lr=0.05, seed=4, progress=False)
    optimizer = torch.optim.Adam(by_hand.parameters(), lr=0.05, fused=True)
    for epoch in range(8):
        order = torch.randperm(200, generator=torch.Generator().manual_seed(4 * 1_000_003 + epoch))
        for index in order.split(50)[: 30 - 4 * epoch]:
            loss = next(by_hand.training_step(x[index])).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    torch.testing.assert_close(model.mean, by_hand.mean, rtol=0, atol=0)


def test_each_epoch_shows_every_example_once_even_where_batches_straddle_epochs():
    seen = []

    class Watcher(Mean):
        def training_step(self, x, y=None):
            seen.append(x.detach().clone())
            yield from super().training_step(x, y)

    x = torch.arange(20.0).view(10, 2)
    fit(Watcher(REAL), x, steps=10, batch_size=4, progress=False)  # 40 = four epochs of ten
    for epoch in torch.cat(seen).view(4, 10, 2):
        assert sorted(epoch[:, 0].tolist()) == x[:, 0].tolist()


def test_a_step_updates_one_group_and_then_resumes_the_model():
    model = Game(REAL)
    fit(model, points(8), steps=1, optimizer=lambda group, p: torch.optim.SGD(p, lr=0.5), progress=False)
    assert model.seen == [
        ([0.5, 0.5], [1.0, 1.0]),  # first moved against second's 1
        ([0.0, 0.0], [1.0, 1.0]),
        ([0.0, 0.0], [1.0, 1.0]),  # second's gradient is first = 0: its stale gradient was cleared
    ]


def test_the_callers_random_numbers_do_not_depend_on_fit():
    torch.manual_seed(7)
    fit(VAE(Space.real(2), 1, hidden=()), points(), steps=3, progress=False)
    rest = torch.rand(3)
    torch.manual_seed(7)
    VAE(Space.real(2), 1, hidden=())
    torch.testing.assert_close(rest, torch.rand(3), rtol=0, atol=0)


def test_schedules_reach_zero_after_warming_up():
    for schedule, middle in (("constant", 1.0), ("linear", 0.5), ("cosine", 0.5)):
        rates, optimizers = [], []

        def watch(step, model, rates=rates, optimizers=optimizers):
            rates.append(optimizers[-1].param_groups[0]["lr"])

        def make(group, parameters, optimizers=optimizers):
            optimizers.append(torch.optim.SGD(parameters, lr=0.1))
            return optimizers[-1]

        fit(Mean(REAL), points(), steps=1010, schedule=schedule, warmup=10, optimizer=make, watch=watch, progress=False)
        assert rates[:10] == pytest.approx([0.01 * step for step in range(1, 11)])
        assert rates[510] == pytest.approx(0.1 * middle, rel=1e-3)
        assert (rates[-1] < 2e-4) == (schedule != "constant")


def test_ema_leaves_the_average_of_the_weights():
    path, model = [], Mean(REAL)
    fit(
        model,
        points(),
        steps=60,
        lr=0.1,
        ema=0.9,
        progress=False,
        watch=lambda step, m: path.append(m.mean.detach().clone()),
    )
    average = torch.zeros(2)
    for step, mean in enumerate(path, 1):
        average.lerp_(mean, 1 - min(0.9, (1 + step) / (10 + step)))
    torch.testing.assert_close(model.mean.detach(), average)


def test_keep_best_returns_the_weights_that_scored_best_on_valid():
    data = dataset()
    away = Dataset("shifted", REAL, data.train + 3, data.valid, data.test)  # passes the optimum, and goes on
    model, seen = Mean(REAL), {}
    history = fit(model, away, steps=400, lr=0.05, keep_best=True, progress=False,
                  watch=lambda step, m: seen.setdefault(step, m.mean.detach().clone()))  # fmt: skip
    steps, scores = zip(*history.valid, strict=True)
    assert history.best_step == steps[scores.index(min(scores))] < 400
    torch.testing.assert_close(model.mean.detach(), seen[history.best_step], rtol=0, atol=0)
    assert min(scores) == pytest.approx(-float(model.log_prob(data.valid).value.detach().mean()), rel=1e-5)


def test_keep_best_goes_by_what_can_be_compared():
    class Mute(Mean):
        def log_prob(self, x, y=None):
            return None

    class Unnormalized(Mean):
        def log_prob(self, x, y=None):
            return LogProb(super().log_prob(x).value, Kind.UNNORMALIZED)

    for model, message in ((Mute(REAL), "Mute cannot score; pass score="), (Unnormalized(REAL), "unknown constant")):
        with pytest.raises(ValueError, match=message):
            fit(model, dataset(), steps=5, keep_best=True, progress=False)
    model = Mute(REAL)
    history = fit(model, points(), steps=200, lr=0.05, keep_best=True, score=lambda m: float((m.mean[0] - 0.5).abs()),
                  progress=False)  # fmt: skip
    assert history.best_step < 200
    assert abs(float(model.mean.detach()[0]) - 0.5) < 0.1


def test_watching_changes_nothing():
    models = [VAE(REAL, 1, hidden=(8,)) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    for model, watch in zip(models, (None, lambda step, m: m.eval().sample(3)), strict=True):
        fit(model, points(), steps=10, watch=watch, progress=False)
    for name, value in models[0].state_dict().items():
        torch.testing.assert_close(models[1].state_dict()[name], value, rtol=0, atol=0)


def test_averaging_leaves_buffers_as_they_are():
    class Chain(Mean):
        def __init__(self, space: Space):
            super().__init__(space)
            self.register_buffer("chain", torch.zeros(4))

        def training_step(self, x, y=None):
            yield from super().training_step(x, y)
            self.chain.copy_(torch.randint(0, 2, (4,)).float())

    model = Chain(REAL)
    fit(model, points(), steps=20, ema=0.9, progress=False)
    assert set(model.chain.tolist()) <= {0.0, 1.0}


def test_a_fit_within_a_fit_leaves_the_outer_one_alone():
    inner = []

    def watch(step, m):
        if step == 3:
            inner.append(fit(Mean(REAL), points(), steps=2, precision="bf16", progress=False))

    history = fit(Mean(REAL), points(), steps=6, watch=watch, progress=False)
    assert (inner[0].steps, history.steps) == (2, 6)


def test_clipping_bounds_the_gradient():
    norms = []

    class Steep(Mean):
        def training_step(self, x, y=None):
            before = self.mean.detach().clone()
            yield Step(1e6 * (x - self.mean).square().mean())
            norms.append(float((self.mean.detach() - before).norm()))

    sgd = lambda group, parameters: torch.optim.SGD(parameters, lr=1.0)  # noqa: E731
    fit(Steep(REAL), points(), steps=5, clip=0.25, optimizer=sgd, progress=False)
    assert norms == pytest.approx([0.25] * 5, rel=1e-4)


@pytest.mark.parametrize(("bad", "when"), [(float("nan"), 73), (float("inf"), 73), (float("nan"), 5)])
@pytest.mark.parametrize("ema", [None, 0.9])
def test_divergence_is_named_and_the_last_good_state_kept(bad, when, ema):
    class Diverges(Mean):
        def training_step(self, x, y=None):
            self.count = getattr(self, "count", 0) + 1
            yield Step((x - self.mean).square().mean() * (bad if self.count == when else 1))

    model, states = Diverges(REAL), {}
    with pytest.raises(TrainingDiverged, match=rf"group 'model' was (nan|inf) at step {when};.*smaller lr"):
        fit(model, points(), steps=200, ema=ema, progress=False,
            watch=lambda step, m: states.setdefault(step, m.mean.detach().clone()))  # fmt: skip
    assert torch.isfinite(model.mean).all()
    if ema is None:
        good = states[50] if when > 50 else torch.zeros(2)
        torch.testing.assert_close(model.mean.detach(), good, rtol=0, atol=0)
    assert not model.training


def test_a_finite_loss_with_a_broken_gradient_is_noticed_too():
    class Root(Mean):
        def training_step(self, x, y=None):
            yield Step((x - self.mean).square().mean() + (0 * self.mean).sum().sqrt())  # √0: the slope is infinite

    model = Root(REAL)
    with pytest.raises(TrainingDiverged, match="weights mean are no longer finite at step 1"):
        fit(model, points(), steps=1, progress=False)
    torch.testing.assert_close(model.mean.detach(), torch.zeros(2), rtol=0, atol=0)


def test_wrong_steps_are_refused_in_words():
    for wrong, message in (
        (lambda loss: loss, "must yield Step"),
        (lambda loss: Step(loss.expand(3)), r"loss of shape \(3,\)"),
        (lambda loss: Step(loss, "critic"), "group 'critic'.*has model"),
    ):
        model = Broken(REAL)
        model.wrong = wrong
        with pytest.raises((TypeError, ValueError), match=message):
            fit(model, points(), steps=5, progress=False)
        assert torch.isfinite(model.mean).all()


def test_wrong_arguments_are_refused_in_words():
    x = points()
    for error, message, call in (
        (TypeError, "GenerativeModel", lambda: fit(nn.Linear(2, 2), x, steps=1)),
        (TypeError, "Dataset, a tensor", lambda: fit(Mean(REAL), [1, 2], steps=1)),
        (ValueError, "steps must be", lambda: fit(Mean(REAL), x, steps=0)),
        (ValueError, "batch_size must be", lambda: fit(Mean(REAL), x, steps=1, batch_size=-3)),
        (ValueError, "schedule must be one of", lambda: fit(Mean(REAL), x, steps=1, schedule="cosin")),
        (ValueError, "precision must be one of", lambda: fit(Mean(REAL), x, steps=1, precision="bf61")),
        (ValueError, "decay in", lambda: fit(Mean(REAL), x, steps=1, ema=1.5)),
        (ValueError, "needs a validation split", lambda: fit(Mean(REAL), x, steps=1, keep_best=True)),
        (ValueError, "must pair up", lambda: fit(Mean(REAL), (x, x[:3]), steps=1)),
        (ValueError, r"built for real\(2\), but digits lives in binary", lambda: fit(Mean(REAL), digits(), steps=1)),
        (ValueError, "the training data holds NaN", lambda: fit(Mean(REAL), x * float("nan"), steps=1)),
        (
            ValueError,
            "the training data must hold the 2 values",
            lambda: fit(VAE(digits().space, 1), digits(17).train, steps=1),
        ),
        (ValueError, "no training examples", lambda: fit(Mean(REAL), x[:0], steps=1)),
    ):
        with pytest.raises(error, match=message):
            call()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_missing_gpu_is_said():
    with pytest.raises(ValueError, match="sees no GPU"):
        fit(Mean(REAL), points(), steps=1, device="cuda")
    with pytest.raises(ValueError, match="needs a GPU"):
        fit(Mean(REAL), points(), steps=1, precision="fp16")


def test_fits_of_different_precision_follow_each_other_in_one_process():
    """Accelerate keeps process-wide state; it must not leak from one fit into the next, even after an error."""
    dtypes = []

    class Precise(VAE):
        def training_step(self, x, y=None):
            yield from super().training_step(x, y)
            dtypes.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else torch.float32)

    def run(precision, **changes):
        fit(Precise(REAL, 1, hidden=(8,)), points(), steps=1, precision=precision, progress=False, **changes)

    run("bf16")
    run("no")
    with pytest.raises(ZeroDivisionError):
        run("bf16", watch=lambda step, m: 1 / 0)
    run("no", device="cpu")
    run("bf16", device="auto")
    assert dtypes == [torch.bfloat16, torch.float32, torch.bfloat16, torch.float32, torch.bfloat16]
    assert "ACCELERATE_USE_CPU" not in os.environ


def test_the_model_is_handed_back_unwrapped():
    model = VAE(REAL, 1, hidden=(8,))
    forward = model.forward
    fit(model, points(), steps=2, precision="bf16", progress=False)
    assert model.forward == forward
    assert list(VAE(REAL, 1, hidden=(8,)).state_dict()) == list(model.state_dict())
