"""What GanGame knows: a GAN on points of the plane whose two players move when told to, and how the game stands."""

import copy
import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..core import Space
from ..data import toy_density
from ..models import GAN
from ..models.gan import two_time_scales
from ..models.gan.objectives import OBJECTIVES
from .model import device_of, evaluating

__all__ = ["GanMatch", "Standing"]

PLAYERS = ("critic", "generator")
MOST_MODES = 30
FAIR = 0.25  # a mode is covered that has a quarter of its fair share


class Standing(NamedTuple):
    """How the game stands; averages over 1000 data points and 1000 generated ones, the same draws of z every time.

    Attributes:
        critic_steps, generator_steps: updates of each player so far.
        critic_loss, generator_loss: of the last update of each; NaN before the first.
        real, fake: mean of D on the data and on generated points; of the score, where scores are no logits.
        push: mean length of the generator's gradient at a generated point.
        modes: how many modes have a quarter of their fair share of samples within 3σ; None where modes are not known.
        share: part of the samples within 3σ of a mode, or None.
    """

    critic_steps: int
    generator_steps: int
    critic_loss: float
    generator_loss: float
    real: float
    fake: float
    push: float
    modes: int | None
    share: float | None


class GanMatch:
    """A game that can be played one update at a time. Losses and gradients come from the model's own `training_step`.

    Every round draws its batch and its noise from (seed, round), so ten updates at once are the same as one ten times.

    Args:
        model: a `GAN` of `Space.real(2)` without labels (it is copied, and stays as it is), or its constructor's
            arguments, {"latents": 2, "objective": "hinge", …}.
        data: a known density (`sample(n, generator)`), a `Dataset` (its training split), or points (n, 2).
        seed: of the players' weights (where the arguments are given), the batches and the noise.
        lr: step size of the generator (Adam).
        ratio: the critic's step size, as a multiple of the generator's.
        batch_size: points a batch.
        optimizer: `optimizer(group, parameters)`, as in `fit`; by default Adam, β₁ = 0.5.

    Attributes:
        model: the players as they stand.
        real: 1000 data points, (1000, 2), on the model's device.
        z: 1000 draws of z, the same all along.
        centers, std: the modes of the density, where it has a few.
        steps: player -> updates so far.

    Raises:
        TypeError: the model is no GAN.
        ValueError: it does not live in the plane, or has labels; the data are no points.
    """

    def __init__(self, model=None, data=None, seed: int = 0, lr: float = 2e-3, ratio: float = 1.0,
                 batch_size: int = 128, optimizer: Callable | None = None):  # fmt: skip
        if not (lr > 0 and ratio > 0 and batch_size >= 1):
            raise ValueError(f"lr, ratio and batch_size must be positive, got {lr}, {ratio} and {batch_size}")
        self._given = model if isinstance(model, nn.Module) else None
        self.settings = {"latents": 2, "hidden": (64, 64), **(model or {})} if self._given is None else {}
        self.seed, self.lr, self.ratio, self.batch_size, self._optimizer = seed, lr, ratio, batch_size, optimizer
        self.density = toy_density("eight_gaussians") if data is None else data
        self.points = None if hasattr(self.density, "sample") else _points(self.density)
        self._know_modes(data)
        self.begin()

    def _know_modes(self, data) -> None:
        truth = getattr(data, "truth", self.density)
        centers = getattr(truth, "centers", None)
        few = centers is not None and 1 < len(centers) <= MOST_MODES
        self.centers, self.std = (centers.float(), float(truth.std)) if few else (None, None)

    # --- the players -----------------------------------------------------------------------------------------------

    def begin(self, **changes) -> None:
        """Start again with the same seed; `changes` are attributes or arguments of the model, objective="hinge", say."""
        with torch.random.fork_rng(self._devices()):
            torch.manual_seed(self.seed)
            if self._given is not None:
                model = copy.deepcopy(self._given)
                self.settings |= changes
                for name, value in self.settings.items():
                    setattr(model, name, value)
            else:
                model = GAN(Space.real(2), **(self.settings | changes))
                self.settings |= changes
        self.model = _checked(model).train()
        groups = self.model.parameter_groups()
        make = self._optimizer or two_time_scales(self.lr, self.lr * self.ratio)
        self.optimizers = {name: make(name, list(groups[name])) for name in PLAYERS}
        self.rounds, self.steps = 0, dict.fromkeys(PLAYERS, 0)
        self.losses = dict.fromkeys(PLAYERS, math.nan)
        self.real = self._batch(1000, -1)
        weight = next(self.model.parameters())
        noise = torch.randn(1000, self.model.latents, generator=torch.Generator().manual_seed(self.seed))
        self.z = noise.to(weight.device, weight.dtype)

    def _devices(self) -> list[torch.device]:
        device = device_of(self._given)
        return [device] if device.type == "cuda" else []

    def set_ratio(self, ratio: float) -> None:
        """Another step size of the critic, as a multiple of the generator's; the game goes on."""
        if not (ratio > 0 and math.isfinite(ratio)):
            raise ValueError(f"ratio must be positive, got {ratio}")
        for group in self.optimizers["critic"].param_groups:
            group["lr"] *= ratio / self.ratio
        self.ratio = ratio

    def _batch(self, n: int, number: int) -> Tensor:
        """n data points for round `number`, (n, 2)."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number + 1)
        if self.points is None:
            x = self.density.sample(n, generator)
        else:
            x = self.points[torch.randint(len(self.points), (n,), generator=generator)]
        weight = next(self.model.parameters())
        return x.to(weight.device, weight.dtype)

    # --- moves -----------------------------------------------------------------------------------------------------

    def step(self, player: str, times: int = 1) -> None:
        """So many updates of one player; the other one stays as it is.

        Raises:
            ValueError: the player's loss or weights are not finite any more; they stay as before that update.
        """
        if player not in PLAYERS:
            raise ValueError(f"player must be 'critic' or 'generator', got {player!r}")
        for _ in range(times):
            self._round(player)

    def both(self, times: int = 1) -> None:
        """So many whole training steps: the critic's updates (`model.critic_steps` of them), then the generator's."""
        for _ in range(times):
            self._round(None)

    def _round(self, player: str | None) -> None:
        """One training step on a fresh batch. A player alone makes its first update in it."""
        x = self._batch(self.batch_size, self.rounds)
        self.rounds += 1
        with torch.random.fork_rng(self._devices()), torch.enable_grad():
            torch.manual_seed(self.seed * 1_000_003 + self.rounds)
            turns = self.model.train().training_step(x)
            for turn in turns:
                if player in (None, turn.group):
                    self._update(turn)
                    if player is not None:
                        next(turns, None)  # what the model does after an update (clipping, say) is done too
                        break

    def _update(self, turn) -> None:
        optimizer, loss = self.optimizers[turn.group], float(turn.loss.detach())
        if not math.isfinite(loss):
            raise ValueError(f"the {turn.group}'s loss is {loss}: the game has diverged; start again")
        optimizer.zero_grad()
        turn.loss.backward()
        optimizer.step()
        self.steps[turn.group] += 1
        self.losses[turn.group] = loss

    # --- how it stands ---------------------------------------------------------------------------------------------

    @property
    def probabilistic(self) -> bool:
        """Whether the critic's scores are logits of "is data"."""
        objective = OBJECTIVES.get(getattr(self.model, "objective", None))
        return True if objective is None else objective.probabilistic

    def judge(self, x: Tensor) -> Tensor:
        """D(x), or the score where it is no logit: (batch, 2) -> (batch,)."""
        with evaluating(self.model):
            scores = self.model.critic(x)
        return scores.sigmoid() if self.probabilistic else scores

    def samples(self) -> Tensor:
        """G(z) of the z that are kept: (1000, 2)."""
        with evaluating(self.model):
            return self.model.generate(self.z)

    def pushes(self, x: Tensor) -> Tensor:
        """Where the generator's loss wants each of its points to go: −∂(loss of this point)/∂x, (batch, 2).

        Of a model whose objective is not known: the critic's slope.
        """
        objective = OBJECTIVES.get(getattr(self.model, "objective", None))
        training = self.model.training
        self.model.eval()
        try:
            with torch.enable_grad():
                x = x.detach().requires_grad_()
                scores = self.model.critic(x)
                loss = -scores.sum() if objective is None else len(x) * objective.generator(scores)
                (slope,) = torch.autograd.grad(loss, x)
        finally:
            self.model.train(training)
        return -slope

    def standing(self, samples: Tensor | None = None) -> Standing:
        """The numbers of the game."""
        samples = self.samples() if samples is None else samples
        counts, share = self._counts(samples)
        modes = None if counts is None else int((counts >= FAIR * len(samples) / len(counts)).sum())
        return Standing(self.steps["critic"], self.steps["generator"], self.losses["critic"], self.losses["generator"],
                        float(self.judge(self.real).mean()), float(self.judge(samples).mean()),
                        float(self.pushes(samples).norm(dim=-1).mean()), modes, share)  # fmt: skip

    def _counts(self, samples: Tensor) -> tuple[Tensor | None, float | None]:
        """How many samples lie within 3σ of each mode (and nearest to it), and what part of all does."""
        if self.centers is None:
            return None, None
        distance, mode = torch.cdist(samples.float(), self.centers.to(samples.device)).min(-1)
        near = distance < 3 * self.std
        return torch.bincount(mode[near], minlength=len(self.centers)), float(near.float().mean())


def _points(data) -> Tensor:
    """Points of a dataset or a tensor, float (n, 2) on the CPU."""
    x = getattr(data, "train", data)
    if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != 2 or len(x) < 2 or not x.isfinite().all():
        raise ValueError("GanGame is played on points of the plane: give a known density, e.g. "
                         "toy_density('eight_gaussians'), or a finite tensor (n, 2)")  # fmt: skip
    return x.detach().float().cpu()


def _checked(model) -> nn.Module:
    wanted = ("training_step", "parameter_groups", "generate", "critic", "latents")
    missing = [name for name in wanted if not hasattr(model, name)]
    if missing:
        raise TypeError(
            f"GanGame needs a GAN, or the settings of one; {type(model).__name__} has no {', '.join(missing)}"
        )
    space = getattr(model, "space", None)
    if space is not None and space != Space.real(2):
        raise ValueError(f"GanGame is played in the plane, real(2); this model was built for {space}")
    if getattr(model, "classes", None):
        raise ValueError("GanGame plays without labels; build the GAN without classes")
    if set(model.parameter_groups()) != set(PLAYERS):
        raise ValueError(f"GanGame needs the players 'critic' and 'generator', got {list(model.parameter_groups())}")
    return model
