"""What `EnergyLandscape` says: its tables, and a sentence or two about what there is to see."""

import math

import numpy as np

from .energy_surface import Truth
from .particles import Particles, Standing

__all__ = ["digits", "html_table", "misplaced", "remark", "rows_of_valleys", "rows_of_walk"]

SHOWN_VALLEYS = 8


def rows_of_walk(now: Standing, walk: str, stable: float) -> list[list[str]]:
    """How the particles fare: names and values. `stable` is the step size below which no valley is overshot."""
    rows = [["particles, steps", f"{now.count}, {now.steps}"]]
    if now.outside or now.lost:
        rows.append(["out of the square, lost", f"{now.outside}, {now.lost}"])
    if walk == "mala":
        rows.append(["accepted in the last steps", "–" if math.isnan(now.accepted) else f"{100 * now.accepted:.0f} %"])
    return [*rows, ["ε that is stable in each valley", "any" if math.isinf(stable) else f"below {digits(stable)}"]]


def rows_of_valleys(now: Standing, truth: Truth) -> list[list[str]]:
    """What the particles do beside what exp(−E/T) says, under a row of headings."""
    rows = [["", "particles", "exp(−E/T)"], ["mean energy, nats", digits(now.energy), digits(truth.mean)]]
    valleys = len(truth.shares)
    if valleys < 2:
        return rows
    here = now.shares if now.count else np.full(valleys, math.nan)
    for i in range(min(valleys, SHOWN_VALLEYS)):
        rows.append([f"in valley {chr(65 + i)}", _percent(here[i]), _percent(truth.shares[i])])
    if valleys > SHOWN_VALLEYS:
        rest = slice(SHOWN_VALLEYS, None)
        rows.append([f"in {valleys - SHOWN_VALLEYS} more", _percent(here[rest].sum()),
                     _percent(truth.shares[rest].sum())])  # fmt: skip
    return [*rows, ["in the wrong valley", _percent(misplaced(now, truth)), "0 %"]]


def misplaced(now: Standing, truth: Truth) -> float:
    """How large a part of the particles must change its valley for the shares to be right: ½ Σ |share − exact|."""
    return 0.5 * float(np.abs(now.shares - truth.shares).sum()) if now.count else math.nan


def remark(
    particles: Particles, now: Standing, truth: Truth, stable: float, temperature: float, walk: str
) -> list[str]:
    """What there is to see, in a sentence or two; the first, where particles were lost, is about them and important."""
    words = [_about_the_lost(particles, stable)] if now.lost else []
    if not now.count:
        return [*words, "No particles walk. Drop some, or scatter them."]
    if not truth.inside:
        words.append("Some of exp(−E/T) lies beyond the square: its column is for what is inside.")
    if walk == "mala" and now.accepted < 0.1:
        words.append("Hardly any step is accepted: the particles stand still. Take a smaller ε.")
    if temperature == 0:
        words.append("Without noise every particle runs to the bottom of its valley, and stays.")
    elif len(truth.shares) > 1 and now.steps:
        few = 1.5 * math.sqrt(len(truth.shares) / (2 * math.pi * now.count))
        words.append("The valleys hold their shares, as far as so few particles can tell." if misplaced(now, truth) < few else
                     "Some valleys hold too many particles, others too few: walks must cross the passes in between.")  # fmt: skip
    return words or ["Particles wait where they were put. Let them walk."]


def _about_the_lost(particles: Particles, stable: float) -> str:
    """Why particles ran away: by the walk that last lost one, which need not be the one that is set now."""
    walk, step_size = particles.lost_by
    if walk == "mala" or not particles.surface.rises:
        why = "the energy falls without end out there, or is not finite"
    elif step_size > stable:
        why = f"with ε = {step_size:g} a walk overshoots in a valley ever farther; below {digits(stable)} it does not"
    else:
        why = f"with ε = {step_size:g} a step down the steep slopes out there ends still higher on the other side"
    return f"{particles.lost} particle{'s' * (particles.lost > 1)} ran away: {why}."


def digits(value: float) -> str:
    """Three digits, a real minus sign; a dash for what is no number."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:.3g}".replace("-", "−")


def _percent(part: float) -> str:
    return "–" if math.isnan(part) else f"{100 * part:.1f} %"


def html_table(rows: list[list[str]]) -> str:
    """A table whose first column names its rows."""
    style = 'style="text-align:right;padding-left:14px;font-variant-numeric:tabular-nums"'
    body = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{row[0]}</th>'
                   + "".join(f"<td {style}>{value}</td>" for value in row[1:]) + "</tr>" for row in rows)  # fmt: skip
    return f'<table style="line-height:1.4">{body}</table>'
