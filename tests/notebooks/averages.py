"""The exercises of the lesson that the tests build: small, and without any other lesson."""

import torch

from dgmcourse.exercises import Exercise, Mistake, register


def mean(values):
    return values.sum(-1) / values.shape[-1]


def variance(values):
    return (values - mean(values).unsqueeze(-1)).square().mean(-1)


def largest(values):
    return values.max(-1).values


def draw_values(generator):
    return (torch.randn(5, 7, generator=generator),)


HINTS = ("Read the docstring.", "Which dimension is summed?", "The last one: -1.")

register(
    Exercise(
        "averages/mean",
        reference=mean,
        inputs=draw_values,
        hints=HINTS,
        lesson="01_averages",
        difficulty=1,
        mistakes=[
            Mistake(lambda values: values.sum(-1), "You return the sum, not the mean."),
            Mistake(lambda values: values.mean(), "You average over the whole batch."),
            Mistake(lambda values: values.mean(0), "You average over the examples."),
        ],
    ),
    Exercise(
        "averages/variance",
        reference=variance,
        inputs=draw_values,
        hints=HINTS,
        lesson="01_averages",
        difficulty=3,
        mistakes=[
            Mistake(lambda values: values.var(-1), "You divide by n - 1; here it is n."),
            Mistake(lambda values: values.std(-1, correction=0), "That is the standard deviation: square it."),
            Mistake(lambda values: values.square().mean(-1), "You did not subtract the mean."),
        ],
    ),
    Exercise(
        "averages/largest",
        reference=largest,
        inputs=draw_values,
        hints=HINTS,
        lesson="01_averages",
        bug_hunt=True,
        difficulty=2,
        mistakes=[
            Mistake(lambda values: values[:, 1:].max(-1).values, "The first value never counts."),
            Mistake(lambda values: values.max(), "That is the largest of the whole batch."),
            Mistake(lambda values: values.abs().max(-1).values, "That is the largest magnitude."),
        ],
    ),
)
