"""FlowMorph without a browser: the grid is the flow's own states, areas and densities are those of calculus."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from plane_flows import Turn, Waves
from traitlets import TraitError

from dgmcourse.core import Space
from dgmcourse.explorers import FlowMorph
from dgmcourse.explorers.drawing import Plane, square_ranges
from dgmcourse.explorers.flow_grid import FlowGrid
from dgmcourse.models import VAE, AutoregressiveFlow, ContinuousFlow, CouplingFlow, SplineFlow

DATA = torch.randn(500, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.5, 0.5]) + 1


def ask(morph, kind, handle, x, y):
    """What the browser sends when the point is dragged ("move") or a key pressed ("step")."""
    content = {"kind": kind, "id": "view:1", "handle": handle, "x": x, "y": y}
    morph._pad._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})


def shown(morph):
    return np.asarray(Image.open(io.BytesIO(morph._pad.png)).convert("RGB")).astype(int)


@pytest.fixture
def morph():
    return FlowMorph(Waves(), DATA)


# --- the grid and the points -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flow", [Turn(), Waves()])
def test_the_lattice_in_every_state_is_the_flows_own(flow):
    grid = FlowGrid(flow, cells=8, extent=2.5, points=50, seed=3)
    x, y = np.meshgrid(*grid.lines)
    assert grid.lines[0][[0, -1]].tolist() == [-2.5, 2.5]
    states = list(flow.states(torch.as_tensor(np.stack([x, y], -1).reshape(-1, 2), dtype=torch.float32)))
    assert grid.layers == len(states) - 1
    for k, state in enumerate(states):
        np.testing.assert_allclose(grid.lattice(k).reshape(-1, 2), state.numpy(), atol=1e-6)
    noise = torch.randn(200, 2, generator=torch.Generator().manual_seed(3))[:50]
    for k, state in enumerate(flow.states(noise)):
        np.testing.assert_allclose(grid.cloud(k), state.numpy(), atol=1e-6)


@pytest.mark.parametrize("flow", [Turn(), Waves()])
def test_the_way_back_begins_with_a_regular_grid_of_data_and_ends_in_its_noise(flow):
    grid = FlowGrid(flow, "encode", DATA, cells=8, points=60)
    x, y = np.meshgrid(*grid.lines)
    np.testing.assert_allclose(grid.lattice(0), np.stack([x, y], -1), atol=2e-5)
    np.testing.assert_allclose(grid.cloud(0), DATA[:60].numpy(), atol=2e-5)
    np.testing.assert_allclose(grid.cloud(grid.layers), flow.encode(DATA[:60]).numpy(), atol=2e-5)
    z = flow.encode(torch.as_tensor(grid.lattice(0).reshape(-1, 2), dtype=torch.float32))
    np.testing.assert_allclose(grid.lattice(grid.layers).reshape(-1, 2), z.numpy(), atol=2e-5)
    inside = ((DATA.numpy() > [x.min(), y.min()]) & (DATA.numpy() < [x.max(), y.max()])).all(1)
    assert inside.mean() > 0.97


def test_between_two_states_everything_moves_on_straight_lines():
    grid = FlowGrid(Waves(), cells=4, points=20)
    for place, part in ((1.25, 0.25), (3.5, 0.5)):
        k = int(place)
        np.testing.assert_allclose(grid.lattice(place), (1 - part) * grid.lattice(k) + part * grid.lattice(k + 1))
        np.testing.assert_allclose(grid.cloud(place), (1 - part) * grid.cloud(k) + part * grid.cloud(k + 1))


def test_couplings_stay_one_to_one_between_states():
    grid = FlowGrid(Waves(), cells=16)
    for place in np.linspace(0, 4, 33):
        x, y = grid.outlines(place)[..., 0], grid.outlines(place)[..., 1]
        signed = 0.5 * (x * np.roll(y, -1, -1) - np.roll(x, -1, -1) * y).sum(-1)
        assert (signed > 0).all()


# --- areas and densities -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["generate", "encode"])
def test_a_linear_map_stretches_every_cell_by_its_determinant(direction):
    grid = FlowGrid(Turn((2.0, 0.25)), direction, DATA, cells=10)
    sign = 1 if direction == "generate" else -1
    np.testing.assert_allclose(grid.log_det(2), sign * math.log(0.5), atol=1e-4)
    np.testing.assert_allclose(grid.log_det(1), math.log(0.5) if sign == 1 else 0.0, atol=1e-4)
    np.testing.assert_allclose(grid.log_det(0), 0, atol=1e-12)


def test_areas_are_the_integral_of_the_determinant():
    grid, middle = FlowGrid(Waves(), cells=40, extent=2.0), np.linspace(-2, 2, 400, endpoint=False) + 0.005
    z = torch.as_tensor(np.stack(np.meshgrid(middle, middle), -1).reshape(-1, 2))
    for k, log_det in enumerate(Waves().log_dets(z)):
        assert grid.areas(k).sum() == pytest.approx(float(log_det.exp().sum()) * 0.01**2, rel=2e-3)


def test_small_cells_grow_by_the_flows_own_log_determinant():
    errors = []
    for cells in (20, 40):
        grid = FlowGrid(Waves(), cells=cells, extent=1.0)
        centers = (grid.lines[0][::4][1:] + grid.lines[0][::4][:-1]) / 2
        z = torch.as_tensor(np.stack(np.meshgrid(centers, centers), -1).reshape(-1, 2))
        errors.append([np.abs(grid.log_det(k).ravel() - log_det.numpy()).mean()
                       for k, log_det in enumerate(Waves().log_dets(z))])  # fmt: skip
    assert max(errors[1]) < 0.006
    for coarse, fine in zip(*errors, strict=True):
        assert fine <= coarse / 3.2 + 1e-6  # of second order


@pytest.mark.parametrize("direction", ["generate", "encode"])
def test_density_times_area_is_each_cells_probability_at_every_place(direction):
    grid = FlowGrid(Waves(), direction, DATA)
    for place in (0, 1.5, 4):
        np.testing.assert_allclose(grid.density(place) * grid.areas(place), grid.mass)


def test_a_grid_of_noise_holds_the_probability_of_its_square():
    assert FlowGrid(Waves(), extent=2.0).mass.sum() == pytest.approx(math.erf(2 / math.sqrt(2)) ** 2, abs=1e-6)


def test_a_grid_of_data_holds_the_models_own_density():
    errors = []
    for cells in (30, 60):
        grid = FlowGrid(Waves(), "encode", DATA, cells=cells)
        edges = [np.linspace(line[0], line[-1], 301) for line in grid.lines]
        fine = [(edge[1:] + edge[:-1]) / 2 for edge in edges]
        x = torch.as_tensor(np.stack(np.meshgrid(*fine), -1).reshape(-1, 2))
        share = 300 // cells
        exact = Waves().log_density(x).exp().numpy().reshape(cells, share, cells, share).mean((1, 3))
        errors.append(np.abs(grid.density(0) - exact).mean() / exact.max())
        assert grid.mass.sum() == pytest.approx(float((exact * grid.areas(0)).sum()), abs=0.015 * (30 / cells) ** 2)
    assert errors[0] < 0.005
    assert errors[1] < errors[0] / 3  # of second order


@pytest.mark.parametrize("direction", ["generate", "encode"])
def test_the_account_of_a_point_is_the_change_of_variables(direction):
    flow = Waves()
    grid = FlowGrid(flow, direction, DATA)
    start = (0.7, -0.4) if direction == "generate" else (1.2, 0.6)
    followed = grid.follow(start)
    first, last = followed.at(0), followed.at(4)
    np.testing.assert_allclose(first.at, start, atol=1e-5)
    z, x = (first.at, last.at) if direction == "generate" else (last.at, first.at)
    density = {"z": -0.5 * float((z**2).sum()) - math.log(2 * math.pi),
               "x": float(flow.log_density(torch.as_tensor(x)[None]))}  # fmt: skip
    begin, end = ("z", "x") if direction == "generate" else ("x", "z")
    assert first.log_det == pytest.approx(0, abs=1e-3)
    assert first.log_density == pytest.approx(density[begin], abs=2e-3)
    assert last.log_density == pytest.approx(density[end], abs=2e-3)
    jacobian = torch.autograd.functional.jacobian(
        (lambda z: list(flow.states(z[None]))[-1][0])
        if direction == "generate"
        else (lambda x: flow.encode(x[None])[0]),
        torch.tensor(start, dtype=torch.float64),
    )
    np.testing.assert_allclose(last.jacobian, jacobian.numpy(), atol=2e-3)


def test_the_start_of_a_point_seen_somewhere_is_found():
    grid = FlowGrid(Waves())
    rng = np.random.default_rng(0)
    for place in (0, 1.3, 4):
        for start in rng.uniform(-2.5, 2.5, (10, 2)):
            at = FlowGrid._between(grid.path(start[None]), place)[0]
            found = FlowGrid._between(grid.path(np.array(grid.start_of(place, at))[None]), place)[0]
            assert np.abs(found - at).max() < 0.05  # less than two image pixels of the picture


@pytest.mark.parametrize("make", [CouplingFlow, AutoregressiveFlow, SplineFlow, ContinuousFlow])
@pytest.mark.parametrize("direction", ["generate", "encode"])
def test_the_courses_own_flows_have_the_density_that_the_account_tells(make, direction):
    torch.manual_seed(0)
    flow = make(Space.real(2))
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    grid = FlowGrid(flow.double(), direction, DATA, cells=4)
    for start in ((0.3, 0.9), (-1.1, 0.4)):
        followed = grid.follow(start)
        x = followed.at(grid.layers if direction == "generate" else 0)
        expected = float(flow.log_density(torch.as_tensor(x.at)[None]).detach())
        assert x.log_density == pytest.approx(expected, abs=5e-3)
        z = followed.at(0 if direction == "generate" else grid.layers)
        assert z.log_density == pytest.approx(-0.5 * float((z.at**2).sum()) - math.log(2 * math.pi), abs=5e-3)


def test_a_conditional_flow_takes_its_label_and_its_layers_have_names():
    torch.manual_seed(0)
    flow = CouplingFlow(Space.real(2), layers=3, classes=2)
    morph = FlowMorph(flow, label=1)
    names = [type(layer).__name__ for layer in flow.layers]
    assert morph.grid.names == ["", *names[::-1]]
    z = torch.tensor([[0.5, -0.2]])
    with torch.no_grad():
        expected = flow.decode(z, torch.tensor([1])).numpy()
    np.testing.assert_allclose(morph.grid.path(z.numpy())[-1], expected, atol=1e-5)
    morph.place = 1.0
    assert morph._where() == f"state 1 of {len(names)}, made by {names[-1]}"


# --- what can be moved -------------------------------------------------------------------------------------------------


def test_the_slider_and_the_place_move_each_other(morph):
    assert morph.playback.slider.max == 4 * morph.steps
    morph.playback.slider.value = 3 * morph.steps // 2
    assert morph.place == 1.5
    morph.place = 4.0
    assert morph.playback.slider.value == 4 * morph.steps
    assert morph._place.value == "data: state 4 of 4"
    with pytest.raises(TraitError, match=r"place must lie in 0 … 4"):
        morph.place = 4.5


def test_a_picture_is_drawn_once_for_each_place_and_anew_when_the_colors_change(morph):
    first = morph._pad.png
    morph.place = 2.0
    second = morph._pad.png
    morph.place = 0.0
    assert morph._pad.png is first
    morph.shading = "area"
    assert morph._pad.png != first
    morph.shading = "origin"
    morph.place = 2.0
    assert morph._pad.png == second
    morph.show_points = False
    assert morph._pad.png != second


def test_dragging_and_keys_choose_the_point_where_it_is_seen(morph):
    morph.place = 3.0
    ask(morph, "move", 0, 0.5, 0.5)
    middle = [sum(bounds) / 2 for bounds in (morph._plane.x_range, morph._plane.y_range)]
    np.testing.assert_allclose(morph.account.at, middle, atol=0.05)
    handle = morph._pad.handles[0]
    assert handle["x"] == pytest.approx(0.5, abs=0.01)
    assert "log density" in handle["text"]
    before = morph.account.at
    ask(morph, "step", 0, 2, 0)
    width = np.ptp(morph._plane.x_range)
    np.testing.assert_allclose(morph.account.at - before, [0.02 * width, 0], atol=0.02)
    ask(morph, "move", 1, 0.5, 0.5)
    assert "no point 1" in morph.error
    ask(morph, "move", 0, 0.5, 0.5)
    assert morph.error == ""


def test_turning_round_keeps_the_point_and_mirrors_the_place(morph):
    morph.place = 1.0
    at_end = morph._followed.path[-1, 0]
    morph.direction = "encode"
    assert morph.error == ""
    assert morph.place == 3.0
    np.testing.assert_allclose(morph.probe, at_end, atol=1e-6)
    np.testing.assert_allclose(morph._followed.path[-1, 0], (1.0, 1.0), atol=1e-3)
    assert "data to noise" in morph.alt
    low, high = morph._plane.x_range
    assert low < -3
    assert high > 3


def test_a_label_bends_the_grid_its_own_way():
    morph = FlowMorph(Turn(classes=3), label=1)
    assert list(morph._choices["label"].options) == [0, 1, 2]
    morph.place = 2.0
    before = morph.account.at
    morph._choices["label"].value = 2
    assert morph.error == ""
    np.testing.assert_allclose(morph.account.at - before, [1, 0], atol=1e-5)
    with pytest.raises(TraitError, match="label must lie in 0 … 2"):
        morph.label = 3


def test_a_flow_that_has_learned_meanwhile_is_drawn_anew():
    flow = Turn()
    morph = FlowMorph(flow)
    morph.place = 1.0
    flow.scales = torch.tensor([3.0, 3.0])
    morph.refresh()
    assert morph.place == 1.0
    np.testing.assert_allclose(morph.grid.log_det(1), math.log(9), atol=1e-5)
    assert morph.account.log_det == pytest.approx(math.log(9), abs=1e-4)


# --- what is seen ------------------------------------------------------------------------------------------------------


def test_stretched_cells_are_orange_and_squeezed_ones_blue():
    for scales, orange in (((2.0, 2.0), True), ((0.5, 0.5), False)):
        morph = FlowMorph(Turn(scales), shading="area", points=0)
        morph.place = 1.0
        x, y = morph._plane.at(-0.23, -0.23)  # inside a cell, away from the lines and from P
        red, _, blue = shown(morph)[round(y), round(x)]
        assert (red > blue + 60) == orange
        assert (blue > red + 60) == (not orange)


def test_the_densest_cells_are_the_darkest():
    morph = FlowMorph(Turn((1.0, 1.0)), shading="density", points=0)
    pixels = shown(morph)
    brightness = []
    for at in (0.4, 1.3, 2.8):
        x, y = morph._plane.at(-at, at)
        brightness.append(pixels[round(y), round(x)].sum())
    assert brightness == sorted(brightness)
    assert brightness[0] < brightness[2] - 200


def test_a_flow_that_explodes_is_drawn_as_far_as_it_is_finite():
    class Exploding(Turn):
        def states(self, z, y=None):
            yield z
            yield torch.where(z[:, :1] > 1, z * float("inf"), z * 2)

    morph = FlowMorph(Exploding(), shading="area")
    morph.place = 1.0
    assert morph.error == ""
    assert len(morph._pad.png) > 1000
    with pytest.raises(ValueError, match="NaN or infinity after some layer"):
        FlowMorph(Turn((math.nan, math.nan)))


def test_the_still_picture_and_its_words_tell_the_account(morph):
    morph.place = 4.0
    assert "log density" in morph.alt
    assert "grown by factors from" in morph.alt
    picture = morph.picture()
    assert picture.width > 1200
    html = morph._repr_mimebundle_()[0]["text/html"]
    assert html.startswith("<img alt=")
    assert len(html) < 60_000
    assert "log N(z) at the start" in morph._table.value


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_what_is_no_flow_of_the_plane_is_refused_in_words():
    with pytest.raises(TypeError, match=r"FlowMorph needs a flow with states\(…\).*VAE has no states"):
        FlowMorph(VAE(Space.binary(1, 8, 8), 2))
    flow = Turn()
    flow.space = Space.real(3)
    with pytest.raises(ValueError, match=r"flows of the plane, of Space.real\(2\); this Turn is of real\(3\)"):
        FlowMorph(flow)
    with pytest.raises(ValueError, match=r"data must be two or more points, \(n, 2\), got shape \(4, 3\)"):
        FlowMorph(Turn(), torch.zeros(4, 3))
    with pytest.raises(ValueError, match="NaN"):
        FlowMorph(Turn(), torch.full((4, 2), math.nan))
    with pytest.raises(TraitError):
        FlowMorph(Turn(), shading="rainbow")
    for settings in ({"cells": 1}, {"extent": 0.0}, {"points": 5000}):
        with pytest.raises(ValueError, match="FlowMorph needs 2 … 60 cells"):
            FlowMorph(Turn(), **settings)


def test_a_flow_without_a_way_back_plays_forwards_only():
    class OneWay:
        def states(self, z, y=None):
            yield from (z, 2 * z)

    morph = FlowMorph(OneWay())
    morph.direction = "encode"
    assert "has no encode" in morph.error
    with pytest.raises(TypeError, match=r"states.* and encode"):
        FlowMorph(OneWay(), direction="encode")


def test_square_ranges_are_equally_long_and_leave_out_what_lies_far_away():
    points = np.concatenate([np.random.default_rng(0).uniform(0, 1, (1000, 2)), [[1e6, np.nan], [1e6, 0.5]]])
    (x0, x1), (y0, y1) = square_ranges([points], 0.01)
    assert x1 - x0 == pytest.approx(y1 - y0)
    assert 0.9 < x1 - x0 < 1.2
    (x0, x1), _ = square_ranges([points], 0.01, reach=3.0)
    assert x0 < -3 < 3 < x1
    assert Plane(100, None, (x0, x1), (y0, y1)).size[0] == 200
