"""Expectation–maximization, for any mixture: the states it goes through, and the model that it is for."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...core import GenerativeModel, Kind, LogProb, Space, Step

__all__ = ["EMState", "Mixture"]


class EMState(NamedTuple):
    """Where EM stands: one look at all examples with the parameters θ of this iteration.

        elbo + kl = log_prob        E_q[log p(x, h; θ)] + H(q)  +  KL(q ‖ p(h|x; θ))  =  log p(x; θ)

    Attributes:
        iteration: how many M-steps have been made.
        log_prob: log p(x; θ), (batch,), nats, in float64 where the device has it (of discrete x the lower bound that
            the model reports).
        responsibilities: p(h|x; θ), (batch, components): the next q, with which the next M-step is made.
        log_joint: log p(x, h; θ), (batch, components), nats.
        q: the responsibilities of the iteration before, uniform in the first: the last M-step has raised this q's bound.
    """

    iteration: int
    log_prob: Tensor
    responsibilities: Tensor
    log_joint: Tensor
    q: Tensor

    @staticmethod
    def of(iteration: int, log_joint: Tensor, q: Tensor) -> "EMState":
        """The E-step: everything from log p(x, h; θ) and q, (batch, components) each."""
        log_joint = log_joint.clamp_min(torch.finfo(log_joint.dtype).min)  # −∞ would make 0 · ∞ of what cannot be
        top = log_joint.amax(-1, keepdim=True)
        likelihoods = (log_joint - top).exp_()
        total = likelihoods.sum(-1, keepdim=True)
        log_prob = (_widest(top) + _widest(total).log())[:, 0]
        return EMState(iteration, log_prob, likelihoods.div_(total), log_joint, q)

    @property
    def elbo(self) -> Tensor:
        """E_q[log p(x, h; θ)] + H(q), (batch,), nats: the bound that the last M-step has raised."""
        q = self._q()
        return (q * _widest(self.log_joint)).sum(-1) + torch.special.entr(q).sum(-1)

    @property
    def kl(self) -> Tensor:
        """KL(q ‖ p(h|x; θ)), (batch,), nats: what the bound has left to gain, which the E-step takes."""
        q, log_posterior = self._q(), _widest(self.log_joint).log_softmax(-1)
        return (torch.special.xlogy(q, q) - q * log_posterior).sum(-1)

    def _q(self) -> Tensor:
        q = _widest(self.q)
        return q / q.sum(-1, keepdim=True)  # to the last digit: log p(x) is multiplied by this sum


def _widest(x: Tensor) -> Tensor:
    """In float64, where the device has it."""
    return x if x.device.type == "mps" else x.double()


class Mixture(GenerativeModel):
    """p(x) = Σ_k w_k p(x|k): what mixtures share. A family adds p(x|k), its part of the M-step, and how to draw.

    In `_log_likelihoods` and `_maximize`, `points` is what the components see of x, (batch, dim), from `_points`.

    Args:
        space: where one example lives.
        components: K.
    """

    latent_kind = "choice"  # of one of K; encode gives the probability of each

    def __init__(self, space: Space, components: int):
        super().__init__(space)
        if components < 1:
            raise ValueError(f"a mixture needs components ≥ 1, got {components}")
        self.components = self.latents = components
        self.logits = nn.Parameter(torch.zeros(components))

    def _points(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def _log_likelihoods(self, points: Tensor) -> Tensor:
        """log p(x|k): (batch, components), nats."""
        raise NotImplementedError

    def _maximize(self, points: Tensor, responsibilities: Tensor, counts: Tensor, empty: Tensor) -> None:
        """The components' part of the M-step; where empty[k], nothing is explained, and parameters stay."""
        raise NotImplementedError

    @property
    def weights(self) -> Tensor:
        """w, (components,): the prior p(h)."""
        return self.logits.softmax(-1)

    # --- one latent variable, summed out ---------------------------------------------------------------------------

    def log_joint(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """log p(x, h) for every h: (batch, components), nats."""
        return self._log_joint(self._points(self.check_input(x)))

    def _log_joint(self, points: Tensor) -> Tensor:
        with torch.autocast(points.device.type, enabled=False):  # sums over pixels in half precision lose nats
            return self._log_likelihoods(points) + self.logits.log_softmax(-1)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x) = log Σ_h p(x, h), (batch,), nats."""
        return LogProb(self.log_joint(x).logsumexp(-1), Kind.EXACT)

    def responsibilities(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """p(h|x), (batch, components): the E-step."""
        return self.log_joint(x).softmax(-1)

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The posterior p(h|x), (batch, components)."""
        return self.responsibilities(x)

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        """The gradient of −log p(x), through the sum over h."""
        yield Step(-self.log_joint(x).logsumexp(-1).mean())

    @torch.no_grad()
    def em(self, x: Tensor, iterations: int = 100, tolerance: float = 0.0) -> Iterator[EMState]:
        """Expectation–maximization on all of x: yields the state before each M-step, and the one after the last.

        The model's parameters are those of the state just yielded; the next M-step is made when the next state is asked
        for.

        Dempster, Laird & Rubin, "Maximum Likelihood from Incomplete Data via the EM Algorithm", 1977,
        https://doi.org/10.1111/j.2517-6161.1977.tb01600.x
        Neal & Hinton, "A view of the EM algorithm that justifies incremental, sparse, and other variants", 1998,
        https://doi.org/10.1007/978-94-011-5014-9_12

        Args:
            x: (batch, *shape).
            iterations: M-steps at most, so that there is one state more.
            tolerance: stop once the mean log-likelihood gains less than this, in nats; 0 makes all iterations.

        Raises:
            ValueError: no examples, or a component's covariance has become singular (see `GaussianMixture`).
        """
        points = self._points(self.check_input(x))
        if len(x) == 0:
            raise ValueError("em needs at least one example, got an empty batch")
        q = points.new_full((len(points), self.components), 1 / self.components)
        before = -torch.inf
        for iteration in range(iterations + 1):
            state = EMState.of(iteration, self._log_joint(points), q)
            now = float(state.log_prob.mean()) if tolerance else torch.inf
            yield state
            if iteration == iterations or now - before < tolerance:
                return
            before, q = now if tolerance else before, state.responsibilities
            self._m_step(points, q)

    @torch.no_grad()
    def m_step(self, x: Tensor, responsibilities: Tensor) -> "Mixture":
        """Write the parameters that maximize E_q[log p(x, h)] in place; returns self.

        Args:
            x: (batch, *shape).
            responsibilities: q, (batch, components), rows summing to one. A component that has no share of any example
                keeps its parameters, and gets no weight.

        Raises:
            ValueError: another shape, or a component's covariance has become singular (see `GaussianMixture`).
        """
        self.check_input(x)
        if responsibilities.shape != (len(x), self.components):
            raise ValueError(f"responsibilities must have shape ({len(x)}, {self.components}), one row an example and "
                             f"one column a component, got {tuple(responsibilities.shape)}")  # fmt: skip
        return self._m_step(self._points(x), responsibilities.to(self.logits))

    def _m_step(self, points: Tensor, responsibilities: Tensor) -> "Mixture":
        tiny = torch.finfo(points.dtype).tiny
        counts = responsibilities.sum(0)  # N_k, (components,)
        self._maximize(points, responsibilities, counts.clamp_min(tiny), counts <= tiny)
        self.logits.copy_((counts / counts.sum()).clamp_min(tiny).log())
        return self

    def _examples(self, x: Tensor, seed: int) -> Tensor:
        """As many distinct examples as components, drawn by the seed: (components, *shape)."""
        if len(x) < self.components:
            raise ValueError(f"{self.components} components need as many examples to start from, got {len(x)}; "
                             "give more data or fewer components")  # fmt: skip
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed), device="cpu")
        return x[order[: self.components].to(x.device)]

    def _draw_components(self, n: int, y: Tensor | None) -> Tensor:
        """n draws of h from the prior: (n,), int64."""
        if y is not None:
            raise ValueError(f"this {type(self).__name__} is not conditional, but y was given; "
                             "fit one model to the examples of each class instead")  # fmt: skip
        return torch.multinomial(self.weights, n, replacement=True)
