"""FitByHand without a browser: the numbers are true, the best fits are the best, and the hand does what it should."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import integrate, stats
from traitlets import TraitError

from dgmcourse.data import LineMixture
from dgmcourse.explorers import FitByHand
from dgmcourse.explorers.drawing import ACCENT
from dgmcourse.explorers.line_fit import LineFit

P = LineMixture([-2.5, 1.5], [0.5, 1.0], [0.35, 0.65])


def ask(explorer, kind, handle, x, y, identity="view:1"):
    """What the browser sends when a handle is dragged ("move") or a key pressed ("step")."""
    content = {"kind": kind, "id": identity, "handle": handle, "x": x, "y": y}
    explorer._pad._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


@pytest.fixture(scope="module")
def fit():
    """Data and their best fits, computed once."""
    return LineFit(P, 200, seed=0)


@pytest.fixture
def explorer():
    return FitByHand()


def has_color(picture, at, color, around=3):
    """Whether this color is seen within a few image pixels of a place."""
    x, y = (round(float(value)) for value in at)
    window = np.asarray(picture.convert("RGB"))[y - around : y + around + 1, x - around : x + around + 1]
    return (window == [int(color[i : i + 2], 16) for i in (1, 3, 5)]).all(-1).any()


# --- the numbers -----------------------------------------------------------------------------------------------------


def test_the_scores_are_likelihood_and_divergences(explorer):
    explorer.move((-2.0, 2.0), (0.7, 1.4), 0.3)

    def density(x):
        return 0.3 * stats.norm.pdf(x, -2.0, 0.7) + 0.7 * stats.norm.pdf(x, 2.0, 1.4)

    def truth(x):
        return 0.35 * stats.norm.pdf(x, -2.5, 0.5) + 0.65 * stats.norm.pdf(x, 1.5, 1.0)

    def divergence(a, b):
        return integrate.quad(lambda x: a(x) * math.log(a(x) / b(x)), -14, 14, points=[-2, 0, 2], epsabs=1e-10)[0]

    scores, x = explorer.scores, explorer.fit.x.numpy()
    assert scores.log_likelihood == pytest.approx(np.log(density(x)).mean(), abs=1e-9)
    assert scores.forward == pytest.approx(divergence(truth, density), abs=1e-7)
    assert scores.reverse == pytest.approx(divergence(density, truth), abs=1e-7)
    cross = integrate.quad(lambda x: truth(x) * math.log(density(x)), -14, 14, points=[-2, 0, 2], epsabs=1e-10)[0]
    assert scores.expected == pytest.approx(cross, abs=1e-7)


def test_on_many_new_data_the_expected_likelihood_is_reached():
    many = LineFit(P, 200_000, seed=1)
    q = LineMixture([0.0], [2.0])
    log_q = q.log_prob(many.x)
    assert abs(float(log_q.mean()) - many.scores(q).expected) < 4 * float(log_q.std()) / math.sqrt(200_000)
    assert many.scores(q).expected < many.ceiling.expected == -P.entropy


# --- the best fits ---------------------------------------------------------------------------------------------------


def test_one_gaussian_by_em_has_the_datas_moments(fit):
    q = fit.by_em(1)
    assert q.mean == pytest.approx(float(fit.x.mean()), abs=1e-9)
    assert q.std == pytest.approx(float(fit.x.std(correction=0)), abs=1e-9)


def test_no_small_change_of_the_fit_by_em_makes_the_data_likelier(fit):
    q = fit.by_em(2)
    best = fit.scores(q).log_likelihood
    assert best > fit.ceiling.log_likelihood  # it has seen these very data, and p has not
    for means, stds, weight in [
        (d, s, w) for d in (-0.02, 0, 0.02) for s in (-0.02, 0, 0.02) for w in (-0.01, 0, 0.01)
    ]:
        weights = q.weights + torch.tensor([weight, -weight])
        for side in ([1.0, 0.0], [0.0, 1.0]):
            other = LineMixture(q.means + means * torch.tensor(side), q.stds + stds * torch.tensor(side), weights)
            assert fit.scores(other).log_likelihood <= best + 1e-6


def test_two_gaussians_by_em_are_at_least_as_likely_as_scikit_learns(fit):
    from sklearn.mixture import GaussianMixture

    theirs = GaussianMixture(2, n_init=10, tol=1e-8, max_iter=1000, random_state=0).fit(fit.x.numpy()[:, None])
    assert fit.scores(fit.by_em(2)).log_likelihood >= theirs.score(fit.x.numpy()[:, None]) - 1e-5


def test_least_forward_divergence_of_one_gaussian_is_moment_matching(fit):
    for start in (-3.0, 3.0):
        q = fit.nearest(LineMixture([start], [1.0]))
        assert (q.mean, q.std) == pytest.approx((P.mean, P.std), abs=1e-4)


def test_least_reverse_divergence_of_one_gaussian_takes_the_mode_it_stands_on(fit):
    left, right = (fit.nearest(LineMixture([start], [1.0]), reverse=True) for start in (-2.5, 2.0))
    assert left.mean == pytest.approx(-2.5, abs=0.05)
    assert right.mean == pytest.approx(1.5, abs=0.1)
    assert fit.scores(right).reverse < fit.scores(left).reverse  # two minima, one of them lower
    for q in (left, right):
        for mean, std in [(0.01, 0), (-0.01, 0), (0, 0.01), (0, -0.01)]:
            assert LineMixture(q.means + mean, q.stds + std).kl(P) > q.kl(P)


@pytest.mark.parametrize("reverse", [False, True])
def test_two_gaussians_reach_the_truth_from_where_the_hand_starts(reverse):
    explorer = FitByHand()
    q = explorer.fit.nearest(explorer.model, reverse)
    assert P.kl(q) < 1e-8
    assert sorted(q.means.tolist()) == pytest.approx([-2.5, 1.5], abs=1e-3)


def test_the_best_fits_leave_the_learners_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    explorer = FitByHand(seed=3)
    explorer.show_best("em")
    assert torch.equal(torch.rand(3), expected)


# --- the hand --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [(0.3, 0.5), (0.8, 0.1), (0.5, 0.95)])
def test_a_dragged_peak_goes_where_the_pointer_is(explorer, place):
    ask(explorer, "move", 1, *place)
    handle = explorer._pad.handles[1]
    assert (handle["x"], handle["y"]) == pytest.approx(place, abs=1e-9)
    height = place[1] * explorer._plane.y_range[1]
    assert 0.5 * stats.norm.pdf(0, 0, explorer.stds[1]) == pytest.approx(height, rel=1e-9)
    span = explorer.fit.high - explorer.fit.low
    assert explorer.means[1] == pytest.approx(explorer.fit.low + place[0] * span)


def test_higher_is_narrower_and_the_limits_hold(explorer):
    for y in (0.2, 0.4, 0.8):
        ask(explorer, "move", 0, 0.5, y)
        assert explorer.stds[0] == pytest.approx(0.4 / y * explorer_std_at(explorer, 0.4))
    ask(explorer, "move", 0, 1.7, 0.0)
    assert explorer.means[0] == explorer.fit.high
    assert explorer.stds[0] == explorer.fit.widest


def explorer_std_at(explorer, y):
    return 0.5 / (y * explorer._plane.y_range[1] * math.sqrt(2 * math.pi))


def test_a_peak_beyond_the_upper_edge_keeps_its_width_while_it_is_dragged_sideways(explorer):
    explorer.stds = (0.12, 1.0)
    assert explorer._pad.handles[0]["y"] == 1.0  # its handle waits at the edge
    ask(explorer, "move", 0, 0.2, 1.0)
    assert explorer.stds[0] == 0.12
    ask(explorer, "move", 0, 0.2, 0.9)
    assert explorer.stds[0] == pytest.approx(explorer_std_at(explorer, 0.9))


def test_keys_move_by_hundredths_and_five_percents(explorer):
    mean, std = explorer.means[0], explorer.stds[0]
    ask(explorer, "step", 0, 5, 0)
    assert explorer.means[0] == pytest.approx(mean + 5 * (explorer.fit.high - explorer.fit.low) / 100)
    assert explorer.stds[0] == std
    ask(explorer, "step", 0, 0, -2)
    assert explorer.stds[0] == pytest.approx(std * 1.05**2)  # down: lower and wider


def test_a_request_is_answered_with_one_message_of_the_picture(explorer, monkeypatch):
    messages = []
    monkeypatch.setattr(
        explorer._pad.comm, "send", lambda data=None, *a, buffers=None, **k: messages.append((data, buffers))
    )
    ask(explorer, "move", 0, 0.25, 0.5, "view:9")
    ((data, buffers),) = messages
    assert data["state"]["answer"] == "view:9"
    assert data["state"]["handles"][0]["x"] == pytest.approx(0.25)
    assert bytes(buffers[0]).startswith(b"\x89PNG")


@pytest.mark.parametrize("nonsense", [("move", 2, 0.5, 0.5), ("jump", 0, 0.5, 0.5), ("move", 0, None, 0.5),
                                      ("move", 0, 0.5, float("nan")), ("step", 0, "a", 1), (None, None, None, None)])  # fmt: skip
def test_a_broken_request_is_answered_in_words_and_changes_nothing(explorer, nonsense):
    before = explorer.means, explorer.stds
    ask(explorer, *nonsense, identity="view:3")
    assert explorer.error
    assert explorer._pad.answer == "view:3"  # so the browser does not wait for ever
    assert (explorer.means, explorer.stds) == before
    ask(explorer, "move", 0, 0.5, 0.5)
    assert explorer.error == ""


def test_traits_are_kept_within_their_limits(explorer):
    explorer.means = (-99, 99)
    explorer.weight = 3
    assert explorer.means == (explorer.fit.low, explorer.fit.high)
    assert explorer.weight == 0.98
    for name, nonsense in [("means", (0.0,)), ("stds", (1.0, math.inf)), ("components", 3), ("best", "worst")]:
        with pytest.raises(TraitError):
            setattr(explorer, name, nonsense)


def test_the_weight_slider_moves_the_model(explorer):
    explorer.weight_slider.value = 0.8
    assert explorer.model.weights.tolist() == pytest.approx([0.8, 0.2])
    assert len(explorer.history) == 2


def test_one_gaussian_has_one_handle_and_no_weight(explorer):
    explorer.choice.value = 1
    assert len(explorer._pad.handles) == 1
    assert explorer.weight_slider.layout.visibility == "hidden"
    assert repr(explorer.model).startswith("1·N(")
    assert explorer.scores == explorer.fit.scores(LineMixture(explorer.means[:1], explorer.stds[:1]))
    explorer.choice.value = 2
    assert len(explorer._pad.handles) == 2
    assert explorer.weight_slider.layout.visibility == "visible"


def test_the_history_remembers_each_move_once(explorer):
    assert len(explorer.history) == 1
    for i in range(5):
        ask(explorer, "move", 0, 0.2 + i / 100, 0.5)
    assert len(explorer.history) == 6
    assert explorer.history[-1] == explorer.scores.log_likelihood
    assert "the last 6 places" in explorer._curve.alt
    assert f"at best {max(explorer.history):.3f}".replace("-", "−") in explorer._curve.alt
    explorer.start_again()
    assert len(explorer.history) == 1


def test_new_data_are_new_and_the_model_stays(explorer):
    x, model = explorer.fit.x, repr(explorer.model)
    explorer.new_data()
    assert not torch.equal(explorer.fit.x, x)
    assert repr(explorer.model) == model
    assert explorer.scores == explorer.fit.scores(explorer.model)
    assert torch.equal(FitByHand(seed=1).fit.x, explorer.fit.x)


# --- what is shown ---------------------------------------------------------------------------------------------------


def test_the_curve_runs_where_the_density_is(explorer):
    explorer.move((-1.0, 2.0), (1.0, 1.0), 0.5)
    picture = Image.open(io.BytesIO(explorer._pad.png))
    for x in (-2.0, 0.5, 1.0, 3.2):
        height = float(explorer.model.log_prob(torch.tensor([x], dtype=torch.float64)).exp())
        assert has_color(picture, explorer._plane.at(x, height), ACCENT)
        assert not has_color(picture, explorer._plane.at(x, height + 0.05), ACCENT)


def test_nothing_is_drawn_outside_of_the_axes(explorer):
    explorer.stds = (explorer.fit.narrowest,) * 2  # far higher than the plane
    picture = np.asarray(Image.open(io.BytesIO(explorer._pad.png)).convert("RGB"))
    above = picture[: round(explorer._plane.box[1]) - 1]
    assert (above == above[0, 0]).all()


def test_the_truth_can_be_hidden(explorer):
    picture = explorer._pad.png
    explorer.truth_shown = False
    assert explorer._pad.png != picture
    explorer.truth_shown = True
    assert explorer._pad.png == picture
    assert len(explorer.history) == 1  # looking is no move


def test_the_best_fit_is_shown_beside_and_hidden_again(explorer):
    assert "fit by EM" not in explorer._table.value
    explorer.buttons["em"].click()
    found = explorer.fit.scores(explorer.fit.by_em(2))
    assert f"{found.log_likelihood:.3f}".replace("-", "−") in explorer._table.value
    assert "fit by EM" in explorer._table.value
    assert repr(explorer.fit.by_em(2)) in explorer._pad.alt
    explorer.buttons["em"].click()
    assert "fit by EM" not in explorer._table.value
    explorer.buttons["forward"].click()
    assert explorer.best == "forward"
    explorer.choice.value = 1  # that was the best of two
    assert explorer.best is None


def test_the_words_state_the_numbers(explorer):
    scores = explorer.scores
    for value in (
        scores.log_likelihood,
        scores.forward,
        scores.reverse,
        P.entropy,
        explorer.fit.ceiling.log_likelihood,
    ):
        assert f"{value:.3f}".replace("-", "−") in explorer.alt
    assert repr(P) in explorer.alt
    assert repr(explorer.model) in explorer.alt
    assert "200 samples" in explorer.alt
    assert explorer._pad.handles[0]["text"].endswith("log-likelihood −2.894 nats")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: FitByHand(components=3), ValueError, "1 or 2 components, got 3"),
        (lambda: FitByHand(n=1), ValueError, "two points or more"),
        (lambda: FitByHand(torch.distributions.Normal(0, 1)), TypeError, "LineMixture, got Normal"),
    ],
)
def test_what_cannot_be_fitted_is_refused_in_words(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_any_mixture_may_be_the_truth():
    explorer = FitByHand(LineMixture([0.0, 100.0, 300.0], [5.0, 20.0, 10.0]), n=50, components=1, seed=2)
    assert (explorer.fit.low, explorer.fit.high) == (-20, 340)
    assert explorer._plane.x_range == (-20, 340)
    assert "50 samples" in explorer.alt
