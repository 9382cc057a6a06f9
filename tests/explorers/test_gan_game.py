"""GanGame: its moves are those of `fit`, its gradients those of the losses, and its words those of its numbers."""

import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image
from traitlets import TraitError

from dgmcourse.core import Space, Step
from dgmcourse.data import toy, toy_density
from dgmcourse.explorers import GanGame
from dgmcourse.explorers.gan_match import GanMatch
from dgmcourse.models import GAN, VAE

PLANE = Space.real(2)
SMALL = {"latents": 2, "hidden": (8,)}
DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def weights(player):
    return torch.cat([p.detach().flatten() for p in player.parameters()])


def both_weights(match):
    return [weights(match.model.players[name]) for name in ("critic", "generator")]


@pytest.fixture(scope="module")
def shared():
    return GanGame(SMALL, size=300)


@pytest.fixture
def game(shared):
    """A game at its start, as it was made."""
    shared.match.seed = 0
    shared.objective, shared.penalty, shared.ratio = "non-saturating", "none", 1.0
    shared.start_again()
    return shared


# --- moves -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("player", ["critic", "generator"])
def test_a_step_of_one_player_moves_it_alone_and_downhill(player):
    match = GanMatch(SMALL)
    before = dict(zip(("critic", "generator"), both_weights(match), strict=True))
    match.step(player, 3)
    after = dict(zip(("critic", "generator"), both_weights(match), strict=True))
    other = "generator" if player == "critic" else "critic"
    assert torch.equal(before[other], after[other])
    assert not torch.equal(before[player], after[player])
    assert match.steps == {player: 3, other: 0}
    assert math.isfinite(match.losses[player])
    assert math.isnan(match.losses[other])


def test_critics_steps_make_it_better_and_generators_steps_deceive_it():
    match = GanMatch({"hidden": (32, 32)}, lr=5e-3)
    start = match.standing()
    match.step("critic", 60)
    trained = match.standing()
    assert trained.real - trained.fake > start.real - start.fake + 0.2
    match.step("generator", 60)
    assert match.standing().fake > trained.fake + 0.2


def test_a_whole_step_is_what_a_training_loop_makes_of_the_models_own_losses():
    """The same three rounds by hand: the model's generator driven, each loss applied to its own group."""
    match = GanMatch({**SMALL, "critic_steps": 2}, lr=3e-3, ratio=2.0)
    torch.manual_seed(0)
    model = GAN(PLANE, critic_steps=2, **SMALL)
    groups = model.parameter_groups()
    optimizers = {name: torch.optim.Adam(groups[name], lr=lr, betas=(0.5, 0.999))
                  for name, lr in (("critic", 6e-3), ("generator", 3e-3))}  # fmt: skip
    for number in range(3):
        x = toy_density("eight_gaussians").sample(128, torch.Generator().manual_seed(number + 1))
        torch.manual_seed(number + 1)
        for step in model.training_step(x):
            optimizers[step.group].zero_grad()
            step.loss.backward()
            optimizers[step.group].step()
    match.both(3)
    assert match.steps == {"critic": 6, "generator": 3}
    for by_hand, played in zip(model.parameters(), match.model.parameters(), strict=True):
        torch.testing.assert_close(by_hand, played)


def test_ten_steps_at_once_are_the_same_as_one_ten_times():
    once, again = GanMatch(SMALL, seed=3), GanMatch(SMALL, seed=3)
    once.step("critic", 10)
    once.step("generator", 10)
    for player in ("critic", "generator"):
        for _ in range(10):
            torch.rand(7)  # whatever else draws random numbers changes nothing
            again.step(player)
    for a, b in zip(both_weights(once), both_weights(again), strict=True):
        assert torch.equal(a, b)


def test_playing_leaves_the_random_generator_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    GanMatch(SMALL).both(2)
    assert torch.equal(torch.rand(3), expected)


def test_a_step_of_the_critic_alone_also_clips_its_weights():
    match = GanMatch({**SMALL, "objective": "wasserstein", "penalty": "clip", "clip": 0.05}, lr=0.1)
    match.step("critic", 2)
    assert float(weights(match.model.players["critic"]).abs().max()) == pytest.approx(0.05)


def test_a_given_model_is_played_with_as_a_copy():
    torch.manual_seed(0)
    model = GAN(PLANE, **SMALL).double().eval()
    before = weights(model)
    game = GanGame(model, size=240)
    game.both(3)
    assert torch.equal(weights(model), before)
    assert not model.training
    assert game.standing.critic_steps == 3
    game.objective = "saturating"
    assert game.match.model.objective == "saturating"
    assert model.objective == "non-saturating"
    assert torch.equal(weights(game.match.model), before)  # it started again
    assert game.error == ""


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_is_played_with_where_it_is(device):
    game = GanGame(GAN(PLANE, **SMALL).to(device), size=240)
    game.both(2)
    game.step("critic")
    assert game.error == ""
    assert game.match.samples().device.type == device


