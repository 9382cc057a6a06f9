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

from dgmcourse.core import Space
from dgmcourse.explorers import InterpolationStrip, LatentPad, LatentSliders, ModelDial, TrajectoryPlayer
from dgmcourse.models import VAE

SPACE = Space.binary(1, 28, 28)
SETUP = """import torch
from dgmcourse.core import Space
from dgmcourse.explorers import LatentPad
from dgmcourse.models import VAE
space = Space.binary(1, 28, 28)"""
PAD = """LatentPad(VAE(space, latents=2, hidden=(512, 512)), points=torch.randn(1000, 2), labels=torch.arange(1000) % 10)"""


def median_seconds(move: Callable[[int], None], times: int = 40) -> float:
    """Median duration of move(0), move(1), …, after three to warm up."""
    seconds = []
    for i in range(times + 3):
        start = time.perf_counter()
        move(i)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[3:])


def server_side() -> list[tuple[str, float]]:
    """(what is moved, median seconds a move), with the new picture encoded and handed to the widget."""
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
    ]


def drag(page, moves: int = 300) -> list[float]:
    """Drag the pad in circles at about 120 events a second; milliseconds from each event to its image."""
    plane = page.locator(".dgm-pad-plane").first
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    x, y, r = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, box["width"] / 3
    page.mouse.move(x + r, y)
    page.mouse.down()
    for i in range(moves):
        page.mouse.move(x + r * math.cos(i / 30), y + r * math.sin(i / 30))
        page.wait_for_timeout(8)
    page.mouse.up()
    page.wait_for_timeout(500)
    return page.evaluate("() => document.querySelector('.dgm-pad').roundTrips")


def in_browser(prompt: bool) -> list[float]:
    """Round trips of a drag in JupyterLab, in milliseconds."""
    with (
        tempfile.TemporaryDirectory() as folder,
        jupyterlab(Path(folder) / "lab", prompt=prompt) as server,
        chromium(find_browser(), Path(folder) / "profile") as browser,
    ):
        page = open_and_run(browser, server, server.write("pad.ipynb", [SETUP, PAD]), ".dgm-pad")
        page.wait_for_function("() => document.querySelector('.dgm-pad-plane').width > 0")
        return drag(page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-browser", action="store_true", help="only the Python side")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    print(f"{'Python side':40} {'ms a move':>10} {'moves a second':>15}")
    for name, seconds in server_side():
        print(f"{name:40} {1000 * seconds:10.2f} {1 / seconds:15.0f}")
    if arguments.no_browser or find_browser() is None:
        return
    print(f"\n{'LatentPad in the browser, hand to eye':40} {'median ms':>10} {'90 %':>10} {'answers':>10}")
    for name, prompt in [("with dgmcourse.server", True), ("without (TCP_NODELAY off)", False)]:
        found = sorted(in_browser(prompt))
        print(f"{name:40} {statistics.median(found):10.1f} {found[int(0.9 * len(found))]:10.1f} {len(found):10}")


if __name__ == "__main__":
    main()
