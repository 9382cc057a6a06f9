"""Exercises of lesson 02, in the order of the lesson. Each `latent_….py` beside this file holds one or two of them."""

from . import register
from .latent_autoencoder import AUTOENCODER_LOSS
from .latent_bound import ELBO
from .latent_learning import M_STEP, REPAIR
from .latent_linear import BUG, PPCA_POSTERIOR
from .latent_mixture import E_STEP, MARGINAL

register(MARGINAL, E_STEP, M_STEP, ELBO, REPAIR, PPCA_POSTERIOR, BUG, AUTOENCODER_LOSS)
