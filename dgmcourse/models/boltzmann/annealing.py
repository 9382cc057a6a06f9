"""The densities between independent units and a restricted Boltzmann machine, for annealed importance sampling."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from ...dynamics import AnnealingPath
from .enumeration import exact_samples

__all__ = ["annealing_path"]

BURN_IN = 1000  # Gibbs sweeps to samples of a model that is too large to be sampled exactly


def annealing_path(rbm) -> AnnealingPath:
    """From independent visible units with the mean of the data seen (real ones: and its variance) to an RBM.

        f_β(v) = exp(−(1 − β) E₀(v) − β E(v)) Πⱼ (1 + exp(β (c + vᵀW)ⱼ)),        E₀, E without hidden units

    Salakhutdinov & Murray, "On the quantitative analysis of deep belief networks", 2008, section 4.1,
    https://doi.org/10.1145/1390156.1390266
    """
    return (_RealPath if rbm.real else _BinaryPath)(rbm).path()


class _Path:
    """What both kinds of visible units share. States are flat visible units u, (chains, dim + classes)."""

    def __init__(self, rbm):
        self.rbm, self.dim = rbm, rbm.space.dim
        self.log_hidden = rbm.latents * math.log(2) + (math.log(rbm.classes) if rbm.classes else 0.0)

    def path(self) -> AnnealingPath:
        return AnnealingPath(self.log_partition(), self.start, self.step, self.end)

    def step(self, u: Tensor, before: float, now: float) -> tuple[Tensor, Tensor]:
        inputs = self.rbm._hidden_inputs(u)  # (chains, hidden): both the weight and the move need them
        gained = (F.softplus(now * inputs) - F.softplus(before * inputs)).sum(-1)
        gained = gained + (now - before) * self.log_ratio(u)
        h = (torch.rand_like(inputs) < (now * inputs).sigmoid()).to(inputs.dtype)
        return self.draw(self.rbm._visible_inputs(h), now), gained

    def start(self, n: int) -> Tensor:
        return self.draw(torch.zeros_like(self.rbm.visible_bias).expand(n, -1), 0.0)

    def end(self, n: int) -> Tensor:
        """Exact samples where one side can be enumerated; else chains after many sweeps, from the persistent ones."""
        rbm = self.rbm
        if rbm.enumerable:
            return exact_samples(rbm, n)
        labels = torch.randint(rbm.classes, (n,), device=rbm.device) if rbm.classes else None
        u = rbm._flat(rbm._noise(n), labels)
        if rbm.chains is not None:
            h = rbm.chains[torch.randint(len(rbm.chains), (n,), device=rbm.device)]
            u = rbm._draw_visible(rbm._visible_inputs(h))
        for _ in range(BURN_IN):
            u = rbm._sweep(u)
        return u


class _BinaryPath(_Path):
    """Bernoulli units: log-odds go from the data's to the model's."""

    def __init__(self, rbm):
        super().__init__(rbm)
        base = rbm.data_mean.clamp(0.01, 0.99).logit()
        self.base = torch.cat([base, base.new_zeros(rbm.classes or 0)])

    def log_partition(self) -> Tensor:
        return F.softplus(self.base[: self.dim]).sum() + self.log_hidden

    def log_ratio(self, u: Tensor) -> Tensor:
        """E₀(v) − E(v), without hidden units."""
        return u @ (self.rbm.visible_bias - self.base)

    def draw(self, inputs: Tensor, beta: float) -> Tensor:
        return self.rbm._draw_visible(torch.lerp(self.base.expand_as(inputs), inputs, beta))


class _RealPath(_Path):
    """Gaussian units: precisions and precision-weighted means go from the data's to the model's."""

    def __init__(self, rbm):
        super().__init__(rbm)
        self.mean, self.variance = rbm.data_mean, rbm.data_variance.clamp_min(1e-6)

    def log_partition(self) -> Tensor:
        return 0.5 * (2 * math.pi * self.variance).log().sum() + self.log_hidden

    def log_ratio(self, u: Tensor) -> Tensor:
        return 0.5 * ((u[:, : self.dim] - self.mean).square() / self.variance).sum(-1) - self.rbm._visible_term(u)

    def draw(self, inputs: Tensor, beta: float) -> Tensor:
        ours = beta / self.rbm.scale.square()
        precision = (1 - beta) / self.variance + ours
        mean = ((1 - beta) * self.mean / self.variance + ours * inputs[:, : self.dim]) / precision
        return self.rbm._draw_visible(torch.cat([mean, beta * inputs[:, self.dim :]], dim=1), precision.rsqrt())
