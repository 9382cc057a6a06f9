"""The restricted Boltzmann machine: visible and hidden units, and no connection within either side."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...core import GenerativeModel, Kind, LogProb, Space, Step
from ...dynamics import AnnealingPath
from ...networks import one_hot
from .annealing import annealing_path
from .enumeration import exact_samples, log_partitions, sides
from .partition import LogPartition, annealed_log_partition

__all__ = ["RBM"]

EXACT_UNITS = 16  # log_prob enumerates up to this many units of the smaller side


class RBM(GenerativeModel):
    """Restricted Boltzmann machine: p(v, h) = exp(−E(v, h)) / Z with binary hidden units h.

        binary v:  E(v, h) = −vᵀW h − bᵀv − cᵀh
        real v:    E(v, h) = ½ Σᵢ (vᵢ − bᵢ)² / σᵢ² − Σᵢⱼ vᵢ Wᵢⱼ hⱼ / σᵢ² − cᵀh,      so that p(v|h) = N(b + W h, σ²)

    Summing h out leaves the free energy F(v) = −bᵀv − Σⱼ softplus(cⱼ + (vᵀW)ⱼ) (binary) and p(v) = exp(−F(v)) / Z.
    The gradient of −log p is that of F(data) minus its mean under the model; the model's samples, which come from
    Gibbs sampling, are started at the data (contrastive divergence, CD-k) or continued from the last step (persistent
    chains, PCD-k, kept as hidden states: `visible_given_hidden(model.chains)` shows what they are at). With `classes`, a group of visible units of which exactly one is on holds the label: p(v, y).

    Hinton, "Training Products of Experts by Minimizing Contrastive Divergence", 2002,
    https://doi.org/10.1162/089976602760128018
    Tieleman, "Training Restricted Boltzmann Machines using Approximations to the Likelihood Gradient", 2008,
    https://doi.org/10.1145/1390156.1390290
    Cho, Ilin & Raiko, "Improved Learning of Gaussian-Bernoulli Restricted Boltzmann Machines", 2011,
    https://doi.org/10.1007/978-3-642-21735-7_2 (the energy for real v)
    Larochelle & Bengio, "Classification using Discriminative Restricted Boltzmann Machines", 2008,
    https://doi.org/10.1145/1390156.1390224 (labels)

    Args:
        space: binary images, or real vectors.
        hidden: number of hidden units.
        k: Gibbs sweeps a training step.
        chains: persistent chains (in each process); 0 starts at the data instead.
        weight_decay: λ of a penalty ½ λ ‖W‖².
        classes: number of labels of a joint p(v, y), None for p(v).
        sweeps: Gibbs sweeps from noise to a sample.
        scale: of real visible units: "learned" (one σᵢ each), or "unit" (σ = 1, for standardized data).
    """

    latent_kind = "units"  # each on or off; encode gives the probability that it is on

    def __init__(
        self,
        space: Space,
        hidden: int = 64,
        k: int = 1,
        chains: int = 0,
        weight_decay: float = 0.0,
        classes: int | None = None,
        sweeps: int = 1000,
        scale: str = "learned",
    ):
        super().__init__(space)
        if space.kind not in ("binary", "real"):
            raise ValueError(
                f"RBM needs a binary or real space, got {space}; binarize the data first, e.g. digits(levels=2)"
            )
        if min(hidden, k, sweeps) < 1 or min(chains, weight_decay) < 0:
            raise ValueError(f"RBM needs hidden, k, sweeps ≥ 1 and chains, weight_decay ≥ 0, got hidden={hidden}, k={k}, "
                             f"sweeps={sweeps}, chains={chains}, weight_decay={weight_decay}")  # fmt: skip
        if classes is not None and classes < 2:
            raise ValueError(f"a joint RBM needs classes ≥ 2, got {classes}; leave it out for none")
        if scale not in ("learned", "unit"):
            raise ValueError(f"scale must be 'learned' or 'unit', got {scale!r}")
        self.latents, self.k, self.weight_decay, self.classes, self.sweeps = hidden, k, weight_decay, classes, sweeps
        self.real, units = space.kind == "real", space.dim + (classes or 0)
        self.weight = nn.Parameter(0.01 * torch.randn(units, hidden))  # the last rows: labels
        self.visible_bias, self.hidden_bias = nn.Parameter(torch.zeros(units)), nn.Parameter(torch.zeros(hidden))
        if self.real and scale == "learned":
            self.log_scale = nn.Parameter(torch.zeros(space.dim))
        elif self.real:
            self.register_buffer("log_scale", torch.zeros(space.dim))
        # averages of the data seen: where annealing and chains from noise start
        self.register_buffer("data_mean", torch.full((space.dim,), 0.0 if self.real else 0.5))
        self.register_buffer("data_variance", torch.ones(space.dim) if self.real else None)
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        self.register_buffer("chains", None)
        if chains:
            self.chains = torch.rand(chains, hidden).round()  # hidden states

    @torch.no_grad()
    def start_from(self, x: Tensor) -> "RBM":
        """Biases with which visible units are as frequent in the model, while its weights are small, as in x.

        It spares learning the first thousands of steps. Hinton, "A practical guide to training restricted Boltzmann
        machines", 2010, section 8.1, https://www.cs.toronto.edu/~hinton/absps/guideTR.pdf

        Args:
            x: (batch, *shape), e.g. the training data.

        Returns:
            the model itself.
        """
        flat = self.check_input(x).flatten(1).to(self.weight.dtype)
        mean, bias = flat.mean(0), self.visible_bias[: self.space.dim]
        self.data_mean.copy_(mean)
        bias.copy_(mean if self.real else mean.clamp(0.001, 0.999).logit())
        if self.real:
            self.data_variance.copy_(flat.var(0))
            if isinstance(self.log_scale, nn.Parameter):
                self.log_scale.copy_(0.5 * self.data_variance.clamp_min(1e-6).log())
        return self

    # --- energies: u is the flat visible side, pixels and then the label's group, (batch, dim + classes) -------------

    def _flat(self, v: Tensor, y: Tensor | None) -> Tensor:
        """x (and the label, as one unit of `classes`) as one vector of visible units."""
        v = v.flatten(1).to(self.weight.dtype)
        return v if self.classes is None else torch.cat([v, one_hot(y, self.classes, len(v), v.dtype)], dim=1)

    def _shaped(self, u: Tensor) -> Tensor:
        return u[:, : self.space.dim].reshape(-1, *self.space.shape)

    @property
    def scale(self) -> Tensor:
        """σ of real visible units, (dim,)."""
        return self.log_scale.exp()

    def _hidden_inputs(self, u: Tensor) -> Tensor:
        """cⱼ + Σᵢ uᵢ Wᵢⱼ (real: uᵢ / σᵢ² in place of uᵢ), the log-odds of hⱼ = 1: (batch, hidden)."""
        if self.real:
            u = torch.cat([u[:, : self.space.dim] * (-2 * self.log_scale).exp(), u[:, self.space.dim :]], dim=1)
        return torch.addmm(self.hidden_bias, u, self.weight).to(u.dtype)

    def _visible_inputs(self, h: Tensor) -> Tensor:
        """bᵢ + Σⱼ Wᵢⱼ hⱼ: log-odds of binary units, means of real ones, logits of the label: (batch, dim + classes)."""
        return torch.addmm(self.visible_bias, h, self.weight.T).to(h.dtype)

    def _visible_term(self, u: Tensor) -> Tensor:
        """The part of the energy that knows v and y alone, (batch,), nats."""
        with torch.autocast(u.device.type, enabled=False):  # a sum over pixels in half precision loses nats
            if not self.real:
                return -(u @ self.visible_bias)
            v, bias = u[:, : self.space.dim], self.visible_bias
            quadratic = 0.5 * ((v - bias[: self.space.dim]) / self.scale).square().sum(-1)
            return quadratic - u[:, self.space.dim :] @ bias[self.space.dim :]

    def _free_energy(self, u: Tensor, inputs: Tensor | None = None) -> Tensor:
        inputs = self._hidden_inputs(u) if inputs is None else inputs
        return self._visible_term(u) - F.softplus(inputs).sum(-1)

    def energy(self, v: Tensor, h: Tensor, y: Tensor | None = None) -> Tensor:
        """E(v, h) (with labels E(v, y, h)): (batch, *shape), (batch, hidden) -> (batch,), nats."""
        u = self._flat(self.check_input(v), y)
        return self._visible_term(u) - (self._hidden_inputs(u) * h).sum(-1)

    def free_energy(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        """F(v) = −log Σ_h exp(−E(v, h)): (batch, *shape) -> (batch,), nats.

        A joint model: F(v, y) where y is given, else −log Σ_y exp(−F(v, y)).
        """
        if self.classes is not None and y is None:
            return -(-self._free_energies(v)).logsumexp(-1)
        return self._free_energy(self._flat(self.check_input(v), y))

    def _free_energies(self, v: Tensor) -> Tensor:
        """F(v, y) for every label of a joint model: (batch, classes)."""
        y = torch.arange(self.classes, device=self.device)
        u = self._flat(self.check_input(v).repeat_interleave(self.classes, 0), y.repeat(len(v)))
        return self._free_energy(u).view(len(v), self.classes)

    def log_posterior(self, v: Tensor) -> Tensor:
        """log p(y|v) of a joint model, exactly, as Z cancels: (batch, *shape) -> (batch, classes), nats.

        Raises:
            ValueError: the model has no labels.
        """
        if self.classes is None:
            raise ValueError("this RBM has no labels; build it with classes=…")
        return (-self._free_energies(v)).log_softmax(-1)

    # --- the two conditional distributions, and Gibbs sampling ---------------------------------------------------------

    def hidden_given_visible(self, v: Tensor, y: Tensor | None = None) -> Tensor:
        """P(hⱼ = 1 | v) = sigmoid(cⱼ + (vᵀW)ⱼ): (batch, *shape) -> (batch, hidden).

        A joint model: P(hⱼ = 1 | v, y) where y is given, else its average over p(y|v).
        """
        if self.classes is None or y is not None:
            return self._hidden_inputs(self._flat(self.check_input(v), y)).sigmoid()
        every = [torch.full((len(v),), label, device=self.device) for label in range(self.classes)]
        p = torch.stack([self.hidden_given_visible(v, label) for label in every], dim=1)  # (batch, classes, hidden)
        return (self.log_posterior(v).exp().unsqueeze(-1) * p).sum(1)

    def visible_given_hidden(self, h: Tensor) -> Tensor:
        """E[v | h]: sigmoid(b + W h), or b + W h where v is real: (batch, hidden) -> (batch, *shape)."""
        self._check_hidden(h)
        inputs = self._shaped(self._visible_inputs(h.to(self.weight.dtype)))
        return inputs if self.real else inputs.sigmoid()

    def label_given_hidden(self, h: Tensor) -> Tensor:
        """log p(y | h) of a joint model: (batch, hidden) -> (batch, classes)."""
        self._check_hidden(h)
        return self._visible_inputs(h.to(self.weight.dtype))[:, self.space.dim :].log_softmax(-1)

    def _check_hidden(self, h: Tensor) -> None:
        if h.ndim != 2 or h.shape[1] != self.latents:
            raise ValueError(f"h must have shape (batch, {self.latents}), got {tuple(h.shape)}")

    def _draw_visible(self, inputs: Tensor, scale: Tensor | None = None) -> Tensor:
        """A draw of the visible units given their inputs: (batch, dim + classes), both ways."""
        pixels = inputs if self.classes is None else inputs[:, : self.space.dim]
        if self.real:
            v = pixels + (self.scale if scale is None else scale) * torch.randn_like(pixels)
        else:
            v = _bernoulli(pixels.sigmoid())
        if self.classes is None:
            return v
        y = torch.multinomial(inputs[:, self.space.dim :].softmax(-1), 1).squeeze(1)
        return torch.cat([v, F.one_hot(y, self.classes).to(v.dtype)], dim=1)

    def _sweep(self, u: Tensor) -> Tensor:
        """One sweep of block Gibbs sampling: h ~ p(h|v), then v ~ p(v|h)."""
        return self._draw_visible(self._visible_inputs(_bernoulli(self._hidden_inputs(u).sigmoid())))

    @torch.no_grad()
    def gibbs(
        self, v: Tensor, y: Tensor | None = None, sweeps: int | None = None, known: Tensor | None = None
    ) -> Iterator[Tensor]:
        """Block Gibbs sampling: h ~ p(h|v), v ~ p(v|h), and again; yields v after each sweep, (batch, *shape).

        Args:
            v: where the chains start, (batch, *shape).
            y: labels that a joint model holds fixed; without, they are sampled too.
            sweeps: how many; the model's own number by default.
            known: entries of v that are held fixed, a mask that broadcasts to v's shape.
        """
        self.check_input(v)
        drawn = y
        if self.classes is not None and y is None:
            drawn = torch.multinomial(self.log_posterior(v).exp(), 1).squeeze(1)
        u = start = self._flat(v, drawn)
        fixed = self._fixed(v, y is not None, known)
        for _ in range(self.sweeps if sweeps is None else sweeps):
            u = self._sweep(u) if fixed is None else torch.where(fixed, start, self._sweep(u))
            yield self._shaped(u)

    def _fixed(self, v: Tensor, label: bool, known: Tensor | None) -> Tensor | None:
        """Which visible units a chain holds fixed, (batch, dim + classes); None for none."""
        if known is None and (self.classes is None or not label):
            return None
        pixels = torch.zeros_like(v, dtype=torch.bool) if known is None else known.bool().expand(v.shape)
        if self.classes is None:
            return pixels.flatten(1)
        return torch.cat([pixels.flatten(1), pixels.new_full((len(v), self.classes), label)], dim=1)

    def _noise(self, n: int) -> Tensor:
        """Where chains start: fair coins, or a Gaussian of the data's mean and variance: (n, *shape)."""
        mean = self.data_mean.expand(n, -1)
        if self.real:
            return (mean + self.data_variance.sqrt() * torch.randn_like(mean)).view(n, *self.space.shape)
        return torch.rand_like(mean).round().view(n, *self.space.shape)

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """`sweeps` states of n Gibbs chains that start as noise; y is held fixed where it is given."""
        if y is not None and self.classes is None:
            raise ValueError("this RBM is not conditional, but y was given; build it with classes=…")
        yield from self.gibbs(self._noise(n), y)

    @torch.no_grad()
    def complete(self, x: Tensor, mask: Tensor, y: Tensor | None = None, sweeps: int | None = None) -> Tensor:
        """x with its unknown entries drawn from p(unknown | known), by Gibbs sampling: (batch, *shape).

        Args:
            x: (batch, *shape); what the unknown entries hold does not matter.
            mask: True where x is known; broadcasts to x's shape, e.g. (1, 8, 8).
            y: labels of a joint model, where they are known.
            sweeps: Gibbs sweeps; the model's own number by default.
        """
        self.check_input(x)
        mask = mask.bool().expand(x.shape)
        state = start = torch.where(mask, x, self._noise(len(x)).to(x.dtype))
        for state in self.gibbs(start, y, sweeps, known=mask):  # noqa: B007 (only the last state is wanted)
            pass
        return torch.where(mask, x, state.to(x.dtype))

    # --- learning ------------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        """F(data) − F(model's samples), whose gradient is that of contrastive divergence; then the chains are kept."""
        data = self._flat(self.check_input(x), y if self.classes is not None else None)
        negatives = self._negatives(data)
        both, n = torch.cat([data, negatives]), len(data)
        inputs = self._hidden_inputs(both)  # one product for both; the chains go on from it, too
        free_energy = self._free_energy(both, inputs)
        loss = free_energy[:n].mean() - free_energy[n:].mean()
        if self.weight_decay:
            loss = loss + 0.5 * self.weight_decay * self.weight.square().sum()
        yield Step(loss)
        with torch.no_grad():
            if self.chains is not None:
                self.chains.copy_(_bernoulli(inputs[n:].sigmoid()))
            self._average(data[:, : self.space.dim])

    @torch.no_grad()
    def _negatives(self, data: Tensor) -> Tensor:
        """The model's own samples, (n, dim + classes): k sweeps on from the persistent chains, or from the data."""
        h = _bernoulli(self._hidden_inputs(data).sigmoid()) if self.chains is None else self.chains
        u = self._draw_visible(self._visible_inputs(h))
        for _ in range(self.k - 1):
            u = self._sweep(u)
        return u

    def _average(self, data: Tensor) -> None:
        """Keep the data's mean (and the variance of real units), over about a thousand steps."""
        self.updates += 1
        share = (1 / self.updates).clamp_min(0.001).to(data.dtype)
        self.data_mean.lerp_(data.mean(0), share)
        if self.real:
            self.data_variance.lerp_((data - self.data_mean).square().mean(0), share)

    # --- the normalizer ------------------------------------------------------------------------------------------------

    @property
    def enumerable(self) -> bool:
        """Whether the smaller side has so few units (16) that `log_prob` sums over all its states."""
        return min(sides(self).values()) <= EXACT_UNITS

    def _log_partitions(self, side: str | None = None) -> Tensor:
        """log Σ exp(−E) for each label where there are any: (classes,) or (1,), exact, nats."""
        return log_partitions(self, side)

    def log_partition(
        self, method: str = "exact", side: str | None = None, chains: int = 500, temperatures: int = 2000
    ) -> LogPartition:
        """log Z, in nats.

        Args:
            method: "exact" sums over all states of the smaller side (up to 2^20); it can be differentiated. "ais"
                estimates by annealed importance sampling, from the mean of the data seen.
            side: "hidden" or "visible": which to enumerate, instead of the smaller.
            chains, temperatures: of annealing.

        Raises:
            ValueError: both sides are too large to enumerate.
        """
        if method == "exact":
            return LogPartition(self._log_partitions(side).logsumexp(0), 0.0, Kind.EXACT)
        if method != "ais":
            raise ValueError(f"method must be 'exact' or 'ais', got {method!r}")
        return annealed_log_partition(self.annealing_path(), chains, temperatures)

    def annealing_path(self) -> AnnealingPath:
        """From independent visible units, as frequent as in the data seen, to this model; see `dynamics`."""
        return annealing_path(self)

    @torch.no_grad()
    def exact_samples(self, n: int) -> Tensor:
        """n independent samples of p(v), (n, *shape): a state of the smaller side, drawn among all, then the other side.

        Raises:
            ValueError: both sides are too large to enumerate.
        """
        return self._shaped(exact_samples(self, n))

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """log p(x), or log p(x | y) of a joint model where y is given: (batch,), nats.

        Exact while the smaller side has at most 16 units. Else unnormalized: −F(x) (−F(x, y) where y is given), which
        misses log Z; `evaluation.annealed_log_prob` estimates it.
        """
        negative = -self.free_energy(x, y)
        if not self.enumerable:
            return LogProb(negative, Kind.UNNORMALIZED)
        log_z = self._log_partitions()
        return LogProb(negative - (log_z.logsumexp(0) if self.classes is None or y is None else log_z[y]), Kind.EXACT)

    # --- representing --------------------------------------------------------------------------------------------------

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """Hidden probabilities: (batch, *shape) -> (batch, hidden)."""
        return self.hidden_given_visible(x, y)

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """E[v | h = z], (batch, hidden) -> (batch, *shape); given h, the label adds nothing."""
        return self.visible_given_hidden(z)


def _bernoulli(p: Tensor) -> Tensor:
    """Zeros and ones with P(1) = p: several times as fast as torch.bernoulli."""
    return torch.rand_like(p).lt_(p)
