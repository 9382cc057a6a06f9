"""How fast the explorers are: moves a second on the Python side, and milliseconds from hand to eye in the browser.

    python benchmarks/explorers.py [--no-browser]

Models have the size of the course's MNIST ones (28×28, two hidden layers of 512); weights are random, which costs the
same. A server's websocket without TCP_NODELAY is measured too, to show what `dgmcourse.server` is for.
"""

import argparse
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "browser"))
from harness import chromium, find_browser, jupyterlab, open_and_run

from dgmcourse.core import Kind, Space
from dgmcourse.data import text, toy_density
from dgmcourse.evaluation import Estimate, Report, Scoreboard
from dgmcourse.explorers import (
    DenoisingPlayer,
    EMStepper,
    EnergyLandscape,
    FilterWall,
    FitByHand,
    FlowMorph,
    GanGame,
    InterpolationStrip,
    LatentPad,
    LatentSliders,
    LatentWalk,
    ModelDial,
    NextToken,
    Noising,
    ScoreboardExplorer,
    TrajectoryPlayer,
)
from dgmcourse.models import GAN, MADE, RBM, VAE, ContinuousFlow, Diffusion, EnergyModel, SplineFlow, Transformer

SPACE = Space.binary(1, 28, 28)
SETUP = """import torch
from dgmcourse.core import Space
from dgmcourse.explorers import LatentPad
from dgmcourse.models import VAE
space = Space.binary(1, 28, 28)"""
FIT = "from dgmcourse.explorers import FitByHand; FitByHand()"
PAD = """LatentPad(VAE(space, latents=2, hidden=(512, 512)), points=torch.randn(1000, 2), labels=torch.arange(1000) % 10)"""


def median_seconds(move: Callable[[int], None], times: int = 40) -> float:
    """Median CPU time of move(0), move(1), …, after three to warm up; what else the machine does counts less so."""
    seconds = []
    for i in range(times + 3):
        start = time.process_time()
        move(i)
        seconds.append(time.process_time() - start)
    return statistics.median(seconds[3:])


def server_side() -> list[tuple[str, float]]:
    """(what is moved, median CPU seconds a move), with the new picture encoded and handed to the widget."""
    x = (torch.rand(200, 1, 28, 28) > 0.8).float()
    flat, deep = VAE(SPACE, 2, hidden=(512, 512)), VAE(SPACE, 8, hidden=(512, 512))
    pad = LatentPad(flat, x, torch.arange(200) % 10)
    sliders, strip = LatentSliders(deep, x), InterpolationStrip(deep, x)
    cloud = torch.randn(60, 1000, 2).cumsum(0)
    images = TrajectoryPlayer(torch.rand(60, 36, 1, 28, 28), size=400)
    points, shapes = TrajectoryPlayer(cloud), TrajectoryPlayer(torch.randn(60, 8, 200))
    for player in (images, points, shapes):
        player._repr_mimebundle_()
    dial = ModelDial({k: VAE(SPACE, 8, hidden=(512, 512)) for k in range(50)}, x)
    return [
        ("LatentPad, drag", median_seconds(lambda i: setattr(pad, "position", (math.sin(i), math.cos(i))))),
        (
            "LatentSliders, 8 latents, one slider",
            median_seconds(lambda i: setattr(sliders.sliders[0], "value", i / 20)),
        ),
        ("LatentSliders, new sample", median_seconds(lambda i: sliders.new_sample())),
        ("InterpolationStrip, along", median_seconds(lambda i: setattr(strip.place, "value", (i + 1) / 50))),
        ("InterpolationStrip, other example", median_seconds(lambda i: setattr(strip.second, "value", i + 2))),
        ("TrajectoryPlayer, 36 images", median_seconds(lambda i: setattr(images.frame, "value", i + 1))),
        ("TrajectoryPlayer, 1000 points", median_seconds(lambda i: setattr(points.frame, "value", i + 1))),
        ("TrajectoryPlayer, 8 lines", median_seconds(lambda i: setattr(shapes.frame, "value", i + 1))),
        ("ModelDial, model seen first", median_seconds(lambda i: setattr(dial.dial, "value", i + 1))),
        ("ModelDial, model seen before", median_seconds(lambda i: setattr(dial.dial, "value", i % 40))),
        *introduction(),
        *boltzmann_and_gan(),
        *flows_and_text(),
        *diffusion_and_energy(),
        *evaluation(),
    ]


