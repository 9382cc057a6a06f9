"""Flow matching: learn the velocity of straight paths from data to noise."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ...core import Kind, LogProb, Space, Step
from ...dynamics import euler, heun, rk4
from ...schedules import StraightLine
from .denoiser import Denoiser

__all__ = ["FlowMatching"]

SOLVERS = {"euler": euler, "heun": heun, "rk4": rk4}


class FlowMatching(Denoiser):
    """Flow matching: x_t = (1 − t)·data + t·noise, and a network that learns the velocity E[noise − data | x_t].

        loss = E ‖noise − data − v(x_t, t)‖² / dim

    Following dx/dt = v(x, t) from noise at t = 1 to t = 0 gives data. (Papers of this family let time run the other
    way; here t = 0 is data in every model.) It is diffusion on a straight path, with another name for what is predicted.

    Lipman et al., "Flow matching for generative modeling", 2023, https://arxiv.org/abs/2210.02747
    Tong et al., "Improving and generalizing flow-based generative models with minibatch optimal transport", 2024,
    https://arxiv.org/abs/2302.00482

    Args:
        space: binary or grey images, or real vectors.
        hidden: widths of the residual dense network, all alike.
        channels: channels of the U-Net's levels; given, the network is a U-Net.
        classes: number of labels for p(x|y), None for no condition.
        drop_label: share of training examples whose label is hidden, so that p(x) is learned too (for guidance).
        scale: about the standard deviation of real data.
        coupling: "independent" noise, or "optimal" transport: within each batch, noise is dealt out so that the paths
            are shortest together, which makes them straighter.
        solver: "euler", "heun" or "rk4": how `sample` goes, unless told otherwise.
        steps: in how many steps.
        guidance: weight w of (1 + w)·v(x, t, y) − w·v(x, t); 0 for none.
        patch: squares of so many pixels a side are one place for the U-Net, which makes large images quicker.
    """

    def __init__(
        self,
        space: Space,
        hidden: Sequence[int] = (128, 128, 128),
        channels: Sequence[int] | None = None,
        classes: int | None = None,
        drop_label: float = 0.1,
        scale: float = 1.0,
        coupling: str = "independent",
        solver: str = "heun",
        steps: int = 25,
        guidance: float = 0.0,
        patch: int = 1,
    ):
        super().__init__(space, StraightLine(), "velocity", hidden, channels, classes, drop_label, scale, patch)
        if coupling not in ("independent", "optimal"):
            raise ValueError(f"coupling must be 'independent' or 'optimal', got {coupling!r}")
        if coupling == "optimal" and classes is not None:
            raise ValueError("optimal transport within a batch would pair noise with labels; take coupling='independent' "
                             "for a conditional model")  # fmt: skip
        self.coupling, self.solver, self.steps, self.guidance = coupling, _known(solver), steps, guidance

    def pair(self, data: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Data and noise, the noise reordered if optimal transport is asked for.

        The batch's assignment problem is solved exactly: n³ at worst, a few milliseconds for 256.
        """
        if self.coupling == "independent":
            return data, noise
        from scipy.optimize import linear_sum_assignment

        costs = torch.cdist(data.flatten(1).float(), noise.flatten(1).float()).square()
        _, partner = linear_sum_assignment(costs.cpu().numpy())
        return data, noise[torch.as_tensor(partner, device=noise.device)]

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(self.squared_error(x, y).mean())

    def velocity(self, x: Tensor, t: Tensor, y: Tensor | None = None, guidance: float = 0.0) -> Tensor:
        """dx/dt on the path at x_t, (batch, *shape), guided towards y if asked; t a scalar or (batch,).

        Raises:
            ValueError: guidance of a model that never learned without labels, or without a label to go to.
        """
        found = self.predict(x, t, y, "velocity")
        if not guidance:
            return found
        if self.classes is None or not self.drop_label or y is None:
            raise ValueError("guidance goes from p(x) towards p(x|y): it needs classes=…, drop_label above 0, and y")
        return torch.lerp(self.predict(x, t, None, "velocity"), found, 1 + guidance)

    @torch.no_grad()
    def trajectory(
        self,
        n: int,
        y: Tensor | None = None,
        *,
        solver: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
    ) -> Iterator[Tensor]:
        """Yield the state after every step from noise to data; the last one is a member of the space.

        Args:
            n: how many.
            y: labels (n,); None draws from p(x), if labels were hidden in training.
            solver, steps, guidance: instead of the model's own.
        """
        weight, count = (self.guidance if guidance is None else guidance) if y is not None else 0.0, steps or self.steps
        self.condition(y, n)  # wrong labels are refused before the first step
        times = torch.linspace(1, 0, count + 1, device=self.device)
        state = torch.randn(n, *self.space.shape, device=self.device)
        walk = SOLVERS[_known(solver or self.solver)]
        for place, state in enumerate(walk(lambda x, t: self.velocity(x, t, y, weight), state, times), start=1):  # noqa: B020
            yield self.member(state) if place == count else self.from_path(state)

    def log_prob(self, x: Tensor, y: Tensor | None = None, steps: int = 50, probes: int | None = None) -> LogProb:
        """log p(x) in nats: an estimate, by following the flow to noise, in a real space; else the lower bound `bound`.

        Args:
            x: (batch, *shape).
            y: labels, if p(x|y) is asked for.
            steps: of the solver.
            probes: random vectors that estimate the divergence; None computes it.
        """
        if self.space.discrete:
            return LogProb(self.bound(x, y), Kind.LOWER_BOUND)
        return self._by_flow(x, y, steps, probes)


def _known(solver: str) -> str:
    if solver not in SOLVERS:
        raise ValueError(f"there is no solver {solver!r}; choose one of {', '.join(SOLVERS)}")
    return solver
