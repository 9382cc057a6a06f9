"""Exercises of lesson 06 on accounts that must balance: bits per dimension of levels, and the bug hunt."""

import math

import torch

from . import Exercise, Mistake
from .flows_volume import LESSON, log_standard_normal

# --- bits per dimension -----------------------------------------------------------------------------------------------


def dequantized_bits(x, noise, log_density, levels):
    spread = (x * (levels - 1) + noise) / levels
    log_prob = log_density(spread) - x.shape[1] * math.log(levels)
    return -log_prob / (x.shape[1] * math.log(2))


def _draw_images(generator):
    """Four images of six pixels in five levels, noise for their cells, and a density on the unit cube."""
    x = torch.randint(5, (4, 6), generator=generator) / 4
    x[0, 0], x[1, 0] = 0.0, 1.0
    noise = torch.rand(4, 6, generator=generator)
    power = 0.5 + 2 * torch.rand(6, generator=generator)

    def log_density(u):
        return (power.log() + (power - 1) * (0.01 + u).log()).sum(-1)

    return x, noise, log_density, 5


def _like_bits(spread=None, volume=None, unit=None):
    """Bits with another place in the cell, another volume of the cell, or another unit."""
    spread = spread or (lambda x, noise, levels: (x * (levels - 1) + noise) / levels)
    volume = volume or (lambda dim, levels: -dim * math.log(levels))
    unit = unit or (lambda nats, dim: -nats / (dim * math.log(2)))

    def bits(x, noise, log_density, levels):
        dim = x.shape[1]
        return unit(log_density(spread(x, noise, levels)) + volume(dim, levels), dim)

    return bits


def _divided_by_the_batch(x, noise, log_density, levels):
    return dequantized_bits(x, noise, log_density, levels) * x.shape[1] / len(x)


def _batch_for_dim(x, noise, log_density, levels):
    spread = (x * (levels - 1) + noise) / levels
    return -(log_density(spread) - len(x) * math.log(levels)) / (len(x) * math.log(2))


def _two_units(x, noise, log_density, levels):
    spread = (x * (levels - 1) + noise) / levels
    return math.log(levels) - log_density(spread) / (x.shape[1] * math.log(2))


