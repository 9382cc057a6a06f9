"""Exercises of lesson 04, in the order of the lesson. Each `vae_….py` beside this file holds two of them."""

from . import register
from .vae_bound import ELBO, IMPORTANCE
from .vae_encoder import KL, REPARAMETERIZE
from .vae_latents import AUROC, INTERPOLATE
from .vae_training import BUG, WARMUP

register(REPARAMETERIZE, KL, ELBO, IMPORTANCE, INTERPOLATE, AUROC, WARMUP, BUG)
