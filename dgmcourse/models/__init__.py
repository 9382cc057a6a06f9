"""One file (or, where it outgrows a file, one folder) per family of models."""

from .vae import VAE

__all__ = ["VAE"]
