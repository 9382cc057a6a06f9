"""Autoencoders: a bottleneck that compresses x and rebuilds it. They represent; by themselves they do not generate."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...core import GenerativeModel, Space, Step
from ...networks import MLP, ConvDecoder, ConvEncoder

__all__ = ["Autoencoder"]


class Autoencoder(GenerativeModel):
    """Autoencoder: z = encode(x), x ≈ decode(z), learned by making the reconstruction error small.

    No distribution is said to hold for z, so there is no p(x): `log_prob` is None. To sample nevertheless, z is drawn
    from a Gaussian: N(0, I), or after `measure_codes` one with the codes' mean and covariance; where the codes leave
    holes, the decoder was never trained.

    Without hidden layers and with squared error it spans the subspace of PCA: Baldi & Hornik, "Neural networks and
    principal component analysis", 1989, https://doi.org/10.1016/0893-6080(89)90014-2
    Hinton & Salakhutdinov, "Reducing the Dimensionality of Data with Neural Networks", 2006,
    https://doi.org/10.1126/science.1127647

    Args:
        space: binary or grey images, or real vectors.
        latents: dimension of z, the bottleneck.
        hidden: widths of the dense layers; none makes encoder and decoder linear.
        channels: channels of the convolutional levels; given, the networks are convolutional (with `hidden[0]` as the
            width of their dense layer).
        activation: name of the activation.
    """

    def __init__(
        self,
        space: Space,
        latents: int = 2,
        hidden: Sequence[int] = (256, 256),
        channels: Sequence[int] | None = None,
        activation: str = "silu",
    ):
        super().__init__(space)
        if space.kind == "tokens":
            raise ValueError(f"Autoencoder needs a binary, grey or real space, got {space}")
        if latents < 1:
            raise ValueError(f"Autoencoder needs latents ≥ 1, got {latents}")
        if channels is not None and not channels:
            raise ValueError("channels=() names no level; leave it out for dense networks")
        if channels is not None and len(space.shape) != 3:
            raise ValueError(f"a convolutional Autoencoder needs (channels, height, width), got {space}")
        self.latents = latents
        if channels is None:
            self.encoder = MLP(space.dim, hidden, latents, activation)
            self.decoder = MLP(latents, hidden[::-1], space.dim, activation)
        else:
            width = hidden[0] if hidden else 256
            self.encoder = ConvEncoder(space.shape, channels, latents, width, activation=activation)
            self.decoder = ConvDecoder(latents, space.shape, channels, space.shape[0], width, activation=activation)
        self.convolutional = channels is not None
        self.register_buffer("code_mean", torch.zeros(latents))
        self.register_buffer("code_factor", torch.eye(latents))  # codes have the covariance factor factorᵀ

    def encode(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """z: (batch, *shape) -> (batch, latents)."""
        self.check_input(x)
        centered = 2 * x - 1 if self.space.discrete else x
        return self.encoder(centered if self.convolutional else centered.flatten(1))

    def decode(self, z: Tensor, y: Tensor | None = None) -> Tensor:
        """The reconstruction: (batch, latents) -> (batch, *shape); of binary x, the probability of each pixel."""
        out = self._outputs(z)
        return out.sigmoid() if self.space.kind == "binary" else out

    def _outputs(self, z: Tensor) -> Tensor:
        """The decoder's own scale: (batch, *shape), logits in a binary space."""
        if z.ndim != 2 or z.shape[1] != self.latents:
            raise ValueError(f"z must have shape (batch, {self.latents}), got {tuple(z.shape)}")
        out = self.decoder(z).view(len(z), *self.space.shape)
        return out.float() if out.dtype in (torch.float16, torch.bfloat16) else out  # errors are summed in float32

    def reconstruction_error(self, x: Tensor, y: Tensor | None = None) -> Tensor:
        """How far decode(encode(x)) is from x, (batch,): cross-entropy in nats for binary x, else squared error."""
        out = self._outputs(self.encode(x))
        if self.space.kind == "binary":
            return F.binary_cross_entropy_with_logits(out, x, reduction="none").flatten(1).sum(-1)
        return (x - out).square().flatten(1).sum(-1)

    def training_step(self, x: Tensor, y: Tensor | None = None) -> Iterator[Step]:
        yield Step(self.reconstruction_error(x).mean())

    @torch.no_grad()
    def measure_codes(self, x: Tensor) -> "Autoencoder":
        """Remember mean and covariance of encode(x), (batch, latents), for `trajectory`; returns self."""
        if len(x) < 2:
            raise ValueError(f"a covariance of codes needs at least two examples, got {len(x)}")
        codes = self.encode(x)
        mean = codes.mean(0)
        values, vectors = torch.linalg.eigh((codes - mean).T @ (codes - mean) / len(codes))
        self.code_mean.copy_(mean)
        self.code_factor.copy_(vectors * values.clamp_min(0).sqrt())
        return self

    @torch.no_grad()
    def trajectory(self, n: int, y: Tensor | None = None) -> Iterator[Tensor]:
        """decode(z) at Gaussian codes z; then, in a discrete space, the pixels drawn (binary) or rounded (grey)."""
        if y is not None:
            raise ValueError("this Autoencoder is not conditional, but y was given; leave it out")
        noise = torch.randn(n, self.latents, dtype=self.code_mean.dtype, device=self.device)
        x = self.decode(self.code_mean + noise @ self.code_factor.T)
        yield x
        if self.space.kind == "binary":
            yield (torch.rand_like(x) < x).to(x.dtype)
        elif self.space.kind == "grey":
            steps = self.space.levels - 1
            yield (x.clamp(0, 1) * steps).round() / steps
