"""What FitByHand knows: data from a density on the line, how well a model does there, and the best that can be done."""

from typing import NamedTuple

import torch
from torch import Tensor

from ..core import Space
from ..data import LineMixture

__all__ = ["LineFit", "Scores"]

STARTS = 10  # of EM


class Scores(NamedTuple):
    """How well a model q does, in nats.

    Attributes:
        log_likelihood: log q(x), averaged over the data.
        expected: log q(x), averaged over infinitely many new data: E_p[log q(x)] = −H(p) − KL(p ‖ q).
        forward: KL(p ‖ q).
        reverse: KL(q ‖ p).
    """

    log_likelihood: float
    expected: float
    forward: float
    reverse: float


class LineFit:
    """n samples of a density that is known exactly, to be fitted by mixtures of Gaussians.

    Args:
        density: p.
        n: how many samples.
        seed: of the samples.

    Attributes:
        x: the samples, float64 (n,).
        low, high: where p has nearly all of its mass: four σ beyond its outermost components, in round numbers; the
            models' means stay in between.
        narrowest, widest: between these the models' standard deviations stay.
    """

    def __init__(self, density: LineMixture, n: int, seed: int = 0):
        if not isinstance(density, LineMixture):
            raise TypeError(f"density must be a dgmcourse.data.LineMixture, got {type(density).__name__}")
        if n < 2:
            raise ValueError(f"a Gaussian is fitted to two points or more; got n = {n}")
        self.density, self.n = density, n
        low = float((density.means - 4 * density.stds).min())
        high = float((density.means + 4 * density.stds).max())
        grain = 10 ** torch.tensor(high - low).log10().floor().item() / 10
        self.low, self.high = low // grain * grain, -(-high // grain) * grain
        self.narrowest, self.widest = (self.high - self.low) / 100, (self.high - self.low) / 2
        self.draw(seed)

    def draw(self, seed: int) -> None:
        """Draw the data anew."""
        self.x = self.density.sample(self.n, torch.Generator().manual_seed(seed)).double()
        self._by_em: dict[int, LineMixture] = {}

    def scores(self, q: LineMixture) -> Scores:
        """Likelihood of the data under q, and both divergences by quadrature."""
        forward = self.density.kl(q)
        return Scores(float(q.log_prob(self.x).mean()), -self.density.entropy - forward, forward, q.kl(self.density))

    @property
    def ceiling(self) -> Scores:
        """The scores of p itself. On the data a fitted model may do better; on new data none does."""
        return Scores(float(self.density.log_prob(self.x).mean()), -self.density.entropy, 0.0, 0.0)

    # --- the best that can be done ---------------------------------------------------------------------------------

    def by_em(self, components: int) -> LineMixture:
        """The most likely mixture that EM finds from ten starts, its variances at least narrowest²; found once."""
        if components not in self._by_em:
            with torch.random.fork_rng(devices=[]):  # making a model draws numbers; none of the learner's own
                found = [self._run_em(components, seed) for seed in range(STARTS if components > 1 else 1)]
            self._by_em[components] = max(found, key=lambda q: float(q.log_prob(self.x).mean()))
        return self._by_em[components]

    def _run_em(self, components: int, seed: int) -> LineMixture:
        from ..models import GaussianMixture

        model = GaussianMixture(Space.real(1), components, floor=self.narrowest**2).double()
        for _ in model.initialize(self.x[:, None], seed=seed).em(self.x[:, None], iterations=500, tolerance=1e-7):
            pass
        order = model.means[:, 0].detach().argsort()
        stds = model.covariances.detach()[:, 0, 0].sqrt()
        return LineMixture(model.means.detach()[order, 0], stds[order], model.weights.detach()[order])

    def nearest(self, q: LineMixture, reverse: bool = False) -> LineMixture:
        """Downhill from q to the smallest KL(p ‖ q), or, `reverse`, KL(q ‖ p): L-BFGS on the quadrature's own gradient.

        Means and standard deviations stay within the limits. Where there are several minima, it finds the one whose
        slope q stands on.
        """
        raw = [part.detach().clone().requires_grad_() for part in self._free(q)]
        optimizer = torch.optim.LBFGS(raw, max_iter=200, tolerance_change=1e-12, line_search_fn="strong_wolfe")

        def divergence() -> Tensor:
            optimizer.zero_grad()
            model = self._bounded(*raw)
            value = model.divergence(self.density) if reverse else self.density.divergence(model)
            value.backward()
            return value.detach()

        with torch.enable_grad():
            optimizer.step(divergence)
        best = self._bounded(*(part.detach() for part in raw))
        return best if all(part.isfinite().all() for part in raw) else q

    def _free(self, q: LineMixture) -> tuple[Tensor, Tensor, Tensor]:
        """Unbounded numbers for q's means, standard deviations and weights."""
        ratio = (q.stds / self.narrowest).log() / torch.tensor(self.widest / self.narrowest).log()
        return ((q.means - self.low) / (self.high - self.low)).logit(1e-3), ratio.logit(1e-3), q.weights.log()

    def _bounded(self, means: Tensor, stds: Tensor, weights: Tensor) -> LineMixture:
        """The inverse of `_free`."""
        spread = self.narrowest * (self.widest / self.narrowest) ** stds.sigmoid()
        return LineMixture(self.low + (self.high - self.low) * means.sigmoid(), spread, weights.softmax(0))