def test_a_generator_that_learns_alone_runs_away_and_is_told_of():
    game = GanGame(size=240)
    game.step("critic", 60)
    game.step("generator", 150)
    assert game.standing.fake > game.standing.real
    assert game.standing.modes <= 2
    assert "far from them" in game._words.value


def test_another_ratio_changes_the_critics_step_size_alone_and_the_game_goes_on(game):
    game.both(2)
    game.ratio = 4.0
    rates = {name: optimizer.param_groups[0]["lr"] for name, optimizer in game.match.optimizers.items()}
    assert rates == pytest.approx({"critic": 8e-3, "generator": 2e-3})
    assert game.dial.value == 4.0
    assert game.standing.critic_steps == 2
    game.start_again()
    assert game.match.optimizers["critic"].param_groups[0]["lr"] == pytest.approx(8e-3)
    game.dial.value = 0.5  # as a hand does
    assert game.match.optimizers["critic"].param_groups[0]["lr"] == pytest.approx(1e-3)


# --- what is measured --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("objective", "factor"),
    [("saturating", lambda d: d), ("non-saturating", lambda d: 1 - d), ("wasserstein", torch.ones_like)],
)
def test_pushes_are_the_derivatives_of_the_generators_loss_by_hand(objective, factor):
    """−∂ ln(1 − D)/∂x = D ∇s, ∂ ln D/∂x = (1 − D) ∇s, and ∇s itself, with s the score."""
    match = GanMatch({**SMALL, "objective": objective})
    match.step("critic", 5)
    x = match.samples()[:9]
    h = 1e-4
    score = match.model.double().critic
    x = x.double()
    with torch.no_grad():
        d = score(x).sigmoid()
        slope = torch.stack([(score(x + h * e) - score(x - h * e)) / (2 * h) for e in torch.eye(2).double()], 1)
    torch.testing.assert_close(match.pushes(x), factor(d)[:, None] * slope, rtol=1e-5, atol=1e-7)


def test_a_sure_critic_leaves_nothing_of_the_saturating_gradient():
    match = GanMatch({"objective": "saturating"})
    match.step("critic", 400)
    weak = match.standing()
    assert weak.real - weak.fake > 0.9
    match.model.objective = "non-saturating"  # the same critic: only the generator's loss differs
    strong = match.standing()
    assert strong.fake == weak.fake
    assert strong.push > 5 * weak.push


def test_modes_are_counted_as_they_are():
    match = GanMatch(SMALL)
    centers = toy_density("eight_gaussians").centers.float()
    everywhere = centers.repeat(125, 1)
    standing = match.standing(everywhere)
    assert (standing.modes, standing.share) == (8, 1.0)
    two = centers[:2].repeat(500, 1)
    two[:100] = 0.0  # nowhere near
    assert match.standing(two).modes == 2
    assert match.standing(two).share == pytest.approx(0.9)
    few = everywhere.clone()
    few[::8] = centers[1]  # mode 0 is lost
    few[:240:8] = centers[0]  # 30 of 1000 are less than a quarter of 125
    assert match.standing(few).modes == 7


def test_points_without_known_modes_are_played_on_too():
    x = torch.randn(500, 2) * torch.tensor([3.0, 1.0]) + 7
    game = GanGame(SMALL, x, size=240)
    game.step("critic", 2)
    assert game.standing.modes is None
    assert len(game._numbers()) == 6
    assert game._plane.x_range[0] < 7 < game._plane.x_range[1]
    assert "modes" not in game.alt
    data = GanMatch(SMALL, toy("eight_gaussians", n=(300, 10, 10)))
    assert len(data.centers) == 8
    assert GanMatch(SMALL, toy_density("moons")).centers is None  # 160 of them are no modes


# --- what a hand does --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("button", "critic", "generator"),
    [("critic", 1, 0), ("critic10", 10, 0), ("generator", 0, 1), ("generator10", 0, 10), ("both", 100, 100)],
)
def test_every_button_does_what_it_says(game, button, critic, generator):
    board, curves = game._board.png, game._curves.png
    game.buttons[button].click()
    assert (game.standing.critic_steps, game.standing.generator_steps) == (critic, generator)
    assert game._board.png != board
    assert game._curves.png != curves
    assert f">{critic}, {generator}<" in game._table.value
    assert game.error == ""


def test_starting_again_gives_the_same_players_and_another_seed_others(game):
    start, first = game._board.png, both_weights(game.match)
    game.both(3)
    assert game._board.png != start
    game.buttons["again"].click()
    assert game._board.png == start
    assert len(game.history) == 1
    game.buttons["seed"].click()
    assert not torch.equal(both_weights(game.match)[0], first[0])


def test_playing_goes_on_and_a_step_by_hand_stops_it(game):
    game.play.playing = True
    game.play.value = 1
    game.play.value = 2
    assert game.standing.generator_steps == 10
    game.step("critic")
    assert not game.play.playing
    game.play.value = 3  # a tick that was on its way
    assert game.standing.generator_steps == 10


