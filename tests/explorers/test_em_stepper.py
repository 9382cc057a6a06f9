"""EMStepper without a browser: every half step does what the theory of the bound says, and the picture shows it."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from traitlets import TraitError

from dgmcourse.core import Space
from dgmcourse.data import toy_density
from dgmcourse.explorers import EMStepper
from dgmcourse.explorers.drawing import PALETTE
from dgmcourse.explorers.em_steps import EMSteps
from dgmcourse.models import GaussianMixture

BANANA = toy_density("banana")
X = BANANA.sample(300, torch.Generator().manual_seed(0))


def ask(stepper, kind, handle, x, y, identity="view:1"):
    """What the browser sends when a mean is dragged ("move") or a key pressed ("step")."""
    content = {"kind": kind, "id": identity, "handle": handle, "x": x, "y": y}
    stepper._pad._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture
def stepper():
    return EMStepper(X, 3, truth=BANANA)


# --- the algorithm ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_bound_touches_after_every_e_step_and_both_rise_in_every_m_step(seed, covariance):
    em = EMSteps(X, model=GaussianMixture(Space.real(2), 4, covariance).initialize(X, seed=seed))
    for _ in range(40):
        em.half_step()
    kinds = [step.kind for step in em.steps]
    assert kinds == ["start", *["E", "M"] * 20]
    for before, after in zip(em.steps, em.steps[1:], strict=False):
        assert after.elbo + after.kl == pytest.approx(after.log_prob, abs=1e-12)
        assert after.elbo >= before.elbo - 1e-12
        if after.kind == "E":
            assert after.log_prob == pytest.approx(before.log_prob, abs=1e-12)
            assert after.kl == pytest.approx(0, abs=1e-12)
        else:
            assert after.kl >= 0
            assert after.log_prob - before.log_prob >= after.elbo - before.elbo - 1e-12
    assert em.now.log_prob > em.steps[0].log_prob + 0.1


def test_the_bound_is_the_sum_that_defines_it():
    em = EMSteps(X[:20], 2)
    em.half_step()
    em.half_step()
    total = 0.0
    for x, q in zip(em.x, em.q, strict=True):
        for k in range(2):
            gaussian = torch.distributions.MultivariateNormal(em.model.means[k], em.model.covariances[k])
            log_joint = float(gaussian.log_prob(x).detach()) + math.log(float(em.model.weights[k].detach()))
            total += float(q[k]) * (log_joint - math.log(float(q[k])))
    assert em.now.elbo == pytest.approx(total / 20, abs=1e-9)


def test_two_halves_are_an_iteration_of_the_models_own_em():
    model = GaussianMixture(Space.real(2), 3).double().initialize(X.double(), seed=5)
    em = EMSteps(X, model=model)
    for state in model.em(X.double(), iterations=8):
        assert em.now.iteration == state.iteration
        assert em.now.log_prob == pytest.approx(float(state.log_prob.mean()), abs=1e-10)
        assert em.now.elbo == pytest.approx(float(state.elbo.mean()), abs=1e-10)
        em.half_step()
        assert torch.allclose(em.q, state.responsibilities, atol=1e-10)
        em.half_step()


def test_ellipses_are_those_of_the_covariances():
    for covariance in ("full", "diagonal"):
        em = EMSteps(X, model=GaussianMixture(Space.real(2), 3, covariance).initialize(X))
        for _ in range(6):
            em.half_step()
        found = em.spreads @ em.spreads.mT
        covariances = em.model.covariances.detach()
        torch.testing.assert_close(found, covariances if covariance == "full" else torch.diag_embed(covariances))


def test_the_model_that_is_given_is_copied():
    model = GaussianMixture(Space.real(2), 2).initialize(X, seed=1)
    means = model.means.detach().clone()
    stepper = EMStepper(X, model=model)
    stepper.iterate(5)
    assert torch.equal(model.means.detach(), means)
    assert stepper.components == 2
    stepper.back()
    torch.testing.assert_close(stepper.em.means, means.double())


def test_the_learners_random_numbers_are_left_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    EMStepper(X, 3).new_start()
    assert torch.equal(torch.rand(3), expected)


# --- buttons ---------------------------------------------------------------------------------------------------------


def test_buttons_make_half_steps_and_the_next_one_is_marked(stepper):
    assert stepper.buttons["e"].button_style == "info"
    stepper.buttons["e"].click()
    assert stepper.em.now.kind == "E"
    assert stepper.buttons["m"].button_style == "info"
    assert "touches log p(x)" in stepper._words.value
    stepper.buttons["m"].click()
    assert stepper.em.now.kind == "M"
    assert "gap opens" in stepper._words.value
    stepper.buttons["ten"].click()
    assert stepper.em.now.iteration == 11
    assert "10 iterations: log p(x) rose by" in stepper._words.value


def test_the_same_half_twice_changes_nothing_and_says_so(stepper):
    for button, words in (("e", "another E-step changes nothing"), ("m", "another M-step changes nothing")):
        stepper.buttons[button].click()
        count = len(stepper.em.steps)
        stepper.buttons[button].click()
        assert len(stepper.em.steps) == count
        assert words in stepper._words.value


def test_an_m_step_under_a_uniform_q_makes_all_components_one_and_says_so(stepper):
    stepper.buttons["m"].click()
    assert torch.allclose(stepper.em.means, stepper.em.x.mean(0))
    assert "every component became the same Gaussian" in stepper._words.value
    stepper.iterate(10)
    assert torch.allclose(stepper.em.means, stepper.em.x.mean(0))  # and so they stay
    stepper.buttons["back"].click()
    assert not torch.allclose(stepper.em.means[0], stepper.em.means[1])


def test_back_is_the_same_start_and_new_is_another(stepper):
    means, start = stepper.em.means, stepper.em.now
    stepper.iterate(3)
    stepper.buttons["back"].click()
    assert torch.equal(stepper.em.means, means)
    assert stepper.em.steps == [start]
    stepper.buttons["new"].click()
    assert not torch.equal(stepper.em.means, means)
    assert torch.equal(EMStepper(X, 3, seed=1).em.means, stepper.em.means)


def test_the_slider_starts_anew_with_so_many_components(stepper):
    stepper.iterate(2)
    stepper.slider.value = 5
    assert stepper.em.q.shape == (300, 5)
    assert stepper.em.now.kind == "start"
    assert len(stepper._pad.handles) == 5
    assert EMStepper(X[:4], 2).slider.max == 4  # no more components than points
    with pytest.raises(TraitError, match="1 … 8"):
        stepper.components = 9


def test_playing_makes_half_steps_until_nothing_changes():
    two = torch.randn(60, 2, generator=torch.Generator().manual_seed(0)) + 8 * (torch.arange(60) % 2)[:, None]
    stepper = EMStepper(two, 2)
    stepper.play.playing = True
    stepper.play.value = 1
    assert stepper.em.now.kind == "E"
    stepper.play.value = 2
    assert stepper.em.now.kind == "M"
    stepper.play.value = 0  # the stop button rewinds its own counter
    assert len(stepper.em.steps) == 3
    assert stepper.play.playing
    for i in range(1, 200):
        stepper.play.value = i
        if not stepper.play.playing:
            break
    assert "Nothing changes any more" in stepper._words.value
    count = len(stepper.em.steps)
    stepper.play.value += 1  # a tick that was on its way
    assert len(stepper.em.steps) == count
    assert stepper.em.now.log_prob - stepper.em.steps[-3].log_prob < 1e-7


# --- the hand --------------------------------------------------------------------------------------------------------


def test_a_dragged_mean_goes_where_the_pointer_is_and_starts_anew(stepper):
    stepper.iterate(2)
    others = stepper.em.means[1:]
    ask(stepper, "move", 0, 0.25, 0.75, "view:4")
    (x0, x1), (y0, y1) = stepper._plane.x_range, stepper._plane.y_range
    assert stepper.em.means[0].tolist() == pytest.approx([x0 + 0.25 * (x1 - x0), y0 + 0.75 * (y1 - y0)])
    assert torch.equal(stepper.em.means[1:], others)
    assert [step.kind for step in stepper.em.steps] == ["start"]
    assert (stepper._pad.handles[0]["x"], stepper._pad.handles[0]["y"]) == pytest.approx((0.25, 0.75))
    assert stepper._pad.answer == "view:4"
    stepper.iterate(1)
    stepper.back()  # to where the hand put it
    assert (stepper._pad.handles[0]["x"], stepper._pad.handles[0]["y"]) == pytest.approx((0.25, 0.75))


def test_keys_move_a_mean_by_hundredths_of_the_plane(stepper):
    before = stepper.em.means[2]
    ask(stepper, "step", 2, -3, 5)
    side = stepper._plane.x_range[1] - stepper._plane.x_range[0]
    assert (stepper.em.means[2] - before).tolist() == pytest.approx([-0.03 * side, 0.05 * side])
    ask(stepper, "step", 2, 1000, 0)
    assert float(stepper.em.means[2, 0]) == pytest.approx(stepper._plane.x_range[1])


@pytest.mark.parametrize("nonsense", [("move", 3, 0.5, 0.5), ("jump", 0, 0, 0), ("move", 0, None, 1), ("move", 0, 0.5, float("inf")),
                                      ("step", 0, float("nan"), 0)])  # fmt: skip
def test_a_broken_request_is_answered_in_words_and_changes_nothing(stepper, nonsense):
    means = stepper.em.means
    ask(stepper, *nonsense, identity="view:3")
    assert stepper.error
    assert stepper._pad.answer == "view:3"
    assert torch.equal(stepper.em.means, means)
    stepper.e_step()
    assert stepper.error == ""


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_points_have_the_color_of_their_responsibilities():
    x = torch.tensor([[-3.0, 3.0], [0.0, 3.0], [0.5, -3.0], [2.0, 4.0], [-3.0, -3.0]])
    model = GaussianMixture(Space.real(2), 2)
    with torch.no_grad():
        model.means.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0]]))
    stepper = EMStepper(x, model=model)
    rgb = np.array([[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in PALETTE[:2]])

    def color(point):
        x, y = (round(float(value)) for value in stepper._plane.at(*point))
        drawn, sent = stepper._points_picture(), Image.open(io.BytesIO(stepper._pad.png)).convert("RGB")
        assert sent.getpixel((x, y)) == pytest.approx(drawn.getpixel((x, y)), abs=16)  # 256 colors are sent
        return list(drawn.getpixel((x, y)))

    assert color((-3, 3)) == color((0, 3)) == (0.25 * 255 + 0.75 * rgb.mean(0)).round().astype(int).tolist()
    stepper.e_step()
    for point in ((-3.0, 3.0), (0.5, -3.0), (0.0, 3.0)):
        q = torch.tensor([-point[0], point[0]]).softmax(0).numpy()  # unit Gaussians at −1 and 1: log odds 2·x₁
        assert color(point) == pytest.approx(0.25 * 255 + 0.75 * q @ rgb, abs=1)


def test_many_points_are_drawn_thinned_but_all_are_fitted():
    x = BANANA.sample(4000, torch.Generator().manual_seed(1))
    stepper = EMStepper(x, 2)
    assert len(stepper._drawn) == 1500
    assert len(stepper.em.q) == 4000
    stepper.iterate(1)
    assert stepper.em.now.log_prob == pytest.approx(float(stepper.em.model.log_prob(x.double()).value.mean().detach()))


def test_the_words_state_the_numbers(stepper):
    stepper.iterate(3)
    now = stepper.em.now
    level = float(BANANA.log_prob(X.double()).mean())
    for name, value in [("log p(x)", now.log_prob), ("ELBO", now.elbo), ("KL(q ‖ p(h|x))", now.kl), ("log p(x) of the truth", level)]:  # fmt: skip
        written = f"{value:.5f}".replace("-", "−")
        assert f"{name} {written}" in stepper.alt
        assert written in stepper._table.value
    assert "300 points, and a mixture of 3 Gaussians" in stepper.alt
    assert "after the M-step of iteration 3" in stepper.alt
    weights = stepper.em.model.weights.tolist()
    assert all(f"{k + 1}: weight {weight:.2f}" in stepper._pad.alt for k, weight in enumerate(weights))


def test_a_failing_m_step_is_told_in_words():
    x = torch.cat([torch.zeros(5, 2), torch.randn(30, 2, generator=torch.Generator().manual_seed(0)) + 8])
    model = GaussianMixture(Space.real(2), 2, floor=0.0).initialize(x)
    with torch.no_grad():
        model.means.copy_(torch.tensor([[0.0, 0.0], [8.0, 8.0]]))
    stepper = EMStepper(x, model=model)
    for _ in range(30):
        stepper.half_step()
    assert "singular" in stepper.error
    stepper.new_start()
    assert stepper.error == ""


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: EMStepper(torch.rand(5, 3)), ValueError, r"shape \(n, 2\), got \(5, 3\)"),
        (lambda: EMStepper([[0, 1]]), ValueError, "got list"),
        (lambda: EMStepper(torch.full((5, 2), math.nan)), ValueError, "finite"),
        (lambda: EMStepper(X, 9), ValueError, "1 … 8 components, got 9"),
        (lambda: EMStepper(X[:2], 3), ValueError, "as many examples"),
        (lambda: EMStepper(X, model=torch.nn.Linear(2, 2)), TypeError, r"GaussianMixture of real\(2\), got Linear"),
        (lambda: EMStepper(X, model=GaussianMixture(Space.real(3), 2)), TypeError, r"GaussianMixture of real\(2\)"),
    ],
)
def test_what_cannot_be_stepped_is_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make()
