"""Who enters the arena, and how each learns: one entrant a family, with the settings that its lesson arrived at.

All of them see the same binary digits. A GAN needs values between black and white, so its space is grey with two levels,
which are the same images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from .. import models
from ..core import GenerativeModel, Space
from ..data import Dataset
from ..models.gan import two_time_scales
from .budget import em_within, fit_within

__all__ = ["DIGITS", "Entrant", "as_grey"]

Learn = Callable[[GenerativeModel, Dataset, float, int], tuple[int, float]]


@dataclass(frozen=True)
class Entrant:
    """A model in the arena.

    Attributes:
        name: in the table.
        make: the data -> a new model.
        training: arguments for `fit`, beside model, data, steps and seed.
        most: steps after which it has learned what it can; None for no limit.
        learn: (model, data, seconds, seed) -> (steps, seconds), where it does not learn by `fit` alone.
        prepare: the data as this family can see them.
    """

    name: str
    make: Callable[[Dataset], GenerativeModel]
    training: Mapping = field(default_factory=dict)
    most: int | None = None
    learn: Learn | None = None
    prepare: Callable[[Dataset], Dataset] | None = None

    def trained(self, data: Dataset, seconds: float, seed: int) -> tuple[GenerativeModel, int, float]:
        """A model that has learned for so long; its steps, and the seconds of computing that they took."""
        torch.manual_seed(seed)
        model = self.make(data)
        if self.learn is not None:
            steps, spent = self.learn(model, data, seconds, seed)
        else:
            steps, spent = fit_within(model, data, seconds, self.most, seed=seed, **self.training)
        return model.eval(), steps, spent


def as_grey(data: Dataset) -> Dataset:
    """Binary images in a grey space of two levels: the same images, with values between for those who need slopes."""
    return replace(data, space=Space.grey(*data.space.shape, levels=2))


def gradient_descent(lr: float) -> Callable[[str, list[nn.Parameter]], torch.optim.Optimizer]:
    """Plain steps, which persistent chains follow better than Adam's."""
    return lambda group, parameters: torch.optim.SGD(parameters, lr=lr, fused=True)


# --- how some of them learn --------------------------------------------------------------------------------------------


@torch.no_grad()
def remember(model: models.KernelDensity, data: Dataset, seconds: float, seed: int) -> tuple[int, float]:
    """As many training examples as it has room for, and the width of the kernel by which the validation split is likeliest."""
    widths = torch.linspace(0.02, 0.3, 15).tolist()
    model.remember(data.train[: model.points])

    def score(width: float) -> float:
        model.bandwidth = width
        return float(model.log_prob(data.valid).value.mean())

    model.bandwidth = max(widths, key=score)
    return 0, 0.0


def expectation_maximization(model, data: Dataset, seconds: float, seed: int) -> tuple[int, float]:
    """EM from a random start, as long as the validation split gains."""
    model.initialize(data.train, seed=seed)
    best = {}

    @torch.no_grad()
    def score() -> float:
        found = float(model.log_prob(data.valid).value.mean())
        if found > best.get("score", -float("inf")):
            best.update(score=found, state={name: value.clone() for name, value in model.state_dict().items()})
        return found

    found = em_within(model.em(data.train, 500), seconds, score, patience=20)
    if not best:
        raise ValueError(f"EM never had a finite likelihood of the {len(data.valid)} validation examples to choose by")
    model.load_state_dict(best["state"])
    return found


def layer_by_layer(model: models.DBN, data: Dataset, seconds: float, seed: int) -> tuple[int, float]:
    """A third of the time for each layer, and a third for both together by wake–sleep."""
    training = {"batch_size": 100, "schedule": "linear", "seed": seed}
    stages = ((0, 2e-2, 6000), (1, 2e-2, 6000), ("generative", 1e-3, 6000))
    found = [
        fit_within(model.learn(stage), data, seconds / len(stages), most, lr=lr, **training)
        for stage, lr, most in stages
    ]
    return sum(steps for steps, _ in found), sum(spent for _, spent in found)


