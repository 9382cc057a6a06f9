"""Running recipes: train, judge, keep, ship and list."""

import contextlib
import difflib
import json
import os
import platform
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from ..core import Saved
from ..data import Dataset
from ..files import replace_file
from ..tables import Table
from ..training import fit
from ..zoo import load_folder
from .catalogue import RECIPES
from .recipe import Recipe

__all__ = ["Card", "evaluate", "find", "ship", "table", "train"]


@dataclass
class Card:
    """What a finished run is known by: written beside its weights as card.json."""

    recipe: str
    about: str
    numbers: dict[str, dict]
    published: list[dict] = field(default_factory=list)
    steps: int = 0
    training_seconds: float = 0.0
    evaluation_seconds: float = 0.0
    hardware: str = ""
    precision: str = "no"
    seed: int = 0
    parameters: int = 0
    versions: dict[str, str] = field(default_factory=dict)
    date: str = ""
    yardstick: dict = field(default_factory=dict)  # how its samples compare with real images, see `recipes.yardstick`

    @staticmethod
    def read(folder: str | Path) -> "Card":
        """The card in a folder.

        Raises:
            FileNotFoundError: there is none.
        """
        path = Path(folder) / "card.json"
        if not path.is_file():
            raise FileNotFoundError(f"{folder} holds no card.json; give a folder written by `dgmcourse train`")
        return Card(**json.loads(path.read_text(encoding="utf-8")))

    def __str__(self):
        lines = [f"{self.recipe}: {self.about}"]
        for name, n in self.numbers.items():
            lines.append(
                f"  {name}: {shown(n)} ± {n['standard_error']:.2f} {n.get('unit', 'nats')} ({n['count']:,} images)"
            )
        lines += [f"  {p['quantity']} of {p['model']}: {p['value']} ({p['source']})" for p in self.published]
        lines.append(
            f"  {self.steps:,} steps in {self.training_seconds / 60:.1f} min on {self.hardware}, seed {self.seed}"
        )
        return "\n".join(lines)

    def write(self, folder: Path) -> None:
        """Put card.json into a folder, replacing an old one whole."""
        known = {name: value for name, value in asdict(self).items() if name != "yardstick" or value}
        replace_file(folder / "card.json", (json.dumps(known, indent=2, ensure_ascii=False) + "\n").encode())


def shown(entry: dict) -> str:
    """A card's number with its kind: "≥ -88.50"."""
    return f"{entry['kind']} {entry['value']:.2f}".strip()


