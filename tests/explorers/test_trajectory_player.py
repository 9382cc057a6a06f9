"""TrajectoryPlayer: what is kept of a trajectory, what is shown of each kind of state."""

import io

import numpy as np
import pytest
import torch
from latent_models import Blobs
from PIL import Image

from dgmcourse.core import Space
from dgmcourse.explorers import TrajectoryPlayer
from dgmcourse.explorers.drawing import SCALE
from dgmcourse.explorers.pixels import EDGE
from dgmcourse.explorers.state_views import TO_COME
from dgmcourse.explorers.trajectory_player import thinned
from dgmcourse.models import MADE, VAE


def counting(length, shape=(3, 2)):
    """States that hold their own place, produced one by one."""
    for place in range(length):
        yield torch.full(shape, float(place))


def shown(player):
    return np.asarray(Image.open(io.BytesIO(player._picture.png)).convert("RGB")).astype(int)


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, 15, 16, 17, 100, 1000])
@pytest.mark.parametrize("most", [2, 5, 8])
def test_thinning_keeps_first_and_last_and_spreads_the_rest_evenly(length, most):
    states, places, count = thinned(counting(length), most)
    assert count == length
    assert len(states) <= most
    assert [int(state[0, 0]) for state in states] == places
    assert places[0] == 0
    assert places[-1] == length - 1
    gaps = set(np.diff(places[:-1]).tolist())
    assert len(gaps) <= 1  # one stride, but for the last state
    if length <= most:
        assert places == list(range(length))
    elif most > 2:
        assert len(places) >= most // 2


def test_thinning_never_holds_more_than_it_may():
    import weakref

    alive, most_alive = weakref.WeakSet(), 0

    class Watched(torch.Tensor):
        pass

    def watched():
        nonlocal most_alive
        for place in range(200):
            state = torch.full((2, 2), float(place)).as_subclass(Watched)
            alive.add(state)
            most_alive = max(most_alive, len(alive))
            yield state

    thinned(watched(), 10)
    assert most_alive <= 3  # the states themselves are let go; at most ten copies are kept


def test_states_changed_in_place_are_kept_as_they_were():
    def chain():
        x = torch.zeros(2, 2)
        for _ in range(4):
            x += 1
            yield x

    assert [float(state[0, 0]) for state in TrajectoryPlayer(chain).states] == [1, 2, 3, 4]


def test_nothing_runs_before_it_is_wanted_and_then_once():
    calls = []

    def source():
        calls.append(1)
        yield from counting(5)

    player = TrajectoryPlayer(source)
    assert calls == []
    assert player.length == 5
    player.frame.value = 3
    assert calls == [1]


def test_a_chain_without_an_end_is_cut():
    def endless():
        place = 0
        while True:
            yield torch.full((3, 2), float(place))
            place += 1

    player = TrajectoryPlayer(endless, max_states=50, max_frames=10)
    assert player.length == 50
    assert player.places[-1] == 49


def test_the_last_state_is_the_models_sample_for_the_seed():
    model = VAE(Space.binary(1, 6, 6), 2, hidden=(8,)).train()
    torch.manual_seed(5)
    expected = model.eval().sample(4)
    model.train()
    torch.manual_seed(1)
    outside = torch.rand(3)
    torch.manual_seed(1)
    player = TrajectoryPlayer(model, n=4, seed=5)
    torch.testing.assert_close(player.states[-1], expected)
    assert torch.equal(torch.rand(3), outside)  # the notebook's own randomness is untouched
    assert model.training


def test_running_again_uses_the_next_seed_and_the_same_seed_repeats():
    first, second = TrajectoryPlayer(Blobs(), n=4, seed=0), TrajectoryPlayer(Blobs(), n=4, seed=1)
    before = first.states[-1]
    first.frame.value = 5
    first.run_again()
    assert first.frame.value == 0
    assert torch.equal(first.states[-1], second.states[-1])
    assert not torch.equal(first.states[-1], before)


def test_given_states_cannot_run_again_and_say_so():
    player = TrajectoryPlayer(list(counting(3)))
    assert player.again.layout.display == "none"
    player.run_again()
    assert "give the model" in player.error


