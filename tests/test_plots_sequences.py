"""Pictures of sequences and masks show what was handed to them."""

import numpy as np
import torch
from matplotlib.colors import to_rgb

from dgmcourse import plots


def test_each_series_is_a_line_and_the_first_is_drawn_strong():
    figure = plots.plot_series({"a": torch.arange(6.0).view(2, 3), "b": torch.zeros(1, 3)})
    first, second = figure.axes
    assert [list(line.get_ydata()) for line in first.lines] == [[0, 1, 2], [3, 4, 5]]
    assert first.lines[0].get_alpha() > first.lines[1].get_alpha()
    assert [axis.get_title("left") for axis in (first, second)] == ["a", "b"]
    assert plots.picture(figure)


def test_a_mask_is_dark_where_it_is_not_zero_with_row_one_on_top():
    matrix = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
    axis = plots.plot_masks({"M": (matrix, "to", "from")}).axes[0]
    np.testing.assert_array_equal(axis.collections[0].get_array().reshape(2, 3), [[0, 1, 0], [1, 0, 0]])
    assert axis.get_ylabel() == "to" and axis.get_xlabel() == "from"  # noqa: PT018
    bottom, top = axis.get_ylim()
    assert bottom > top


def test_a_receptive_field_tells_seen_blind_and_later_pixels():
    field = torch.zeros(3, 3)
    field[0, 0] = -0.5
    figure = plots.plot_receptive_fields({"f": field}, (1, 1))
    kinds = figure.axes[0].collections[0].get_array().reshape(3, 3)
    np.testing.assert_array_equal(kinds, [[1, 2, 2], [2, 0, 0], [0, 0, 0]])
    crosses = {tuple(line.get_xydata()[0]) for line in figure.axes[0].lines[:-1]}
    assert crosses == {(1.5, 0.5), (2.5, 0.5), (0.5, 1.5)}


def test_choices_are_bars_and_what_is_cut_is_crossed():
    figure = plots.plot_choices("abc", {"p": torch.tensor([0.5, 0.5, 0.0])})
    axis = figure.axes[0]
    assert [bar.get_height() for bar in axis.patches] == [0.5, 0.5, 0.0]
    assert list(axis.lines[0].get_xdata()) == [2]
    assert axis.patches[2].get_facecolor()[:3] == to_rgb("white")
    assert [label.get_text() for label in axis.get_xticklabels()] == ["a", "b", "c"]


def test_choices_of_which_none_is_cut_are_laid_out_like_others(recwarn):
    """A row of no markers has no extent: with it, the layout gave up, with a warning on stderr."""
    plots.picture(plots.plot_choices("ab", {"p": torch.tensor([0.5, 0.5]), "q": torch.tensor([1.0, 0.0])}))
    assert [str(warning.message) for warning in recwarn] == []