def find(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ValueError: there is none; the message names the closest.
    """
    if name not in RECIPES:
        close = difflib.get_close_matches(name, RECIPES, n=1)
        guess = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(RECIPES)}"
        raise ValueError(f"there is no recipe {name!r}; {guess}")
    return RECIPES[name]


def train(
    name: str,
    device: str = "auto",
    precision: str | None = None,
    steps: int | None = None,
    out: str | Path | None = None,
    threads: int | None = None,
) -> Card | None:
    """Run a recipe: train (resuming from its checkpoints), judge on the test split, write model and card.

    Args:
        name: of a recipe.
        device, precision, steps: instead of the recipe's.
        out: folder for checkpoints, weights and card; `runs/NAME` by default.
        threads: CPU threads; torch's choice by default.

    Returns:
        the card; None in all but the first of several processes.
    """
    recipe = find(name)
    folder = Path(out) if out is not None else Path("runs") / name
    if threads:
        torch.set_num_threads(threads)
    arguments = recipe.training | {"precision": precision or recipe.training.get("precision", "no")}
    if steps is not None:
        arguments["steps"] = steps
    if recipe.trainer is not None and (arguments.pop("precision") != "no" or int(os.environ.get("WORLD_SIZE", 1)) > 1):
        raise ValueError(f"{name} is trained by one process in full precision; leave --precision and torchrun out")
    data = recipe.data()
    if recipe.trainer is not None:
        started = time.perf_counter()
        model = recipe.trainer(data, **arguments, device=_found(device), seed=recipe.seed)
        steps, seconds = arguments["steps"], time.perf_counter() - started
    else:
        with _seed(recipe.seed):
            model = recipe.model(data)
        history = fit(model, data, **arguments, device=device, seed=recipe.seed, checkpoint=folder / "checkpoints")
        steps, seconds = history.steps, history.seconds
    if int(os.environ.get("RANK", 0)):
        return None
    if recipe.finish is not None:
        recipe.finish(model, data)
    model.save_pretrained(folder)
    card = _card(recipe, model, data)
    card.steps, card.training_seconds, card.precision = steps, round(seconds, 1), arguments.get("precision", "no")
    card.write(folder)
    return card


def _found(device: str) -> str:
    """A device by name, "auto" being the best there is."""
    return ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device


@contextlib.contextmanager
def _seed(seed: int):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def _card(recipe: Recipe, model: Saved, data: Dataset) -> Card:
    """Judge a model on the test split."""
    started = time.perf_counter()
    with _seed(recipe.seed):
        numbers = recipe.judge(model.eval(), data.test, data.test_labels)
    return Card(
        recipe=recipe.name,
        about=recipe.about,
        numbers={
            key: {
                "value": round(n.value, 4),
                "standard_error": round(n.standard_error, 4),
                "kind": str(n.kind or ""),
                "count": n.count,
                "unit": n.unit,
            }
            for key, n in numbers.items()
        },
        published=[asdict(figure) for figure in recipe.published],
        evaluation_seconds=round(time.perf_counter() - started, 1),
        hardware=hardware(model.device),
        seed=recipe.seed,
        parameters=sum(p.numel() for p in model.parameters()),
        versions={"torch": torch.__version__, "python": platform.python_version()},
        date=time.strftime("%Y-%m-%d"),
    )


def hardware(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' * (threads > 1)}"


def evaluate(folder: str | Path, device: str = "auto") -> Card:
    """Judge a trained model again, on the test split of its recipe's data.

    Args:
        folder: written by `train`, or a folder of the zoo.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        FileNotFoundError: the folder holds no card or no model.
    """
    old = Card.read(folder)
    recipe = find(old.recipe)
    card = _card(recipe, load_folder(folder).to(_found(device)), recipe.data())
    card.steps, card.training_seconds, card.precision = old.steps, old.training_seconds, old.precision
    return card


def ship(folder: str | Path, name: str | None = None) -> Path:
    """Copy a trained model into the zoo in half precision, with its card; return the new folder."""
    from safetensors.torch import load_file, save_file

    from ..zoo import HOME

    source = Path(folder)
    card = Card.read(source)
    target = HOME / (name or card.recipe)
    target.mkdir(exist_ok=True)
    weights = load_file(source / "model.safetensors")
    halves = {key: value.half() if value.is_floating_point() else value for key, value in weights.items()}
    save_file(halves, target / "model.safetensors")
    (target / "model.safetensors").chmod(0o644)  # it is written for its owner alone
    (target / "config.json").write_bytes((source / "config.json").read_bytes())
    card.published = [asdict(figure) for figure in find(card.recipe).published]
    card.write(target)
    return target


def table() -> Table:
    """All recipes: budget, published figure, and the result of the model that ships, where one does."""
    from .. import zoo

    rows = []
    shipped = zoo.names()
    for recipe in RECIPES.values():
        result = "–"
        if recipe.name in shipped:
            numbers = zoo.card(recipe.name)["numbers"]
            result = ", ".join(f"{name} {shown(n)} {n.get('unit', 'nats')}".strip() for name, n in numbers.items())
        published = "; ".join(f"{figure.value}" for figure in recipe.published) or "–"
        rows.append((recipe.name, f"≈ {recipe.minutes}", result, published, recipe.about))
    return Table(("recipe", "minutes", "result", "published", "what"), rows)
