"""RESULTS.md: what every trained model that ships is worth, written from its card, with published figures beside."""

import math
import re
from dataclasses import asdict
from pathlib import Path

from . import zoo
from .files import replace_file
from .recipes import RECIPES
from .recipes.run import Card
from .recipes.yardstick import JUDGE, SAMPLES
from .tables import Table

__all__ = ["FILE", "render", "write"]

FILE = Path(__file__).resolve().parents[1] / "RESULTS.md"

_SAMPLE_COLUMNS = {  # name on the card: title, digits (None: three of all)
    "recognized": ("recognized", 3),
    "as asked": ("label as asked", 3),
    "Fréchet": ("Fréchet", 2),
    "kernel": ("kernel", 3),
    "precision": ("precision", 3),
    "recall": ("recall", 3),
    "density": ("density", 3),
    "coverage": ("coverage", 3),
    "copying z": ("copying z", 1),
    "copied": ("copied", 3),
    "ms/sample": ("seconds for 1,000", None),
}
_HOW_IT_SAMPLES = {
    "autoencoder-mnist": "decodes codes from a Gaussian with the mean and covariance of the training codes: it has no p(z)",
    "diffusion-mnist": "20 steps of DPM-Solver++, without guidance, for each label as often",
    "gan-mnist": "for each label as often",
    "rbm-mnist": "1,000 Gibbs sweeps from noise",
}


def write(path: str | Path = FILE) -> str:
    """Write RESULTS.md, replacing an old one whole, and say so.

    Args:
        path: of the file; in a checkout, its root's RESULTS.md.

    Raises:
        ValueError: no path is given, and the course is not run from a checkout.
    """
    if Path(path) == FILE and not FILE.with_name("pyproject.toml").is_file():
        raise ValueError("the course is installed, not checked out: say where to write, e.g. --out RESULTS.md")
    replace_file(Path(path), render().encode())
    return f"{path} tells of {len(zoo.names())} cards"


def render() -> str:
    """RESULTS.md as text."""
    cards = {name: Card.read(zoo.HOME / name) for name in RECIPES if name in zoo.names()}
    models = {name: cards[name] for name in cards if name in zoo.models()}
    parts = [_INTRODUCTION, _likelihoods(models), _samples(cards), _judges(cards), _everything(models), _unshipped()]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


_INTRODUCTION = """
# Results

What the trained models that ship with the course are worth, with published figures beside. This file is written by
`python -m dgmcourse results` from the cards in `dgmcourse/zoo/`, and a test holds it to them; change no number here. The runs
can be repeated with `python -m dgmcourse train NAME`, the numbers with `python -m dgmcourse evaluate dgmcourse/zoo/NAME`.

Before each number stands what it is worth: `=` exact, `≥` a lower bound, `≈` an estimate; after it, the standard error over test
images. Every model is small, and was trained on one CPU thread.
"""


_KINDS = (("binary", "black and white"), ("grey", "256 levels of grey"))

_ABOUT_SAMPLES = """
## Samples

{n:,} samples of each model beside every second test image, in the 192 features of `{judge}`. Each kind of images is compared with
real images of the same kind, so numbers of the two tables do not compare; nor do these distances with any published
Fréchet inception distance, whose features are another network's. *Other test images* get what a perfect model would, *training images*
what a model would that only copies. Samples that are more usual than real images are can get more of what is told by precision and density.

- **recognized**: share of samples of which the classifier is sure (p > 0.9); **label as asked**: share that it takes for the label asked for
  (of real images: for the label they have).
- **Fréchet**, **kernel**: distances, 0 for the same distribution, the kernel distance without bias; lower is better.
- **precision**, **density**: do samples lie among real images; **recall**, **coverage**: are real images found among samples (5 neighbors). Higher is better.
- **copying z**: below −3, samples are nearer to training images than images are that were held out of them: copies, or too much
  of what is usual; above 3, they are farther. **copied**: the share of copies that would explain how many lie very near.
- **seconds for 1,000**: of computing, one CPU thread.

How some of them sample:

{how}

Measured on {run}.

{body}
"""


def _likelihoods(models: dict[str, Card]) -> str:
    """The numbers of a likelihood, of each model that has one, and what others published."""
    rows = []
    for name, card in models.items():
        numbers = [
            f"{key}: {_number(entry)}"
            for key, entry in card.numbers.items()
            if entry["kind"] or "bits" in entry.get("unit", "")
        ]
        training = (
            f"{card.parameters / 1e6:.2f} M parameters, {card.steps:,} steps, {card.training_seconds / 60:.0f} min"
        )
        published = [_figure(figure) for figure in card.published]
        if not numbers and not published:
            numbers = ["none: the family gives none"]
        rows.append((f"`{name}`", card.about, "<br>".join(numbers), "<br>".join(published) or "–", training))
    return f"""
## Likelihood

Of the test images of MNIST, in nats per image where nothing else is said. Compare models of black and white images with one another,
and models of 256 levels of grey with one another: a likelihood of one is no likelihood of the other. *Binarized once* and
*binarized anew* (dynamically) differ too: all models of binary images are judged here by the same test images, drawn once,
but theirs are not those of the published figures.

{Table(("recipe", "model", "measured", "published", "size and training"), rows).markdown()}
"""


