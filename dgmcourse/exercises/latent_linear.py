"""Exercises of lesson 02 on probabilistic PCA: the posterior of its latent variable, and an EM that loses its way."""

import torch

from . import Exercise, Mistake
from .latent_mixture import LESSON

# --- the posterior p(z|x) ---------------------------------------------------------------------------------------------


def ppca_posterior(x, weight, bias, variance):
    precision = weight.T @ weight + variance * torch.eye(weight.shape[1]).to(weight)
    inverse = torch.linalg.inv(precision)
    return (x - bias) @ weight @ inverse, variance * inverse


def _draw_linear_model(generator, batch=5, dim=6, latents=2):
    """Columns of W that are neither orthogonal nor equally long, so that WᵀW is no multiple of I."""
    x, bias = torch.randn(batch, dim, generator=generator), torch.randn(dim, generator=generator)
    weight = torch.randn(dim, latents, generator=generator) + torch.tensor([0.5, 0.2])
    return x, weight, bias, 0.2 + 0.6 * torch.rand((), generator=generator)


def _posterior(centered=None, precision=None, mean=None, covariance=None):
    """The posterior with one part done otherwise."""

    def other(x, weight, bias, variance):
        identity = torch.eye(weight.shape[1])
        difference = x - bias if centered is None else centered(x, bias)
        m = weight.T @ weight + variance * identity if precision is None else precision(weight, variance, identity)
        inverse = torch.linalg.inv(m)
        first = difference @ weight @ inverse if mean is None else mean(difference, weight, inverse, variance)
        return first, variance * inverse if covariance is None else covariance(m, inverse, variance)

    return other


def _by_solving(x, weight, bias, variance):
    precision = weight.T @ weight + variance * torch.eye(weight.shape[1])
    return torch.linalg.solve(precision, weight.T @ (x - bias).T).T, variance * torch.linalg.inv(precision)


def _by_precision(x, weight, bias, variance):
    """The prior's precision I and the data's, WᵀW / σ², add up."""
    covariance = torch.inverse(torch.eye(weight.shape[1]) + weight.T @ weight / variance)
    return (x - bias) @ weight / variance @ covariance, covariance


def _by_conditioning(x, weight, bias, variance):
    """z and x are jointly Gaussian: E[z|x] = Wᵀ C⁻¹ (x − b), Cov[z|x] = I − Wᵀ C⁻¹ W."""
    gain = weight.T @ torch.linalg.inv(weight @ weight.T + variance * torch.eye(len(weight)))
    return (x - bias) @ gain.T, torch.eye(weight.shape[1]) - gain @ weight


def _times_m(difference, weight, inverse, variance):
    return difference @ weight @ torch.linalg.inv(inverse)


def _outer_m(mean):
    """With W Wᵀ + σ² I in the place of M, (dim, dim)."""

    def other(x, weight, bias, variance):
        inverse = torch.linalg.inv(weight @ weight.T + variance * torch.eye(len(weight)))
        return mean(x - bias, weight, inverse), variance * inverse

    return other


W_W_T = "W is (dim, latents), so W Wᵀ is (dim, dim), and M must be (latents, latents): weight.T @ weight."

