"""Variational autoencoders: a latent variable model learned through a lower bound of its likelihood."""

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Bernoulli, Categorical, Distribution, Independent, Normal
from torch.nn import functional as F

from ..core import GenerativeModel, Kind, LogProb, Space, Step
from ..networks import MLP, ConvDecoder, ConvEncoder, one_hot

__all__ = ["VAE", "kl_to_standard_normal"]


def kl_to_standard_normal(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, I)) of each latent, in nats: two (batch, latents) -> (batch, latents).

    ½ (μ² + σ² − 1 − ln σ²), Kingma & Welling 2014, appendix B, https://arxiv.org/abs/1312.6114
    """
    return 0.5 * (mean.square() + log_var.exp() - 1 - log_var)


class VAE(GenerativeModel):
    """Variational autoencoder: p(x) = ∫ p(x|z) N(z; 0, I) dz, learned through a lower bound.

        log p(x) ≥ E_q(z|x)[log p(x|z)] − β KL(q(z|x) ‖ N(0, I))        (nats; β = 1 for the bound itself)

    q(z|x) = N(mean(x), diag(exp(log_var(x)))) is the encoder; p(x|z) is the decoder: Bernoulli pixels in a binary
    space, a categorical distribution over the levels in a grey one, N(mean(z), scale²) in a real one.

    Kingma & Welling, "Auto-Encoding Variational Bayes", 2014, https://arxiv.org/abs/1312.6114
    Higgins et al., "β-VAE", 2017, https://openreview.net/forum?id=Sy2fzU9gl
    Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", 2016, https://arxiv.org/abs/1509.00519

    Args:
        space: binary or grey images, or real vectors.
        latents: dimension of z.
        hidden: widths of the dense layers; none makes encoder and decoder linear.
        channels: channels of the convolutional levels; given, the networks are convolutional (with `hidden[0]`
            as the width of their dense layer).
        beta: weight of the KL term in training; `elbo` and `log_prob` always report β = 1.
        samples: latent samples a training example; more than one trains the importance-weighted bound.
        classes: number of labels for p(x|y), None for no condition.
        warmup: training steps over which the KL term's weight rises from 0 to β (against posterior collapse).
        free_bits: nats a latent may use before its KL costs anything (Kingma et al. 2016,
            https://arxiv.org/abs/1606.04934).
        activation: name of the activation.
    """

    def __init__(
        self,
        space: Space,
        latents: int = 8,
        hidden: Sequence[int] = (256, 256),
        channels: Sequence[int] | None = None,
        beta: float = 1.0,
        samples: int = 1,
        classes: int | None = None,
        warmup: int = 0,
        free_bits: float = 0.0,
        activation: str = "silu",
    ):
        super().__init__(space)
        if space.kind == "tokens":
            raise ValueError(f"VAE needs a binary, grey or real space, got {space}")
        if latents < 1 or samples < 1:
            raise ValueError(f"VAE needs latents ≥ 1 and samples ≥ 1, got {latents} and {samples}")
        if classes is not None and classes < 2:
            raise ValueError(f"a conditional VAE needs classes ≥ 2, got {classes}; leave it out for no condition")
        if channels is not None and not channels:
            raise ValueError("channels=() names no level; leave it out for dense networks")
        if samples > 1 and (beta != 1 or warmup or free_bits):
            raise ValueError("the importance-weighted bound (samples > 1) has no KL term to weigh; "
                             "leave beta=1, warmup=0, free_bits=0")  # fmt: skip
        self.latents, self.beta, self.samples, self.classes = latents, beta, samples, classes
        self.warmup, self.free_bits = warmup, free_bits
        values = space.levels if space.kind == "grey" else 1  # numbers that describe one pixel's distribution
        conditions = classes or 0
        if channels is None:
            self.encoder = MLP(space.dim + conditions, hidden, 2 * latents, activation)
            self.decoder = MLP(latents + conditions, tuple(reversed(hidden)), values * space.dim, activation)
        else:
            if len(space.shape) != 3:
                raise ValueError(
                    f"convolutions need images (channels, height, width), got {space}; leave channels=None"
                )
            width = hidden[0] if hidden else 256
            self.encoder = ConvEncoder(space.shape, channels, 2 * latents, width, conditions, activation)
            outputs = values * space.shape[0]
            self.decoder = ConvDecoder(latents, space.shape, channels, outputs, width, conditions, activation)
        self.convolutional = channels is not None
        self.register_buffer("updates", torch.zeros((), dtype=torch.int64))
        if space.kind == "real":
            self.log_scale = nn.Parameter(torch.zeros(()))

    # --- the two conditional distributions -------------------------------------------------------------------------

    def mean_and_log_var(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The encoder's two answers: mean and ln σ² of q(z|x), (batch, latents) each."""
        self.check_input(x)
        centred = 2 * x - 1 if self.space.discrete else x
        return _widened(self._encode(centred, y)).chunk(2, dim=-1)

    def posterior(self, x: Tensor, y: Tensor | None = None) -> Independent:
        """q(z|x): a diagonal Gaussian, batch (batch,), event (latents,)."""
        mean, log_var = self.mean_and_log_var(x, y)
        return Independent(Normal(mean, (0.5 * log_var).exp(), validate_args=False), 1, validate_args=False)

    def _encode(self, x: Tensor, y: Tensor | None) -> Tensor:
        condition = self._condition(y, len(x), x.dtype)
        if self.convolutional:
            return self.encoder(x, condition)
        flat = x.flatten(1)
        return self.encoder(flat if condition is None else torch.cat([flat, condition], dim=-1))

    def likelihood(self, z: Tensor, y: Tensor | None = None) -> Distribution:
        """p(x|z), with batch (n,) and event space.shape: z is (n, latents)."""
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        condition = self._condition(y, len(z), z.dtype)
        if self.convolutional:
            out = _widened(self.decoder(z, condition))  # (n, values · channels, height, width)
        else:
            out = _widened(self.decoder(z if condition is None else torch.cat([z, condition], dim=-1)))
        if self.space.kind == "grey":
            parameters = out.view(len(z), self.space.levels, *self.space.shape).movedim(1, -1)
            pixels = _Levels(logits=parameters, validate_args=False)  # (n, *shape, levels)
        elif self.space.kind == "binary":
            pixels = Bernoulli(logits=out.view(len(z), *self.space.shape), validate_args=False)
        else:
            pixels = Normal(out.view(len(z), *self.space.shape), self.log_scale.exp(), validate_args=False)
        return Independent(pixels, len(self.space.shape), validate_args=False)

    def _condition(self, y: Tensor | None, batch: int, dtype: torch.dtype) -> Tensor | None:
        if self.classes is None:
            return None
        return one_hot(y, self.classes, batch, dtype)

    # --- bounds ----------------------------------------------------------------------------------------------------

    def rate_and_distortion(self, x: Tensor, y: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """KL(q(z|x) ‖ p(z)) of each latent, (batch, latents), and −log p(x|z) at one sample of q, (batch,); nats.

        Alemi et al., "Fixing a Broken ELBO", 2018, https://arxiv.org/abs/1711.00464
        """
        mean, log_var = self.mean_and_log_var(x, y)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)  # a draw of q that gradients pass through
        return kl_to_standard_normal(mean, log_var), -self.likelihood(z, y).log_prob(x)

    def elbo(self, x: Tensor, y: Tensor | None = None, beta: float = 1.0) -> Tensor:
        """One-sample estimate of E_q[log p(x|z)] − β KL(q(z|x) ‖ p(z)), (batch,), nats."""
        rate, distortion = self.rate_and_distortion(x, y)
        return -distortion - beta * rate.sum(-1)

    def log_weights(self, x: Tensor, y: Tensor | None = None, samples: int = 1) -> Tensor:
        """log p(x, z) − log q(z|x) at `samples` draws of q for every x: (samples, batch), nats."""
        q = self.posterior(x, y)
        z = q.rsample((samples,))  # (samples, batch, latents)
        log_prior = -0.5 * (z.square().sum(-1) + self.latents * math.log(2 * math.pi))
        repeated = None if y is None else y.repeat(samples)
        log_likelihood = self._log_likelihood(x, z, repeated)
        return log_likelihood + log_prior - q.log_prob(z)

    def _log_likelihood(self, x: Tensor, z: Tensor, y: Tensor | None) -> Tensor:
        """log p(x|z) for (samples, batch, latents) against (batch, *shape): (samples, batch)."""
        samples, batch = z.shape[:2]
        p = self.likelihood(z.flatten(0, 1), y)
        if self.space.kind != "binary":
            return p.log_prob(x.repeat(samples, *[1] * len(self.space.shape))).view(samples, batch)
        # Σ x·logit − softplus(logit): several times faster for many samples than a Bernoulli for each
        logits = p.base_dist.logits.view(samples, batch, -1)
        with torch.autocast(x.device.type, enabled=False):  # a sum over pixels in half precision loses nats
            return torch.einsum("sbd,bd->sb", logits, x.flatten(1).to(logits)) - F.softplus(logits).sum(-1)

    def importance_weighted_bound(
        self, x: Tensor, y: Tensor | None = None, samples: int = 50, rows: int = 10_000
    ) -> Tensor:
        """L_k = E[log (1/k) Σᵢ p(x, zᵢ) / q(zᵢ|x)], (batch,), nats: L₁ ≤ L₂ ≤ … ≤ log p(x), tight as k → ∞.

        Args:
            x: (batch, *shape).
            samples: k.
            rows: how many latent samples are decoded at a time; bounds the memory, changes nothing else.
        """
        if samples < 1:
            raise ValueError(f"the importance-weighted bound needs samples ≥ 1, got {samples}")
        totals = []
        for i in range(0, len(x), rows):
            part, labels = x[i : i + rows], None if y is None else y[i : i + rows]
            at_once, total = max(1, rows // len(part)), None
            for start in range(0, samples, at_once):
                found = self.log_weights(part, labels, min(at_once, samples - start)).logsumexp(0)
                total = found if total is None else torch.logaddexp(total, found)
            totals.append(total - math.log(samples))
        return torch.cat(totals)

    def log_prob(self, x: Tensor, y: Tensor | None = None) -> LogProb:
        """A lower bound of log p(x) in nats: the one-sample ELBO (β = 1)."""
        return LogProb(self.elbo(x, y), Kind.LOWER_BOUND)

    # --- learning --------------------------------------------------------------------------------------------------

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        if self.samples > 1:
            yield Step(-(self.log_weights(x, y, self.samples).logsumexp(0) - math.log(self.samples)).mean())
            return
        rate, distortion = self.rate_and_distortion(x, y)
        # a latent's KL counts from `free_bits` on, averaged over the batch
        paid = rate.mean(0).clamp_min(self.free_bits).sum() if self.free_bits else rate.sum(-1).mean()
        beta = self.beta * ((self.updates + 1) / self.warmup).clamp_max(1.0) if self.warmup else self.beta
        logs = {"rate": rate.detach().sum(-1).mean(), "distortion": distortion.detach().mean()}
        yield Step(distortion.mean() + beta * paid, logs=logs)
        self.updates += 1

    # --- sampling and representing ---------------------------------------------------------------------------------

    def prior(self, n: int) -> Tensor:
        """n draws of z ~ N(0, I): (n, latents)."""
        return torch.randn(n, self.latents, device=self.device)

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """Two states: the decoder's mean E[x|z], then a draw of x from p(x|z)."""
        if y is not None and self.classes is None:
            raise ValueError("this VAE is not conditional, but y was given; build it with classes=…")
        p = self.likelihood(self.prior(n), y)
        yield p.mean
        yield p.sample()

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of q(z|x): (batch, latents)."""
        return self.posterior(x, y).mean

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The mean of p(x|z): (batch, *shape)."""
        return self.likelihood(z, y).mean


class _Levels(Categorical):
    """A categorical distribution over the levels 0, 1/(L−1), …, 1 of a grey pixel."""

    @property
    def _highest(self) -> int:
        return self.logits.shape[-1] - 1

    @property
    def mean(self) -> Tensor:
        return self.probs @ torch.linspace(0, 1, self._highest + 1, device=self.probs.device).to(self.probs)

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob((value * self._highest).round())

    def sample(self, sample_shape=()) -> Tensor:
        return super().sample(sample_shape) / self._highest


def _widened(x: Tensor) -> Tensor:
    """Half-precision results of autocast as float32, in which likelihoods are summed."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