BEST = {"schedule": "cosine", "ema": 0.99, "keep_best": True}  # the weights that are best on the validation split
FLOW = {"batch_size": 100, "warmup": 20, "clip": 50.0, **BEST}
PATH = {"batch_size": 64, "lr": 3e-3, "schedule": "cosine", "warmup": 50, "ema": 0.99}

DIGITS = (
    Entrant("independent pixels", lambda d: models.IndependentPixels(d.space), {"lr": 3e-2, **BEST}, 600),
    Entrant("kernel density", lambda d: models.KernelDensity(d.space, len(d.train)), learn=remember),
    Entrant("mixture of Bernoullis", lambda d: models.BernoulliMixture(d.space, 60), learn=expectation_maximization),
    Entrant(
        "RBM",
        lambda d: models.RBM(d.space, 256, chains=100, weight_decay=1e-3).start_from(d.train),
        {"batch_size": 50, "schedule": "linear", "ema": 0.999, "optimizer": gradient_descent(0.2)},
        12_000,
    ),
    Entrant("DBN", lambda d: models.DBN(d.space, (256, 256), weight_decay=3e-4), learn=layer_by_layer),
    Entrant(
        "DBM",
        lambda d: models.DBM(d.space, (128, 128), chains=100, weight_decay=1e-3).initialize(d.train),
        {"batch_size": 50, "schedule": "linear", "ema": 0.999, "optimizer": gradient_descent(0.05)},
        12_000,
    ),
    Entrant("VAE", lambda d: models.VAE(d.space, latents=8, hidden=(256, 256)), BEST, 2000),
    Entrant(
        "GAN",
        lambda d: models.GAN(
            d.space, latents=16, hidden=(128,), channels=(16,), penalty="zero-centered", penalty_weight=0.1
        ),
        {"batch_size": 64, "optimizer": two_time_scales(2e-3, betas=(0.5, 0.99)), "schedule": "cosine", "ema": 0.99},
        prepare=as_grey,
    ),
    Entrant("affine coupling flow", lambda d: models.CouplingFlow(d.space, 8, hidden=(128, 128)), {"lr": 2e-3, **FLOW}),
    Entrant("spline flow", lambda d: models.SplineFlow(d.space, 4, bins=8, hidden=(128, 128)), {"lr": 2e-3, **FLOW}),
    Entrant("Glow", lambda d: models.Glow(d.space, scales=2, depth=4, channels=32), {"lr": 4e-3, **FLOW}),
    Entrant(
        "MADE", lambda d: models.MADE(d.space, (1000,), dropout=0.5), {"batch_size": 100, "lr": 2e-3, **BEST}, 1500
    ),
    Entrant(
        "PixelCNN",
        lambda d: models.PixelCNN(d.space, 24, layers=2, kernel=5, dropout=0.3),
        {"batch_size": 50, "lr": 4e-3, **BEST},
        1500,
    ),
    Entrant(
        "Transformer",
        lambda d: models.Transformer(d.space, width=32, heads=4, layers=2, dropout=0.1),
        {"batch_size": 50, "lr": 8e-3, "schedule": "cosine", "warmup": 40, "clip": 1.0, "keep_best": True},
        1200,
    ),
    Entrant(
        "diffusion",
        lambda d: models.Diffusion(d.space, "cosine", "v", channels=(24, 48), sampler="dpm-solver++", steps=20),
        PATH,
    ),
    Entrant("flow matching", lambda d: models.FlowMatching(d.space, channels=(24, 48), solver="heun", steps=10), PATH),
    Entrant(
        "energy-based model",
        lambda d: models.EnergyModel(
            d.space,
            "denoising",
            hidden=(256, 256),
            noise_levels=(0.1, 0.2, 0.4, 0.8),
            step_size=0.005,
            reference=1.0,
            steps=500,
        ),
        {"batch_size": 100, "lr": 2e-3, "schedule": "cosine", "ema": 0.99},
    ),
)
