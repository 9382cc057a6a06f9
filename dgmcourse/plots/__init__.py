"""Every figure of the lessons: one function each, one look, a text alternative for each.

Each function returns a matplotlib figure; `show(fig, alt="…")` displays it as a picture with alternative text, which
screen readers, GitHub and JupyterLab all keep. Colors are safe for color-blind readers, and markers or line styles
stand beside them.
"""

from .arena import Contender, plot_clouds, plot_pareto
from .boltzmann import plot_annealing, plot_filters, plot_states, plot_units
from .bounds import plot_bounds, plot_posterior_on_grid, plot_rate_distortion, plot_rates
from .curves import plot_curves, plot_history
from .densities import (
    plot_class_maps,
    plot_densities,
    plot_error_curves,
    plot_inverse_cdf,
    plot_kl_directions,
    plot_line,
)
from .diffusion import plot_guided, plot_paths, plot_scores
from .evaluation import plot_effects
from .figures import COLORS, LINES, MARKERS, new_figure, picture, show
from .flows import plot_bending, plot_bent_line, plot_bridges
from .gans import plot_critic_fields, plot_discriminators, plot_mode_shares, plot_players
from .images import plot_images, plot_latent_grid
from .mixtures import plot_codes, plot_em_ascent, plot_em_runs, plot_mixtures
from .sequences import plot_choices, plot_masks, plot_receptive_fields, plot_series

__all__ = [
    "COLORS",
    "LINES",
    "MARKERS",
    "Contender",
    "new_figure",
    "picture",
    "plot_annealing",
    "plot_bending",
    "plot_bent_line",
    "plot_bounds",
    "plot_bridges",
    "plot_choices",
    "plot_class_maps",
    "plot_clouds",
    "plot_codes",
    "plot_critic_fields",
    "plot_curves",
    "plot_densities",
    "plot_discriminators",
    "plot_effects",
    "plot_em_ascent",
    "plot_em_runs",
    "plot_error_curves",
    "plot_filters",
    "plot_guided",
    "plot_history",
    "plot_images",
    "plot_inverse_cdf",
    "plot_kl_directions",
    "plot_latent_grid",
    "plot_line",
    "plot_masks",
    "plot_mixtures",
    "plot_mode_shares",
    "plot_pareto",
    "plot_paths",
    "plot_players",
    "plot_posterior_on_grid",
    "plot_rate_distortion",
    "plot_rates",
    "plot_receptive_fields",
    "plot_scores",
    "plot_series",
    "plot_states",
    "plot_units",
    "show",
]
