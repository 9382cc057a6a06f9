"""Pictures of a game show what was handed to them: densities and their ratio, fields, losses, shares."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from dgmcourse import plots


def history(steps=400, critic_turns=2):
    return SimpleNamespace(
        steps=steps, losses={"critic": [2.0] * (critic_turns * steps), "generator": list(range(steps))}
    )


def test_a_discriminator_is_drawn_below_its_densities_on_the_same_axis():
    p, q = Normal(0.0, 1.0), Normal(1.0, 1.0)
    figure = plots.plot_discriminators(
        {"p": p.log_prob, "q": q.log_prob},
        {"D*": lambda x: torch.sigmoid(p.log_prob(x) - q.log_prob(x)), "a coin": lambda x: 0 * x + 0.5},
        -3,
        4,
    )
    above, below = figure.axes
    x, density = above.lines[0].get_data()
    np.testing.assert_allclose(density, np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi), rtol=1e-5)
    x, best = below.lines[0].get_data()
    assert np.interp(0.5, x, best) == pytest.approx(0.5, abs=1e-4)  # where the densities are equal
    assert below.get_xlim() == above.get_xlim() == (-3, 4)
    assert [text.get_text() for text in below.get_legend().get_texts()] == ["D*", "a coin"]


def test_a_field_has_its_line_where_the_critic_cannot_tell_and_the_points_on_top():
    data, samples = torch.randn(30, 2), torch.randn(20, 2)
    figure = plots.plot_critic_fields({"data": (None, None), "D": (lambda x: x[:, 0].sigmoid(), samples)}, data)
    left, right, colors = figure.axes
    assert [axis.get_title() for axis in (left, right)] == ["data", "D"]
    assert len(left.collections) == 1
    np.testing.assert_allclose(left.collections[0].get_offsets(), data, atol=1e-6)
    border = np.concatenate([path.vertices for path in right.collections[1].get_paths()])
    np.testing.assert_allclose(border[:, 0], 0, atol=1e-3)
    np.testing.assert_allclose(right.collections[-1].get_offsets(), samples, atol=1e-6)
    assert colors.get_ylabel() == "D(x)"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["data", "samples"]
    assert plots.picture(figure)


@pytest.mark.parametrize("critic", [lambda x: 30 * x[:, 0] - 7, lambda x: 0 * x[:, 0]], ids=["steep", "flat"])
def test_scores_without_bounds_are_colored_from_their_smallest_to_their_largest(critic):
    figure = plots.plot_critic_fields({"critic": (critic, None)}, torch.randn(5, 2), limits=None)
    (axis,) = figure.axes
    shaded = axis.collections[0]
    values = critic(torch.tensor([[-5.5, 0], [5.5, 0.0]]))
    assert shaded.levels[0] == pytest.approx(float(values.min()))
    assert shaded.levels[-1] == pytest.approx(float(values.max()), abs=1e-4)
    assert plots.picture(figure)


def test_both_players_are_drawn_over_the_same_steps_though_one_has_more_turns():
    figure = plots.plot_players({"a": history(), "b": history(critic_turns=1)}, {"critic": math.log(4)})
    first, second = figure.axes
    critic, resting, generator = first.lines
    assert critic.get_xdata()[-1] == pytest.approx(400)
    assert generator.get_xdata()[-1] == pytest.approx(400)
    assert set(critic.get_ydata()) == {2.0}
    assert resting.get_ydata()[0] == pytest.approx(math.log(4))
    assert second.get_title() == "b"


def test_the_share_of_a_mode_stands_in_its_row_and_in_the_column_of_its_step():
    shares = torch.zeros(4, 8)
    shares[2, 5] = 0.3
    figure = plots.plot_mode_shares({"one": ([20, 40, 60, 80], shares)})
    axis = figure.axes[0]
    image = axis.images[0]
    drawn = image.get_array()
    assert drawn.shape == (8, 4)
    assert drawn[5, 2] == pytest.approx(0.3)
    left, right, bottom, top = image.get_extent()
    assert (left, right) == (10, 90)  # each step in the middle of its column
    assert (bottom, top) == (0.5, 8.5)
    assert image.get_clim() == (0, pytest.approx(3 / 8))
