"""Exercises of lesson 06 on volume: the density of a bent line, and the log-determinant of any map."""

import math

import torch

from . import Exercise, Mistake

LESSON = "06_normalizing_flows"


def log_standard_normal(z):
    """log N(z; 0, 1) of every entry, in nats: any shape."""
    return -0.5 * (z.square() + math.log(2 * math.pi))


# --- change of variables on the line ----------------------------------------------------------------------------------


def log_density(z, slope):
    return log_standard_normal(z) + slope.abs().log()


def _draw_points(generator):
    """Noise at nine points, and the slopes there: of both signs, smaller and larger than one."""
    slope = (0.8 * torch.randn(9, generator=generator)).exp()
    slope[:4] = -slope[:4]
    return torch.randn(9, generator=generator), slope


DENSITY = Exercise(
    "flows/density",
    log_density,
    _draw_points,
    lesson=LESSON,
    title="change of variables on the line",
    minutes=6,
    difficulty=1,
    hints=(
        "Take the log of p(x) = N(f(x); 0, 1) |f′(x)|: a product becomes a sum of two terms.",
        "ln N(z; 0, 1) = −½ z² − ½ ln 2π. The slope may be negative: its absolute value first, then the log.",
        "-0.5 * z.square() - 0.5 * math.log(2 * math.pi) + slope.abs().log()",
    ),
    mistakes=(
        Mistake(
            lambda z, slope: log_standard_normal(z) - slope.abs().log(),
            "You divided by the slope. It is that of z = f(x): where f stretches, an interval of x holds as much as a wider one of z, "
            "so the density of x is larger: + ln |slope|.",
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z) + slope.log(),
            "The log of a negative slope is NaN. A falling line holds as much as a rising one: take slope.abs() first.",
            also=(lambda z, slope: log_standard_normal(z) + slope.log().abs(),),
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z) + slope.abs().log().abs(),
            "Here the absolute value is taken of the log; it belongs inside: slope.abs().log(). The log may be negative, "
            "where f squeezes.",
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z),
            "This is the density of z. That of x also counts how wide an interval of z stands for one of x: the slope is missing.",
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z) + slope.abs(),
            "The density is multiplied by the slope, so the log density gets the *log* of its absolute value.",
            also=(lambda z, slope: log_standard_normal(z) + slope,),
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z) * slope.abs(),
            "You multiplied the log density; it is the density that is multiplied. In logs: add ln |slope|.",
            also=(lambda z, slope: log_standard_normal(z) * slope,),
        ),
        Mistake(
            lambda z, slope: log_density(z, slope).exp(),
            "This is the density itself; return its log, which is a sum: no exp.",
        ),
        Mistake(
            lambda z, slope: log_density(z, slope) + 0.5 * math.log(2 * math.pi),
            "The constant −½ ln 2π of the Gaussian is missing: without it the density does not integrate to one.",
        ),
        Mistake(
            lambda z, slope: log_density(z, slope) - 0.5 * z.square(),
            "A Gaussian has −½ z², not −z².",
        ),
        Mistake(
            lambda z, slope: log_density(z, slope) + z.square(),
            "Here the density grows with z². A Gaussian falls off on both sides: −½ z², with a minus.",
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z).sum(-1) + slope.abs().log(),
            "The Gaussian's log density is summed over all points (the package's log_standard_normal sums the last dimension, and here "
            "that is the batch). Each point has its own: −½ z² − ½ ln 2π.",
        ),
        Mistake(
            lambda z, slope: log_density(z, slope) - 0.5 * math.log(2 * math.pi),
            "The Gaussian's constant is −½ ln 2π; you subtracted ln 2π.",
        ),
        Mistake(
            lambda z, slope: log_standard_normal(z) + slope.square().log(),
            "ln slope² = 2 ln |slope|: twice too much. Use slope.abs().log().",
        ),
        Mistake(
            lambda z, slope: log_density(z, slope).sum(),
            "You added the points up; each has a density of its own: no sum.",
        ),
    ),
    alternatives=(
        lambda z, slope: torch.distributions.Normal(0.0, 1.0).log_prob(z) + torch.log(torch.abs(slope)),
        lambda z, slope: -(z**2 + math.log(2 * math.pi) - (slope * slope).log()) / 2,
    ),
)


# --- the log-determinant of any map -----------------------------------------------------------------------------------


def log_det_jacobian(f, x):
    jacobians = torch.stack([torch.autograd.functional.jacobian(lambda row: f(row[None])[0], row) for row in x])
    return torch.linalg.slogdet(jacobians).logabsdet


def jacobians(f, x):
    """∂f_i/∂x_j at every row: (batch, dim, dim)."""
    x = x.detach().requires_grad_()
    z = f(x)
    rows = [torch.autograd.grad(z[:, i].sum(), x, retain_graph=True)[0] for i in range(z.shape[1])]
    return torch.stack(rows, dim=1)


