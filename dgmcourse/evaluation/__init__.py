"""The yardstick: what a model's numbers are worth, and how good its samples and representations are."""

from .families import abilities, family_map
from .likelihood import (
    Estimate,
    average_log_prob,
    grid_posterior,
    importance_weighted_log_prob,
    integrated_log_prob,
    linear_gaussian_log_prob,
)

__all__ = [
    "Estimate",
    "abilities",
    "average_log_prob",
    "family_map",
    "grid_posterior",
    "importance_weighted_log_prob",
    "integrated_log_prob",
    "linear_gaussian_log_prob",
]
