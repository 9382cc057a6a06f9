"""Exercises of lesson 09 on learning without samples of one's own: denoising score matching, and noise contrast."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .energy_walks import LESSON

# --- denoising score matching -----------------------------------------------------------------------------------------


def denoising_loss(slope, x, noise, std):
    return 0.5 * (noise - std * slope(x + std * noise)).square().sum(1)


def _draw_noised(generator):
    """Parameters of an energy, five points, noise and its standard deviation; see `_with_slope`."""
    theta = torch.randn(3, 3, generator=generator).requires_grad_()
    x, noise = (torch.randn(5, 3, generator=generator) for _ in range(2))
    return theta, x, noise, 0.3 + 0.4 * float(torch.rand((), generator=generator))


def _with_slope(answer, theta, x, noise, std):
    """The slope belongs to E(x) = Σ softplus(x θ) + ½ ‖x‖²; its parameters θ are what learns."""
    return answer(lambda x: (x @ theta).sigmoid() @ theta.T + x, x, noise, std)


def _like_denoising(difference, reduced=lambda squares: 0.5 * squares.sum(1), at=lambda x, noise, std: x + std * noise):
    """Another difference of noise and slope, another reduction, or another place."""
    return lambda slope, x, noise, std: reduced(difference(slope(at(x, noise, std)), noise, std).square())


def _right(slope, noise, std):
    return noise - std * slope


def _like_denoising_of_points(slope, x, noise, std):
    return 0.5 * (x + std * noise - std * slope(x + std * noise)).square().sum(1)


DENOISING = Exercise(
    "energy/denoising",
    denoising_loss,
    _draw_noised,
    lesson=LESSON,
    title="denoising score matching",
    minutes=8,
    difficulty=2,
    differentiable=True,
    call=_with_slope,
    hints=(
        "Three steps: noise the points; ask for the slope there; compare std · slope with the noise that was added.",
        "The noised points are x + std * noise, and `slope` is a function. The difference noise − std · slope is squared and summed "
        "over the entries, with a half before it: one number an example.",
        "0.5 * (noise - std * slope(x + std * noise)).square().sum(1)",
    ),
    mistakes=(
        Mistake(
            _like_denoising(_right, at=lambda x, noise, std: x),
            "You asked for the slope at the clean points; ask at the noised ones, x + std · noise.",
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: noise + std * slope),
            "The sign is wrong. Noise lifts a point, so the way back to the data is downhill: the *slope* points the way of the noise, "
            "the score −∇E against it.",
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: noise - slope),
            "The slope is multiplied by std: a score is noise divided by std, so std · slope is what compares with the noise.",
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: noise - slope / std),
            "The slope is multiplied by std, not divided: it is about noise / std.",
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: noise - std**2 * slope),
            "std, not std²: std² · slope is how far the point was moved, std · slope is the noise itself.",
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: std * noise - std * slope),
            "The noise is multiplied by std once, where it is added to x. The slope compares with the plain noise.",
            also=(_like_denoising(lambda slope, noise, std: std * (noise - std * slope)),),
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: noise / std - slope),
            "Right in direction, but not weighted: this is 1/std² times what is asked for. Compare std · slope with the noise.",
        ),
        Mistake(
            _like_denoising(_right, at=lambda x, noise, std: x + noise),
            "The noise that is added has standard deviation std: x + std · noise.",
            also=(
                _like_denoising(_right, at=lambda x, noise, std: x + std**0.5 * noise),
                _like_denoising(_right, at=lambda x, noise, std: x + std**2 * noise),
            ),
        ),
        Mistake(
            _like_denoising(_right, at=lambda x, noise, std: x - std * noise),
            "The point is at x + std · noise. With a minus there, slope and noise point opposite ways.",
        ),
        Mistake(
            lambda slope, x, noise, std: denoising_loss(slope, x, torch.randn_like(x), std),
            "You drew noise of your own; use the one that is handed to you, so that numbers can be compared.",
        ),
        Mistake(
            lambda slope, x, noise, std: 0.5 * _right(slope(x + std * noise), noise, std).sum(1).square(),
            "Square every entry first, then sum: ‖a‖² = Σ aᵢ², not (Σ aᵢ)².",
        ),
        Mistake(
            _like_denoising(_right, reduced=lambda squares: 0.5 * squares.sum(0)),
            "You summed over the examples; sum over the entries of each, .sum(1).",
        ),
        Mistake(
            _like_denoising(_right, reduced=lambda squares: squares.sum(1)),
            "A half is missing: ½ ‖…‖².",
        ),
        Mistake(
            _like_denoising(_right, reduced=lambda squares: 0.5 * squares.mean(1)),
            "Sum over the entries of x: a squared length is a sum. (The mean is for the batch, and comes later.)",
            also=(_like_denoising(_right, reduced=lambda squares: squares.mean(1)),),
        ),
        Mistake(
            _like_denoising(_right, reduced=lambda squares: 0.5 * squares.sum(1).mean()),
            "One number for each example, (batch,); the mean over the batch comes later.",
            also=(
                _like_denoising(_right, reduced=lambda squares: 0.5 * squares.sum()),
                _like_denoising(_right, reduced=lambda squares: 0.5 * squares.mean()),
                _like_denoising(_right, reduced=lambda squares: squares.mean()),
            ),
        ),
        Mistake(
            _like_denoising(_right, reduced=lambda squares: 0.5 * squares.sum(1).sqrt()),
            "This is half of a length; its square is asked for.",
            also=(_like_denoising(_right, reduced=lambda squares: squares.sum(1).sqrt()),),
        ),
        Mistake(
            lambda slope, x, noise, std: 0.5 * (x - std * slope(x + std * noise)).square().sum(1),
            "You compared the slope with the data; compare it with the noise.",
            also=(_like_denoising_of_points,),
        ),
        Mistake(
            _like_denoising(lambda slope, noise, std: std * slope),
            "The noise is missing from the difference: this asks for no slope anywhere, whatever the data.",
        ),
        Mistake(
            lambda slope, x, noise, std: 0.5 * (noise - std * slope(x + std * noise).detach()).square().sum(1),
            "The value is right, but no gradient reaches the network: do not detach the slope.",
        ),
    ),
    alternatives=(
        lambda slope, x, noise, std: 0.5 * std**2 * (noise / std - slope(x + noise * std)).pow(2).sum(dim=-1),
        lambda slope, x, noise, std: F.mse_loss(std * slope(x + std * noise), noise, reduction="none").sum(1) / 2,
        lambda slope, x, noise, std: (
            0.5 * (noise - std * slope((x + std * noise).detach().requires_grad_())).square().sum(1)
        ),
    ),
)


# --- noise-contrastive estimation -------------------------------------------------------------------------------------


def noise_contrastive_loss(data_energy, data_log_q, noise_energy, noise_log_q):
    return F.softplus(data_energy + data_log_q).mean() + F.softplus(-noise_energy - noise_log_q).mean()


def _draw_contrast(generator):
    """Energies, and log q, of seven data points and of seven noise points; of each a classifier is wrong about one, and sure."""
    drawn = [2 * torch.randn(7, generator=generator) + shift for shift in (0.5, -2.0, 2.5, -1.0)]
    drawn[0][0], drawn[2][0] = 115.0, -115.0
    return tuple(drawn)


def _like_contrast(ratio=lambda e, q: -e - q, at_data=lambda h: F.softplus(-h), at_noise=F.softplus, join=None):
    """Another log-odds h of being data, another cost at data or at noise, another way to join the two."""
    join = join or (lambda a, b: a.mean() + b.mean())
    return lambda de, dq, ne, nq: join(at_data(ratio(de, dq)), at_noise(ratio(ne, nq)))


def _with_log_q(at_data, at_noise):
    """log q taken in at the data or at the noise alone."""
    return lambda de, dq, ne, nq: F.softplus(de + at_data * dq).mean() + F.softplus(-ne - at_noise * nq).mean()


def _by_ratios(data_energy, data_log_q, noise_energy, noise_log_q):
    """p / (p + q) with the densities themselves."""
    of_data = (-data_energy).exp() / ((-data_energy).exp() + data_log_q.exp())
    of_noise = noise_log_q.exp() / ((-noise_energy).exp() + noise_log_q.exp())
    return -of_data.log().mean() - of_noise.log().mean()


def _by_differences(data_energy, data_log_q, noise_energy, noise_log_q):
    """The same, with 1 − p / (p + q) at the noise."""
    of_data = (-data_energy).exp() / ((-data_energy).exp() + data_log_q.exp())
    of_noise = (-noise_energy).exp() / ((-noise_energy).exp() + noise_log_q.exp())
    return -of_data.log().mean() - (1 - of_noise).log().mean()


def _by_cross_entropy(data_energy, data_log_q, noise_energy, noise_log_q):
    logits = torch.cat([-data_energy - data_log_q, -noise_energy - noise_log_q])
    labels = torch.cat([torch.ones_like(data_energy), torch.zeros_like(noise_energy)])
    return 2 * F.binary_cross_entropy_with_logits(logits, labels)


def _by_posteriors(data_energy, data_log_q, noise_energy, noise_log_q):
    """Bayes' rule for even odds, without a sigmoid: p / (p + q)."""
    of_data = -data_energy - torch.logaddexp(-data_energy, data_log_q)
    of_noise = noise_log_q - torch.logaddexp(-noise_energy, noise_log_q)
    return -of_data.mean() - of_noise.mean()


