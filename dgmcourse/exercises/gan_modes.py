"""Exercises of lesson 05 on what a generator covers, and on a critic that minds the label."""

import math

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .gan_objectives import LESSON

# --- the share of every mode ------------------------------------------------------------------------------------------


def mode_shares(samples, centers, radius):
    return (torch.cdist(samples, centers) <= radius).float().mean(0)


def _draw_modes(generator):
    """Five modes on a circle, one of them without samples, another with one; a quarter of the samples between them."""
    angle = 2 * math.pi * torch.arange(5) / 5
    centers = 4 * torch.stack([angle.cos(), angle.sin()], dim=-1)
    index = torch.multinomial(torch.tensor([0.5, 0.3, 0.2, 0.0, 0.0]), 60, replacement=True, generator=generator)
    near = centers[index] + 0.6 * torch.randn(60, 2, generator=generator)
    between = 3 * torch.randn(19, 2, generator=generator) * 0.4
    return torch.cat([near, between, centers[4:] + 0.3]), centers, 1.5


def _distances(samples, centers):
    return (samples[:, None] - centers).square().sum(-1).sqrt()


def _nearest(samples, centers, radius):
    return F.one_hot(_distances(samples, centers).argmin(1), len(centers)).float().mean(0)


MODES = Exercise(
    "gan/modes",
    mode_shares,
    _draw_modes,
    lesson=LESSON,
    title="the share of every mode",
    minutes=6,
    difficulty=1,
    hints=(
        "First the distance of every sample from every center: (n, modes). Then: which of them are at most `radius`?",
        "torch.cdist(samples, centers) gives the distances. A comparison gives True and False; .float() makes 1 and 0 of them.",
        "(torch.cdist(samples, centers) <= radius).float().mean(0): the mean of ones and zeros over the samples is a share.",
    ),
    mistakes=(
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).sum(0),
            "These are counts; divide by the number of samples.",
            also=(lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).float().sum(0),),
        ),
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).sum(0) / len(centers),
            "You divided by the number of centers; a share is of all samples: len(samples).",
        ),
        Mistake(
            _nearest,
            "You gave every sample to its nearest mode, however far away. Samples in no man's land belong to none: compare with "
            "the radius.",
        ),
        Mistake(
            lambda samples, centers, radius: (_distances(samples, centers).square() <= radius).float().mean(0),
            "You compared the squared distance with the radius: take the root first.",
        ),
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).float().mean(1),
            "This is one number a sample; average over the samples, axis 0, so that one number a mode is left.",
        ),
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).float().mean(),
            "This is one number for all; keep one a mode: .mean(0).",
            also=(lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).float().sum(1).mean(),),
        ),
        Mistake(
            lambda samples, centers, radius: ((samples[:, None] - centers).abs() <= radius).all(-1).float().mean(0),
            "You looked at each axis for itself, which is a square around the center; distances make a circle: torch.cdist.",
        ),
        Mistake(
            lambda samples, centers, radius: (
                (torch.cdist(samples, centers) <= radius).float().sum(0)
                / (torch.cdist(samples, centers) <= radius).float().sum()
            ),
            "You divided by the samples near any mode, so that the shares always sum to 1, and strays go unseen; divide by all "
            "samples.",
        ),
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).any(0),
            "This says whether a mode has a sample at all; its share is asked for: .float().mean(0).",
            also=(lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).any(0).float(),),
        ),
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) <= radius).mean(0),
            "Torch does not average True and False: turn them into ones and zeros first, .float().",
        ),
        Mistake(
            lambda samples, centers, radius: (torch.cdist(samples, centers) > radius).float().mean(0),
            "These are the samples *outside*: turn the comparison round.",
        ),
        Mistake(
            lambda samples, centers, radius: ((samples - centers).norm(dim=1) <= radius).float().mean(0),
            "Samples and centers do not pair up: every sample must meet every center. torch.cdist does that, or "
            "samples[:, None] - centers.",
        ),
        Mistake(
            lambda samples, centers, radius: torch.cdist(samples, centers).mean(0),
            "These are mean distances. First ask of each whether it is at most `radius`, then average the answers.",
        ),
    ),
    alternatives=(
        lambda samples, centers, radius: (_distances(samples, centers) < radius).sum(0) / len(samples),
        lambda samples, centers, radius: torch.stack(
            [((samples - center).norm(dim=-1) <= radius).float().mean() for center in centers]
        ),
        lambda samples, centers, radius: (
            ((samples[:, None] - centers).square().sum(-1) <= radius**2).double().mean(0).float()
        ),
    ),
)


# --- a score for each label -------------------------------------------------------------------------------------------


def labeled_score(scores, y):
    return scores[:, 0] + scores.gather(1, y[:, None] + 1)[:, 0]


