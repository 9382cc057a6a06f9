"""What EMStepper knows: expectation–maximization, half a step at a time, and the bound at every half."""

import copy
from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Space
from ..models import GaussianMixture
from ..models.latent import EMState

__all__ = ["EMSteps", "HalfStep"]


class HalfStep(NamedTuple):
    """Where EM stands after half a step, in nats, averages of the data: elbo + kl = log_prob.

    Attributes:
        kind: "start", "E" or "M".
        iteration: how many M-steps have been made.
        log_prob: log p(x; θ).
        elbo: E_q[log p(x, h; θ)] + H(q).
        kl: KL(q ‖ p(h|x; θ)).
    """

    kind: str
    iteration: int
    log_prob: float
    elbo: float
    kl: float


class EMSteps:
    """EM for a mixture of Gaussians in the plane, in float64.

    Args:
        x: (n, 2).
        components: K of the mixture.
        model: a `GaussianMixture` of `Space.real(2)` to start from; a copy of it is used, whatever `components` says.
        seed: of the start, where no model is given: means on examples, each with the covariance of all the data.

    Attributes:
        model: the mixture, its parameters θ as they stand.
        q: responsibilities, (n, components); uniform at the start.
        steps: every half step since the start.
    """

    def __init__(self, x: Tensor, components: int = 3, model: GaussianMixture | None = None, seed: int = 0):
        if not isinstance(x, Tensor) or x.ndim != 2 or x.shape[1] != 2 or not x.isfinite().all():
            raise ValueError(f"x must be finite points of the plane, a tensor of shape (n, 2), "
                             f"got {tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__}")  # fmt: skip
        self.x = x.detach().cpu().double()
        if model is None:
            self.restart(components, seed)
            return
        if not isinstance(model, GaussianMixture) or model.space != Space.real(2):
            raise TypeError(f"model must be a GaussianMixture of real(2), got {type(model).__name__}")
        self.model = copy.deepcopy(model).cpu().double()
        self.begin()

    def restart(self, components: int, seed: int) -> None:
        """Start with so many components, their means on examples drawn by the seed."""
        old = getattr(self, "model", None)
        settings = {} if old is None else {"covariance": old.covariance, "floor": old.floor}
        with torch.random.fork_rng(devices=[]):  # making a model draws numbers; none of the learner's own
            model = GaussianMixture(Space.real(2), components, **settings).double()
        self.model = model.initialize(self.x, seed=seed)
        self.begin()

    def begin(self) -> None:
        """Make the present parameters the start: q is uniform, nothing has been done."""
        self.start = copy.deepcopy(self.model.state_dict())
        self.q = torch.full((len(self.x), self.model.components), 1 / self.model.components, dtype=torch.float64)
        self.steps: list[HalfStep] = []
        self._note("start")

    def back(self) -> None:
        """Back to the start."""
        self.model.load_state_dict(self.start)
        self.begin()

    @torch.no_grad()
    def place(self, component: int, mean: tuple[float, float]) -> None:
        """Move a component's mean; what then stands is a new start."""
        self.model.means[component] = torch.tensor(mean, dtype=torch.float64)
        self.begin()

    @torch.no_grad()
    def _note(self, kind: str) -> None:
        iteration = self.steps[-1].iteration + (kind == "M") if self.steps else 0
        state = EMState.of(iteration, self.model.log_joint(self.x), self.q)
        values = (float(value.mean()) for value in (state.log_prob, state.elbo, state.kl))
        self.steps.append(HalfStep(kind, iteration, *values))

    @torch.no_grad()
    def e_step(self) -> None:
        """q ← p(h|x; θ): the bound rises to log p(x), which stays."""
        self.q = self.model.responsibilities(self.x)
        self._note("E")

    def m_step(self) -> None:
        """θ ← what maximizes the bound under q: the bound rises, and log p(x) by at least as much."""
        self.model.m_step(self.x, self.q)
        self._note("M")

    def half_step(self) -> None:
        """The half that is next: E, M, E, M, …"""
        self.m_step() if self.steps[-1].kind == "E" else self.e_step()

    @property
    def now(self) -> HalfStep:
        """The last half step."""
        return self.steps[-1]

    @property
    def before(self) -> HalfStep:
        """The one before; at the start, the start."""
        return self.steps[max(0, len(self.steps) - 2)]

    def settled(self, tolerance: float = 1e-7) -> bool:
        """Whether the last whole iteration gained less than this in log p(x), nats."""
        return len(self.steps) >= 3 and self.now.log_prob - self.steps[-3].log_prob < tolerance

    @property
    def means(self) -> Tensor:
        """(components, 2)."""
        return self.model.means.detach().clone()

    @property
    def spreads(self) -> Tensor:
        """L_k with covariance L_k L_kᵀ, (components, 2, 2): L_k maps the unit circle to the ellipse of one σ."""
        covariances = self.model.covariances.detach()
        if self.model.covariance == "diagonal":
            return torch.diag_embed(covariances.sqrt())
        values, vectors = torch.linalg.eigh(covariances)
        return vectors * values.clamp_min(0)[:, None].sqrt()
