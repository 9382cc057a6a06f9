"""Lesson 09's exercises accept right answers however they are written, and agree with the package and with theory."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.nn import functional as F

from dgmcourse import Space
from dgmcourse.dynamics import langevin, metropolis_langevin
from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge
from dgmcourse.models import energy as package

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "09_energy_based_models"}
REFERENCE = {name.split("/")[1]: one.reference for name, one in EXERCISES.items()}


def langevin_by_loop(x, slope, step_size, noise):
    moved = torch.empty_like(x)
    for i, (row, kick) in enumerate(zip(x, noise, strict=True)):
        moved[i] = row - step_size / 2 * slope(row[None])[0] + math.sqrt(step_size) * kick
    return moved


def langevin_in_place(x, slope, step_size, noise):
    x = x.clone()
    x -= 0.5 * step_size * slope(x)
    x += noise * step_size**0.5
    return x


def acceptance_by_multivariate_normals(x, proposal, energy, slope, step_size):
    def log_q(to, start):
        return Independent(Normal(start - 0.5 * step_size * slope(start), math.sqrt(step_size)), 1).log_prob(to)

    return -energy(proposal) + energy(x) + log_q(x, proposal) - log_q(proposal, x)


def acceptance_by_drifts(x, proposal, energy, slope, step_size):
    drift_here, drift_there = -slope(x) * step_size / 2, -slope(proposal) * step_size / 2
    forth = torch.linalg.vector_norm(proposal - (x + drift_here), dim=1) ** 2
    back = torch.linalg.vector_norm(x - (proposal + drift_there), dim=1) ** 2
    return (energy(x) - energy(proposal)) - back / (2 * step_size) + forth / (2 * step_size)


def starts_by_masked_fill(kept, fresh, uniform, restart):
    new = kept.clone()
    again = uniform < restart
    new[again] = fresh[again]
    return new


def denoising_by_targets(slope, x, noise, std):
    """Vincent's form: the score at the noised point should be (x − noised) / std²."""
    noised = x + std * noise
    return 0.5 * std**2 * (-slope(noised) - (x - noised) / std**2).square().sum(1)


def contrast_by_bernoulli(data_energy, data_log_q, noise_energy, noise_log_q):
    at_data = torch.distributions.Bernoulli(logits=-data_energy - data_log_q).log_prob(torch.ones(7))
    at_noise = torch.distributions.Bernoulli(logits=-noise_energy - noise_log_q).log_prob(torch.zeros(7))
    return -(at_data.mean() + at_noise.mean())


def compose_by_smaller_ones(a, b, weight):
    least = torch.minimum(a, b)
    return a + b, least - ((least - a).exp() + (least - b).exp()).log(), a - weight * b


RIGHT = {
    "langevin": [
        langevin_by_loop,
        langevin_in_place,
        lambda x, slope, step_size, noise: x - step_size * slope(x) / 2 + torch.tensor(step_size).sqrt() * noise,
    ],
    "bug": [acceptance_by_multivariate_normals, acceptance_by_drifts],
    "contrastive": [
        lambda positive, negative: torch.mean(positive) - torch.mean(negative),
        lambda positive, negative: torch.cat([positive / len(positive), -negative / len(negative)]).sum(),
    ],
    "tether": [
        lambda p, n, w: p.mean() - n.mean() + w * p.pow(2).mean() + w * n.pow(2).mean(),
        lambda p, n, w: p.mean() - n.mean() + w * (F.mse_loss(p, torch.zeros(6)) + F.mse_loss(n, torch.zeros(9))),
    ],
    "replay": [
        starts_by_masked_fill,
        lambda kept, fresh, uniform, restart: torch.where((uniform < restart).view(-1, 1), fresh, kept),
        lambda kept, fresh, uniform, restart: torch.where((uniform >= restart).unsqueeze(-1), kept, fresh),
    ],
    "denoising": [
        denoising_by_targets,
        lambda slope, x, noise, std: ((std * slope(std * noise + x) - noise) ** 2).sum(-1) / 2,
        lambda slope, x, noise, std: torch.linalg.vector_norm(noise - std * slope(x + std * noise), dim=1).square() / 2,
    ],
    "nce": [
        contrast_by_bernoulli,
        lambda de, dq, ne, nq: (torch.logaddexp(-de, dq) + de).mean() + (torch.logaddexp(-ne, nq) - nq).mean(),
        lambda de, dq, ne, nq: -torch.cat([F.logsigmoid(-de - dq), F.logsigmoid(ne + nq)]).sum() / len(de),
    ],
    "compose": [compose_by_smaller_ones],
    "strange": [
        lambda logits: (torch.log_softmax(logits, 1)[:, 0] - logits[:, 0], -logits.softmax(1).max(1)[0]),
        lambda logits: (-torch.logsumexp(logits, dim=-1), (-logits.softmax(-1)).amin(-1)),
    ],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"energy/{name}"], RIGHT[name][index]).message == ""


