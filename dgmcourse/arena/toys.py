"""The arena's second ground: densities in the plane that are known exactly, so that the distance to the truth is, too."""

import functools

import torch
from torch import Tensor

from .. import models
from ..core import GenerativeModel, Kind, LogProb
from ..data import Dataset, toy
from ..evaluation.kernels import mmd
from ..evaluation.likelihood import Estimate, integrated_log_prob
from ..evaluation.quality import draw, plain
from ..evaluation.report import Report
from ..models.gan import two_time_scales
from .entrants import Entrant, expectation_maximization, remember

__all__ = ["TOYS", "TOY_ENTRANTS", "judge_toy", "toy_data"]

TOYS = ("eight_gaussians", "moons", "spirals", "checkerboard")
SAMPLES = 2000
NO_DENSITY = "has no normalized density"  # not one that cannot be had of this model alone


@functools.cache
def toy_data(name: str) -> Dataset:
    """40,000 points to learn from, 2,000 to choose by, 2,000 to judge by."""
    return toy(name, n=(40_000, 2000, SAMPLES))


@torch.no_grad()
def _log_prob(model: GenerativeModel, x: Tensor) -> LogProb | None:
    """log p of the model, normalized, the strongest there is in two dimensions; None if it cannot be had."""
    if isinstance(model, models.VAE):
        return integrated_log_prob(model, x, extent=6.0, nodes=250)
    if isinstance(model, models.EnergyModel):
        with torch.enable_grad():
            return model.normalized(extent=15.0, nodes=500).log_prob(x)
    if isinstance(model, models.Diffusion):
        return model.probability_flow_log_prob(x)
    found = model.log_prob(x)
    return None if found is None or found.kind is Kind.UNNORMALIZED else found


def judge_toy(model: GenerativeModel, data: Dataset, name: str | None = None, seed: int = 0) -> Report:
    """KL(truth ‖ model) in nats, by test points, and how far samples are from test points; see `evaluation.Report`.

        KL = E_truth[log truth(x) − log p(x)]

    A lower bound of log p(x) gives an upper bound of it.
    """
    numbers, notes = {}, {}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            found = _log_prob(model, data.test.to(model.device))
        except ValueError as error:
            found, notes["KL"] = None, str(error)
        if found is not None:
            apart = data.truth.log_prob(data.test) - found.value.detach().cpu()
            kind = {Kind.LOWER_BOUND: Kind.UPPER_BOUND, Kind.UPPER_BOUND: Kind.LOWER_BOUND}.get(found.kind, found.kind)
            numbers["KL"] = Estimate.mean(apart, "nats", kind)
        elif not notes:
            notes["KL"] = f"{type(model).__name__} {NO_DENSITY}"
        x, _, milliseconds = draw(model, SAMPLES, seed)
        numbers["ms/sample"] = plain(milliseconds, SAMPLES, "ms")
        if torch.isfinite(x).all():
            numbers["MMD²"] = plain(mmd(x, data.test), SAMPLES)
        else:
            notes["MMD²"] = "some samples are not finite"
    return Report(name or type(model).__name__, data.name, numbers, notes)


SMOOTH = {"schedule": "cosine", "ema": 0.99, "batch_size": 256}

TOY_ENTRANTS = (
    Entrant("Gaussian", lambda d: models.Gaussian(d.space).estimate(d.train), learn=lambda *_: (0, 0.0)),
    Entrant("kernel density", lambda d: models.KernelDensity(d.space, 4000), learn=remember),
    Entrant("mixture of Gaussians", lambda d: models.GaussianMixture(d.space, 32), learn=expectation_maximization),
    Entrant("RBM", lambda d: models.RBM(d.space, 16, chains=256), {**SMOOTH, "lr": 3e-3}),
    Entrant("VAE", lambda d: models.VAE(d.space, latents=2, hidden=(128, 128)), {**SMOOTH, "lr": 2e-3}),
    Entrant(
        "GAN",
        lambda d: models.GAN(d.space, latents=2, hidden=(128, 128), activation="tanh"),
        {"batch_size": 128, "optimizer": two_time_scales(1e-3, betas=(0.5, 0.99)), "schedule": "cosine", "ema": 0.998},
    ),
    Entrant("affine coupling flow", lambda d: models.CouplingFlow(d.space, 8), {**SMOOTH, "lr": 2e-3, "clip": 50.0}),
    Entrant("spline flow", lambda d: models.SplineFlow(d.space, bins=16), {**SMOOTH, "lr": 5e-3}),
    Entrant("continuous flow", lambda d: models.ContinuousFlow(d.space), {**SMOOTH, "lr": 5e-3}),
    Entrant("diffusion", lambda d: models.Diffusion(d.space, "cosine", "v", scale=3.0), {**SMOOTH, "lr": 2e-3}),
    Entrant("flow matching", lambda d: models.FlowMatching(d.space, scale=3.0), {**SMOOTH, "lr": 2e-3}),
    Entrant(
        "energy-based model",
        lambda d: models.EnergyModel(
            d.space,
            "noise-contrastive",
            hidden=(64, 64, 64),
            reference=3.0,
            noise_ratio=4,
            walk="metropolis",
            step_size=0.1,
        ),
        {**SMOOTH, "lr": 3e-3},
    ),
)
