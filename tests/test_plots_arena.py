"""The arena's pictures show every model once, where it belongs, and its name beside it."""

import numpy as np
import torch

from dgmcourse import plots
from dgmcourse.plots import Contender
from dgmcourse.plots.arena import _front, _gap, _overlap

MODELS = [
    Contender("quick and bad", 0.01, 300.0, -25.0, "="),
    Contender("slow and good", 10.0, 20.0, -17.0, "≥"),
    Contender("slow and bad", 20.0, 310.0, -30.0, "≈"),
    Contender("silent", 0.1, 100.0, None, ""),
]


def points(axis):
    """Name -> place, of what is no front: a front has no label of its own."""
    named = (line for line in axis.lines if not line.get_label().startswith("_"))
    return {line.get_label(): tuple(float(v[0]) for v in line.get_data()) for line in named}


def test_models_stand_at_their_time_and_likelihood_and_a_line_joins_those_that_none_beats():
    left, right = plots.plot_pareto(MODELS, floor=15.0).axes
    assert points(left) == {m.name: (m.time, m.quality) for m in MODELS}
    assert points(right) == {m.name: (-m.log_prob, m.quality) for m in MODELS if m.log_prob is not None}
    front = next(line for line in left.lines if len(line.get_xdata()) > 2)
    np.testing.assert_allclose(front.get_ydata(), [300.0, 100.0, 20.0])
    assert any(set(line.get_ydata()) == {15.0} for line in left.lines)
    assert {text.get_text() for text in left.texts} >= {m.name for m in MODELS}


def test_where_nobody_scores_or_nobody_is_the_picture_is_empty():
    silent = MODELS[-1:]
    left, right = plots.plot_pareto(silent).axes
    assert list(points(left)) == ["silent"]
    assert not points(right)
    assert not any(points(axis) for axis in plots.plot_pareto([], floor=15.0).axes)


def test_arrows_point_from_bounds_alone_to_where_the_truth_may_lie():
    figure = plots.plot_pareto(MODELS)
    figure.draw_without_rendering()
    left, right = ([t for t in axis.texts if not t.get_text() and t.arrow_patch] for axis in figure.axes)
    assert not left
    assert [t.xy for t in right] == [(17.0, 20.0)]
    assert right[0].xyann[0] < 0  # to the left: a smaller −log p


def test_only_what_nobody_beats_is_on_the_front():
    assert _front([(1, 5), (2, 6), (3, 1), (0, 9)]) == [(0, 9), (1, 5), (3, 1)]
    assert _front([(2, 5), (1, 5), (1, 7), (3, 4)]) == [(1, 5), (3, 4)]  # as good, but slower: beaten


def test_names_of_neighbors_do_not_cover_each_other():
    crowd = [Contender(f"model number {i}", 1.0 + 0.01 * i, 100.0 + i, -20.0, "=") for i in range(4)]
    figure = plots.plot_pareto(crowd)
    figure.draw_without_rendering()
    boxes = [t.get_window_extent().extents for t in figure.axes[0].texts if t.get_text().startswith("model")]
    assert len(boxes) == 4
    for i, one in enumerate(boxes):
        for other in boxes[:i]:
            assert _overlap(one, other) < 0.25 * (one[2] - one[0]) * (one[3] - one[1])


def test_clouds_have_a_row_for_the_truth_and_each_model():
    clouds = {"moons": torch.zeros(10, 2)}
    figure = plots.plot_clouds({"flow": clouds, "silent": {}}, clouds, {("flow", "moons"): "0.10"})
    truth, flow, _ = figure.axes
    assert [axis.get_ylabel() for axis in figure.axes] == ["the truth", "flow", "silent"]
    assert [len(axis.lines) for axis in figure.axes] == [1, 1, 0]
    assert [text.get_text() for text in flow.texts] == ["0.10"]
    assert truth.get_title() == "moons"


def test_a_name_that_stands_nearer_to_another_point_than_to_its_own_is_joined_to_its_own():
    ring = [Contender(f"{i}", 10 ** (0.02 * i), 100.0 + 3 * (i % 3), -20.0, "=") for i in range(9)]
    figure = plots.plot_pareto([*ring, Contender("alone", 1000.0, 20.0, -30.0, "=")])
    figure.draw_without_rendering()
    names = {text.get_text(): text for text in figure.axes[0].texts}
    assert names["alone"].arrow_patch is None
    crowded = [names[one.name] for one in ring]
    assert any(text.arrow_patch is not None for text in crowded)
    places = figure.axes[0].transData.transform([(one.time, one.quality) for one in ring])
    for text, own in zip(crowded, places, strict=True):
        box = text.get_window_extent().extents
        near = min(_gap(box, place) for place in places)
        assert text.arrow_patch is not None or _gap(box, own) <= near + 3 * figure.dpi / 72
