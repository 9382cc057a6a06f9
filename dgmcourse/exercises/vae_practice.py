"""Exercises of lesson 04, second half: using, breaking and mending a variational autoencoder."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake, register
from .vae import LESSON, draw_gaussian, draw_pixels, elbo

# --- interpolation ----------------------------------------------------------------------------------------------------


def interpolate(z_a, z_b, steps):
    fractions = torch.linspace(0, 1, steps, device=z_a.device)[:, None]
    return (1 - fractions) * z_a + fractions * z_b


def _spherical(z_a, z_b, steps):
    t = torch.linspace(0, 1, steps)[:, None]
    angle = torch.acos(F.cosine_similarity(z_a, z_b, dim=0).clamp(-1, 1))
    return (torch.sin((1 - t) * angle) * z_a + torch.sin(t * angle) * z_b) / torch.sin(angle)


INTERPOLATE = Exercise(
    "vae/interpolate",
    interpolate,
    lambda generator: (torch.randn(4, generator=generator), torch.randn(4, generator=generator), 5),
    lesson=LESSON,
    title="interpolation in latent space",
    minutes=5,
    difficulty=1,
    hints=(
        "A point a fraction t of the way from z_a to z_b is (1 − t) z_a + t z_b.",
        "torch.linspace(0, 1, steps) gives all fractions, both ends included. Make it a column, [:, None], so that it "
        "multiplies a whole vector in each row.",
        "t = torch.linspace(0, 1, steps, device=z_a.device)[:, None], then (1 - t) * z_a + t * z_b has shape "
        "(steps, latents).",
    ),
    mistakes=(
        Mistake(
            lambda z_a, z_b, steps: torch.arange(steps)[:, None] / steps * (z_b - z_a) + z_a,
            "Your path stops one step short of z_b: the last fraction must be 1, as torch.linspace(0, 1, steps) gives.",
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_b, z_a, steps),
            "Your path runs backwards: it must begin at z_a.",
        ),
        Mistake(
            lambda z_a, z_b, steps: torch.stack([torch.linspace(0, 1, steps)] * len(z_a), 1) * (z_a + z_b),
            "You scaled z_a + z_b; the path is (1 − t) z_a + t z_b.",
        ),
        Mistake(
            lambda z_a, z_b, steps: torch.linspace(0, 1, steps)[:, None] * (z_b - z_a),
            "You have the way from z_a to z_b, but do not start at z_a: add it.",
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_a, z_b, steps + 2)[1:-1],
            "Both ends belong to the path: `steps` points, the first z_a, the last z_b.",
        ),
        Mistake(
            lambda z_a, z_b, steps: interpolate(z_a, z_b, steps + 1),
            "That is one point too many: `steps` counts the points, not the gaps between them.",
        ),
        Mistake(
            _spherical,
            "This is the path along an arc; here a straight line is asked for. (InterpolationStrip shows you both.)",
        ),
    ),
    alternatives=(
        lambda z_a, z_b, steps: torch.stack([z_a + (z_b - z_a) * i / (steps - 1) for i in range(steps)]),
        lambda z_a, z_b, steps: torch.lerp(z_a[None], z_b[None], torch.linspace(0, 1, steps).unsqueeze(1)),
    ),
)


# --- the anomaly score ------------------------------------------------------------------------------------------------


def auroc(normal, anomalous):
    wins = (anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()
    return wins.mean()


def _draw_scores(generator):
    normal = torch.randn(30, generator=generator).mul(4).round() / 2
    return normal, torch.randn(20, generator=generator).mul(4).add(3).round() / 2


def _entry_by_entry(normal, anomalous):
    n = min(len(normal), len(anomalous))
    return (anomalous[:n] > normal[:n]).float().mean()


AUROC = Exercise(
    "vae/anomaly",
    auroc,
    _draw_scores,
    lesson=LESSON,
    title="how well strange images are told apart",
    minutes=10,
    difficulty=2,
    hints=(
        "Read the definition aloud: over all pairs of one anomalous and one normal image, how often is the anomalous "
        "score the larger? A tie is half a win.",
        "anomalous[:, None] > normal compares all pairs at once: (anomalous, normal), true or false.",
        "((anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()).mean()",
    ),
    mistakes=(
        Mistake(
            lambda normal, anomalous: auroc(anomalous, normal),
            "You counted the pairs in which the normal image looks stranger: turn the comparison round.",
        ),
        Mistake(
            lambda normal, anomalous: (anomalous[:, None] > normal).float().mean(),
            "A tie counts as half a win: add 0.5 where the two scores are equal.",
        ),
        Mistake(
            lambda normal, anomalous: (anomalous[:, None] >= normal).float().mean(),
            "A tie counts as half a win, not a whole one.",
        ),
        Mistake(
            lambda normal, anomalous: (
                (anomalous[:, None] > normal).float() + 0.5 * (anomalous[:, None] == normal).float()
            ).sum(),
            "You counted the pairs won; divide by the number of pairs.",
        ),
        Mistake(
            lambda normal, anomalous: (anomalous > normal.median()).float().mean(),
            "You compared with one typical normal image; compare with every one of them: all pairs.",
        ),
        Mistake(
            _entry_by_entry,
            "You compared the two lists entry by entry; compare every anomalous score with every normal one.",
        ),
    ),
    alternatives=(
        lambda normal, anomalous: (0.5 * torch.sign(anomalous.unsqueeze(0) - normal.unsqueeze(1)) + 0.5).mean(),
        lambda normal, anomalous: torch.heaviside(anomalous[:, None] - normal[None, :], torch.tensor(0.5)).mean(),
    ),
)


# --- repairing posterior collapse -------------------------------------------------------------------------------------


def kl_weight(step, warmup, beta=1.0):
    return beta * min(1.0, step / warmup)


def _draw_schedule(generator):
    warmup = int(torch.randint(50, 200, (), generator=generator))
    return {"step": int(torch.randint(0, 300, (), generator=generator)), "warmup": warmup,
            "beta": float(torch.rand((), generator=generator) + 0.5)}  # fmt: skip


WARMUP = Exercise(
    "vae/warmup",
    kl_weight,
    _draw_schedule,
    lesson=LESSON,
    title="warm up the KL term",
    minutes=5,
    difficulty=1,
    draws=12,
    hints=(
        "Two phases: a straight line from 0 at step 0 to β at step `warmup`, then β for ever.",
        "step / warmup is the line; it must not go past 1.",
        "beta * min(1.0, step / warmup)",
    ),
    mistakes=(
        Mistake(
            lambda step, warmup, beta=1.0: beta * step / warmup,
            "Your weight goes on rising after the warm-up: stop it at β, with min(1.0, …).",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: min(1.0, step / warmup),
            "You left out β: the weight ends at β, not at 1.",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: beta * max(0.0, 1 - step / warmup),
            "Your weight falls; it should rise from 0, so that the decoder learns to use z before z costs anything.",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: beta if step >= warmup else 0.0,
            "Your weight jumps from 0 to β; let it rise in a straight line.",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: beta * max(1.0, step / warmup),
            "max keeps the weight from falling below β; you want min, which keeps it from rising above.",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: min(beta, step / warmup),
            "The line must reach β at step `warmup`, so its slope is β / warmup: multiply by β outside the min.",
        ),
    ),
    alternatives=(
        lambda step, warmup, beta=1.0: beta if step > warmup else beta * step / warmup,
        lambda step, warmup, beta=1.0: min(step, warmup) * beta / warmup,
    ),
)


# --- bug hunt ---------------------------------------------------------------------------------------------------------


def vae_loss(x, logits, mean, log_var):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    return (reconstruction + kl).mean()


def _shipped_bug(x, logits, mean, log_var):
    reconstruction = F.binary_cross_entropy_with_logits(logits, x)
    kl = 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
    return (reconstruction + kl).mean()


BUG = Exercise(
    "vae/bug",
    vae_loss,
    lambda generator: (*draw_pixels(generator, batch=6), *draw_gaussian(generator, batch=6)),
    lesson=LESSON,
    title="bug hunt: the loss that falls and teaches nothing",
    minutes=10,
    difficulty=3,
    differentiable=True,
    bug_hunt=True,
    hints=(
        "Print the two terms. How large is each for an untrained model: what would 64 coin flips cost in nats?",
        "64 coin flips cost 64 · ln 2 = 44.4 nats. Your reconstruction term says 0.7. What did "
        "binary_cross_entropy_with_logits do with the 64 pixels?",
        "Its default is reduction='mean', over pixels and examples. Pass reduction='none' and add up the pixels: "
        ".sum(-1).",
    ),
    mistakes=(
        Mistake(
            _shipped_bug,
            "The bug is still there. Look at how large each of the two terms is, for a single image.",
        ),
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
                + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
            ),
            "Close: reduction='sum' adds up the batch too, so the two terms are not on the same scale; divide it by "
            "len(x), or sum over the pixels alone.",
        ),
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x)
                + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).mean()
            ),
            "Now both terms are averages, but the pixels' over 16 numbers and the latents' over 3: still not the bound. "
            "Sum both over their last axis, and average over the batch alone.",
        ),
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
                + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum()
            ),
            "The balance is right, but this is the sum over the batch, which grows with its size; average over examples.",
        ),
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(-1)
                - 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
            ).mean(),
            "You turned the sign of the KL round; it was right: a loss adds both terms.",
        ),
    ),
    alternatives=(
        lambda x, logits, mean, log_var: (
            F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
            + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum() / len(x)
        ),
        lambda x, logits, mean, log_var: -elbo(x, logits, mean, log_var).mean(),
    ),
)

register(INTERPOLATE, AUROC, WARMUP, BUG)
