"""Small trained models that ship with the course, so that lessons show 28×28 digits within seconds, offline.

Each folder holds `model.safetensors` (half precision), `config.json` and `card.json`: what it was trained on, for how
long, and its numbers beside the published ones. They are made by `python -m dgmcourse train RECIPE`.
"""

import difflib
import json
from pathlib import Path

from ..core import GenerativeModel, Saved

__all__ = ["card", "load", "load_folder", "models", "names"]

HOME = Path(__file__).parent


def names() -> list[str]:
    """All that ships, by name: generative models, and the classifiers that judge them."""
    return sorted(path.parent.name for path in HOME.glob("*/card.json"))


def models() -> list[str]:
    """The generative models that ship, by name."""
    return [name for name in names() if _class(HOME / name) != "DigitClassifier"]


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
    """A shipped model (or classifier) in float32, in evaluation mode, on the CPU."""
    return load_folder(_folder(name))


def load_folder(folder: str | Path) -> Saved:
    """What a recipe left in a folder: a model of the course, as `models.load_model` does, or a `DigitClassifier`."""
    if _class(Path(folder)) == "DigitClassifier":
        from ..evaluation.classifier import DigitClassifier

        return DigitClassifier.from_pretrained(folder)
    from ..models import load_model

    return load_model(folder)


def _class(folder: Path) -> str | None:
    """The class that config.json names; None where there is none, which `load_model` puts into words."""
    try:
        return json.loads((folder / "config.json").read_text(encoding="utf-8")).get("class")
    except (OSError, ValueError, AttributeError):
        return None
