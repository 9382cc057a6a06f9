"""The picture of effect sizes shows every number, and marks those that say nothing."""

import torch

from dgmcourse import plots


def test_every_effect_is_written_and_small_ones_are_grey():
    effects = torch.tensor([[0.4, -3.14, 22.6], [float("inf"), 1.2, -0.96]])
    figure = plots.plot_effects(["blur", "noise"], ["a", "b", "c"], effects)
    (axis,) = figure.axes
    texts = {(round(t.get_position()[0]), round(t.get_position()[1])): t for t in axis.texts}
    assert [texts[j, 0].get_text() for j in range(3)] == ["+0.4", "−3.1", "+23"]
    assert [texts[j, 1].get_text() for j in range(3)] == ["+∞", "+1.2", "−1.0"]
    assert texts[0, 0].get_color() == texts[2, 1].get_color() == "#666666"
    assert texts[1, 0].get_color() in ("black", "white")
    assert [label.get_text() for label in axis.get_yticklabels()] == ["blur", "noise"]