BITS = Exercise(
    "flows/bits",
    dequantized_bits,
    _draw_images,
    lesson=LESSON,
    title="bits per dimension of dequantized levels",
    minutes=10,
    difficulty=2,
    hints=(
        "Three steps: spread x over its cells; turn the density there into a probability of the cell; change nats to bits, per pixel.",
        "x · (levels − 1) is the level's number k = 0, 1, …; the cell is [k, k + 1) / levels. A cell of dim sides 1 / levels has "
        "the volume levels^(−dim), whose log is −dim · ln levels.",
        "u = (x * (levels - 1) + noise) / levels; nats = log_density(u) - dim * math.log(levels); "
        "-nats / (dim * math.log(2)), where dim = x.shape[1]",
    ),
    mistakes=(
        Mistake(
            _like_bits(volume=lambda dim, levels: 0.0),
            "This is the density, not the probability of a cell: multiply by the cell's volume, in logs − dim · ln levels.",
        ),
        Mistake(
            _like_bits(volume=lambda dim, levels: dim * math.log(levels)),
            "You divided by the cell's volume; probability = density × volume, and the log of the volume is − dim · ln levels.",
        ),
        Mistake(
            _like_bits(volume=lambda dim, levels: -math.log(levels)),
            "A cell has `dim` sides, each 1 / levels long: its log-volume is − dim · ln levels.",
        ),
        Mistake(
            _like_bits(volume=lambda dim, levels: -dim * math.log(levels - 1)),
            "There are `levels` cells in [0, 1), so each is 1 / levels wide; levels − 1 is the number of steps between them.",
        ),
        Mistake(
            _like_bits(volume=lambda dim, levels: -dim * math.log2(levels)),
            "The density is in nats, so the volume must be, too: math.log. The change to bits comes last.",
        ),
        Mistake(
            _like_bits(spread=lambda x, noise, levels: x + noise / levels),
            "Like this the highest level, x = 1, leaves [0, 1), and the cells overlap or leave gaps. The level's number is "
            "k = x · (levels − 1), and its cell (k + noise) / levels.",
            also=(_like_bits(spread=lambda x, noise, levels: (x * levels + noise) / levels),),
        ),
        Mistake(
            _like_bits(spread=lambda x, noise, levels: (x * (levels - 1) + noise) / (levels - 1)),
            "The last step divides by the number of cells, `levels`, so that all of them fit into [0, 1).",
            also=(
                _like_bits(
                    spread=lambda x, noise, levels: (x * (levels - 1) + noise) / (levels - 1),
                    volume=lambda dim, levels: -dim * math.log(levels - 1),
                ),
            ),
        ),
        Mistake(
            _like_bits(spread=lambda x, noise, levels: x * (levels - 1) + noise),
            "These are the numbers of the levels, spread; the density lives on [0, 1): divide by levels.",
            also=(
                _like_bits(spread=lambda x, noise, levels: x * (levels - 1) + noise, volume=lambda dim, levels: 0.0),
            ),
        ),
        Mistake(
            _like_bits(spread=lambda x, noise, levels: (x * (levels - 1) + 0.5) / levels),
            "This is the middle of each cell. A density may be high there and low beside it; the bound needs places all over the cell: "
            "use the noise that is given.",
        ),
        Mistake(
            _like_bits(spread=lambda x, noise, levels: (x + noise) / levels),
            "x is in [0, 1] already: first its level's number, x · (levels − 1), then the noise, then divide by levels.",
            also=(_like_bits(spread=lambda x, noise, levels: x + noise),),
        ),
        Mistake(
            _like_bits(spread=lambda x, noise, levels: x),
            "The noise is missing: at the levels themselves a density can be as high as it likes, and says nothing of probabilities.",
            also=(_like_bits(spread=lambda x, noise, levels: x * (levels - 1) / levels),),
        ),
        Mistake(
            _like_bits(unit=lambda nats, dim: -nats / math.log(2)),
            "These are bits an image; divide by the number of pixels.",
        ),
        Mistake(
            _divided_by_the_batch,
            "You divided by the number of images (or took it for dim). The number of pixels is x.shape[1].",
            also=(_batch_for_dim,),
        ),
        Mistake(
            _two_units,
            "Two units are mixed: log_density divided by ln 2 is in bits, the cell's volume still in nats. Both in nats, then one division.",
        ),
        Mistake(
            _like_bits(unit=lambda nats, dim: -nats / dim),
            "These are nats per dimension; a bit is ln 2 nats: divide by math.log(2).",
        ),
        Mistake(
            _like_bits(unit=lambda nats, dim: nats / (dim * math.log(2))),
            "Bits are what a description costs: −log₂ P(x). The minus is missing.",
        ),
        Mistake(
            _like_bits(unit=lambda nats, dim: -nats * math.log(2) / dim),
            "A bit is ln 2 nats, so divide by ln 2 (there are more bits than nats).",
        ),
        Mistake(
            _like_bits(unit=lambda nats, dim: -nats),
            "These are nats an image: divide by dim · ln 2.",
        ),
        Mistake(
            lambda x, noise, log_density, levels: dequantized_bits(x, noise, log_density, levels).mean(),
            "You averaged over the images; each has its own number.",
        ),
    ),
    alternatives=(
        lambda x, noise, log_density, levels: (
            math.log2(levels) - log_density(((levels - 1) * x + noise) / levels) / x[0].numel() / math.log(2)
        ),
        lambda x, noise, log_density, levels: (
            -(log_density((x * (levels - 1)).round() / levels + noise / levels) / math.log(2) / x.size(1))
            + math.log(levels) / math.log(2)
        ),
    ),
)


# --- the bug hunt: a layer that nobody counted ------------------------------------------------------------------------


def standardized_log_density(x, mean, std, flow):
    z, log_det = flow((x - mean) / std)
    return log_standard_normal(z).sum(-1) + log_det - std.log().sum()


