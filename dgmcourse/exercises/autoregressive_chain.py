"""Exercises of lesson 07 on the chain rule: the log-likelihood from all conditionals, and a linear autoregression."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake

LESSON = "07_autoregressive_models"

# --- the chain rule ---------------------------------------------------------------------------------------------------


def log_likelihood(x, logits):
    log_p = logits.log_softmax(-1)
    return log_p.gather(-1, x[..., None])[..., 0].sum(-1)


def _draw_tokens(generator):
    """Five sequences of six tokens out of four; the first network is very sure, and wrong, about one of them."""
    x = torch.randint(4, (5, 6), generator=generator)
    logits = 2 * torch.randn(5, 6, 4, generator=generator)
    x[0, 0] = 1
    logits[0, 0] = torch.tensor([150.0, 0.0, 1.0, -1.0])
    return x, logits.requires_grad_()


def _chosen(values, x):
    return values.gather(-1, x[..., None])[..., 0]


def _with_floor(least):
    """The log of probabilities that are kept from rounding to zero."""
    return lambda x, logits: _chosen(logits.softmax(-1).clamp(min=least).log(), x).sum(-1)


CHAIN = Exercise(
    "autoregressive/chain",
    log_likelihood,
    _draw_tokens,
    lesson=LESSON,
    title="the log-likelihood by the chain rule",
    minutes=8,
    difficulty=1,
    differentiable=True,
    hints=(
        "Two steps: turn the scores of each entry into log-probabilities, then pick at each entry the one of the value that it really has.",
        "logits.log_softmax(-1) are the log-probabilities, (batch, dim, levels). log_p.gather(-1, x[..., None]) picks along the last "
        "axis and gives (batch, dim, 1). The chain rule adds them up over the entries.",
        "log_p = logits.log_softmax(-1), then log_p.gather(-1, x[..., None])[..., 0].sum(-1)",
    ),
    mistakes=(
        Mistake(
            lambda x, logits: _chosen(logits, x).sum(-1),
            "You added up the scores themselves; they are no log-probabilities until log_softmax has normalized them over the levels.",
        ),
        Mistake(
            lambda x, logits: _chosen(logits.softmax(-1).log(), x).sum(-1),
            "This is right for small scores; for large ones the softmax rounds to 0, whose log is −∞. "
            "log_softmax never takes that log: use it.",
        ),
        Mistake(
            lambda x, logits: _chosen(logits.log_softmax(-1), x).mean(-1),
            "You averaged over the entries; the log of a product is the sum of the logs: .sum(-1).",
        ),
        Mistake(
            lambda x, logits: _chosen(logits.softmax(-1), x).prod(-1),
            "This is p(x) itself, which for longer sequences rounds to zero; return its log: add the log-probabilities up.",
        ),
        Mistake(
            lambda x, logits: _chosen(logits.softmax(-1), x).sum(-1),
            "You added up probabilities; their product is p(x), so it is their logs that add up.",
        ),
        Mistake(
            lambda x, logits: -log_likelihood(x, logits),
            "This is −ln p(x), the loss; the exercise asks for ln p(x), which is negative here.",
            also=(lambda x, logits: F.cross_entropy(logits.movedim(-1, 1), x, reduction="none").sum(-1),),
        ),
        Mistake(
            lambda x, logits: _chosen(logits.log_softmax(-1), x),
            "These are the terms of the chain rule; add them up over the entries, .sum(-1): one number a sequence.",
        ),
        Mistake(
            lambda x, logits: log_likelihood(x, logits).sum(),
            "You added up the batch too; each sequence has its own likelihood: .sum(-1).",
            also=(lambda x, logits: log_likelihood(x, logits).mean(),),
        ),
        Mistake(
            lambda x, logits: _chosen(logits.log_softmax(1), x).sum(-1),
            "Your probabilities sum to 1 over the entries, axis 1; they must over the levels, the last axis: log_softmax(-1).",
        ),
        Mistake(
            lambda x, logits: _chosen(logits.log_softmax(-1)[:, :-1], x[:, 1:]).sum(-1),
            "You shifted the sequence by one. Here logits[:, t] already belong to entry t, given the entries before it: no shift.",
        ),
        Mistake(
            lambda x, logits: logits.log_softmax(-1).sum((-1, -2)),
            "You added up the log-probabilities of every level; only that of the value which the entry really has counts.",
        ),
        Mistake(
            lambda x, logits: logits.log_softmax(-1).amax(-1).sum(-1),
            "You took the likeliest value of each entry; take the log-probability of the value that stands in x.",
        ),
        Mistake(
            lambda x, logits: F.cross_entropy(logits, x),
            "cross_entropy wants the levels in axis 1: logits.movedim(-1, 1). And it averages over everything unless you pass "
            "reduction='none'.",
            also=(lambda x, logits: F.cross_entropy(logits, x, reduction="none"),),
        ),
        Mistake(
            lambda x, logits: -F.cross_entropy(logits.movedim(-1, 1), x),
            "cross_entropy averages over everything unless you pass reduction='none'; then add up over the entries.",
            also=(lambda x, logits: F.cross_entropy(logits.movedim(-1, 1), x),),
        ),
        Mistake(
            lambda x, logits: logits.log_softmax(-1)[:, :, x].sum(-1),
            "logits[:, :, x] pairs every entry with every value of x. `gather(-1, x[..., None])` picks one value for each entry.",
        ),
        Mistake(
            lambda x, logits: log_likelihood(x, logits.softmax(-1)),
            "You normalized twice: log_softmax (and cross_entropy) takes the scores themselves, not the probabilities of a softmax.",
            also=(lambda x, logits: log_likelihood(x, logits.sigmoid()),),
        ),
        Mistake(
            _with_floor(1e-8),
            "This is right until a probability is smaller than the tiny number that you put in its place or added; then a very wrong "
            "network gets off lightly. log_softmax needs no such number: use it.",
            also=tuple(_with_floor(10.0**-k) for k in (6, 7, 9, 10, 12)),
        ),
        Mistake(
            lambda x, logits: log_likelihood(x[:, 1:], logits[:, 1:]),
            "The first entry is missing: p(x₁) is a factor as well, and logits[:, 0] are its scores.",
        ),
        Mistake(
            lambda x, logits: _chosen(logits.log_softmax(-1), x).sum(0),
            "You added up over the examples, axis 0; the chain rule's product runs over the entries of one example: .sum(-1).",
            also=(lambda x, logits: _chosen(logits.log_softmax(-1), x).mean(0),),
        ),
    ),
    alternatives=(
        lambda x, logits: -F.cross_entropy(logits.movedim(-1, 1), x, reduction="none").sum(-1),
        lambda x, logits: torch.distributions.Categorical(logits=logits).log_prob(x).sum(1),
        lambda x, logits: (F.one_hot(x, logits.shape[-1]) * F.log_softmax(logits, -1)).sum((1, 2)),
    ),
)


# --- AR(2) ------------------------------------------------------------------------------------------------------------


def fit_ar2(x):
    past = torch.stack([x[:, 1:-1], x[:, :-2]], dim=-1).flatten(0, 1)
    now = x[:, 2:].flatten()
    phi = torch.linalg.lstsq(past, now[:, None]).solution[:, 0]
    return phi, (now - past @ phi).square().mean().sqrt()


def _draw_series(generator):
    """Eight short series of a process with known coefficients, which differ from draw to draw."""
    phi = torch.rand(2, generator=generator) * torch.tensor([0.8, -0.5]) + torch.tensor([0.2, -0.3])
    steps = list(torch.randn(2, 8, generator=generator))
    for _ in range(12):
        steps.append(phi[0] * steps[-1] + phi[1] * steps[-2] + 0.7 * torch.randn(8, generator=generator))
    return torch.stack(steps, dim=1)


def _pairs(x):
    return torch.stack([x[:, 1:-1], x[:, :-2]], dim=-1).flatten(0, 1), x[:, 2:].flatten()


def _by_normal_equations(x):
    past, now = _pairs(x)
    phi = torch.linalg.solve(past.T @ past, past.T @ now)
    return phi, torch.sqrt(torch.mean((now - past @ phi) ** 2))


def _as_one_series(x):
    return fit_ar2(x.reshape(1, -1))


def _with_intercept(x):
    past, now = _pairs(x)
    design = torch.cat([past, torch.ones_like(past[:, :1])], dim=1)
    found = torch.linalg.lstsq(design, now[:, None]).solution[:, 0]
    return found[:2], (now - design @ found).square().mean().sqrt()


def _one_lag_at_a_time(x):
    past, now = _pairs(x)
    phi = (past * now[:, None]).sum(0) / past.square().sum(0)
    return phi, (now - past @ phi).square().mean().sqrt()


def _unsteady(x):
    phi, _ = fit_ar2(x)
    past, now = _pairs(x)
    return phi, ((now - past @ phi).square().sum() / (len(now) - 2)).sqrt()


def _by_autocovariances(x):
    """The equations of Yule and Walker."""
    c = [(x[:, k:] * x[:, : x.shape[1] - k]).mean() for k in range(3)]
    phi = torch.linalg.solve(torch.stack([c[0], c[1], c[1], c[0]]).view(2, 2), torch.stack(c[1:]))
    return phi, (c[0] - phi @ torch.stack(c[1:])).sqrt()


def _each_by_itself(x):
    phis, sigmas = zip(*(fit_ar2(one[None]) for one in x), strict=True)
    return torch.stack(phis).mean(0), torch.stack(sigmas).mean()


def _all_pairs(x):
    past, now = _pairs(x)
    phi = fit_ar2(x)[0]
    return phi, (now - (past @ phi)[:, None]).square().mean().sqrt()


def _left_over(x):
    past, now = _pairs(x)
    return now - past @ fit_ar2(x)[0]


AR2 = Exercise(
    "autoregressive/ar2",
    fit_ar2,
    _draw_series,
    lesson=LESSON,
    title="AR(2) by maximum likelihood",
    minutes=12,
    difficulty=2,
    tolerance=1e-3,
    hints=(
        "Every value from the third on is one equation: now = φ₁ · (the value before) + φ₂ · (the one before that). Collect them all: "
        "x[:, 2:], x[:, 1:-1], x[:, :-2].",
        "past = torch.stack([x[:, 1:-1], x[:, :-2]], dim=-1).flatten(0, 1) has a row for each equation; now = x[:, 2:].flatten(). "
        "torch.linalg.lstsq(past, now[:, None]).solution solves them; σ is the root of the mean squared error.",
        "phi = torch.linalg.lstsq(past, now[:, None]).solution[:, 0]; sigma = (now - past @ phi).square().mean().sqrt(); return phi, sigma",
    ),
    mistakes=(
        Mistake(
            lambda x: (fit_ar2(x)[0].flip(0), fit_ar2(x)[1]),
            "Your two coefficients stand in the wrong order: φ₁ goes with x_{t−1}, the latest value, which is x[:, 1:-1].",
        ),
        Mistake(
            lambda x: (fit_ar2(x)[0], fit_ar2(x)[1].square()),
            "This is σ², the variance of the noise; return σ, its root.",
        ),
        Mistake(
            _unsteady,
            "You divided by the number of equations less two, which makes σ² unbiased; the maximum of the likelihood divides by their number.",
        ),
        Mistake(
            lambda x: (fit_ar2(x)[0], (_pairs(x)[1] - _pairs(x)[0] @ fit_ar2(x)[0]).std()),
            "std() subtracts the mean error and divides by one less than the number; σ is the root of the mean squared error itself.",
            also=(lambda x: (fit_ar2(x)[0], (_pairs(x)[1] - _pairs(x)[0] @ fit_ar2(x)[0]).std(correction=0)),),
        ),
        Mistake(
            _as_one_series,
            "You strung the series together, so that the first values of one are predicted from the end of another. Cut the pairs "
            "within each series, x[:, 2:] and so on, and flatten after that.",
        ),
        Mistake(
            _with_intercept,
            "You fitted a constant too; this process has mean zero, so there are only φ₁ and φ₂.",
        ),
        Mistake(
            _one_lag_at_a_time,
            "You fitted each lag by itself. The two values before are correlated, so both coefficients must be found at once: "
            "least squares with two columns.",
        ),
        Mistake(
            lambda x: (fit_ar2(x)[0], x.square().mean().sqrt()),
            "This is the spread of x; σ is that of the noise: of what is left when the prediction past @ phi is subtracted.",
            also=(lambda x: (fit_ar2(x)[0], x.std()), lambda x: (fit_ar2(x)[0], x[:, 2:].square().mean().sqrt())),
        ),
        Mistake(
            lambda x: (torch.linalg.lstsq(_pairs(x)[0], _pairs(x)[1][:, None]).solution, fit_ar2(x)[1]),
            "lstsq gives a column, (2, 1); φ should be (2,): take [:, 0] of the solution.",
        ),
        Mistake(
            lambda x: fit_ar2(x)[0],
            "φ is right, but σ is missing: return both, phi, sigma.",
        ),
        Mistake(
            lambda x: fit_ar2(x.flip(1)),
            "You predict each value from those *after* it. The past of x[:, 2:] is x[:, 1:-1] and x[:, :-2].",
        ),
        Mistake(
            _all_pairs,
            "φ is right. For σ you subtracted a column, (n, 1), from a row, (n,), which makes a table of all pairs, (n, n): bring both to "
            "the shape (n,) first, with [:, 0].",
        ),
        Mistake(
            lambda x: (fit_ar2(x)[0], _left_over(x).square().sum().sqrt()),
            "φ is right. For σ² you took the sum of the squares that are left; it is their mean.",
        ),
        Mistake(
            lambda x: (fit_ar2(x)[0], _left_over(x).abs().mean()),
            "φ is right. For σ you averaged absolute errors; σ² is the mean of their squares.",
        ),
        Mistake(
            lambda x: fit_ar2(x[:1]),
            "You used the first series alone. All of them come from one process: put the equations of all under each other.",
        ),
        Mistake(
            _each_by_itself,
            "You fitted each series by itself and averaged. Likeliest for all together is the least sum of squares over all: put their "
            "equations under each other, and solve once.",
        ),
        Mistake(
            _by_autocovariances,
            "You solved the equations of the autocovariances (Yule–Walker). That comes near; but the likelihood of x[:, 2:] is largest at "
            "least squares over just these values and the two before each.",
        ),
        Mistake(
            lambda x: fit_ar2(x)[::-1],
            "φ and σ are right, in the wrong order: return phi, sigma.",
        ),
    ),
    alternatives=(
        _by_normal_equations,
        lambda x: (torch.linalg.pinv(_pairs(x)[0]) @ _pairs(x)[1], fit_ar2(x)[1]),
    ),
)
