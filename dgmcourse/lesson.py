"""What a lesson's one import line brings: the names that every lesson uses, gathered from the package."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from . import data, evaluation, explorers, plots, zoo
from .core import GenerativeModel, Kind, LogProb, Space, Step
from .exercises import check, exercise, hint, predict, progress
from .exercises.engine.results import show_note
from .networks import MLP
from .plots import show
from .tables import Table
from .training import fit

__all__ = [
    "MLP",
    "F",
    "GenerativeModel",
    "Kind",
    "LogProb",
    "Space",
    "Step",
    "Table",
    "begin",
    "check",
    "data",
    "evaluation",
    "exercise",
    "explorers",
    "fit",
    "hint",
    "math",
    "nn",
    "plots",
    "predict",
    "progress",
    "show",
    "torch",
    "zoo",
]


def begin(seed: int = 0) -> torch.device:
    """Seed torch, choose the device (a GPU where there is one), and say both in one line."""
    torch.manual_seed(seed)
    kind = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    show_note(f"Device: {kind} · seed: {seed}")
    return torch.device(kind)
