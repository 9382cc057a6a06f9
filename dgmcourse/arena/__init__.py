"""The arena: every family learns the same digits for the same seconds, and all are judged by one yardstick."""

from .entrants import DIGITS, Entrant
from .match import Match, Result, matches, play, play_all
from .results import Arena, run
from .shipping import can_ship, readme, ship, shipped, shipped_floor, shipped_samples, shipped_toys
from .toys import TOY_ENTRANTS, TOYS

__all__ = ["DIGITS", "TOYS", "TOY_ENTRANTS", "Arena", "Entrant", "Match", "Result", "can_ship", "matches", "play", "play_all", "readme",
           "run", "ship", "shipped", "shipped_floor", "shipped_samples", "shipped_toys"]  # fmt: skip