NOISE_CONTRAST = Exercise(
    "energy/nce",
    noise_contrastive_loss,
    _draw_contrast,
    lesson=LESSON,
    title="noise-contrastive estimation",
    minutes=8,
    difficulty=2,
    differentiable=True,
    hints=(
        "First h = −E − log q, at the data and at the noise. Then the two costs of a classifier whose log-odds are h.",
        "−log sigmoid(h) at data is F.softplus(-h); −log(1 − sigmoid(h)) at noise is F.softplus(h). The mean of each, and their sum.",
        "F.softplus(data_energy + data_log_q).mean() + F.softplus(-noise_energy - noise_log_q).mean()",
    ),
    mistakes=(
        Mistake(
            _like_contrast(ratio=lambda e, q: e - q),
            "log p is −E: h = −E − log q. With +E, data are pushed to high energies.",
        ),
        Mistake(
            _like_contrast(ratio=lambda e, q: -e + q),
            "log q is subtracted: h = log p − log q = −E − log q.",
        ),
        Mistake(
            _like_contrast(ratio=lambda e, q: -e),
            "log q is missing: without it the energy learns log p − log q, the log-odds, and not −log p.",
        ),
        Mistake(
            _like_contrast(at_data=F.softplus, at_noise=lambda h: F.softplus(-h)),
            "Data and noise are exchanged: h large means 'data', so at data the cost is softplus(−h), at noise softplus(h).",
        ),
        Mistake(
            _like_contrast(at_noise=lambda h: F.softplus(-h)),
            "At noise the right answer is 'noise', whose probability is 1 − sigmoid(h) = sigmoid(−h): its cost is softplus(h).",
        ),
        Mistake(
            _like_contrast(at_data=F.softplus),
            "At data the right answer is 'data', whose probability is sigmoid(h): its cost is softplus(−h).",
        ),
        Mistake(
            _like_contrast(join=lambda a, b: torch.cat([a, b]).mean()),
            "You averaged over all points together; the sum of the two means is asked for, twice that.",
        ),
        Mistake(
            _like_contrast(join=lambda a, b: a.sum() + b.sum()),
            "Take the mean over the data and the mean over the noise, so that the loss does not depend on how many there are.",
        ),
        Mistake(
            _like_contrast(join=lambda a, b: a.mean() - b.mean()),
            "Both are costs: add them. Subtracted, the classifier is paid for its errors at the noise.",
            also=(_like_contrast(at_noise=lambda h: F.softplus(-h), join=lambda a, b: a.mean() - b.mean()),),
        ),
        Mistake(
            _like_contrast(join=lambda a, b: -(a.mean() + b.mean())),
            "The sign is wrong: a loss is made small, and −log of a probability is softplus, with a plus.",
        ),
        Mistake(
            _like_contrast(at_data=lambda h: -h.sigmoid(), at_noise=lambda h: -(-h).sigmoid()),
            "These are probabilities; the cost is minus their *logarithm*: softplus(−h) and softplus(h).",
            also=(_like_contrast(at_data=lambda h: 1 - h.sigmoid(), at_noise=lambda h: h.sigmoid()),),
        ),
        Mistake(
            _like_contrast(at_data=lambda h: -h.sigmoid().log(), at_noise=lambda h: -(1 - h.sigmoid()).log()),
            "Right for small h; but where h is large, of either sign, sigmoid rounds to 0 or 1, and the log of 0 is −∞. F.softplus is the same, "
            "computed safely.",
            also=(
                _like_contrast(at_data=lambda h: -h.sigmoid().log(), at_noise=lambda h: -(-h).sigmoid().log()),
                _like_contrast(at_data=lambda h: (1 + (-h).exp()).log(), at_noise=lambda h: (1 + h.exp()).log()),
                _like_contrast(at_data=lambda h: -h.sigmoid().log()),
                _like_contrast(at_noise=lambda h: -(1 - h.sigmoid()).log()),
                _by_ratios,
                _by_differences,
            ),
        ),
        Mistake(
            _like_contrast(
                at_data=lambda h: -(h.sigmoid() + 1e-8).log(), at_noise=lambda h: -(1 - h.sigmoid() + 1e-8).log()
            ),
            "The small number under the logarithm hides that sigmoid has rounded to 0 or 1: where the classifier is most wrong, it now learns "
            "nothing. F.softplus needs no such floor.",
            also=tuple(
                _like_contrast(
                    at_data=lambda h, least=least: -h.sigmoid().clamp_min(least).log(),
                    at_noise=lambda h, least=least: -(1 - h.sigmoid()).clamp_min(least).log(),
                )
                for least in (1e-12, 1e-10, 1e-8, 1e-7, 1e-6)
            ),
        ),
        Mistake(
            _with_log_q(1, 0),
            "log q belongs to h at the noise, too: the same h = −E − log q in both places.",
        ),
        Mistake(
            _with_log_q(0, 1),
            "log q belongs to h at the data, too: the same h = −E − log q in both places.",
        ),
        Mistake(
            _like_contrast(ratio=lambda e, q: -e - q.exp()),
            "log q is a logarithm already, and h is a difference of logarithms: −E − log q, without exp.",
            also=(_like_contrast(ratio=lambda e, q: -e / q),),
        ),
        Mistake(
            _like_contrast(join=lambda a, b: a + b),
            "One number: the mean over the data plus the mean over the noise.",
        ),
        Mistake(
            lambda data_energy, data_log_q, noise_energy, noise_log_q: F.softplus(data_energy + data_log_q).mean(),
            "The noise is missing: seeing data alone, a classifier calls everything data.",
        ),
        Mistake(
            lambda data_energy, data_log_q, noise_energy, noise_log_q: data_energy.mean() - noise_energy.mean(),
            "This is the contrast of before, for samples of the model itself. The noise is of another law, q, and that is what h accounts for.",
        ),
    ),
    alternatives=(
        _by_cross_entropy,
        _by_posteriors,
        lambda de, dq, ne, nq: -F.logsigmoid(-de - dq).mean() - F.logsigmoid(ne + nq).mean(),
    ),
)
