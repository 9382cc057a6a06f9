"""Exercises of lesson 10 on fair comparisons: the end of a line in 1/n, and the bug hunt, a scale that hides the fault."""

import torch

from . import Exercise, Mistake
from .evaluation_distances import LESSON, as_numbers

# --- to infinitely many samples -----------------------------------------------------------------------------------------


def extrapolated(sizes, values):
    t = 1 / sizes
    slope = ((t - t.mean()) * (values - values.mean())).sum() / (t - t.mean()).square().sum()
    return values.mean() - slope * t.mean()


def _draw_curve(generator):
    """Distances that fall with the number of samples, about as 4000/n, and a little noise: often they end below 0."""
    sizes = torch.tensor([100.0, 140.0, 200.0, 300.0, 500.0, 1000.0]).double()
    value, slope = torch.rand(2, generator=generator).double()
    return sizes, 3 * value - 1.5 + 1500 * (2 + slope) / sizes + 0.3 * torch.randn(6, generator=generator)


def _line(t, values):
    """Least squares: (intercept, slope)."""
    slope = ((t - t.mean()) * (values - values.mean())).sum() / (t - t.mean()).square().sum()
    return values.mean() - slope * t.mean(), slope


def _with_slope_times(t, values, factor):
    return values.mean() - factor * _line(t, values)[1] * t.mean()


def _by_lstsq(sizes, values):
    table = torch.stack([torch.ones_like(sizes), 1 / sizes], dim=1)
    return torch.linalg.lstsq(table, values[:, None]).solution[0, 0]


def _by_numpy(sizes, values):
    import numpy

    return torch.tensor(numpy.polyfit(1 / sizes.numpy(), values.numpy(), 1)[1])


def _by_covariance(sizes, values):
    moments = torch.stack([1 / sizes, values]).cov()
    return values.mean() - moments[0, 1] / moments[0, 0] * (1 / sizes).mean()


EXTRAPOLATE = Exercise(
    "evaluation/extrapolate",
    extrapolated,
    _draw_curve,
    call=as_numbers,
    lesson=LESSON,
    title="the distance of infinitely many samples",
    minutes=6,
    difficulty=1,
    hints=(
        "With t = 1/n the law is a straight line, value + slope·t, and infinitely many samples are at t = 0. So: a line by least squares, and where it meets t = 0.",
        "The slope of least squares is cov(t, values) / var(t); the line goes through the two means.",
        "t = 1 / sizes; slope = ((t - t.mean()) * (values - values.mean())).sum() / (t - t.mean()).square().sum(); return values.mean() - slope * t.mean()",
    ),
    mistakes=(
        Mistake(
            lambda sizes, values: values[-1],
            "This is the value of the largest sample, which has the smallest bias, but still has one.",
            also=(lambda sizes, values: values.min(),),
        ),
        Mistake(
            lambda sizes, values: values.mean(),
            "This is a mean over all sizes, with the bias of a middling one: no mean of values that are all too large is right.",
            also=(lambda sizes, values: (sizes * values).sum() / sizes.sum(),),
        ),
        Mistake(
            lambda sizes, values: _line(sizes, values)[0],
            "You fitted a line in n and read it at n = 0, where there are no samples at all. The law is a line in 1/n; infinitely many are at 1/n = 0.",
        ),
        Mistake(
            lambda sizes, values: _line(1 / sizes, values)[1],
            "This is the slope, what one more unit of 1/n adds; the value at 1/n = 0 is asked for.",
        ),
        Mistake(
            lambda sizes, values: _line(sizes.rsqrt(), values)[0],
            "The bias falls as 1/n, not as 1/√n: it comes from variances, which are squares of errors.",
        ),
        Mistake(
            lambda sizes, values: _line(1 / sizes, values.log())[0].exp(),
            "The law is linear in the value itself, not in its logarithm.",
            also=(
                lambda sizes, values: _line(sizes.log(), values)[0],
                lambda sizes, values: _line(sizes.log(), values.log())[0].exp(),
            ),
        ),
        Mistake(
            lambda sizes, values: (values / sizes).sum() / (1 / sizes).square().sum(),
            "This line goes through 0 by force, so it presumes that the distance of infinitely many samples is 0.",
        ),
        Mistake(
            lambda sizes, values: values[-1] - (values[0] - values[-1]) / (1 / sizes[0] - 1 / sizes[-1]) / sizes[-1],
            "A line through the first and the last point only: right in principle, but it throws the others away. Fit all by least squares.",
            also=(
                lambda sizes, values: (
                    values[-1] - (values[-2] - values[-1]) / (1 / sizes[-2] - 1 / sizes[-1]) / sizes[-1]
                ),
            ),
        ),
        Mistake(
            lambda sizes, values: values.mean() + _line(1 / sizes, values)[1] * (1 / sizes).mean(),
            "From the means to t = 0 the line goes *down*: values.mean() − slope · t.mean().",
        ),
        Mistake(
            lambda sizes, values: _with_slope_times(1 / sizes, values, (len(sizes) - 1) / len(sizes)),
            "The divisors differ: .mean() divides by k, .var() and .cov() by k − 1. Use one and the same for covariance and variance, or two sums.",
            also=(lambda sizes, values: _with_slope_times(1 / sizes, values, len(sizes) / (len(sizes) - 1)),),
        ),
        Mistake(
            lambda sizes, values: _with_slope_times(1 / sizes, values, (1 / sizes).std()),
            "The covariance is divided by the variance of t, not by its standard deviation.",
        ),
        Mistake(
            lambda sizes, values: values.mean() - _line(1 / sizes, values)[1] / sizes.mean(),
            "The line goes through the mean of t = 1/n, which is not one over the mean of n: t.mean().",
        ),
        Mistake(
            lambda sizes, values: extrapolated(sizes, values).clamp_min(0),
            "Do not cut it off at 0: where the truth is 0, the line must end below 0 as often as above, or its mean would not be right.",
        ),
    ),
    alternatives=(_by_lstsq, _by_numpy, _by_covariance),
)


