"""The map of families: what each model can do, found out by asking it."""

import torch

from ..core import GenerativeModel, Kind, Latent
from ..tables import Table

__all__ = ["Abilities", "abilities", "family_map"]

_SCORES = {
    None: "no",
    Kind.EXACT: "= exactly",
    Kind.LOWER_BOUND: "≥ a lower bound",
    Kind.ESTIMATE: "≈ an estimate",
    Kind.UNNORMALIZED: "+C up to a constant",
}


class Abilities(dict):
    """Question -> answer, in the order of the table's columns."""


@torch.no_grad()
def abilities(model: GenerativeModel) -> Abilities:
    """Ask a model whether it can score, in how many steps it samples, and what its latent space is."""
    was_training, classes = model.training, getattr(model, "classes", None)
    model.eval()
    y = None if classes is None else torch.zeros(2, dtype=torch.int64, device=model.device)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        states = list(model.trajectory(2, y))
        found = model.log_prob(states[-1], y)
    model.train(was_training)
    return Abilities(
        {
            "family": type(model).__name__,
            "can it score x?": _SCORES[found.kind if found is not None else None],
            "states on the way to a sample": str(len(states)),
            "latent space": f"{model.latents} numbers" if isinstance(model, Latent) else "none",
            "trained in turn": ", ".join(model.parameter_groups()),
            "takes a condition": "yes" if classes is not None else "no",
        }
    )


def family_map(*models: GenerativeModel, caption: str = "What each model can do, as it answers itself") -> Table:
    """One row a model: the same questions asked of each."""
    answers = [abilities(model) for model in models]
    return Table(tuple(answers[0]), [tuple(one.values()) for one in answers], caption)