def _draw_standardized(generator):
    """Five points of three entries, their mean and standard deviation, and a flow of one coupling layer."""
    weight = torch.randn(2, generator=generator)
    x = 3 * torch.randn(5, 3, generator=generator) + 1
    std = 0.5 + 3 * torch.rand(3, generator=generator)

    def flow(x):
        log_scale = (x[:, :2] @ weight).sin()
        return torch.cat([x[:, :2], x[:, 2:] * log_scale.exp()[:, None]], dim=-1), log_scale

    return x, torch.randn(3, generator=generator), std, flow


def _like_standardized(correction, before=None):
    """The density with another correction for the standardization, or another standardization."""
    before = before or (lambda x, mean, std: (x - mean) / std)

    def density(x, mean, std, flow):
        z, log_det = flow(before(x, mean, std))
        return log_standard_normal(z).sum(-1) + log_det + correction(std, log_det)

    return density


BUG = Exercise(
    "flows/bug",
    standardized_log_density,
    _draw_standardized,
    lesson=LESSON,
    title="bug hunt: better than the truth",
    minutes=8,
    difficulty=2,
    bug_hunt=True,
    hints=(
        "The samples are right and the flow is right, so look at what happens to x before the flow sees it. Whose density does the last line give?",
        "(x − mean) / std is a map like any other: it squeezes entry i by stdᵢ. What is its log-determinant?",
        "Its slopes are 1 / stdᵢ: add −std.log().sum().",
    ),
    mistakes=(
        Mistake(
            _like_standardized(lambda std, log_det: 0.0),
            "The bug is still there. This is the log density of (x − mean) / std, not that of x.",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: std.log().sum()),
            "You found it, but the sign is wrong: towards noise entry i is *divided* by stdᵢ, so its log-slope is −ln stdᵢ.",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -std.log().mean()),
            "You found it, but the determinant is a product over the entries: its log is a sum, not a mean.",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -std.sum()),
            "You found it, but it is the *log* of each stdᵢ that counts: −std.log().sum().",
            also=(_like_standardized(lambda std, log_det: -std.prod()),),
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -std.sum().log()),
            "You found it, but the log comes before the sum: the determinant is a product, and its log a sum of logs.",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -2 * std.log().sum()),
            "You found it, but these are the variances' logs: x is divided by std, not by std².",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -std.log()),
            "You found it; the log-slopes of the entries must still be summed, one number for all: std.log().sum().",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -2 * log_det),
            "The flow's own log-determinant was right: it is of its map towards noise. Look at what happens before the flow.",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -2 * log_det - std.log().sum()),
            "You found it, but the flow's own log-determinant was right: keep + log_det.",
        ),
        Mistake(
            lambda x, mean, std, flow: standardized_log_density(x, mean, std, flow) - (len(x) - 1) * std.log().sum(),
            "You found it, but it counts once for each point, not once for each of the batch: no len(x).",
        ),
        Mistake(
            lambda x, mean, std, flow: _like_standardized(lambda std, log_det: 0.0)(x, mean, std, flow) / std.prod(),
            "You found it, but it is the density that is divided by std.prod(); these are logs: subtract std.log().sum().",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: 0.0, before=lambda x, mean, std: x),
            "The account would balance now, but this flow was trained on standardized x. Leave the standardization, and count it.",
        ),
        Mistake(
            _like_standardized(lambda std, log_det: -std.log().sum(), before=lambda x, mean, std: x - mean),
            "The standardization itself was right: (x − mean) / std. Only its log-determinant was missing.",
            also=(_like_standardized(lambda std, log_det: 0.0, before=lambda x, mean, std: x - mean),),
        ),
    ),
    alternatives=(
        lambda x, mean, std, flow: (
            log_standard_normal(flow((x - mean) / std)[0]).sum(-1) + flow((x - mean) / std)[1] - std.prod().log()
        ),
        _like_standardized(lambda std, log_det: (1 / std).log().sum()),
    ),
)