PPCA_POSTERIOR = Exercise(
    "latent/ppca_posterior",
    ppca_posterior,
    _draw_linear_model,
    lesson=LESSON,
    title="the posterior of probabilistic PCA",
    minutes=8,
    difficulty=2,
    hints=(
        "Write M first: WᵀW + σ² I is a small matrix, (latents, latents). Both answers need its inverse.",
        "M = weight.T @ weight + variance * torch.eye(weight.shape[1]). A row x − b is a transposed column, so for a whole "
        "batch M⁻¹ Wᵀ (x − b) becomes (x - bias) @ weight @ M⁻¹ (M is symmetric).",
        "inverse = torch.linalg.inv(M); return (x - bias) @ weight @ inverse, variance * inverse. On a GPU, or in "
        "float64, write torch.eye(…).to(weight).",
    ),
    mistakes=(
        Mistake(
            _posterior(centered=lambda x, bias: x),
            "You did not subtract the bias b: a code says how x differs from the mean.",
        ),
        Mistake(
            _posterior(precision=lambda w, v, one: w.T @ w),
            "σ² I is missing in M. Without it you get the least-squares projection, which trusts noisy data blindly; the "
            "posterior leans towards the prior's mean, 0.",
            also=(_posterior(precision=lambda w, v, one: w.T @ w, covariance=lambda m, inverse, v: inverse),),
        ),
        Mistake(
            _posterior(precision=lambda w, v, one: w.T @ w + one),
            "M is WᵀW + σ² I: you added I without σ².",
        ),
        Mistake(
            _posterior(precision=lambda w, v, one: w.T @ w + v),
            "You added σ² to every entry of WᵀW; it belongs on the diagonal alone: variance * torch.eye(latents).",
        ),
        Mistake(
            _posterior(precision=lambda w, v, one: w.T @ w + v**2 * one),
            "`variance` is σ² already: do not square it.",
            also=(
                _posterior(
                    precision=lambda w, v, one: w.T @ w + v**2 * one, covariance=lambda m, inverse, v: v**2 * inverse
                ),
            ),
        ),
        Mistake(
            lambda x, weight, bias, variance: (
                ppca_posterior(x, weight, bias, variance)[0],
                variance * torch.linalg.inv(weight.T @ weight),
            ),
            "Your covariance lacks the prior: it is σ² M⁻¹, with σ² I inside M, which keeps it below I however little x says.",
        ),
        Mistake(
            _posterior(covariance=lambda m, inverse, v: inverse),
            "The covariance is σ² M⁻¹; σ² is missing.",
        ),
        Mistake(
            _posterior(covariance=lambda m, inverse, v: m),
            "This is M itself: the covariance is σ² times its inverse. The more W says about z, the less is left open.",
            also=(_posterior(covariance=lambda m, inverse, v: v * m),),
        ),
        Mistake(
            _posterior(mean=_times_m, covariance=lambda m, inverse, v: v * m),
            "You multiplied by M where its inverse belongs: M⁻¹ Wᵀ (x − b) and σ² M⁻¹, with torch.linalg.inv(M).",
            also=(_posterior(mean=_times_m), _posterior(mean=_times_m, covariance=lambda m, inverse, v: m)),
        ),
        Mistake(
            _posterior(covariance=lambda m, inverse, v: m / v),
            "This is the inverse of the covariance (the precision): return σ² M⁻¹.",
        ),
        Mistake(
            _posterior(mean=lambda d, w, inverse, v: d @ w),
            "This is Wᵀ (x − b), not yet multiplied by M⁻¹.",
        ),
        Mistake(
            _posterior(mean=lambda d, w, inverse, v: v * d @ w @ inverse),
            "The mean has no factor σ²: it is M⁻¹ Wᵀ (x − b). σ² stands before M⁻¹ in the covariance alone.",
        ),
        Mistake(
            _posterior(mean=lambda d, w, inverse, v: d @ w @ inverse / v),
            "You divided the mean by σ²: with M = WᵀW + σ² I it is M⁻¹ Wᵀ (x − b), without a division.",
        ),
        Mistake(
            _posterior(mean=lambda d, w, inverse, v: (d @ w @ inverse).T),
            "Your mean has one column an example; let it have one row, (batch, latents).",
        ),
        Mistake(
            _posterior(mean=lambda d, w, inverse, v: inverse @ w.T @ d),
            "The formula is for one column x; a batch holds x in its rows: (x - bias) @ weight @ M⁻¹.",
        ),
        Mistake(
            lambda x, weight, bias, variance: weight @ weight.T + variance * torch.eye(weight.shape[1]),
            W_W_T,
            also=(_outer_m(lambda d, w, inverse: d @ w @ inverse), _outer_m(lambda d, w, inverse: d @ inverse @ w)),
        ),
        Mistake(
            _posterior(covariance=lambda m, inverse, v: (v * inverse).expand(5, -1, -1)),
            "The covariance does not depend on x: return one matrix, (latents, latents), for all of them.",
        ),
        Mistake(
            _posterior(covariance=lambda m, inverse, v: (v * inverse).diagonal()),
            "This is the diagonal of the covariance; return the whole matrix, for the latents are correlated unless WᵀW is "
            "diagonal.",
        ),
    ),
    alternatives=(_by_solving, _by_precision, _by_conditioning),
)


# --- bug hunt: EM for probabilistic PCA -------------------------------------------------------------------------------


def ppca_m_step(centered, mean, covariance):
    cross = mean.T @ centered
    second = mean.T @ mean + len(centered) * covariance
    weight = torch.linalg.solve(second, cross).T
    error = centered.square().sum() - 2 * (cross.T * weight).sum() + (second * (weight.T @ weight)).sum()
    return weight, error / centered.numel()


def _draw_e_step(generator, batch=30, dim=6, latents=2):
    centered = torch.randn(batch, dim, generator=generator) + torch.randn(batch, 1, generator=generator)
    centered = centered - centered.mean(0)
    mean, covariance = ppca_posterior(
        centered, torch.randn(dim, latents, generator=generator), torch.zeros(dim), torch.tensor(0.7)
    )
    return centered, mean, covariance


def _m_step(second, in_error=None, of=None):
    """The M-step with other second moments: for W, and (if they differ) for σ²."""

    def other(centered, mean, covariance):
        cross = mean.T @ centered
        moments = second(centered, mean, covariance)
        weight = torch.linalg.solve(moments, cross).T
        moments = moments if in_error is None else in_error(centered, mean, covariance)
        error = centered.square().sum() - 2 * (cross.T * weight).sum() + (moments * (weight.T @ weight)).sum()
        return weight, error / (centered.numel() if of is None else of(centered))

    return other


