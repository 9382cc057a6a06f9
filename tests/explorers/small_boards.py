"""Scoreboards made by hand, small enough to know every answer."""

import math

import torch

from dgmcourse.core import Kind
from dgmcourse.evaluation import Report, Scoreboard
from dgmcourse.evaluation.likelihood import Estimate


def number(value: float, error: float = math.nan, kind: Kind | None = None, unit: str = "") -> Estimate:
    return Estimate(value, error, kind, 100, unit)


def nats(value: float, error: float = 0.1, kind: Kind = Kind.EXACT) -> Estimate:
    return number(value, error, kind, "nats")


def report(model: str, notes: dict | None = None, **numbers: Estimate) -> Report:
    names = {"log_p": "log p(x)", "frechet": "Fréchet", "speed": "ms/sample", "z": "copying z"}
    return Report(model, "digits", {names.get(key, key): n for key, n in numbers.items()}, notes or {}, 64)


def five_models() -> Scoreboard:
    """An exact model, a bound above a worse exact one, a GAN without log p, a constant unknown, and one that failed."""
    reports = {
        "exact": report("exact", log_p=nats(-18), frechet=number(20.0), speed=number(0.001), probe=number(0.9, 0.01)),
        "bounded": report("bounded", log_p=nats(-19, kind=Kind.LOWER_BOUND), frechet=number(50.0), speed=number(3.0),
                          probe=number(0.89, 0.01)),
        "worse": report("worse", log_p=nats(-25), frechet=number(90.0), speed=number(0.1), probe=number(0.5, 0.01)),
        "GAN": report("GAN", {"log p(x)": "GAN samples, but cannot score"}, frechet=number(30.0), speed=number(0.02)),
        "energy": report("energy", log_p=nats(1000, kind=Kind.UNNORMALIZED), frechet=number(70.0), speed=number(9.0)),
    }  # fmt: skip
    return Scoreboard({name: [one] for name, one in reports.items()}, {"broken": "the loss is not finite"}, "by hand")


def images(*models: str) -> dict[str, torch.Tensor]:
    """A few images of 4×4 for each."""
    generator = torch.Generator().manual_seed(0)
    return {model: (torch.rand(12, 1, 4, 4, generator=generator) > 0.5).float() for model in models}
