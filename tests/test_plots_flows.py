"""Pictures of flows show what was handed to them: equal masses in one color, lattices, strays."""

import math

import numpy as np
import pytest
import torch

from dgmcourse import plots


def log_normal(z):
    return -0.5 * (z.square() + math.log(2 * math.pi))


def mass_of(patch):
    """The area of a filled strip, by the shoelace formula."""
    ((vertices,),) = ([path.vertices for path in patch.get_paths()],)
    x, y = vertices.T
    return 0.5 * abs(float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()))


def test_every_strip_holds_as_much_of_x_as_of_z():
    figure = plots.plot_bent_line(
        lambda x: (0.25 * x + 0.05 * x**3, 0.25 + 0.15 * x**2), lambda z, slope: log_normal(z) + slope.log(), -4, 4
    )
    beside, curve, below = figure.axes
    of_z = [mass_of(strip) for strip in beside.collections]
    of_x = [mass_of(strip) for strip in below.collections]
    assert len(of_z) == 6
    np.testing.assert_allclose(of_x, of_z, atol=4e-3)  # the strips end at the grid's last points
    assert of_z[3] == pytest.approx(0.3413, abs=4e-3)
    assert curve.get_xlim() == below.get_xlim() == (-4, 4)


def test_a_lattice_is_drawn_by_its_rows_and_columns_and_points_keep_their_colors():
    side = torch.linspace(-2, 2, 5)
    lattice = torch.stack(torch.meshgrid(side, side, indexing="xy"), -1)
    points = torch.randn(30, 2)
    figure = plots.plot_bending({"noise": (lattice, points), "data": (2 * lattice, -points)}, extents=(3, 5))
    left, right = figure.axes
    lines, dots = right.collections
    assert len(lines.get_segments()) == 10
    np.testing.assert_allclose(lines.get_segments()[0][:, 1], -4)
    np.testing.assert_allclose(dots.get_offsets(), -points, atol=1e-6)
    np.testing.assert_allclose(dots.get_facecolors(), left.collections[1].get_facecolors())
    assert (left.get_xlim(), right.get_xlim()) == ((-3, 3), (-5, 5))
    assert plots.picture(figure)


def test_samples_beyond_the_radius_are_crosses():
    samples = torch.tensor([[0.0, 0.1], [3.0, 0.0], [1.4, 0.0], [-2.0, 2.0]])
    centers = torch.tensor([[0.0, 0.0], [3.0, 0.5]], dtype=torch.float64)
    figure = plots.plot_bridges({"one": (lambda x: log_normal(x).sum(-1), samples)}, centers, 1.5, "strays")
    near, far = figure.axes[0].collections[-2:]
    np.testing.assert_allclose(near.get_offsets(), samples[:3])
    np.testing.assert_allclose(far.get_offsets(), samples[3:])
    assert len(figure.axes[0].patches) == 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["samples", "strays"]
    assert plots.picture(figure)
