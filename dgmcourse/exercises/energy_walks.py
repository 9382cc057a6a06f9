"""Exercises of lesson 09 on walks in an energy: a Langevin step, and the bug hunt, a rule of acceptance."""

import math

import torch

from . import Exercise, Mistake

LESSON = "09_energy_based_models"


def _quartic(x):
    """An energy whose slope is not linear: (batch, dim) -> (batch,)."""
    return (0.5 * x.square() + 0.1 * x.pow(4)).sum(1) + x[:, 0].sin()


def quartic_slope(x):
    """Its gradient: (batch, dim) both ways."""
    slope = x + 0.4 * x.pow(3)
    return torch.cat([slope[:, :1] + x[:, :1].cos(), slope[:, 1:]], dim=1)


# --- a Langevin step --------------------------------------------------------------------------------------------------


def langevin_step(x, slope, step_size, noise):
    return x - 0.5 * step_size * slope(x) + step_size**0.5 * noise


def _draw_walkers(generator):
    """Five walkers in three dimensions, a step size well away from 1, and noise."""
    step_size = 0.1 + 0.2 * float(torch.rand((), generator=generator))
    x, noise = (torch.randn(5, 3, generator=generator) for _ in range(2))
    return x, quartic_slope, step_size, noise


def _like_step(down=0.5, shaken=lambda e: e**0.5, at=lambda x, step, noise: x):
    """A step of another length downhill, with noise of another size, or with the slope of another place."""

    def step(x, slope, step_size, noise):
        place = at(x, step_size, noise)
        return x - down * step_size * slope(place) + shaken(step_size) * noise

    return step


def _own():
    return torch.Generator().manual_seed(0)


LANGEVIN = Exercise(
    "energy/langevin",
    langevin_step,
    _draw_walkers,
    lesson=LESSON,
    title="a Langevin step",
    minutes=5,
    difficulty=1,
    hints=(
        "Three terms: where the walkers are, a step against the slope, and a kick. `slope` is a function; ask it at x.",
        "Downhill is −slope(x), times half the step size. The kick is the noise times the square root of the step size.",
        "x - 0.5 * step_size * slope(x) + step_size**0.5 * noise",
    ),
    mistakes=(
        Mistake(
            _like_step(down=-0.5),
            "You walk uphill, to where points are unlikely. The slope of E points up: subtract it.",
        ),
        Mistake(
            _like_step(down=1.0),
            "The slope counts half: −½ε ∇E. With ε ∇E and noise of variance ε, walkers sample exp(−2E), twice as cold.",
        ),
        Mistake(
            _like_step(down=1.0, shaken=lambda e: (2 * e) ** 0.5),
            "This is a right Langevin step, but of size 2ε: the other way to write it. Here it is −½ε ∇E + √ε · noise.",
        ),
        Mistake(
            lambda x, slope, step_size, noise: x - 0.5 * step_size**2 * slope(x) + step_size * noise,
            "This is a right Langevin step, but of size ε²: some papers call the noise's factor ε. Here it is −½ε ∇E + √ε · noise.",
        ),
        Mistake(
            _like_step(shaken=lambda e: (2 * e) ** 0.5),
            "√(2ε) goes with ε ∇E, the other way to write it. Beside ½ε ∇E stands √ε; yours samples exp(−E/2), twice as hot.",
        ),
        Mistake(
            _like_step(shaken=lambda e: e),
            "The noise is multiplied by √ε, not by ε: variances add up over time, standard deviations do not.",
        ),
        Mistake(
            _like_step(shaken=lambda e: 1.0),
            "The noise must shrink with the step, too: multiply it by √ε, or small steps drown in it.",
        ),
        Mistake(
            _like_step(shaken=lambda e: 0.0),
            "The noise is missing: this is gradient descent, and all walkers end at the bottoms of valleys.",
        ),
        Mistake(
            _like_step(shaken=lambda e: 0.5 * e**0.5),
            "The half belongs to the slope alone: the noise is multiplied by √ε.",
            also=(_like_step(shaken=lambda e: (0.5 * e) ** 0.5), _like_step(shaken=lambda e: 0.5 * e)),
        ),
        Mistake(
            _like_step(shaken=lambda e: -(e**0.5)),
            "That would be Langevin, too, as the noise is symmetric. But we want to compare numbers: add √ε · noise.",
        ),
        Mistake(
            lambda x, slope, step_size, noise: x - 0.5 * step_size**0.5 * slope(x) + step_size**0.5 * noise,
            "The root belongs to the noise alone: the slope is multiplied by ½ε.",
            also=(lambda x, slope, step_size, noise: x - (0.5 * step_size) ** 0.5 * slope(x) + step_size**0.5 * noise,),
        ),
        Mistake(
            lambda x, slope, step_size, noise: (
                x - 0.5 * step_size * slope(x) + step_size**0.5 * torch.randn(x.shape, generator=_own())
            ),
            "You drew noise of your own; use the one that is handed to you, so that numbers can be compared.",
            also=(lambda x, slope, step_size, noise: langevin_step(x, slope, step_size, torch.randn_like(x)),),
        ),
        Mistake(
            _like_step(at=lambda x, e, noise: x + e**0.5 * noise),
            "You took the slope after the kick; take it at x, where the walkers stand.",
        ),
        Mistake(
            lambda x, slope, step_size, noise: -0.5 * step_size * slope(x) + step_size**0.5 * noise,
            "This is how far the walkers move; return where they are then: x plus that.",
        ),
        Mistake(
            lambda x, slope, step_size, noise: x - 0.5 * step_size * x + step_size**0.5 * noise,
            "You used x itself in place of the slope: ask slope(x).",
        ),
        Mistake(
            lambda x, slope, step_size, noise: x - 0.5 * step_size * slope + step_size**0.5 * noise,
            "`slope` is a function: call it, slope(x).",
        ),
    ),
    alternatives=(
        lambda x, slope, step_size, noise: torch.add(x, slope(x), alpha=-step_size / 2) + noise * math.sqrt(step_size),
        lambda x, slope, step_size, noise: x + step_size**0.5 * (noise - 0.5 * step_size**0.5 * slope(x)),
    ),
)


