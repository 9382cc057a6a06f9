"""Pictures of Boltzmann machines say what is so: lines join what depends, bars and marks hold their values, estimates theirs."""

import io
import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from PIL import Image

from dgmcourse import plots
from dgmcourse.plots import boltzmann
from dgmcourse.plots.figures import COLORS


def lines(axis):
    """The connections drawn: how many thick orange ones, how many thin ones."""
    drawn = [text.arrow_patch for text in axis.texts if getattr(text, "arrow_patch", None) is not None]
    thick = [line for line in drawn if to_hex(line.get_edgecolor()).upper() == COLORS[1]]
    return len(thick), len(drawn) - len(thick)


def test_only_pairs_of_unknown_units_are_joined_by_thick_lines():
    full = torch.ones(7, 7) - torch.eye(7)
    restricted = torch.zeros(7, 7)
    restricted[:4, 4:], restricted[4:, :4] = 1, 1
    figure = plots.plot_units(
        {
            "general": (full, ()),
            "general, x known": (full, range(4)),
            "restricted": (restricted, ()),
            "restricted, x known": (restricted, range(4)),
            "restricted, h known": (restricted, range(4, 7)),
        },
        visible=4,
    )
    assert [lines(axis) for axis in figure.axes] == [(21, 0), (3, 18), (12, 0), (0, 12), (0, 12)]
    assert [axis.get_title() for axis in figure.axes][3] == "restricted, x known"
    names = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    assert names == ["$x_{1}$", "$x_{2}$", "$x_{3}$", "$x_{4}$", "$h_{1}$", "$h_{2}$", "$h_{3}$"]


def test_known_units_are_filled_and_the_sides_have_shapes_of_their_own():
    figure = plots.plot_units({"": (torch.zeros(3, 3), (0,))}, visible=2)
    markers = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert [line.get_marker() for line in markers] == ["s", "s", "o"]
    assert [line.get_markerfacecolor() for line in markers] == [boltzmann.KNOWN, boltzmann.OPEN, boltzmann.OPEN]
    assert [float(line.get_ydata()[0]) for line in markers] == [0.0, 0.0, 1.0]


def test_states_are_bars_and_everything_beside_them_is_a_mark():
    energy = torch.tensor([1.0, -2.0, 0.5])
    p = (-energy).softmax(0)
    figure = plots.plot_states(
        {"energy": {"E": energy}, "probability": {"exact": p, "sampled": p.flip(0)}},
        names=["00", "01", "10"],
        ylabels=("nats", "p"),
    )
    above, below = figure.axes
    np.testing.assert_allclose([bar.get_height() for bar in above.patches], energy)
    np.testing.assert_allclose([bar.get_height() for bar in below.patches], p, rtol=1e-6)
    np.testing.assert_allclose(below.lines[0].get_ydata(), p.flip(0), rtol=1e-6)
    assert below.lines[0].get_marker() != "None"
    assert [label.get_text() for label in below.get_xticklabels()] == ["00", "01", "10"]
    assert (above.get_ylabel(), below.get_ylabel()) == ("nats", "p")
    assert above.get_legend() is None


def test_images_of_the_states_stand_below_their_bars_and_are_not_cut_off():
    images = torch.stack([torch.full((1, 3, 3), float(k % 2)) for k in range(5)])
    figure = plots.plot_states({"": {"p": torch.full((5,), 0.2)}}, images=images)
    insets = figure.axes[0].child_axes
    assert [float(np.mean(inset.images[0].get_array())) for inset in insets] == [0, 1, 0, 1, 0]
    figure.draw_without_rendering()
    for k, inset in enumerate(insets):
        box = inset.get_window_extent()
        middle = figure.axes[0].transData.transform((k, 0))
        assert box.x0 < middle[0] < box.x1
        assert box.y1 < middle[1]
        assert box.y0 >= 0


def test_filters_have_one_scale_around_zero():
    weights = torch.zeros(5, 2, 2)
    weights[0, 0, 0], weights[1, 0, 0] = 3.0, -1.0
    figure = plots.plot_filters(weights, columns=4, largest=2.0)
    drawn = [axis.images[0] for axis in figure.axes if axis.images]
    assert len(drawn) == 5
    assert {image.get_clim() for image in drawn} == {(-2.0, 2.0)}
    zero, high, low = (boltzmann.SIGNED(value) for value in (0.5, 1.0, 0.0))
    assert min(zero[:3]) > 0.98
    assert high[0] > high[2]  # orange: more red than blue
    assert low[2] > low[0]  # blue
    free = plots.plot_filters(torch.linspace(-1, 1, 4 * 25).view(4, 5, 5))
    assert free.axes[0].images[0].get_clim()[1] == pytest.approx(0.99, abs=0.02)


def test_annealing_marks_the_log_of_the_mean_weight_from_both_sides():
    torch.manual_seed(0)
    forward, reverse = 50 + torch.randn(200), 50 + torch.randn(200)
    figure = plots.plot_annealing({"machine": {10: (forward, reverse), 100: (forward / 2 + 25, reverse / 2 + 25)}},
                                  {"machine": 50.5})  # fmt: skip
    axis = figure.axes[0]
    up, down = (container.lines[0].get_ydata() for container in axis.containers)
    assert up[0] == pytest.approx(float(forward.logsumexp(0)) - math.log(200), abs=1e-4)
    assert down[0] == pytest.approx(-float((-reverse).logsumexp(0)) + math.log(200), abs=1e-4)
    weights = (forward - forward.max()).exp()
    error = float(weights.std() / weights.mean()) / math.sqrt(200)
    segment = axis.containers[0].lines[2][0].get_segments()[0]
    assert segment[1][1] - segment[0][1] == pytest.approx(4 * error, rel=1e-3)
    assert [label.get_text() for label in axis.get_xticklabels()] == ["10", "100"]
    assert any(np.allclose(line.get_ydata(), 50.5) for line in axis.lines)
    assert {text.get_text() for text in axis.get_legend().get_texts()} == {"forward", "reverse", "exact"}


def test_a_color_that_few_pixels_have_survives_in_the_picture():
    weights = 0.2 * torch.randn(36, 28, 28, generator=torch.Generator().manual_seed(0))
    weights[20, 4:8, 18:22] = -3.0
    png = plots.picture(plots.plot_filters(weights, columns=12, scale=0.6, largest=1.0))
    pixels = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).reshape(-1, 3).astype(int)
    blue = np.array([int(COLORS[0][i : i + 2], 16) for i in (1, 3, 5)])
    assert (np.abs(pixels - blue).max(1) < 20).sum() > 16
    assert (pixels == 255).all(1).mean() > 0.1  # paper is white
