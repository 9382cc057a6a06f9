"""Pictures of mixtures, of EM's bound and of codes: drawn where the numbers say."""

import math

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse

from dgmcourse import plots


def ellipses(axis):
    return [patch for patch in axis.patches if isinstance(patch, Ellipse)]


def turned(long, short, degrees):
    """A covariance with these standard deviations, its longer axis turned by so many degrees."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    axes = torch.tensor([[c, -s], [s, c]])
    return axes @ torch.diag(torch.tensor([long**2, short**2])) @ axes.T


@pytest.mark.parametrize("degrees", [0, 30, 90, 135])
def test_an_ellipse_is_where_the_mahalanobis_distance_is_one_and_two(degrees):
    mean, covariance = torch.tensor([1.0, -2.0]), turned(2.0, 0.5, degrees)
    figure = plots.plot_mixtures(torch.randn(50, 2), {"": (None, mean[None], covariance[None])})
    for deviations, outline in zip((1, 2), ellipses(figure.axes[0]), strict=True):
        corners = outline.get_patch_transform().transform([(1, 0), (0, 1), (-1, 0), (0, -1)]) - mean.numpy()
        distances = np.sqrt(np.einsum("ni,ij,nj->n", corners, np.linalg.inv(covariance), corners))
        np.testing.assert_allclose(distances, deviations, rtol=1e-5)
        assert sorted((outline.width, outline.height)) == pytest.approx([deviations, 4 * deviations], rel=1e-5)


def test_a_component_without_spread_is_drawn_as_a_needle_and_not_refused():
    needle = torch.tensor([[1.0, 1.0], [1.0, 1.0]])
    figure = plots.plot_mixtures(torch.randn(20, 2), {"": (None, torch.zeros(1, 2), needle[None])})
    outline = ellipses(figure.axes[0])[0]
    assert outline.width == pytest.approx(2 * math.sqrt(2), rel=1e-5)
    assert outline.height == pytest.approx(0, abs=1e-3)
    assert plots.picture(figure)


def test_points_wear_the_mixed_colors_of_their_responsibilities():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 1.0]])
    share = torch.tensor([[1.0, 0.0], [0.6, 0.4], [0.0, 1.0]])
    figure = plots.plot_mixtures(x, {"": (share, None, None)})
    first, second = figure.axes[0].collections  # one for each marker
    np.testing.assert_allclose(first.get_offsets(), x[:2])
    np.testing.assert_allclose(second.get_offsets(), x[2:])
    palette = np.array([to_rgb(color) for color in plots.COLORS[:2]])
    np.testing.assert_allclose(first.get_facecolors()[:, :3], share[:2].numpy() @ palette, atol=1e-6)
    assert not np.array_equal(first.get_paths()[0].vertices, second.get_paths()[0].vertices)


def test_all_panels_of_a_mixture_share_one_frame_that_holds_the_points():
    x = torch.tensor([[-3.0, 0.0], [5.0, 1.0]])
    far = (None, torch.tensor([[50.0, 50.0]]), torch.eye(2)[None])
    figure = plots.plot_mixtures(x, {"points": (None, None, None), "far away": far})
    assert [axis.get_title() for axis in figure.axes] == ["points", "far away"]
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim() == pytest.approx((-3.48, 5.48))
    assert figure.axes[0].get_aspect() == 1.0


def test_an_ellipse_among_the_points_is_drawn_whole():
    x = torch.tensor([[-3.0, 0.0], [5.0, 1.0]])
    figure = plots.plot_mixtures(x, {"": (None, torch.tensor([[4.0, 0.5]]), 4.0 * torch.eye(2)[None])})
    (low, high), (bottom, top) = figure.axes[0].get_xlim(), figure.axes[0].get_ylim()
    assert low < -3 < 8 < high
    assert bottom < -3.5 < 4.5 < top


def test_the_bounds_of_em_touch_their_curve_and_the_arrows_lead_to_their_tops():
    theta = torch.linspace(-2, 2, 401)
    curve = -theta.square() / 4
    bound = curve - (theta - 1).square() / 2  # touches at 1, is largest at 2/3
    figure = plots.plot_em_ascent(theta, curve, [(1.0, bound)], xlabel="a mean")
    axis = figure.axes[0]
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [(float(d.get_xdata()[0]), float(d.get_ydata()[0])) for d in dots] == [(1.0, pytest.approx(-0.25))]
    arrow = axis.texts[0]
    assert arrow.xy[0] == pytest.approx(2 / 3, abs=0.01)
    assert arrow.xy[1] == pytest.approx(float(bound.max()), abs=1e-6)
    assert axis.get_xlabel() == "a mean"
    low, high = axis.get_ylim()
    assert low <= float(curve.min()) < float(curve.max()) <= high  # the curve decides, not the bounds that plunge


def test_runs_of_em_name_the_best_and_the_worst():
    runs = torch.tensor([[-9.0, -4.0, -3.0], [-9.0, -5.0, -5.0], [-9.0, -4.0, -3.5]])
    axis = plots.plot_em_runs(runs, {"the truth": -2.9}).axes[0]
    named = {line.get_label(): line.get_ydata() for line in axis.lines if not line.get_label().startswith("_")}
    np.testing.assert_allclose(named["best of 3 starts"], runs[0])
    np.testing.assert_allclose(named["worst of 3 starts"], runs[1])
    assert [text.get_text() for text in axis.texts] == ["the truth"]
    assert axis.get_ylim()[0] > -12


def test_codes_are_drawn_by_label_with_random_ones_and_an_uncertainty():
    torch.manual_seed(0)
    codes, labels = torch.randn(30, 2), torch.arange(30) % 3
    figure = plots.plot_codes(codes, labels, random=torch.randn(5, 2), covariance=turned(0.4, 0.2, 60), title="codes")
    axis = figure.axes[0]
    legend = [text.get_text() for text in axis.get_legend().get_texts()]
    assert legend == ["random codes", "0", "1", "2"]
    for k, drawn in enumerate(axis.collections[1:]):
        np.testing.assert_allclose(drawn.get_offsets(), codes[labels == k], rtol=1e-6)
    assert [tuple(outline.center) for outline in ellipses(axis)] == [tuple(codes[k].tolist()) for k in range(3)]
    assert len(plots.picture(figure)) < 60_000