def introduction() -> list[tuple[str, float]]:
    """The explorers of lessons 01 and 02, likewise."""
    fit, compared = FitByHand(), FitByHand()
    compared.show_best("em")
    few, many = (EMStepper(toy_density("pinwheel").sample(n), k) for n, k in ((600, 5), (5000, 8)))
    return [
        ("FitByHand, drag", median_seconds(lambda i: fit._respond("move", 0, 0.2 + i / 100, 0.5))),
        (
            "FitByHand, drag, fit by EM beside",
            median_seconds(lambda i: compared._respond("move", 0, 0.2 + i / 100, 0.5)),
        ),
        ("EMStepper, half step, 600 points, K = 5", median_seconds(lambda i: few.half_step())),
        ("EMStepper, half step, 5000 points, K = 8", median_seconds(lambda i: many.half_step())),
        (
            "EMStepper, drag of a mean, 600 points",
            median_seconds(lambda i: few._respond("move", 0, 0.2 + i / 100, 0.5)),
        ),
    ]


def boltzmann_and_gan() -> list[tuple[str, float]]:
    """The explorers of lessons 03 and 05, likewise."""
    x = (torch.rand(1000, 1, 28, 28) > 0.8).float()
    small = FilterWall(RBM(Space.binary(1, 8, 8), 64), x[..., :8, :8].contiguous())
    large = FilterWall(RBM(SPACE, 500), x)
    game, walk = GanGame(), LatentWalk(GAN(Space.grey(1, 28, 28, levels=256), 16, hidden=(512, 512)))
    return [
        ("FilterWall, 64 units of 8×8, choose a unit", median_seconds(lambda i: setattr(small, "unit", i))),
        ("FilterWall, 500 units of 28×28, choose", median_seconds(lambda i: setattr(large, "unit", i))),
        ("FilterWall, 500 units, switch off", median_seconds(lambda i: large.switch_unit(i, False))),
        ("GanGame, one step of the critic", median_seconds(lambda i: game.step("critic"))),
        ("GanGame, one step of the generator", median_seconds(lambda i: game.step("generator"))),
        ("GanGame, playing, five steps of both", median_seconds(lambda i: game._play_on())),
        ("LatentWalk, along", median_seconds(lambda i: setattr(walk.place, "value", i + 1))),
        ("LatentWalk, new path", median_seconds(lambda i: walk.new_path())),
    ]


def flows_and_text() -> list[tuple[str, float]]:
    """The explorers of lessons 06 and 07, likewise."""
    plane, data = Space.real(2), toy_density("pinwheel").sample(2000)
    morph, smooth = FlowMorph(SplineFlow(plane), data), FlowMorph(ContinuousFlow(plane), data)
    bare = FlowMorph(SplineFlow(plane), data, shading="none")
    prose = text("course")
    writer = NextToken(Transformer(prose.space), prose, "The model ")
    x, top = (torch.rand(1, 1, 28, 28) > 0.8).float(), torch.zeros(1, 28, 28, dtype=torch.bool)
    top[:, :14] = True
    player = TrajectoryPlayer(MADE(SPACE, hidden=(64,)), n=16, given=(x, top))
    player._repr_mimebundle_()
    last = morph.grid.layers
    return [
        ("FlowMorph, a place seen first", median_seconds(lambda i: setattr(morph, "place", last * (i + 1) / 50))),
        ("FlowMorph, a place seen before", median_seconds(lambda i: setattr(morph, "place", last * (i % 40 + 1) / 50))),
        ("FlowMorph, lines alone", median_seconds(lambda i: setattr(bare, "place", last * (i + 1) / 50))),
        ("FlowMorph, drag of the point", median_seconds(lambda i: morph._respond("step", 0, 1, (-1) ** i))),
        ("FlowMorph, continuous, drag", median_seconds(lambda i: smooth._respond("step", 0, 1, (-1) ** i))),
        ("NextToken, a dial", median_seconds(lambda i: setattr(writer, "temperature", 0.5 + i / 50))),
        ("NextToken, sample one", median_seconds(lambda i: writer.sample(1))),
        ("NextToken, sample 40", median_seconds(lambda i: writer.sample(40), 20)),
        ("TrajectoryPlayer, 16 completions of 28×28", median_seconds(lambda i: setattr(player.frame, "value", i + 1))),
    ]


def diffusion_and_energy() -> list[tuple[str, float]]:
    """The explorers of lessons 08 and 09, likewise."""
    plane = Space.real(2)
    known, bare = Noising(toy_density("eight_gaussians")), Noising(toy_density("pinwheel"), "straight")
    images = Noising((torch.rand(1000, 1, 28, 28) > 0.8).float())
    player = DenoisingPlayer(Diffusion(plane), 300, steps=10)
    player._repr_mimebundle_()
    walks, learned = EnergyLandscape(toy_density("eight_gaussians")), EnergyLandscape(EnergyModel(plane))
    for landscape in (walks, learned):
        landscape.scatter(200)
    steps = player.dials["steps"]
    return [
        ("Noising, exact density, along", median_seconds(lambda i: setattr(known, "t", (i + 1) / 50))),
        ("Noising, density of 300 points, along", median_seconds(lambda i: setattr(bare, "t", (i + 1) / 50))),
        ("Noising, 16 of 1000 images of 28×28, along", median_seconds(lambda i: setattr(images, "t", (i + 1) / 50))),
        (
            "DenoisingPlayer, 300 points, 5 or 10 steps",
            median_seconds(lambda i: setattr(steps, "value", (5, 10)[i % 2])),
        ),
        ("DenoisingPlayer, 300 points, along", median_seconds(lambda i: setattr(player.frame, "value", i % 6))),
        ("EnergyLandscape, drag of the cross", median_seconds(lambda i: walks._respond("move", 0, i / 50, 0.5))),
        ("EnergyLandscape, 200 particles, five steps", median_seconds(lambda i: walks._play_on())),
        ("EnergyLandscape, a network's energy, five steps", median_seconds(lambda i: learned._play_on())),
    ]