# --- the bug hunt: half of a rule -------------------------------------------------------------------------------------


def log_acceptance(x, proposal, energy, slope, step_size):
    forth = (proposal - x + 0.5 * step_size * slope(x)).square().sum(1)
    back = (x - proposal + 0.5 * step_size * slope(proposal)).square().sum(1)
    return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)


def _draw_proposals(generator):
    """Six walkers, and where a Langevin step would take them."""
    x, noise = (torch.randn(6, 3, generator=generator) for _ in range(2))
    step_size = 0.3 + 0.3 * float(torch.rand((), generator=generator))
    return x, langevin_step(x, quartic_slope, step_size, noise), _quartic, quartic_slope, step_size


def _like_acceptance(combined):
    """log of the acceptance probability from ln p's gain, log q(forth), log q(back), each (batch,), and ε."""

    def accept(x, proposal, energy, slope, step_size):
        forth = (proposal - x + 0.5 * step_size * slope(x)).square()
        back = (x - proposal + 0.5 * step_size * slope(proposal)).square()
        return combined(energy(x) - energy(proposal), forth, back, step_size)

    return accept


def _same_slope(x, proposal, energy, slope, step_size):
    forth = (proposal - x + 0.5 * step_size * slope(x)).square().sum(1)
    back = (x - proposal + 0.5 * step_size * slope(x)).square().sum(1)
    return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)


def _uphill(x, proposal, energy, slope, step_size):
    forth = (proposal - x - 0.5 * step_size * slope(x)).square().sum(1)
    back = (x - proposal - 0.5 * step_size * slope(proposal)).square().sum(1)
    return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)


def _whole_drift(x, proposal, energy, slope, step_size):
    forth = (proposal - x + step_size * slope(x)).square().sum(1)
    back = (x - proposal + step_size * slope(proposal)).square().sum(1)
    return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)


def _no_drift(x, proposal, energy, slope, step_size):
    forth, back = (proposal - x).square().sum(1), (x - proposal).square().sum(1)
    return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)


def _by_distributions(x, proposal, energy, slope, step_size):
    def log_q(to, start):
        mean = start - 0.5 * step_size * slope(start)
        return torch.distributions.Normal(mean, step_size**0.5).log_prob(to).sum(-1)

    return (log_q(x, proposal) - energy(proposal)) - (log_q(proposal, x) - energy(x))


def _expanded(x, proposal, energy, slope, step_size):
    """The squares multiplied out: what is left of them."""
    here, there = slope(x), slope(proposal)
    drift = 0.5 * ((proposal - x) * (here + there)).sum(1)
    return energy(x) - energy(proposal) + drift + step_size / 8 * (here.square() - there.square()).sum(1)