def _samples(cards: dict[str, Card]) -> str:
    """What was measured of samples: how, and a table for each kind of images."""
    used = [card.yardstick for card in cards.values() if card.yardstick]
    if not used:
        return ""
    devices, day = ", ".join(sorted({one["hardware"] for one in used})), max(one["date"] for one in used)
    return _ABOUT_SAMPLES.format(
        n=SAMPLES,
        judge=JUDGE,
        how="\n".join(f"- `{name}`: {text}." for name, text in _HOW_IT_SAMPLES.items() if name in cards),
        run=f"{devices}, {day}, in {sum(one['seconds'] for one in used) / 60:.0f} minutes",
        body="\n\n".join(_sample_table(cards, *kind) for kind in _KINDS),
    )


def _sample_table(cards: dict[str, Card], kind: str, title: str) -> str:
    """Real images first, then every model's samples."""
    header = ("samples of", *(title for title, _ in _SAMPLE_COLUMNS.values()))
    rows = []
    for name in sorted(cards, key=lambda name: name != JUDGE):
        for row, numbers in cards[name].yardstick.get("rows", {}).items():
            if row.startswith(f"{kind}: "):
                label = f"*{row.removeprefix(f'{kind}: ')}*" if name == JUDGE else f"`{name}`"
                rows.append((label, *(_sampled(numbers, key) for key in _SAMPLE_COLUMNS)))
    return f"### Models of {title}\n\n{Table(header, rows).markdown()}"


def _judges(cards: dict[str, Card]) -> str:
    rows = [
        (
            f"`{name}`",
            card.about,
            "<br>".join(f"{key}: {_number(entry)}" for key, entry in card.numbers.items()),
            f"{card.parameters:,}",
        )
        for name, card in cards.items()
        if name not in zoo.models()
    ]
    return f"## The classifiers that judge\n\n{Table(('recipe', 'model', 'measured', 'parameters'), rows).markdown()}"


def _everything(models: dict[str, Card]) -> str:
    """All numbers of all cards, with hardware and date."""
    parts = ["## Everything on the cards"]
    for name, card in models.items():
        lines = [f"- {key}: {_number(entry)} ({entry['count']:,} images)" for key, entry in card.numbers.items()]
        run = f"{card.hardware}; {'float32' if card.precision == 'no' else card.precision}, seed {card.seed}, torch {card.versions.get('torch', '')}; {card.date}"
        parts.append(f"### {name}\n\n{card.about}. {run}.\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def _unshipped() -> str:
    rows = [
        (
            f"`{recipe.name}`",
            recipe.about,
            f"≈ {recipe.minutes} min",
            "<br>".join(_figure(asdict(figure)) for figure in recipe.published) or "–",
        )
        for recipe in RECIPES.values()
        if recipe.name not in zoo.names()
    ]
    if not rows:
        return ""
    return f"""
## Recipes whose models do not ship

`python -m dgmcourse train NAME` makes them.

{Table(("recipe", "model", "training", "published"), rows).markdown()}
"""


def _figure(figure: dict) -> str:
    """A published figure, its source behind a link."""
    source = re.sub(r"^(.*?), (https?://[^\s,]+)", r"[\1](\2)", figure["source"])
    return f"{figure['model']}: {figure['quantity']} {figure['value']:.2f}, {source}"


def _number(entry: dict) -> str:
    """A number with kind, standard error where it is known, and unit: "≥ -88.50 ± 0.23 nats"."""
    error = entry["standard_error"]
    known = error is not None and math.isfinite(error)
    digits = 4 if known and error < 0.01 else 2
    spread = f" ± {error:.{digits}f}" if known else ""
    return f"{entry['kind']} {entry['value']:.{digits}f}{spread} {entry.get('unit', 'nats')}".strip()


def _sampled(numbers: dict[str, dict], key: str) -> str:
    if key not in numbers:
        return "–"
    digits, entry = _SAMPLE_COLUMNS[key][1], numbers[key]
    if digits is None:
        return f"{entry['value']:.3g}"
    value = f"{entry['value']:.{digits}f}"
    error = entry["standard_error"] if key == "kernel" else None
    return value if error is None else f"{value} ± {error:.{digits}f}"