def evaluation() -> list[tuple[str, float]]:
    """The explorer of lesson 10, likewise: 18 models in ten quantities."""
    names = (
        "log p(x)",
        "Fréchet",
        "kernel",
        "precision",
        "recall",
        "density",
        "coverage",
        "recognized",
        "probe",
        "ms/sample",
    )
    kinds = (Kind.EXACT, Kind.LOWER_BOUND, Kind.ESTIMATE)
    values = torch.rand(18, len(names)).tolist()
    reports = {}
    for i, row in enumerate(values):
        numbers = {name: Estimate(v, 0.05, kinds[i % 3] if name == "log p(x)" else None, 497, "")
                   for name, v in zip(names, row, strict=True)}  # fmt: skip
        reports[f"model number {i}"] = [Report(f"model number {i}", "digits", numbers)]
    samples = {model: (torch.rand(20, 1, 8, 8) > 0.5).float() for model in reports}
    board = ScoreboardExplorer(Scoreboard(reports, {}), samples)
    models = list(reports)
    return [
        (
            "ScoreboardExplorer, 18 models, another model",
            median_seconds(lambda i: setattr(board, "first", models[i % 18])),
        ),
        (
            "ScoreboardExplorer, drag of a ring",
            median_seconds(lambda i: board._respond("move", 1, i % 20 / 20, i % 7 / 7)),
        ),
        ("ScoreboardExplorer, another quantity", median_seconds(lambda i: setattr(board, "against", names[i % 10]))),
        ("ScoreboardExplorer, ranked by another", median_seconds(lambda i: setattr(board, "rank", names[i % 10]))),
    ]


def drag(page, handle: str, explorer: str, moves: int = 300) -> list[float]:
    """Drag in circles at about 120 events a second; milliseconds from each event to its picture.

    Args:
        handle: what to take hold of, a CSS selector; it is held in its middle.
        explorer: the element that notes the milliseconds, a CSS selector.
    """
    held = page.locator(handle).first
    held.scroll_into_view_if_needed()
    box = held.bounding_box()
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, 80
    page.mouse.move(x, y)
    page.mouse.down()
    for i in range(moves):
        page.mouse.move(x + r * math.sin(i / 30), y + r * (math.cos(i / 30) - 1))
        page.wait_for_timeout(8)
    page.mouse.up()
    page.wait_for_timeout(500)
    return page.evaluate(f"() => document.querySelector('{explorer}').roundTrips")


def in_browser(cells: list[str], handle: str, explorer: str, prompt: bool = True) -> list[float]:
    """Round trips of a drag in JupyterLab, in milliseconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder) / "lab", prompt=prompt) as server,
        chromium(find_browser(), Path(folder) / "profile") as browser,
    ):
        page = open_and_run(browser, server, server.write("drag.ipynb", cells), handle)
        page.wait_for_timeout(1000)  # until the first picture is drawn
        return drag(page, handle, explorer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-browser", action="store_true", help="only the Python side")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    print(f"{'Python side':44} {'CPU ms a move':>13} {'moves a second':>15}")
    for name, seconds in server_side():
        print(f"{name:44} {1000 * seconds:13.2f} {1 / seconds:15.0f}")
    if arguments.no_browser or find_browser() is None:
        return
    print(f"\n{'In the browser, hand to eye':40} {'median ms':>10} {'90 %':>10} {'answers':>10}")
    pad = ([SETUP, PAD], ".dgm-pad-plane", ".dgm-pad")
    runs = [("LatentPad", pad, True), ("LatentPad, without TCP_NODELAY", pad, False),
            ("FitByHand", ([FIT], ".dgm-handle", ".dgm-handled"), True)]  # fmt: skip
    for name, what, prompt in runs:
        found = sorted(in_browser(*what, prompt))
        print(f"{name:40} {statistics.median(found):10.1f} {found[int(0.9 * len(found))]:10.1f} {len(found):10}")


if __name__ == "__main__":
    main()
