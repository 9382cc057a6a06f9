"""Every recipe of the course, by name. Each family has a file of its own."""

from . import autoregressive, boltzmann, classifier, diffusion, flows, gan, latent, vae
from .recipe import Recipe

__all__ = ["RECIPES"]

FAMILIES = (latent, boltzmann, vae, gan, flows, autoregressive, diffusion, classifier)
RECIPES: dict[str, Recipe] = {recipe.name: recipe for family in FAMILIES for recipe in family.RECIPES}