def test_a_penalty_is_chosen_with_a_weight_that_suits_it(game):
    game.penalty = "zero-centered"
    assert (game.match.model.penalty, game.match.model.penalty_weight) == ("zero-centered", 0.1)
    game.both(2)
    game.penalty = "gradient"
    assert game.match.model.penalty_weight == 10.0
    assert game.standing.critic_steps == 0


def test_scores_that_are_no_probabilities_are_called_scores(game):
    game.objective = "hinge"
    game.step("critic", 5)
    assert "mean score on data" in game._table.value
    assert "(nats)" not in game._table.value
    assert "scores data" in game._words.value
    game.objective = "wasserstein"
    game.step("critic", 5)
    assert game.error == ""


def test_what_is_hidden_is_not_drawn(game):
    whole = game._board_picture()
    game.arrows_shown = False
    fewer = game._board_picture()
    assert fewer != whole
    game.field_shown = False
    plain = np.asarray(game._board_picture())
    left, top, right, bottom = (round(edge) for edge in game._plane.box)
    assert (plain[top + 2 : bottom - 2, left + 2 : right - 2] >= 240).all(-1).mean() > 0.5  # paper
    game.arrows_shown = game.field_shown = True
    assert game._board_picture() == whole


def test_the_field_is_orange_where_the_critic_sees_data(game):
    def lean(x):  # D is high on the right
        return 4 * x[:, 0]

    game.match.model.critic = lean
    field = np.asarray(game._field()).astype(int)
    del game.match.model.critic
    middle = field.shape[0] // 2
    assert field[middle, -5, 0] > field[middle, -5, 2] + 50
    assert field[middle, 5, 2] > field[middle, 5, 0] + 50
    assert (field[middle, field.shape[1] // 2] == 255).all()


def test_few_colors_leave_the_board_as_it_was_drawn(game):
    """Paper stays paper, and bands keep their color: only edges of points may differ."""
    drawn = np.asarray(game._board_picture()).astype(int)
    shown = np.asarray(Image.open(io.BytesIO(game._board.png)).convert("RGB")).astype(int)
    off = np.abs(drawn - shown).max(-1)
    assert np.quantile(off, 0.9) <= 2
    assert off.max() < 80
    assert (shown[2, 2] == 255).all()


# --- refusals, words, the still picture --------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_in_words():
    with pytest.raises(TypeError, match="VAE has no generate, critic"):
        GanGame(VAE(PLANE, 2))
    with pytest.raises(ValueError, match=r"real\(2\)"):
        GanGame(GAN(Space.real(3)))
    with pytest.raises(ValueError, match="without classes"):
        GanGame({"classes": 3})
    with pytest.raises(ValueError, match="points of the plane"):
        GanGame(SMALL, torch.rand(5, 3))
    with pytest.raises(ValueError, match="objective must be"):
        GanGame({"objective": "best"})
    with pytest.raises(ValueError, match="must be positive"):
        GanGame(SMALL, lr=-1)
    with pytest.raises(TraitError):
        GanGame(SMALL, size=240).objective = "best"


def test_a_game_that_diverges_says_so_and_can_start_again(game):
    class Broken(GAN):
        def training_step(self, x, y=None):
            yield Step(weights(self.players["critic"]).sum() * math.inf, "critic")

    torch.manual_seed(0)
    broken = GanGame(Broken(PLANE, **SMALL), size=240)
    broken.step("critic")
    assert "diverged; start again" in broken.error
    assert broken.standing.critic_steps == 0
    assert torch.isfinite(broken.match.samples()).all()
    broken.start_again()
    assert broken.error == ""
    with torch.no_grad():
        for weight in game.match.model.players["generator"].parameters():
            weight.fill_(math.nan)
    game.step("critic")
    assert "not finite" in game.error or "diverged" in game.error
    game.start_again()
    assert game.error == ""


def test_words_and_still_picture_hold_the_numbers(game):
    game.both(10)
    now = game.standing
    assert f"mean D on data {now.real:.3f}" in game.alt
    assert f"modes covered {now.modes} of 8" in game.alt
    assert "objective non-saturating" in game.alt
    bundle = game._repr_mimebundle_()[0]["text/html"]
    assert len(bundle) < 60_000
    assert re.search(r'alt="The critic.s field|alt="The critic&#x27;s field', bundle)
    assert game._board.alt
    assert game._curves.alt


def test_samples_keep_their_color_in_the_small_still_picture():
    from dgmcourse.explorers.gan_game import SAMPLE
    from dgmcourse.explorers.pixels import small_png

    game = GanGame(SMALL)
    still = Image.open(io.BytesIO(small_png(game.picture(), 30_000, game._still_vivid))).convert("RGB")
    wanted = np.array([int(SAMPLE[i : i + 2], 16) for i in (1, 3, 5)])
    assert (np.abs(np.asarray(still).astype(int) - wanted).max(-1) < 24).sum() > 100
