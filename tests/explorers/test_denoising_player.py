"""DenoisingPlayer: every dial starts from the same noise, evaluations are counted, the truth judges."""

import pytest
import torch
from exact_denoisers import ExactDiffusion

from dgmcourse.core import Space
from dgmcourse.data import toy_density
from dgmcourse.explorers import DenoisingPlayer
from dgmcourse.models import VAE, Diffusion, FlowMatching

TRUTH = toy_density("eight_gaussians")
IMAGES = Space.binary(1, 4, 4)


def conditional(**settings):
    torch.manual_seed(0)
    return Diffusion(IMAGES, hidden=(16, 16), classes=3, **settings)


@pytest.fixture
def player():
    player = DenoisingPlayer(ExactDiffusion(), 200, steps=10, truth=TRUTH)
    assert player.states
    return player


def test_nothing_runs_before_it_is_wanted():
    model = ExactDiffusion()
    player = DenoisingPlayer(model, 20, steps=4)
    assert model.network.asked == 0
    assert player.length == 5
    assert model.network.asked == 4


def test_every_setting_starts_from_the_noise_that_the_model_draws(player):
    noise = player.states[0]
    for name, value in (("steps", 3), ("sampler", "heun"), ("sampler", "ddpm"), ("spacing", "log-snr"), ("sampler", "ddim"),
                        ("eta", 1.0)):  # fmt: skip
        player.dials[name].value = value
        assert player.error == ""
        assert torch.equal(player.states[0], noise)
    player.run_again()
    assert not torch.equal(player.states[0], noise)
    model = ExactDiffusion()
    torch.manual_seed(1)
    expected = list(model.trajectory(200, sampler="ddim", steps=3, spacing="log-snr", eta=1.0))
    for state, own in zip(player.states[1:], expected, strict=True):
        torch.testing.assert_close(state, own)


def test_evaluations_are_counted_where_the_network_is_asked(player):
    model = player.source
    for sampler, steps, expected in (("ddim", 10, 10), ("heun", 10, 19), ("dpm-solver++", 7, 7), ("ddpm", 20, 20)):
        player.dials["sampler"].value, player.dials["steps"].value = sampler, steps
        before = model.network.asked
        player._run()
        assert player.runs[-1].evaluations == model.network.asked - before == expected
    assert not model.network._forward_hooks


def test_guidance_asks_twice_and_labels_are_choices():
    player = DenoisingPlayer(conditional(), 6, steps=5)
    assert player.states
    assert player.runs[-1].evaluations == 5
    assert player.y.tolist() == [0, 1, 2, 0, 1, 2]
    player.dials["guidance"].value = 2.0
    assert player.runs[-1].evaluations == 10
    assert player.settings["guidance"] == 2.0
    player.dials["label"].value = 1
    assert player.y.tolist() == [1] * 6
    player.dials["label"].value = -2
    assert player.y is None
    assert player.dials["guidance"].disabled
    assert player.runs[-1].evaluations == 5
    assert "no label" in player.runs[-1].words
    given = DenoisingPlayer(conditional(), 2, torch.tensor([2, 0]), steps=3)
    assert given.states
    assert given.y.tolist() == [2, 0]


def test_a_model_that_needs_its_label_offers_no_guidance():
    player = DenoisingPlayer(conditional(drop_label=0.0), 3, steps=3)
    assert "guidance" not in player.dials
    assert -2 not in [value for _, value in player.dials["label"].options]


def test_the_change_is_the_difference_of_the_samples(player):
    before = player.states[-1]
    player.dials["steps"].value = 50
    change = (player.states[-1] - before).double().square().mean().sqrt()
    assert player.runs[-1].change == pytest.approx(float(change))
    player.dials["steps"].value = 100
    assert player.runs[-1].change < 0.5 * float(change)  # DDIM converges
    assert "The run before: ddim, 50 steps" in player._before.alt
    for steps in (1, 2, 3, 5, 7, 10, 15):
        player.dials["steps"].value = steps
    assert len(player.runs) == 6


def test_the_truth_judges_samples(player):
    samples = player.states[-1]
    assert player.runs[-1].quality == pytest.approx(-float(TRUTH.log_prob(samples).mean()), abs=1e-5)
    player.dials["steps"].value = 100
    assert player.runs[-1].quality == pytest.approx(TRUTH.entropy, abs=0.15)
    assert f"{TRUTH.entropy:.3f}" in player._table.value


def test_eta_is_a_dial_of_ddim_alone(player):
    assert not player.dials["eta"].disabled
    player.dials["sampler"].value = "heun"
    assert player.dials["eta"].disabled
    player.dials["eta"].value = 0.5
    assert "eta" not in player.settings
    player.dials["sampler"].value = "ddim"
    assert player.settings["eta"] == 0.5
    assert "η = 0.5" in player.runs[-1].words


def test_dials_keep_the_part_of_the_way(player):
    player.frame.value = 10
    assert player._place.value == "after step 10 of 10"
    player.dials["steps"].value = 20
    assert player._place.value == "after step 20 of 20"
    player.frame.value = 0
    assert player._place.value == "noise, before step 1 of 20"
    player.dials["steps"].value = 5
    assert player.frame.value == 0


def test_a_dial_that_does_not_fit_is_told_and_can_be_turned_back(player):
    player.dials["spacing"].value = "karras"
    player.dials["steps"].value = 1
    assert "needs at least 2 steps" in player.error
    player.dials["steps"].value = 5
    assert player.error == ""


def test_samples_that_are_not_finite_are_told():
    model = ExactDiffusion()
    player = DenoisingPlayer(model, 5, steps=3)
    assert player.states
    model.network.noise = lambda x, t: x * float("nan")
    player.dials["steps"].value = 5
    assert player.error != ""


def test_flow_matching_has_solvers():
    torch.manual_seed(0)
    player = DenoisingPlayer(FlowMatching(Space.real(2), hidden=(16, 16)), 30, steps=5)
    assert player.states
    assert list(player.dials) == ["sampler", "steps"]
    assert player.runs[-1].evaluations == 10
    player.dials["sampler"].value = "rk4"
    assert player.runs[-1].evaluations == 20
    noise = player.states[0]
    torch.manual_seed(0)
    torch.testing.assert_close(noise, torch.randn(30, 2))


def test_the_still_picture_tells_every_run(player):
    player.dials["sampler"].value = "heun"
    html = player._repr_mimebundle_()[0]["text/html"]
    assert html.startswith("<img alt=")
    assert "heun, 10 steps: 19 evaluations" in html
    assert len(html) < 60_000


def test_what_does_not_denoise_is_refused_in_words():
    with pytest.raises(TypeError, match="a Diffusion or FlowMatching; VAE has no schedule"):
        DenoisingPlayer(VAE(IMAGES, 2))
    with pytest.raises(ValueError, match="sampler must be one of ddpm, ddim"):
        DenoisingPlayer(ExactDiffusion(), sampler="rk4")
    with pytest.raises(ValueError, match="spacing must be"):
        DenoisingPlayer(ExactDiffusion(), spacing="odd")
    with pytest.raises(ValueError, match="eta in 0 … 1"):
        DenoisingPlayer(ExactDiffusion(), eta=2.0)
    with pytest.raises(ValueError, match="labels of a conditional model"):
        DenoisingPlayer(ExactDiffusion(), 3, torch.zeros(3, dtype=torch.int64))
