"""Spectral normalization: layers that stretch no vector."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

__all__ = ["SpectralNorm", "spectrally_normalized"]


class SpectralNorm(nn.Module):
    """W ↦ W / σ(W), where σ is the largest singular value, found by power iteration.

        v ← Wᵀu / ‖Wᵀu‖,   u ← W v / ‖W v‖,   σ ≈ uᵀ W v

    The direction u is kept from one training step to the next, in which W hardly moves, so one iteration a step is
    enough; in evaluation mode u rests. A convolution's W is its kernel as a matrix, (outputs, inputs · height · width).

    Miyato et al., "Spectral normalization for generative adversarial networks", 2018,
    https://arxiv.org/abs/1802.05957, algorithm 1

    Args:
        weight: the weight to start from, (outputs, …).
        start: iterations at the beginning.
    """

    def __init__(self, weight: Tensor, start: int = 15):
        super().__init__()
        matrix = weight.detach().flatten(1)
        self.register_buffer("u", F.normalize(torch.randn_like(matrix[:, 0]), dim=0))
        self.iterate(matrix, start)

    @torch.no_grad()
    def iterate(self, matrix: Tensor, steps: int = 1) -> None:
        """Improve u in place: (outputs, inputs) is W."""
        for _ in range(steps):
            v = F.normalize(matrix.T @ self.u, dim=0)
            self.u.copy_(F.normalize(matrix @ v, dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            if self.training:
                self.iterate(matrix.detach())
            with torch.no_grad():
                v = F.normalize(matrix.T @ self.u, dim=0)
            return weight / (self.u.clone() @ (matrix @ v))  # the clone: u changes before the backward pass


def spectrally_normalized(network: nn.Module) -> nn.Module:
    """The same network, in which every linear or convolutional layer's weight is divided by its largest singular value."""
    for layer in network.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    return network