# --- the bug hunt: a scale for each --------------------------------------------------------------------------------------


def prepared(real, fake):
    mean, std = real.mean(0), real.std(0).clamp_min(0.05)
    return (real - mean) / std, (fake - mean) / std


def _draw_pixels(generator):
    """Real points, and fakes that lie elsewhere and have another spread; one entry of the real points is constant."""
    real = torch.rand(20, 4, generator=generator)
    real[:, 0] = 0.5
    return real, 0.4 * torch.rand(25, 4, generator=generator) + 0.2


def _scaled(x, mean, std):
    return (x - mean) / std.clamp_min(0.05)


def _each_by_its_own(real, fake):
    return tuple(_scaled(x, x.mean(0), x.std(0)) for x in (real, fake))


def _together(real, fake):
    both = torch.cat([real, fake])
    return tuple(_scaled(x, both.mean(0), both.std(0)) for x in (real, fake))


def _by_fake(real, fake):
    return tuple(_scaled(x, fake.mean(0), fake.std(0)) for x in (real, fake))


BUG = Exercise(
    "evaluation/bug",
    prepared,
    _draw_pixels,
    lesson=LESSON,
    title="bug hunt: negatives pass for digits",
    minutes=8,
    difficulty=2,
    bug_hunt=True,
    hints=(
        "What does the Fréchet distance compare? What are the mean and the variances of a set that was standardized by itself?",
        "A yardstick must not depend on what it measures: one mean and one standard deviation for both sets. Whose can it be, if several models are to be compared?",
        "mean, std = real.mean(0), real.std(0).clamp_min(0.05); return (real - mean) / std, (fake - mean) / std",
    ),
    mistakes=(
        Mistake(
            _each_by_its_own,
            "The bug is still there: each set is put on a scale of its own, so that every set has mean 0 and variance 1, and nothing of that is left to compare.",
            also=(
                lambda real, fake: (
                    _scaled(real, real.mean(0), real.std(0)),
                    _scaled(fake, real.mean(0), fake.std(0)),
                ),
                lambda real, fake: (
                    _scaled(real, real.mean(0), real.std(0)),
                    _scaled(fake, fake.mean(0), real.std(0)),
                ),
            ),
        ),
        Mistake(
            _together,
            "Better: one scale for both. But it depends on the fakes, so that each model would be measured by another yardstick; a wild model would even "
            "shrink its own distance. Take the scale from the real set alone.",
        ),
        Mistake(
            _by_fake,
            "One scale for both, but the model's own: the measured one holds the yardstick. Take it from the real set.",
        ),
        Mistake(
            lambda real, fake: (real, fake),
            "Without any scale the bug is gone, but so is what the colleague wanted: every pixel with the same weight. Keep the scaling, by the real set.",
        ),
        Mistake(
            lambda real, fake: (real - real.mean(0), fake - real.mean(0)),
            "You removed the division, too. Divide both by the real set's standard deviation.",
        ),
        Mistake(
            lambda real, fake: tuple((x - real.mean(0)) / real.std(0) for x in (real, fake)),
            "Right scale; but a pixel that is always white has the standard deviation 0: keep the clamp_min(0.05).",
        ),
        Mistake(
            lambda real, fake: tuple((x - real.mean()) / real.std() for x in (real, fake)),
            "This is one mean and one standard deviation for all pixels; the colleague scales each pixel: mean(0), std(0).",
            also=(lambda real, fake: tuple((x - real.mean()) / real.std().clamp_min(0.05) for x in (real, fake)),),
        ),
        Mistake(
            lambda real, fake: tuple((x - real.mean(0)) / real.var(0).clamp_min(0.05) for x in (real, fake)),
            "Divide by the standard deviation, .std(0), not by the variance.",
        ),
        Mistake(
            lambda real, fake: tuple((x - real.mean(0)) / (real.std(0) + 0.05) for x in (real, fake)),
            "Keep the colleague's .clamp_min(0.05): adding 0.05 changes the scale of every pixel.",
        ),
        Mistake(
            lambda real, fake: tuple(x / real.std(0).clamp_min(0.05) for x in (real, fake)),
            "This mends the distance, which does not mind where zero is. Only the bug was to go, though: keep the subtraction, by the real set's mean.",
        ),
        Mistake(
            lambda real, fake: (real, prepared(real, fake)[1]),
            "Now the two sets are on different scales: put the real set through the same preparation.",
        ),
        Mistake(
            lambda real, fake: tuple(
                (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True).clamp_min(0.05) for x in (real, fake)
            ),
            "This puts every *image* on a scale of its own; pixels are the columns, dimension 0 is averaged over.",
        ),
        Mistake(
            lambda real, fake: prepared(real, fake)[::-1],
            "The sets are exchanged: return real first.",
        ),
    ),
    alternatives=(
        lambda real, fake: tuple(
            torch.sub(x, real.mean(dim=0, keepdim=True)) / torch.maximum(real.std(dim=0), torch.tensor(0.05))
            for x in (real, fake)
        ),
    ),
)