BUG = Exercise(
    "energy/bug",
    log_acceptance,
    _draw_proposals,
    lesson=LESSON,
    title="bug hunt: a rule that is half right",
    minutes=12,
    difficulty=3,
    bug_hunt=True,
    hints=(
        "Energies alone decide only if a step from x to x′ is proposed as often as one from x′ to x. Is it, if every proposal leans downhill?",
        "log q(x′|x) = −‖x′ − x + ½ε slope(x)‖² / 2ε + a constant; the way back has x and x′ exchanged everywhere, in the slope, too. "
        "Add log q(back) − log q(forth).",
        "forth = (proposal - x + 0.5 * step_size * slope(x)).square().sum(1); back = (x - proposal + 0.5 * step_size * "
        "slope(proposal)).square().sum(1); return energy(x) - energy(proposal) + (forth - back) / (2 * step_size)",
    ),
    mistakes=(
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain),
            "The bug is still there: energies alone decide, as if a step forth were proposed as often as the step back.",
            also=(_no_drift, _like_acceptance(lambda gain, forth, back, e: gain.clamp_max(0))),
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain + (back - forth).sum(1) / (2 * e)),
            "You found it, but the sign is wrong: log q has a minus before its square, so log q(back) − log q(forth) is (forth − back) / 2ε.",
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: -gain + (forth - back).sum(1) / (2 * e)),
            "The energies were right: E(x) − E(x′) is what ln p gains. Only the proposals' share was missing.",
            also=(_like_acceptance(lambda gain, forth, back, e: -gain),),
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain - forth.sum(1) / (2 * e)),
            "Only one of the two proposals is in: add log q(back) and subtract log q(forth).",
            also=(
                _like_acceptance(lambda gain, forth, back, e: gain + forth.sum(1) / (2 * e)),
                _like_acceptance(lambda gain, forth, back, e: gain - back.sum(1) / (2 * e)),
            ),
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).sum(1) / 2),
            "You found it; the proposals have variance ε, so their squares are divided by 2ε.",
            also=(
                _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).sum(1) / e),
                _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).sum(1) / (2 * e**2)),
                _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).sum(1)),
                _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).sum(1) / (2 * e**4)),
            ),
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).mean(1) / (2 * e)),
            "You averaged over the entries of x; a square of a length is their sum.",
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain[:, None] + (forth - back) / (2 * e)),
            "The squares must be summed over the entries of x: one number for each walker, .sum(1).",
            also=(_like_acceptance(lambda gain, forth, back, e: gain + (forth - back) / (2 * e)),),
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: gain + (forth - back).sum() / (2 * e)),
            "You summed over the walkers as well: each has its own ratio. Sum over the entries of x alone, .sum(1).",
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: (forth - back).sum(1) / (2 * e)),
            "Now the energies are missing: ln r = E(x) − E(x′) + log q(back) − log q(forth).",
        ),
        Mistake(
            _like_acceptance(
                lambda gain, forth, back, e: gain + (-back.sum(1) / (2 * e)).exp() - (-forth.sum(1) / (2 * e)).exp()
            ),
            "ln r adds the *logarithms* of q: −‖…‖² / 2ε as it stands, without exp.",
        ),
        Mistake(
            _whole_drift,
            "A proposal's center is x − ½ε slope(x): a half is missing before the slopes.",
        ),
        Mistake(
            _same_slope,
            "On the way back the walker stands at the proposal: take the slope there, slope(proposal).",
        ),
        Mistake(
            _uphill,
            "A proposal's center is x − ½ε slope(x), so its distance from there is proposal − x + ½ε slope(x): mind the sign.",
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: (gain + (forth - back).sum(1) / (2 * e)).exp()),
            "This is the ratio itself; return its logarithm, which the cell below compares with the log of a uniform number.",
            also=(
                _like_acceptance(
                    lambda gain, forth, back, e: (gain + (forth - back).sum(1) / (2 * e)).exp().clamp_max(1)
                ),
            ),
        ),
        Mistake(
            _like_acceptance(lambda gain, forth, back, e: (gain + (forth - back).sum(1) / (2 * e)).clamp_max(0)),
            "Right, and you also took the smaller of it and 0, as a probability is at most 1. The cell below does that: leave it out.",
        ),
    ),
    alternatives=(_by_distributions, _expanded),
)
