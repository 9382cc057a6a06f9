"""Latent variables that are summed out or integrated out exactly, and autoencoders, which only compress."""

from .autoencoder import Autoencoder
from .expectation import EMState
from .mixtures import BernoulliMixture, GaussianMixture
from .ppca import PPCA, PPCAState

__all__ = ["PPCA", "Autoencoder", "BernoulliMixture", "EMState", "GaussianMixture", "PPCAState"]
