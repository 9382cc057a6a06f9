"""Pictures of densities say what the densities are: contours hold their share, stairs lead to the outcome, minima are minima."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from dgmcourse import plots
from dgmcourse.plots import densities

WIDE = torch.linspace(-8, 8, 801, dtype=torch.float64)


def standard_normal(x):
    return -0.5 * x.square().sum(-1) - math.log(2 * math.pi)


@pytest.mark.parametrize("mass", [0.5, 0.95])
def test_a_contour_holds_its_share_of_the_probability(mass):
    side, density = densities._on_grid(standard_normal, 6.0)
    level = densities._level(density, mass)
    assert level == pytest.approx(
        (1 - mass) / (2 * math.pi), rel=0.03
    )  # of N(0, I), the density is uniform on [0, 1/2π]
    cell = (side[1] - side[0]) ** 2
    assert float(density[density >= level].sum() * cell) == pytest.approx(mass, abs=0.01)


def test_the_plane_has_x1_to_the_right_and_x2_upwards():
    side, values = densities._on_grid(lambda x: x[:, 0] + 10 * x[:, 1], 2.0, log=False)
    assert values[0, -1] == pytest.approx(2 - 20)
    assert values[-1, 0] == pytest.approx(-2 + 20)
    assert side[0] == -2


def test_densities_are_drawn_with_the_points_of_their_panel():
    points = torch.randn(30, 2)
    figure = plots.plot_densities({"samples": None, "density": standard_normal}, {"samples": points}, extent=4)
    left, right = figure.axes
    assert [axis.get_title() for axis in figure.axes] == ["samples", "density"]
    np.testing.assert_allclose(left.collections[0].get_offsets(), points, atol=1e-6)
    assert not left.images
    drawn = right.images[0].get_array()
    assert drawn.max() == pytest.approx(1 / (2 * math.pi))
    everywhere = plots.plot_densities({"a": standard_normal, "b": standard_normal}, points)
    assert all(len(axis.collections) == 2 for axis in everywhere.axes)


def test_a_uniform_density_has_contours_too():
    plots.picture(plots.plot_densities({"flat": lambda x: torch.zeros(len(x))}))


def test_a_class_map_draws_both_classes_and_the_line_of_one_half():
    x, y = torch.randn(40, 2), torch.arange(40) % 2
    figure = plots.plot_class_maps(
        {"logistic": lambda z: z[:, 0].sigmoid(), "sure": lambda z: torch.ones(len(z))}, x, y
    )
    first, second, colors = figure.axes
    assert colors.get_ylabel() == "p(y = 1 | x)"
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["y = 0", "y = 1"]
    border = np.concatenate([path.vertices for path in first.collections[1].get_paths()])
    np.testing.assert_allclose(border[:, 0], 0, atol=1e-3)
    assert len(second.collections) == len(first.collections) - 1  # nothing is one half there


def test_a_probability_that_rounding_takes_beyond_one_leaves_no_hole():
    figure = plots.plot_class_maps(
        {"sure": lambda z: torch.full((len(z),), 1.0000002)}, torch.randn(9, 2), torch.ones(9)
    )
    assert any(path.vertices.size for shade in figure.axes[0].collections[:1] for path in shade.get_paths())


def test_error_curves_have_a_tick_for_each_size_and_the_least_possible_error():
    sizes, mean = (8, 64, 512), [0.3, 0.2, 0.12]
    curve = (sizes, mean, ([0.28, 0.19, 0.11], [0.32, 0.21, 0.13]))
    figure = plots.plot_error_curves(
        {"one": {"a": curve, "b": curve}, "two": {"a": curve}}, "examples", levels={"one": 0.1}
    )
    left, right = figure.axes
    assert [text.get_text() for text in left.get_xticklabels()] == ["8", "64", "512"]
    assert [text.get_text() for text in left.get_legend().get_texts()] == ["a", "b", "least possible"]
    assert [line.get_ydata()[0] for line in left.lines] == [0.3, 0.3, 0.1]
    assert len(right.lines) == 1
    logarithmic = plots.plot_error_curves({"one": {"a": curve}}, "examples", log=True).axes[0]
    assert [f"{tick:g}" for tick in logarithmic.get_yticks()] == ["0.2"]


def test_densities_on_the_line_stand_over_their_samples():
    figure = plots.plot_line({"p": Normal(0.0, 1.0).log_prob, "q": Normal(1.0, 2.0).log_prob}, -5, 5, torch.randn(200))
    axis = figure.axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["200 samples", "p", "q"]
    assert max(axis.lines[0].get_ydata()) == pytest.approx(1 / math.sqrt(2 * math.pi), rel=1e-4)
    assert sum(bar.get_height() * bar.get_width() for bar in axis.patches[:40]) == pytest.approx(1)


def test_the_stairs_lead_each_u_to_its_outcome():
    figure = plots.plot_inverse_cdf(torch.tensor([0.2, 0.0, 0.5, 0.3]), torch.tensor([0.1, 0.2, 0.69, 0.95]))
    arrows = [text.xy for text in figure.axes[1].texts]
    assert [x for x, height in arrows if height > 0] == [0, 2, 2, 3]


def divergences_to(target, means, stds):
    log_p, log_q = target(WIDE), Normal(means[:, None, None], stds[None, :, None]).log_prob(WIDE)
    return {
        "forward": torch.trapezoid(log_p.exp() * (log_p - log_q), WIDE),
        "reverse": torch.trapezoid(log_q.exp() * (log_q - log_p), WIDE),
    }


def test_both_directions_mark_their_minima():
    def target(x):
        return torch.logaddexp(Normal(-3.0, 0.5).log_prob(x), Normal(3.0, 0.5).log_prob(x)) - math.log(2)

    means = torch.linspace(-5, 5, 41, dtype=torch.float64)
    stds = torch.linspace(0.2, 5, 49, dtype=torch.float64)
    found = divergences_to(target, means, stds)
    figure = plots.plot_kl_directions(WIDE, target(WIDE).exp(), means, stds, found)
    forward, reverse = figure.axes[2], figure.axes[3]
    marks = [[(line.get_xdata()[0], line.get_ydata()[0]) for line in axis.lines] for axis in (forward, reverse)]
    assert marks[0] == [(pytest.approx(0, abs=1e-9), pytest.approx(math.hypot(3, 0.5), abs=0.06))]  # the moments of p
    assert sorted(marks[1])[0] == (pytest.approx(-3), pytest.approx(0.5))
    assert sorted(marks[1])[-1] == (pytest.approx(3), pytest.approx(0.5))
    said = [text.get_text() for text in figure.axes[1].get_legend().get_texts()]
    assert said[1] == f"q, KL = {math.log(2):.2f}"  # one of two equal modes: ln 2
    above, beside = figure.axes[:2]
    assert above.get_ylim() == beside.get_ylim()  # p looks the same in both
    assert above.get_ylim()[1] > max(line.get_ydata().max() for axis in (above, beside) for line in axis.lines)


def test_minima_are_listed_from_the_smallest_and_never_on_the_border():
    table = np.array([[5, 5, 5, 5, 5], [5, 3, 5, 2, 5], [5, 5, 5, 5, 5], [5, 5, 4, 5, 1], [0, 5, 5, 5, 5.0]])
    assert densities.local_minima(table) == [(1, 3), (1, 1), (3, 2)]


def test_the_pictures_are_small():
    target = Normal(0.0, 1.0).log_prob
    means, stds = torch.linspace(-2, 2, 21, dtype=torch.float64), torch.linspace(0.3, 3, 21, dtype=torch.float64)
    for figure in (
        plots.plot_densities({"a": standard_normal, "b": standard_normal}, torch.randn(300, 2)),
        plots.plot_kl_directions(WIDE, target(WIDE).exp(), means, stds, divergences_to(target, means, stds)),
    ):
        assert len(plots.picture(figure)) < 40_000
