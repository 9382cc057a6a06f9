"""The result that ships with the course: what `python -m dgmcourse arena` gave, for lesson 10, the README and `docs/`."""

import functools
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ..evaluation.scoreboard import Scoreboard
from ..files import replace_file
from ..tables import Table
from .results import Arena

__all__ = ["HOME", "can_ship", "readme", "ship", "shipped", "shipped_floor", "shipped_samples", "shipped_toys"]

HOME = Path(__file__).parent / "shipped"
DOCS = Path(__file__).resolve().parents[2] / "docs"
README_COLUMNS = ("log p(x)", "Fréchet", "density", "coverage", "recognized", "ms/sample")
SAMPLES = 24


def can_ship(entrants: Sequence[str] | None = None, docs: Path = DOCS) -> None:
    """Say what keeps an arena of these entrants from being the one that the course shows, before it is played.

    Raises:
        ValueError: not all entrants play, or the course is installed, not checked out.
    """
    if entrants:
        raise ValueError(
            f"the course shows the whole arena, not that of {', '.join(entrants)} alone: leave --only or --keep out"
        )
    if not docs.is_dir():
        raise ValueError(
            "the course is installed, not checked out: there is no docs/ to keep the result in; leave --keep out"
        )


def ship(arena: Arena, home: Path = HOME, docs: Path = DOCS) -> None:
    """Keep a whole arena's result: numbers and a few samples in the package, tables and pictures in `docs/`."""
    from safetensors.torch import save

    toys = arena.toy_table()
    known = {
        "scoreboard": json.loads(arena.scoreboard.sorted_by("Fréchet").to_json()),
        "seconds": {row[0]: row[1] for row in arena.table().rows},
        "floor": arena.floor,
        "toys": {"header": list(toys.header), "rows": [list(row) for row in toys.rows], "caption": toys.caption},
        "about": arena.about(),
    }
    drawn = {name: [r.samples for r in rs if r.samples is not None] for name, rs in arena.of("digits").items()}
    images = {name: of_seeds[0][:SAMPLES] for name, of_seeds in drawn.items() if of_seeds}
    pixels = {name: (255 * x).round().to(torch.uint8).contiguous() for name, x in images.items()}
    replace_file(home / "samples.safetensors", save(pixels))
    replace_file(home / "arena.json", (json.dumps(known, indent=1, ensure_ascii=False) + "\n").encode())
    arena.write(docs, ("arena.md", "arena-samples.png", "arena-pareto.png", "arena-toys.png"))


@functools.cache
def _known() -> dict:
    return json.loads((HOME / "arena.json").read_text(encoding="utf-8"))


def shipped() -> Scoreboard:
    """The arena's scoreboard: every family on the binary 8×8 digits, the best samples first."""
    return Scoreboard.from_json(json.dumps(_known()["scoreboard"]))


@functools.cache
def shipped_samples() -> dict[str, Tensor]:
    """The first samples of each entrant, (24, 1, 8, 8) in {0, 1}."""
    from safetensors.torch import load_file

    return {name: x.float() / 255 for name, x in load_file(HOME / "samples.safetensors").items()}


def shipped_toys() -> Table:
    """Entrants × densities in the plane: KL(truth ‖ model)."""
    return Table(**_known()["toys"])


def shipped_floor() -> float:
    """The Fréchet distance of training images from test images."""
    return _known()["floor"]


def readme() -> str:
    """What the README tells of it, which a test holds it to."""
    known, board = _known(), shipped()
    plain = board.table(README_COLUMNS)
    rows = [(name, known["seconds"][name], *cells) for name, *cells in plain.rows]
    caption = (
        f"{board.caption[:1].upper()}{board.caption[1:]}; places in brackets where they are known. {known['about']}."
    )
    return f"{Table(('model', 'seconds', *README_COLUMNS), rows).markdown()}\n\n{caption}"
