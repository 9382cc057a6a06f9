"""Exercises of lesson 04 on breaking and mending the training: the warm-up, and a bug hunt."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .vae_bound import elbo
from .vae_encoder import LESSON, draw_gaussian, draw_pixels

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
            lambda step, warmup, beta=1.0: beta * step / warmup if step < warmup else 1.0,
            "After the warm-up your weight is 1; it should stay at β.",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: beta * min(1.0, (step + 1) / warmup),
            "Your line is one step ahead: the weight at step 0 is 0, so it is step / warmup, without the + 1.",
        ),
        Mistake(
            lambda step, warmup, beta=1.0: beta * min(1.0, warmup / max(step, 1)),
            "The fraction is upside down: it is step / warmup.",
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
    lambda generator: (*draw_pixels(generator, batch=6, pixels=64), *draw_gaussian(generator, batch=6)),
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
        "Its default is reduction='mean', over pixels and examples. Add up the pixels instead: reconstruction = "
        "F.binary_cross_entropy_with_logits(logits, x, reduction='none').sum(-1).",
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
            "Now both terms are averages, but the pixels' over 64 numbers and the latents' over 3: still not the bound. "
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
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x)
                - 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
            ),
            "The sign of the KL was right: a loss adds both terms. The bug is in the other term: how large is it?",
        ),
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="none")
                + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
            ).mean(),
            "Very close: now the reconstruction is one number a pixel, and the KL one an image. Sum the pixels: .sum(-1).",
            also=(
                lambda x, logits, mean, log_var: (
                    0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
                    + F.binary_cross_entropy_with_logits(logits, x, reduction="none")
                ).mean(),
            ),
        ),
        Mistake(
            lambda x, logits, mean, log_var: (
                F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(0)
                + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
            ).mean(),
            "You added up over the batch, axis 0; the pixels are the last axis: .sum(-1).",
        ),
        Mistake(
            lambda x, logits, mean, log_var: vae_loss(x, logits, mean, log_var) / x.shape[-1],
            "The balance is right, but this is the loss a pixel; the bound is of a whole image: sum over the pixels, "
            "and leave the KL as it was.",
        ),
        Mistake(
            lambda x, logits, mean, log_var: -vae_loss(x, logits, mean, log_var),
            "You turned the sign of the whole loss round: a loss is −ELBO, which is positive here.",
            also=(
                lambda x, logits, mean, log_var: (
                    -F.binary_cross_entropy_with_logits(logits, x)
                    - 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1).mean()
                ),
            ),
        ),
    ),
    alternatives=(
        lambda x, logits, mean, log_var: (
            F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
            + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum() / len(x)
        ),
        lambda x, logits, mean, log_var: -elbo(x, logits, mean, log_var).mean(),
        lambda x, logits, mean, log_var: (
            64 * F.binary_cross_entropy_with_logits(logits, x)
            + 0.5 * (mean.square() + log_var.exp() - 1 - log_var).sum(-1)
        ).mean(),
    ),
)