def _draw_map(generator):
    """A map of space that turns some of it over, and shrinks one of five places until its determinant is no float32."""
    straight = torch.randn(3, 3, generator=generator)
    bent = torch.randn(3, 3, generator=generator)
    x = torch.randn(5, 3, generator=generator)
    x[0, 0] = 6.0

    def f(x):
        return (x @ straight + (x @ bent).tanh()) * (-x[:, :1].square()).exp()

    return f, x


JACOBIAN = Exercise(
    "flows/jacobian",
    log_det_jacobian,
    _draw_map,
    lesson=LESSON,
    title="the log-determinant of any map",
    minutes=10,
    difficulty=2,
    tolerance=1e-3,
    time_limit=40.0,  # torch.func, with which some write it, takes seconds to start
    hints=(
        "One point at a time: torch.autograd.functional.jacobian(g, row) gives the (dim, dim) matrix of a function g of one point. "
        "f wants a batch: hand it row[None], a batch of one, and take [0] of what it returns.",
        "torch.stack joins the matrices of all points to (batch, dim, dim). torch.linalg.slogdet returns the sign and ln |det| of each.",
        "matrices = torch.stack([torch.autograd.functional.jacobian(lambda row: f(row[None])[0], row) for row in x]), then "
        "torch.linalg.slogdet(matrices).logabsdet",
    ),
    mistakes=(
        Mistake(
            lambda f, x: jacobians(f, x).det().abs().log(),
            "The formula is right, but a determinant is a product, which soon rounds to 0 (or ∞), and then its log is −∞: "
            "torch.linalg.slogdet adds logs instead.",
        ),
        Mistake(
            lambda f, x: jacobians(f, x).det().log(),
            "A determinant may be negative (the map turns space over), and its log is then NaN; and the product may round to 0. "
            "torch.linalg.slogdet knows about both.",
            also=(lambda f, x: jacobians(f, x).logdet(),),
        ),
        Mistake(
            lambda f, x: jacobians(f, x).det(),
            "This is the determinant; the log of its absolute value is asked for: torch.linalg.slogdet(…).logabsdet.",
            also=(lambda f, x: jacobians(f, x).det().abs(),),
        ),
        Mistake(
            lambda f, x: torch.linalg.slogdet(jacobians(f, x)).sign,
            "slogdet returns two things, the sign and ln |det|: take the second, .logabsdet.",
        ),
        Mistake(
            lambda f, x: torch.linalg.slogdet(jacobians(f, x)),
            "slogdet returns two things, the sign and ln |det|; return the second alone: .logabsdet.",
            also=(lambda f, x: torch.stack(tuple(torch.linalg.slogdet(jacobians(f, x))), dim=-1),),
        ),
        Mistake(
            lambda f, x: jacobians(f, x).diagonal(dim1=1, dim2=2).sum(-1),
            "This is the trace, the sum of the diagonal. How volume changes is the determinant's business: torch.linalg.slogdet(…).logabsdet.",
            also=(lambda f, x: jacobians(f, x).diagonal(dim1=1, dim2=2).sum(-1).abs().log(),),
        ),
        Mistake(
            lambda f, x: log_det_jacobian(f, x[:1]).expand(len(x)),
            "You used the Jacobian at the first point for all of them; a bent map has another one everywhere: take each row of x.",
            also=(lambda f, x: log_det_jacobian(f, x[:1])[0],),
        ),
        Mistake(
            lambda f, x: jacobians(f, x).diagonal(dim1=1, dim2=2).abs().log().sum(-1),
            "You took the diagonal alone. That is right for triangular matrices, which you will meet in section 5; this one is not: "
            "torch.linalg.slogdet.",
        ),
        Mistake(
            lambda f, x: -log_det_jacobian(f, x),
            "This is the log-determinant of the way back, f⁻¹: leave out the minus.",
        ),
        Mistake(
            lambda f, x: torch.linalg.slogdet(jacobians(f, x)).logabsdet.sum(),
            "You added the points up; each has a log-determinant of its own.",
        ),
        Mistake(
            lambda f, x: jacobians(f, x),
            "These are the right matrices; now the log of each one's absolute determinant: torch.linalg.slogdet(…).logabsdet.",
        ),
        Mistake(
            lambda f, x: torch.stack([torch.autograd.functional.jacobian(f, row) for row in x]),
            "f maps a batch, and you gave it a single point: row[None] is a batch of one, and f(row[None])[0] its image.",
        ),
        Mistake(
            lambda f, x: torch.linalg.slogdet(torch.autograd.functional.jacobian(f, x)).logabsdet,
            "This is the Jacobian of the whole batch, (batch, dim, batch, dim): of every image by every point. A matrix for each point is "
            "wanted: go through the rows of x one by one.",
            also=(lambda f, x: torch.autograd.functional.jacobian(f, x),),
        ),
    ),
    alternatives=(
        lambda f, x: torch.linalg.slogdet(jacobians(f, x))[1],
        lambda f, x: torch.stack(
            [torch.autograd.functional.jacobian(f, row[None])[0, :, 0].slogdet().logabsdet for row in x]
        ),
    ),
)