def test_the_exercises_stand_in_the_lessons_order():
    assert list(EXERCISES) == [f"energy/{name}" for name in RIGHT]


def bowl(x):
    return 0.5 * (x.square() / torch.tensor([1.0, 4.0])).sum(1)


def bowl_slope(x):
    return x / torch.tensor([1.0, 4.0])


def test_the_langevin_reference_is_the_packages_step():
    x = torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    expected = next(langevin(lambda x: -bowl_slope(x), x, 0.3, 1))
    torch.manual_seed(1)
    torch.testing.assert_close(REFERENCE["langevin"](x, bowl_slope, 0.3, torch.randn_like(x)), expected)


def test_the_acceptance_reference_is_the_packages_rule():
    """With the same random numbers the same walkers stay."""
    x = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(1)
    expected, _ = next(metropolis_langevin(lambda x: -bowl(x), x, 1.5, 1))
    torch.manual_seed(1)
    proposal = REFERENCE["langevin"](x, bowl_slope, 1.5, torch.randn_like(x))
    accepted = torch.rand(500).log() < REFERENCE["bug"](x, proposal, bowl, bowl_slope, 1.5)
    assert 0 < int(accepted.sum()) < 500
    torch.testing.assert_close(torch.where(accepted[:, None], proposal, x), expected)


def test_the_shipped_bug_samples_another_density_and_the_mended_rule_the_right_one():
    """Of N(0, 1): by detailed balance of the shipped rule against q, the variance is off; the reference's is 1."""
    variances = []
    for rule in (EXERCISES["energy/bug"].mistakes[0].function, REFERENCE["bug"]):
        torch.manual_seed(0)
        x = torch.randn(40_000, 1)
        for _ in range(30):
            proposal = REFERENCE["langevin"](x, lambda x: x, 1.0, torch.randn_like(x))
            log_ratio = rule(x, proposal, lambda x: 0.5 * x.square().sum(1), lambda x: x, 1.0)
            x = torch.where((torch.rand(len(x)).log() < log_ratio)[:, None], proposal, x)
        variances.append(float(x.var()))
    assert abs(variances[1] - 1) < 0.03
    assert abs(variances[0] - 1) > 0.1


def test_the_losses_are_the_packages():
    generator = torch.Generator().manual_seed(0)
    positive, negative = torch.randn(6, generator=generator), torch.randn(9, generator=generator)
    torch.testing.assert_close(REFERENCE["contrastive"](positive, negative), package.contrastive(positive, negative))
    x, noise = torch.randn(6, 2, generator=generator), torch.randn(6, 2, generator=generator)
    expected = package.denoising_score_matching(bowl, x, 0.7, noise)
    torch.testing.assert_close(REFERENCE["denoising"](bowl_slope, x, noise, 0.7), expected)
    log_q = torch.randn(12, generator=generator)
    de, ne = torch.randn(6, generator=generator), torch.randn(6, generator=generator)
    expected = package.noise_contrastive(-de - log_q[:6], -ne - log_q[6:])
    torch.testing.assert_close(REFERENCE["nce"](de, log_q[:6], ne, log_q[6:]), expected)


def test_the_composition_reference_is_the_packages():
    x = torch.randn(10, 2, generator=torch.Generator().manual_seed(0))
    plane = Space.real(2)

    def hill(x):
        return (x - 1).square().sum(1)

    both, either, but = REFERENCE["compose"](bowl(x), hill(x), 0.4)
    torch.testing.assert_close(both, package.Product([bowl, hill], space=plane).energy(x))
    torch.testing.assert_close(either, package.Mixture([bowl, hill], space=plane).energy(x))
    negation = package.Negation(hill, 0.4, space=plane)
    torch.testing.assert_close(but, package.Product([bowl, negation], space=plane).energy(x))


def test_the_strangeness_reference_is_the_joint_models_potential():
    torch.manual_seed(0)
    model = package.JEM(Space.real(3), classes=5, hidden=(8,))
    x = torch.randn(7, 3)
    energy, unsure = REFERENCE["strange"](model.logits(x))
    torch.testing.assert_close(energy, model.potential(model.points(x)))
    torch.testing.assert_close(unsure, -model.classify(x).exp().amax(1))
