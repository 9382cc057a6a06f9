"""Recipes: named, seeded runs with a published figure to answer to.

    python -m dgmcourse recipes
    python -m dgmcourse train vae-mnist --out runs/vae-mnist
    python -m dgmcourse evaluate runs/vae-mnist

A run writes checkpoints while it trains and resumes from them, and leaves a model with a card.
"""

from .catalogue import RECIPES
from .recipe import Published, Recipe
from .run import Card, evaluate, find, ship, table, train

__all__ = ["RECIPES", "Card", "Published", "Recipe", "evaluate", "find", "ship", "table", "train"]
