"""Pictures of diffusion show what was handed to them: arrows of the right length, whole paths, histograms of density."""

import numpy as np
import pytest
import torch

from dgmcourse import data, plots

TRUTH = data.toy_density("eight_gaussians").noised(1 / 3, 0.0)


def test_arrows_point_where_they_were_told_and_long_ones_are_shortened():
    figure = plots.plot_scores(
        {
            "short": (TRUTH.log_prob, lambda x: torch.full_like(x, 0.1), None),
            "long": (None, lambda x: -100 * x, torch.randn(20, 2)),
        },
        extent=2.0,
    )
    short, long = figure.axes
    (quiver,) = [one for one in short.collections if hasattr(one, "U")]
    np.testing.assert_allclose(quiver.U, 0.1, rtol=1e-5)
    (quiver,) = [one for one in long.collections if hasattr(one, "U")]
    lengths = np.hypot(quiver.U, quiver.V)
    cell = 2 * 0.9 * 2.0 / 11
    assert lengths.max() == pytest.approx(0.9 * cell, rel=1e-4)
    assert (quiver.U * quiver.X <= 1e-6).all()  # towards the middle
    assert len(long.collections[0].get_offsets()) == 20
    assert not long.images
    assert short.get_xlim() == (-2, 2)


def test_a_path_is_a_line_through_all_its_states():
    states = torch.randn(11, 3, 2)
    figure = plots.plot_paths({"one": states, "other": states / 2}, TRUTH.log_prob)
    lines = figure.axes[0].lines
    assert len(lines) == 3 * 3  # the way, where it begins, where it ends
    np.testing.assert_allclose(lines[0].get_xydata(), states[:, 0].numpy())
    np.testing.assert_allclose(lines[1].get_xydata()[0], states[0, 0].numpy())
    np.testing.assert_allclose(lines[2].get_xydata()[0], states[-1, 0].numpy())


def test_histograms_have_unit_area_and_the_densities_stand_beside_them():
    normal = torch.distributions.Normal(0.0, 1.0).log_prob
    figure = plots.plot_guided({"w = 0": (torch.randn(1000), {"one": normal, "two": lambda x: normal(x / 2)})}, -5, 5)
    (axis,) = figure.axes
    assert sum(bar.get_height() * bar.get_width() for bar in axis.patches) == pytest.approx(1, abs=1e-6)
    assert [line.get_label() for line in axis.lines] == ["one", "two"]
    assert float(axis.lines[0].get_ydata().max()) == pytest.approx(0.3989, abs=1e-3)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["samples", "one", "two"]
