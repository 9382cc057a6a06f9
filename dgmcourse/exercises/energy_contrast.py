"""Exercises of lesson 09 on learning against one's own samples: the contrast, what holds it, where chains start."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .energy_walks import LESSON

# --- the contrast -----------------------------------------------------------------------------------------------------


def contrastive_loss(positive, negative):
    return positive.mean() - negative.mean()


def _draw_energies(generator):
    """Energies of six examples and of nine samples; on one draw or another either are the higher ones."""
    shift = 6 * torch.rand((), generator=generator) - 3
    return shift + torch.randn(6, generator=generator), 0.5 + torch.randn(9, generator=generator)


CONTRASTIVE = Exercise(
    "energy/contrastive",
    contrastive_loss,
    _draw_energies,
    lesson=LESSON,
    title="data against samples",
    minutes=4,
    difficulty=1,
    differentiable=True,
    hints=(
        "A loss is made small. Which energies should fall, which should rise?",
        "The mean energy of the data should fall, so it stands with a plus; that of the samples should rise, so it is subtracted.",
        "positive.mean() - negative.mean()",
    ),
    mistakes=(
        Mistake(
            lambda positive, negative: negative.mean() - positive.mean(),
            "The signs are exchanged: made small, this loss lifts the data's energy, and digs a hole where the samples are.",
        ),
        Mistake(
            lambda positive, negative: positive.mean() + negative.mean(),
            "This pushes all energies down, the samples' too; then nothing tells them apart. Subtract the samples'.",
        ),
        Mistake(
            lambda positive, negative: positive.sum() - negative.sum(),
            "Take means: there are not as many samples as data, and each phase is an average over its own.",
        ),
        Mistake(
            lambda positive, negative: positive - negative,
            "The two have different lengths: each is averaged by itself, and the means are subtracted.",
            also=(lambda positive, negative: (positive - negative).mean(),),
        ),
        Mistake(
            lambda positive, negative: positive - negative.mean(),
            "One number: the data's energies are averaged as well, positive.mean().",
        ),
        Mistake(
            lambda positive, negative: positive.mean() - (-negative).exp().mean(),
            "No exponentials: what the samples contribute is their mean *energy*, as it stands.",
            also=(
                lambda positive, negative: (-positive).exp().mean() - (-negative).exp().mean(),
                lambda positive, negative: (-negative).exp().mean() - (-positive).exp().mean(),
            ),
        ),
        Mistake(
            lambda positive, negative: positive.mean() + negative.exp().mean().log(),
            "Almost: log of a mean of exponentials would need samples of a fixed law. With the model's own samples it is their mean energy.",
            also=(
                lambda positive, negative: positive.mean() + (-negative).exp().mean().log(),
                lambda positive, negative: positive.mean() + (-negative).logsumexp(0),
            ),
        ),
        Mistake(
            lambda positive, negative: (positive.mean() - negative.mean()).abs(),
            "Without the bars: the loss may be negative. Where the data lie higher than the samples it is positive, and that is what must fall.",
        ),
        Mistake(
            lambda positive, negative: (positive.mean() - negative.mean()).relu(),
            "Without a floor: a loss that stops at 0 stops learning wherever the data lie lower than the samples. It may be negative.",
            also=(lambda positive, negative: (1 + positive.mean() - negative.mean()).relu(),),
        ),
        Mistake(
            lambda positive, negative: F.softplus(positive).mean() + F.softplus(-negative).mean(),
            "This is a classifier's loss, as a discriminator's in lesson 05; the gradient of log p needs the plain energies: mean minus mean.",
        ),
        Mistake(
            lambda positive, negative: -positive.mean() - negative.mean(),
            "Both are pushed up now: the data's energy should fall, so it stands with a plus.",
        ),
        Mistake(
            lambda positive, negative: (positive.mean() - negative.mean()).square(),
            "Squared, the loss cares for the size of the difference, not for its sign. Leave it as it is.",
        ),
        Mistake(
            lambda positive, negative: positive.mean(),
            "Only the data are pulled down: without the samples a constant, lower and lower, would do. Subtract the samples' mean.",
        ),
        Mistake(
            lambda positive, negative: positive.mean() - negative.detach().mean(),
            "The value is right, but the samples' energies must rise: their gradient with respect to the *network* is half of the "
            "method. It is the samples' places that are held fixed, and the walk has seen to that.",
        ),
        Mistake(
            lambda positive, negative: positive.detach().mean() - negative.mean(),
            "The value is right, but nothing pulls the data down: do not detach their energies.",
        ),
        Mistake(
            lambda positive, negative: float(positive.mean() - negative.mean()),
            "This is a bare number, from which no gradient flows back; return the tensor.",
            also=(lambda positive, negative: (positive.mean() - negative.mean()).item(),),
        ),
    ),
    alternatives=(
        lambda positive, negative: positive.sum() / len(positive) - negative.sum() / len(negative),
        lambda positive, negative: (positive[:, None] - negative).mean(),
    ),
)


# --- a repair: a tether -----------------------------------------------------------------------------------------------


def tethered_loss(positive, negative, weight):
    return positive.mean() - negative.mean() + weight * (positive.square().mean() + negative.square().mean())


def _draw_tethered(generator):
    positive, negative = _draw_energies(generator)
    return positive, negative, 0.1 + 0.3 * float(torch.rand((), generator=generator))


def _like_tether(tether):
    """The contrast with another tether: tether(positive, negative, weight)."""
    return lambda positive, negative, weight: contrastive_loss(positive, negative) + tether(positive, negative, weight)


TETHER = Exercise(
    "energy/tether",
    tethered_loss,
    _draw_tethered,
    lesson=LESSON,
    title="energies on a tether",
    minutes=4,
    difficulty=1,
    differentiable=True,
    hints=(
        "Keep the loss of before, and add a price for large energies, of either sign, of data and samples alike.",
        "The price: weight times (mean square of the data's energies + mean square of the samples').",
        "positive.mean() - negative.mean() + weight * (positive.square().mean() + negative.square().mean())",
    ),
    mistakes=(
        Mistake(
            _like_tether(lambda p, n, w: 0.0),
            "The tether is missing: nothing is different from the loss that ran away.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: -w * (p.square().mean() + n.square().mean())),
            "With a minus, large energies are rewarded. The squares are a price: add them.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.square().mean() - n.square().mean())),
            "The samples' squares are a price as the data's are: add both. Subtracted, they pay for pushing the samples far up.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.mean() - n.mean()).square()),
            "This holds only the difference; both may still drift away together. Square each energy.",
            also=(_like_tether(lambda p, n, w: w * (p.mean() + n.mean()).square()),),
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.mean().square() + n.mean().square())),
            "You squared the means; square every energy, then average, so that single ones cannot run away either.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.square().sum() + n.square().sum())),
            "Take means of the squares: the price should not depend on the size of the batch.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.abs().mean() + n.abs().mean())),
            "Squares, not absolute values: a price that grows no faster than the gain does not hold.",
            also=(_like_tether(lambda p, n, w: w * (p.mean() + n.mean())),),
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * p.square().mean()),
            "Only the data are tethered; the samples' energies can still run away upwards.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * n.square().mean()),
            "Only the samples are tethered; the data's energies can still run away downwards.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: p.square().mean() + n.square().mean()),
            "The weight is missing: multiply the squares by it.",
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * torch.cat([p, n]).square().mean()),
            "You averaged over data and samples together; take the mean square of each, and add the two.",
            also=(
                _like_tether(lambda p, n, w: 0.5 * w * (p.square().mean() + n.square().mean())),
                _like_tether(lambda p, n, w: 2 * w * torch.cat([p, n]).square().mean()),
            ),
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.var() + n.var())),
            "A variance does not see a constant that is added to every energy, so all of them can still drift away: squares of the energies themselves.",
            also=(_like_tether(lambda p, n, w: w * (p.var(correction=0) + n.var(correction=0))),),
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * p.square().mean() + n.square().mean()),
            "The weight multiplies both squares: put brackets round their sum.",
            also=(_like_tether(lambda p, n, w: p.square().mean() + w * n.square().mean()),),
        ),
        Mistake(
            _like_tether(lambda p, n, w: w * (p.norm() + n.norm())),
            "These are lengths of whole batches; take the mean of the squares, of data and of samples.",
        ),
        Mistake(
            lambda positive, negative, weight: weight * (positive.square().mean() + negative.square().mean()),
            "The contrast itself is gone: with the tether alone all energies become zero. Add it to the loss of before.",
        ),
        Mistake(
            lambda positive, negative, weight: tethered_loss(-positive, -negative, weight),
            "The tether is right; the contrast has its signs exchanged: data minus samples.",
        ),
    ),
    alternatives=(
        lambda positive, negative, weight: (
            (positive + weight * positive**2).mean() + (weight * negative**2 - negative).mean()
        ),
        lambda positive, negative, weight: (
            contrastive_loss(positive, negative) + weight * sum((e * e).mean() for e in (positive, negative))
        ),
    ),
)


# --- another repair: where chains start -------------------------------------------------------------------------------


def starts(kept, fresh, uniform, restart):
    return torch.where((uniform < restart)[:, None], fresh, kept)


def _draw_chains(generator):
    """Twelve chains of three numbers; a third of them start anew, or so."""
    kept, fresh = torch.randn(12, 3, generator=generator), 10 + torch.randn(12, 3, generator=generator)
    uniform = torch.rand(12, generator=generator)
    uniform[0], uniform[1] = 0.05, 0.95
    return kept, fresh, uniform, 0.35


def _starts_by_loop(kept, fresh, uniform, restart):
    return torch.stack([fresh[i] if u < restart else kept[i] for i, u in enumerate(uniform)])


def _packed(kept, fresh, uniform, restart):
    again, start = uniform < restart, kept.clone()
    start[again] = fresh[: int(again.sum())]
    return start


REPLAY = Exercise(
    "energy/replay",
    starts,
    _draw_chains,
    lesson=LESSON,
    title="where chains start",
    minutes=4,
    difficulty=1,
    hints=(
        "For each chain one of two: its row of `fresh`, if its uniform number is below restart, else its row of `kept`.",
        "uniform < restart is true for the chains that start anew, (chains,); [:, None] makes a column of it, so that it decides about "
        "whole rows.",
        "torch.where((uniform < restart)[:, None], fresh, kept)",
    ),
    mistakes=(
        Mistake(
            lambda kept, fresh, uniform, restart: torch.where((uniform < restart)[:, None], kept, fresh),
            "Turned round: now most chains start anew, and only a few go on. Fresh where uniform < restart, kept elsewhere.",
            also=(lambda kept, fresh, uniform, restart: torch.where((uniform > restart)[:, None], fresh, kept),),
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: kept,
            "No chain starts anew: a valley that all chains have left is never visited again.",
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: fresh,
            "Every chain starts anew: these are short runs, whose failure you have just seen.",
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: restart * fresh + (1 - restart) * kept,
            "You mixed the two places; a chain starts at one of them.",
            also=(lambda kept, fresh, uniform, restart: uniform[:, None] * fresh + (1 - uniform[:, None]) * kept,),
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: torch.cat(
                [fresh[: int(restart * len(kept))], kept[int(restart * len(kept)) :]]
            ),
            "Always the first chains start anew, so these never get old, and the others never start anew. Let `uniform` choose.",
            also=(
                lambda kept, fresh, uniform, restart: torch.cat(
                    [kept[: -int(restart * len(kept))], fresh[-int(restart * len(kept)) :]]
                ),
            ),
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: torch.where(uniform < restart, fresh, kept),
            "uniform < restart has one entry a chain, but each chain is a row: make it a column with [:, None].",
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: torch.cat([kept[uniform >= restart], fresh[uniform < restart]]),
            "The right rows, in another order: chain i must stay in row i, as its state is put back there.",
            also=(
                lambda kept, fresh, uniform, restart: torch.cat([fresh[uniform < restart], kept[uniform >= restart]]),
            ),
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: kept[uniform >= restart],
            "Some chains are gone: those that start anew take their rows from `fresh`.",
            also=(lambda kept, fresh, uniform, restart: fresh[uniform < restart],),
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: torch.where((torch.rand(len(kept)) < restart)[:, None], fresh, kept),
            "You drew random numbers of your own; `uniform` holds them already, one for each chain.",
        ),
        Mistake(
            _packed,
            "A chain that starts anew takes *its own* row of `fresh`: fresh[again], not the first rows.",
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: fresh if uniform < restart else kept,
            "`if` asks one question, and there is one for each chain: torch.where answers all of them.",
        ),
        Mistake(
            lambda kept, fresh, uniform, restart: kept + (uniform < restart)[:, None] * fresh,
            "Chains that start anew do so at `fresh`, not at kept + fresh: put one in place of the other.",
        ),
    ),
    alternatives=(
        _starts_by_loop,
        lambda kept, fresh, uniform, restart: (
            (again := (uniform < restart).float().unsqueeze(1)) * fresh + (1 - again) * kept
        ),
    ),
)
