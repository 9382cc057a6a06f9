"""Small trained models that ship with the course, so that lessons show 28×28 digits within seconds, offline.

Each folder holds `model.safetensors` (half precision), `config.json` and `card.json`: what it was trained on, for how
long, and its numbers beside the published ones. They are made by `python -m dgmcourse train RECIPE`.
"""

import difflib
import json
from pathlib import Path

from ..core import GenerativeModel

__all__ = ["card", "load", "names"]

HOME = Path(__file__).parent


def names() -> list[str]:
    """The models that ship, by name."""
    return sorted(path.parent.name for path in HOME.glob("*/card.json"))


def _folder(name: str) -> Path:
    if name not in names():
        close = difflib.get_close_matches(name, names(), n=1)
        guess = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names()) or 'none'}"
        raise ValueError(f"the zoo holds no {name!r}; {guess}")
    return HOME / name


def card(name: str) -> dict:
    """What is known about a shipped model: recipe, numbers, published figures, seconds, hardware, seed."""
    return json.loads((_folder(name) / "card.json").read_text(encoding="utf-8"))


def load(name: str) -> GenerativeModel:
    """A shipped model in float32, in evaluation mode, on the CPU."""
    from ..models import load_model

    return load_model(_folder(name))