def _right(centered, mean, covariance):
    return mean.T @ mean + len(centered) * covariance


def _means_alone(centered, mean, covariance):
    return mean.T @ mean


def _covariance_once(centered, mean, covariance):
    """The shipped bug: Σ E[z zᵀ] with the covariance of one example."""
    return mean.T @ mean + covariance


_PARTS = (
    lambda covariance: covariance.sum(0),
    lambda covariance: covariance.sum(),
    lambda covariance: covariance.trace(),
    lambda covariance: covariance.trace() * torch.eye(len(covariance)),
)


def _by_residuals(centered, mean, covariance):
    """σ² is what the means leave unexplained, and what the codes leave open."""
    weight = torch.linalg.lstsq(_right(centered, mean, covariance), mean.T @ centered).solution.T
    left = (centered - mean @ weight.T).square().sum(-1) + torch.trace(weight @ covariance @ weight.T)
    return weight, left.mean() / centered.shape[1]


def _by_averages(centered, mean, covariance):
    second = torch.einsum("ni,nj->nij", mean, mean).mean(0) + covariance
    weight = (centered.T @ mean / len(mean)) @ torch.linalg.inv(second)
    unexplained = centered.var(0, correction=0).sum() + centered.mean(0).square().sum()
    return weight, (unexplained - torch.trace(weight @ second @ weight.T)) / centered.shape[1]


BUG = Exercise(
    "latent/bug",
    ppca_m_step,
    _draw_e_step,
    lesson=LESSON,
    title="bug hunt: an EM that loses its way",
    minutes=10,
    difficulty=3,
    bug_hunt=True,
    hints=(
        "EM never lowers the likelihood, and this one does: so some step is not what EM prescribes. Hold each line against "
        "the formulas above. Each of the three quantities is a sum over all examples: is each line one?",
        "Look at Σ E[z zᵀ]. mean.T @ mean is a sum over the examples; and the other part of E[z zᵀ]?",
        "E[z zᵀ] = covariance + mean meanᵀ for each example, and there are len(centered) of them: "
        "second = mean.T @ mean + len(centered) * covariance.",
    ),
    mistakes=(
        Mistake(
            _m_step(_covariance_once),
            "The bug is still there. Hold the code against the formulas, one by one.",
        ),
        Mistake(
            _m_step(_means_alone),
            "Now the covariance is gone from E[z zᵀ], which is covariance + mean meanᵀ: the codes would be certain.",
        ),
        Mistake(
            _m_step(lambda centered, mean, covariance: mean.T @ mean + covariance.sum(0)),
            "`covariance` is one matrix, (latents, latents), the same for every example. There is nothing to sum within it: "
            "add it whole, once for every example.",
            also=tuple(
                _m_step(
                    lambda centered, mean, covariance, part=part, n=n: mean.T @ mean + n(centered) * part(covariance)
                )
                for part in _PARTS
                for n in (lambda centered: 1, len)
            )[1:],
        ),
        Mistake(
            _m_step(lambda centered, mean, covariance: mean.T @ mean / len(mean) + covariance),
            "This is the average of E[z zᵀ]; the other two sums are not averaged: leave them all as sums.",
        ),
        Mistake(
            _m_step(lambda centered, mean, covariance: mean.T @ mean + centered.shape[1] * covariance),
            "The covariance is added once for every example, not for every pixel: len(centered) of them.",
            also=(_m_step(lambda centered, mean, covariance: mean.T @ mean + centered.numel() * covariance),),
        ),
        Mistake(
            _m_step(_right, _covariance_once),
            "W is mended, but not σ²: use the same second moments in both.",
            also=(_m_step(_right, _means_alone),),
        ),
        Mistake(
            _m_step(_covariance_once, _right),
            "σ² is mended, but not W: use the same second moments in both.",
            also=(_m_step(_means_alone, _right),),
        ),
        Mistake(
            _m_step(lambda centered, mean, covariance: mean.T @ mean - len(centered) * covariance),
            "The sign is turned round: E[z zᵀ] is larger than E[z] E[z]ᵀ, by the covariance.",
        ),
        Mistake(
            _m_step(lambda centered, mean, covariance: len(centered) * covariance),
            "Now the means are gone from E[z zᵀ], which is covariance + mean meanᵀ, summed over the examples.",
        ),
        Mistake(
            _m_step(_covariance_once, of=lambda centered: centered.shape[1] * (len(centered) - 1)),
            "The division was right: n · dim squares are averaged, and the maximum of the likelihood takes their plain mean. "
            "The bug is elsewhere.",
            also=(_m_step(_covariance_once, of=len),),
        ),
    ),
    alternatives=(
        _by_residuals,
        _by_averages,
        lambda centered, mean, covariance: _m_step(
            lambda c, m, v: torch.stack([row[:, None] @ row[None] + v for row in m]).sum(0)
        )(centered, mean, covariance),
    ),
)