def _draw_labels(generator):
    """Scores of seven images for four classes; the first class and the last are among the labels of every draw."""
    y = torch.randint(4, (7,), generator=generator)
    y[:3] = torch.tensor([3, 0, 2])
    return torch.randn(7, 5, generator=generator).requires_grad_(), y


def _asked(scores, y):
    return F.one_hot(y, scores.shape[1] - 1).float()


def _rows(scores):
    return torch.arange(len(scores))


LABELS = Exercise(
    "gan/labels",
    labeled_score,
    _draw_labels,
    lesson=LESSON,
    title="a critic that minds the label",
    minutes=8,
    difficulty=2,
    differentiable=True,
    hints=(
        "Column 0 is s(x). Of the columns 1, 2, … each row needs the one that its own label names, and the label 0 names column 1.",
        "Two ways to choose one entry a row: multiply scores[:, 1:] by F.one_hot(y, classes) and sum over the columns, or index "
        "with a pair: scores[torch.arange(len(y)), y + 1].",
        "scores[:, 0] + scores[torch.arange(len(y)), y + 1]",
    ),
    mistakes=(
        Mistake(
            lambda scores, y: scores[_rows(scores), y],
            "The columns are off by one: column 0 is s(x), so class y has column y + 1. And s(x) itself must be added.",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores[_rows(scores), y],
            "The columns are off by one: column 0 is s(x), so class y has column y + 1.",
        ),
        Mistake(
            lambda scores, y: scores[_rows(scores), y + 1],
            "This is s_y(x) alone; add s(x), the first column.",
            also=(lambda scores, y: (scores[:, 1:] * _asked(scores, y)).sum(1),),
        ),
        Mistake(
            lambda scores, y: scores[:, 0],
            "The critic does not look at the label: it would accept any digit for any label. Add s_y(x).",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores[:, 1:].sum(1),
            "You added the scores of all classes; only that of the label counts.",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores[:, 1:].max(1).values,
            "You took the best of all classes; it must be that of the label, or the critic would accept any digit for any label.",
            also=(lambda scores, y: scores[:, 0] + scores.max(1).values,),
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + (scores[:, 1:] * _asked(scores, y)).mean(1),
            "All but one of these terms are zero: add them up, .sum(1); a mean divides by the number of classes.",
        ),
        Mistake(
            lambda scores, y: scores[:, :1] + scores[:, 1:] * _asked(scores, y),
            "One number an image is asked for: sum over the classes, and add scores[:, 0].",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores[:, y + 1],
            "scores[:, y + 1] takes these columns of every row. Each row has its own label: scores[torch.arange(len(y)), y + 1].",
            also=(lambda scores, y: scores[:, y + 1], lambda scores, y: scores[:, :1] + scores[:, y + 1]),
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores[:, y],
            "scores[:, y] takes these columns of every row, and they are off by one: each row has its own label, and class y has "
            "column y + 1. So scores[torch.arange(len(y)), y + 1].",
            also=(lambda scores, y: scores[:, y],),
        ),
        Mistake(
            lambda scores, y: scores[0] + scores[y],
            "The first index chooses an image, the second a column: s(x) of all images is scores[:, 0].",
            also=(lambda scores, y: scores[0] + scores[y + 1], lambda scores, y: scores[:, 0] + scores[y + 1]),
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores.gather(1, y + 1),
            "gather wants as many dimensions of the index as of the scores: y[:, None] + 1, a column. It returns a column, too: "
            "take [:, 0] of it.",
            also=(lambda scores, y: scores.gather(1, y + 1), lambda scores, y: scores[:, 0] + scores.gather(1, y)),
        ),
        Mistake(
            lambda scores, y: scores[:, 0] * scores[_rows(scores), y + 1],
            "The two scores are added, not multiplied: s(x) + s_y(x).",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores[:, 1:].log_softmax(1)[_rows(scores), y],
            "No softmax: these are scores as they come, and the critic may say of an image that it fits no label.",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + scores.gather(1, y[:, None] + 1),
            "gather leaves a column, (batch, 1), and the sum of a row and a column is a square: take [:, 0] of it first.",
            also=(lambda scores, y: scores[:, :1] + scores[_rows(scores), y + 1],),
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + (scores[:, 1:] * F.one_hot(y, scores.shape[1])).sum(1),
            "There is one class fewer than columns in scores: the first column belongs to none.",
        ),
        Mistake(
            lambda scores, y: scores[:, 0] + y,
            "You added the label itself, as if 9 were nine times 1. It is a name: it says which column to add.",
        ),
    ),
    alternatives=(
        lambda scores, y: scores[:, 0] + (scores[:, 1:] * _asked(scores, y)).sum(1),
        lambda scores, y: scores[:, 0] + scores[torch.arange(len(y)), y + 1],
        lambda scores, y: torch.stack([row[0] + row[1 + label] for row, label in zip(scores, y, strict=True)]),
    ),
)