def test_moving_the_slider_changes_picture_and_words():
    player = TrajectoryPlayer(Blobs(), n=4)
    player._repr_mimebundle_()
    first = player._picture.png
    assert player.frame.max == 12
    player.frame.value = 12
    assert player._picture.png != first
    assert "state 13 of 13" in player._picture.alt
    assert player._place.value == "state 13 of 13"
    player.frame.value = 0
    assert player._picture.png == first


def test_speed_sets_the_interval():
    player = TrajectoryPlayer(Blobs())
    player.speed.value = 50
    assert player.play.interval == 50


def test_images_are_a_grid_of_the_states_pixels():
    state = torch.zeros(4, 1, 2, 2)
    state[3] = 1.0
    player = TrajectoryPlayer([state, 1 - state], size=100)
    player.frame.value = 1
    picture = shown(player)
    height, width = picture.shape[:2]
    inside = slice(SCALE, height // 3)  # within the line around the image
    assert picture[inside, inside].max() == 0  # 1 is ink
    assert picture[-height // 3 : -SCALE, -width // 3 : -SCALE].min() == 255  # 0 is paper
    assert (picture[:SCALE] == EDGE).all()
    assert (picture[:, width // 2] == EDGE).all()


def test_real_images_use_the_range_of_the_last_state():
    class Real:
        space = Space.real(1, 4, 4)

        def trajectory(self, n, y=None):
            yield 20 * torch.ones(n, 1, 4, 4)
            yield torch.linspace(-1, 1, n * 16).view(n, 1, 4, 4)

    player = TrajectoryPlayer(Real(), n=1)
    player.frame.value = 1
    picture = shown(player)[SCALE:-SCALE, SCALE:-SCALE, 0]
    assert len(np.unique(picture)) >= 12
    assert (picture[0, 0], picture[-1, -1]) == (255, 0)  # the lowest is paper, the highest ink
    row = picture[0, :: picture.shape[1] // 4]
    assert (np.diff(row) < 0).all()
    player.frame.value = 0
    assert (shown(player)[SCALE:-SCALE, SCALE:-SCALE] == 0).all()  # above the range: clipped


def test_points_are_drawn_where_they_are_and_axes_hold_still():
    points = torch.tensor([[[-1.0, -1.0], [1.0, 1.0]], [[-0.5, 0.5], [1.0, 1.0]]])
    player = TrajectoryPlayer(points)
    pictures = []
    for frame in (0, 1):
        player.frame.value = 1 - frame
        player.frame.value = frame
        pictures.append(shown(player))
        for x, y in points[frame].tolist():
            column, row = player._view.plane.at(x, y)
            assert pictures[-1][round(row), round(column)].tolist() == [0x33, 0x22, 0x88]
    changed = np.argwhere((pictures[0] != pictures[1]).any(-1))
    left, top, _, bottom = player._view.plane.box
    assert changed[:, 0].min() >= top
    assert changed[:, 0].max() <= bottom
    assert changed[:, 1].min() >= left  # ticks and labels did not move


def test_tokens_become_text():
    tokens = torch.tensor([[0, 1, 2], [2, 1, 0]])
    player = TrajectoryPlayer([tokens, tokens.flip(0)], text="abc")
    player._show()
    assert player._view._lines(tokens) == [["abc"], ["cba"]]
    spelled = TrajectoryPlayer([tokens], text=lambda t: f"sum {sum(t)}")
    spelled._show()
    assert spelled._view._lines(tokens) == [["sum 3"], ["sum 3"]]
    narrow = TrajectoryPlayer([tokens], text="ab")
    narrow._show()
    assert "text names 2 characters" in narrow.error


def test_series_become_lines():
    player = TrajectoryPlayer([torch.zeros(3, 40), torch.randn(3, 40)])
    player._show()
    assert player.error == ""
    assert "3 lines of 40 entries" in player.alt


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ([], "no states"),
        ([torch.zeros(2, 5, 3, 3)], r"shape \(5, 3, 3\)"),
        ([torch.full((2, 2), float("nan"))], "NaN"),
        ([torch.zeros(2, 2), torch.zeros(3, 2)], "one shape"),
    ],
)
def test_what_cannot_be_shown_is_said(states, words):
    player = TrajectoryPlayer(states)
    with pytest.raises(ValueError, match=words):
        player.states  # noqa: B018
    bundle = player._repr_mimebundle_()[0]  # shown all the same, with the reason
    assert player.error
    assert "<img" not in bundle["text/html"]


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(TypeError, match="trajectory"):
        TrajectoryPlayer(3)
    with pytest.raises(ValueError, match="max_frames 2 or more"):
        TrajectoryPlayer(Blobs(), max_frames=1)


# --- models that draw one entry after the other ------------------------------------------------------------------------


def causal(space=None, **settings):
    torch.manual_seed(0)
    return MADE(space or Space.binary(1, 4, 4), hidden=(8,), **settings).eval()


def pixel(player, image, row, column, side=4):
    """The color in the middle of a pixel of one of four images, (3,)."""
    picture = shown(player)
    cell = picture.shape[0] / 2
    y, x = ((image // 2) * cell + (row + 0.5) * cell / side, (image % 2) * cell + (column + 0.5) * cell / side)
    return tuple(picture[round(y), round(x)])


def test_pixels_to_come_are_blue_and_the_newest_is_framed():
    player = TrajectoryPlayer(causal(), n=4)
    assert player.length == 16
    player.frame.value = 5
    for entry in range(16):
        assert (pixel(player, 2, *divmod(entry, 4)) == TO_COME) == (entry > 5)
    assert "10 of 16 entries to come" in player._picture.alt
    picture = shown(player)
    orange = np.argwhere((picture == [0xD5, 0x5E, 0x00]).all(-1))
    assert len(orange)
    cell = picture.shape[0] / 2
    places = {(int(y % cell * 4 / cell), int(x % cell * 4 / cell)) for y, x in orange}
    assert places == {divmod(5, 4)}
    player.frame.value = 15
    assert not (shown(player) == TO_COME).all(-1).any()


def test_what_is_given_stays_is_tinted_and_takes_no_state():
    x = torch.zeros(1, 1, 4, 4)
    x[..., :2, :] = torch.tensor([1.0, 0.0, 1.0, 1.0])
    mask = torch.zeros(1, 4, 4, dtype=torch.bool)
    mask[:, :2] = True
    player = TrajectoryPlayer(causal(), n=4, given=(x, mask), temperature=2.0)
    assert player.length == 8
    player.frame.value = 3
    for state in player.states:
        assert torch.equal(state[:, mask], x[:, mask].expand(4, -1))
    assert len({tuple(image.flatten().tolist()) for image in player.states[-1]}) > 1  # several completions of one image
    for entry in range(16):
        color = pixel(player, 1, *divmod(entry, 4))
        assert (color == TO_COME) == (entry > 11)
        assert (color[0] > color[2] + 30) == (entry < 8)  # orange
    assert "8 given" in player._picture.alt
    assert player.picture().width > 100


def test_thinned_states_know_how_far_they_are():
    player = TrajectoryPlayer(causal(), n=4, max_frames=5)
    for index, place in enumerate(player.places):
        assert int(player._marks(index).waiting[0].sum()) == 15 - place


def test_states_that_are_something_else_have_no_marks():
    assert TrajectoryPlayer(Blobs(), n=4)._marks(0) is None
    assert TrajectoryPlayer(causal(orderings=3), n=9)._marks(0) is None  # every sample has an order of its own


def test_characters_to_come_are_dots():
    player = TrajectoryPlayer(causal(Space.tokens(6, 3)), n=2, text="abc")
    player._show()
    lines = player._view._lines(player.states[2], player._marks(2))
    assert [line[0][3:] for line in lines] == ["···", "···"]
    assert all(set(line[0][:3]) <= set("abc") for line in lines)
    spelled = TrajectoryPlayer(causal(Space.tokens(6, 3)), n=2)
    spelled._show()
    assert spelled._view._lines(spelled.states[0], spelled._marks(0))[0][0].endswith(" · · · · ·")


def test_settings_are_for_models():
    with pytest.raises(TypeError, match="given can only be handed on to a model with trajectory"):
        TrajectoryPlayer(list(counting(3)), given=(torch.zeros(1, 2), torch.zeros(2, dtype=torch.bool)))
    player = TrajectoryPlayer(causal(), n=4, warmth=3)
    player._show()
    assert "warmth" in player.error
