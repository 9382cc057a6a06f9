"""Lesson 03's exercises accept right answers however they are written."""

from functools import reduce
from itertools import pairwise

import pytest
import torch
from torch.distributions import Bernoulli
from torch.nn import functional as F

from dgmcourse.exercises.boltzmann_bug import BUG
from dgmcourse.exercises.boltzmann_energy import ENERGY, FREE_ENERGY
from dgmcourse.exercises.boltzmann_learning import CD, PERSISTENT
from dgmcourse.exercises.boltzmann_partition import AIS, LOG_PARTITION
from dgmcourse.exercises.boltzmann_units import HIDDEN, SWEEP
from dgmcourse.exercises.engine.judging import judge
from dgmcourse.exercises.engine.registry import all_exercises

EXERCISES = {one.name.split("/")[1]: one for one in (ENERGY, FREE_ENERGY, HIDDEN, SWEEP, CD, LOG_PARTITION, PERSISTENT,
                                                       AIS, BUG)}  # fmt: skip


def states(units):
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * units)


def energy_by_loops(s, couplings, bias):
    values = []
    for one in s:
        value = 0.0
        for i in range(len(bias)):
            value = value - bias[i] * one[i]
            for j in range(i + 1, len(bias)):
                value = value - couplings[i, j] * one[i] * one[j]
        values.append(value)
    return torch.stack(values)


def free_energy_unit_by_unit(x, weight, b, c):
    total = -(b * x).sum(-1)
    for j in range(weight.shape[1]):
        total = total - F.softplus(c[j] + (x * weight[:, j]).sum(-1))
    return total


def sweep_in_two_functions(x, weight, b, c):
    def draw(p):
        return torch.bernoulli(p)

    return draw(torch.sigmoid(F.linear(draw(torch.sigmoid(F.linear(x, weight.T, c))), weight, b)))


def sweep_unit_by_unit(x, weight, b, c):
    h = torch.zeros(len(x), len(c))
    for j in range(len(c)):
        h[:, j] = (torch.rand(len(x)) < torch.sigmoid(c[j] + x @ weight[:, j])).float()
    new = torch.zeros_like(x)
    for i in range(len(b)):
        new[:, i] = (torch.rand(len(x)) < torch.sigmoid(b[i] + h @ weight[i])).float()
    return new


def sweep_by_logistic_noise(x, weight, b, c):
    """An input is exceeded by logistic noise with the probability of its sigmoid."""
    up = c + x @ weight
    h = (torch.rand_like(up).logit() < up).to(x.dtype)
    down = b + h @ weight.T
    return (torch.rand_like(down).logit() < down).to(x.dtype)


def cd_image_by_image(x, negatives, weight, b, c):
    def phase(batch):
        total = [torch.zeros_like(part) for part in (weight, b, c)]
        for one in batch:
            p = torch.sigmoid(c + one @ weight)
            total = [a + part for a, part in zip(total, (torch.outer(one, p), one, p), strict=True)]
        return [part / len(batch) for part in total]

    positive, negative = phase(x), phase(negatives)
    return tuple(p - n for p, n in zip(positive, negative, strict=True))


def cd_by_autograd(x, negatives, weight, b, c):
    parameters = [part.clone().requires_grad_() for part in (weight, b, c)]
    loss = free_energy_unit_by_unit(x, *parameters).mean() - free_energy_unit_by_unit(negatives, *parameters).mean()
    loss.backward()
    return [-part.grad for part in parameters]


def cd_in_one_product(x, negatives, weight, b, c):
    """A column of ones makes a bias of each side a weight."""

    def phase(s):
        p = torch.sigmoid(c + s @ weight)
        s, p = F.pad(s, (0, 1), value=1.0), F.pad(p, (0, 1), value=1.0)
        return s.T @ p / len(s)

    gradient = phase(x) - phase(negatives)
    return gradient[:-1, :-1], gradient[:-1, -1], gradient[-1, :-1]


def persistent_by_recursion(x, chains, sweep, k):
    return chains if k == 0 else persistent_by_recursion(x, sweep(chains), sweep, k - 1)


def persistent_with_while(x, chains, sweep, k):
    state = chains.clone()
    while k > 0:
        state = sweep(state)
        k -= 1
    return state.detach()


def ais_with_range(log_f, move, x, betas):
    log_w = torch.zeros(x.shape[0])
    for t in range(1, len(betas)):
        log_w = log_w + (log_f(x, betas[t]) - log_f(x, betas[t - 1]))
        x = move(x, betas[t])
    return log_w


def ais_in_a_list(log_f, move, x, betas):
    terms = []
    for low, high in pairwise(betas):
        terms.append(log_f(x, high) - log_f(x, low))
        x = move(x, high)
    return sum(terms)


def ais_from_the_second(log_f, move, x, betas):
    log_w = log_f(x, betas[1]) - log_f(x, betas[0])
    for before, now in pairwise(betas[1:]):
        x = move(x, before)
        log_w = log_w + log_f(x, now) - log_f(x, before)
    return log_w


def ais_with_iterator(log_f, move, x, betas):
    temperatures = iter(betas)
    before, log_w = next(temperatures), torch.zeros(len(x))
    for now in temperatures:
        log_w = log_w + log_f(x, now)
        log_w = log_w - log_f(x, before)
        x, before = move(x, now), now
    return log_w


def ais_by_recursion(log_f, move, x, betas):
    gained = log_f(x, betas[1]) - log_f(x, betas[0])
    return gained if len(betas) == 2 else gained + ais_by_recursion(log_f, move, move(x, betas[1]), betas[1:])


def ais_in_double(log_f, move, x, betas):
    log_w = torch.zeros(len(x), dtype=torch.float64)
    for before, now in pairwise(betas):
        log_w += log_f(x, now) - log_f(x, before)
        x = move(x, now)
    return log_w.float()


def ais_by_states(log_f, move, x, betas):
    visited = [x]
    for beta in betas[1:]:
        visited.append(move(visited[-1], beta))
    return torch.stack([log_f(s, now) - log_f(s, before) for s, before, now in zip(visited, betas, betas[1:], strict=False)]
                       ).sum(0)  # fmt: skip


def bug_mended(make):
    def loss(x, noise, weight, b, c):
        negatives = make(x, noise, weight, b, c)
        return (
            free_energy_unit_by_unit(x, weight, b, c).mean() - free_energy_unit_by_unit(negatives, weight, b, c).mean()
        )

    return loss


def reconstruct(x, noise, weight, b, c):
    return torch.sigmoid(b + (noise < torch.sigmoid(c + x @ weight)).float() @ weight.T)


@torch.no_grad()
def reconstruct_without_gradient(x, noise, weight, b, c):
    return reconstruct(x, noise, weight, b, c)


def as_one_batch(x, noise, weight, b, c):
    both = torch.cat([x, reconstruct(x, noise, weight, b, c).detach()])
    sign = torch.cat([torch.ones(len(x)), -torch.ones(len(x))])
    return (sign * FREE_ENERGY.reference(both, weight, b, c)).sum() / len(x)


RIGHT = {
    "energy": [
        energy_by_loops,
        lambda s, j, b: -(s @ b) - ((s @ j.triu()) * s).sum(-1),
        lambda s, j, b: -torch.einsum("bi,ij,bj->b", s, j, s) / 2 - torch.einsum("bi,i->b", s, b),
        lambda s, j, b: -0.5 * torch.diagonal(s @ j @ s.T) - (s * b).sum(-1),
        lambda s, j, b: -((0.5 * (s @ j) + b) * s).sum(1),
        lambda s, j, b: torch.stack([-(0.5 * v.dot(j.mv(v)) + v.dot(b)) for v in s]),
        lambda s, j, b: -torch.bmm(s[:, None], ((s @ j) / 2 + b)[:, :, None]).flatten(),
        lambda s, j, b: -(torch.stack([torch.outer(v, v) for v in s]) * j.tril()).sum((1, 2)) - torch.mv(s, b),
    ],
    "free_energy": [
        free_energy_unit_by_unit,
        lambda x, w, b, c: -(x @ b) - F.softplus(torch.addmm(c, x, w)).sum(dim=1),
        lambda x, w, b, c: -x @ b - torch.logaddexp(torch.zeros_like(c), c + x @ w).sum(-1),
        lambda x, w, b, c: -x @ b + F.logsigmoid(-(c + x @ w)).sum(-1),
        lambda x, w, b, c: -x @ b - (F.relu(c + x @ w) + torch.log1p(torch.exp(-(c + x @ w).abs()))).sum(-1),
        lambda x, w, b, c: -((x @ b)[:, None] + (c + x @ w) @ states(len(c)).T).logsumexp(1),
        lambda x, w, b, c: -(torch.mv(x, b) + torch.nn.Softplus()(F.linear(x, w.T, c)).sum(1)),
        lambda x, w, b, c: torch.stack([-(one @ b) - F.softplus(c + one @ w).sum() for one in x]),
        lambda x, w, b, c: -x @ b - torch.stack([torch.zeros(len(x), len(c)), c + x @ w]).logsumexp(0).sum(-1),
    ],
    "hidden": [
        lambda x, w, c: torch.sigmoid(x @ w + c),
        lambda x, w, c: F.sigmoid(torch.addmm(c, x, w)),
        lambda x, w, c: 1 / (1 + (-(c + x @ w)).exp()),
        lambda x, w, c: (c + x @ w).exp() / (1 + (c + x @ w).exp()),
        lambda x, w, c: torch.special.expit(F.linear(x, w.T, c)),
        lambda x, w, c: F.logsigmoid(c + x @ w).exp(),
        lambda x, w, c: 0.5 * (1 + torch.tanh((c + x @ w) / 2)),
        lambda x, w, c: Bernoulli(logits=c + x @ w).probs,
        lambda x, w, c: torch.stack([torch.sigmoid(c + w.T @ one) for one in x]),
        lambda x, w, c: (c.unsqueeze(0) + (x.unsqueeze(-1) * w).sum(1)).sigmoid(),
    ],
    "sweep": [
        sweep_in_two_functions,
        sweep_unit_by_unit,
        sweep_by_logistic_noise,
        lambda x, w, b, c: Bernoulli(logits=b + Bernoulli(logits=c + x @ w).sample() @ w.T).sample(),
        lambda x, w, b, c: torch.bernoulli((b + torch.bernoulli((c + x @ w).sigmoid()) @ w.T).sigmoid()),
        lambda x, w, b, c: ((b + ((c + x @ w).sigmoid() > torch.rand(len(x), len(c))).float() @ w.T).sigmoid()
                            > torch.rand(len(x), len(b))).float(),
        lambda x, w, b, c: torch.floor((b + torch.floor((c + x @ w).sigmoid() + torch.rand(len(x), len(c))) @ w.T
                                        ).sigmoid() + torch.rand(len(x), len(b))),
        lambda x, w, b, c: torch.stack([sweep_in_two_functions(one[None], w, b, c)[0] for one in x]),
        torch.no_grad()(lambda x, w, b, c: SWEEP.reference(x, w, b, c)),
    ],
    "cd": [
        cd_image_by_image,
        cd_by_autograd,
        cd_in_one_product,
        lambda x, n, w, b, c: (
            (x.unsqueeze(-1) * HIDDEN.reference(x, w, c).unsqueeze(1)).mean(0)
            - (n.unsqueeze(-1) * HIDDEN.reference(n, w, c).unsqueeze(1)).mean(0),
            x.mean(dim=0) - n.mean(dim=0),
            HIDDEN.reference(x, w, c).mean(dim=0) - HIDDEN.reference(n, w, c).mean(dim=0),
        ),
        lambda x, n, w, b, c: [
            torch.einsum("bi,bj->ij", x, torch.sigmoid(c + x @ w)) / x.size(0)
            - torch.einsum("bi,bj->ij", n, torch.sigmoid(c + n @ w)) / n.size(0),
            x.sum(0) / x.size(0) - n.sum(0) / n.size(0),
            torch.sigmoid(c + x @ w).sum(0) / x.size(0) - torch.sigmoid(c + n @ w).sum(0) / n.size(0),
        ],
        lambda x, n, w, b, c: tuple(torch.autograd.functional.jacobian(
            lambda *p: FREE_ENERGY.reference(n, *p).mean() - FREE_ENERGY.reference(x, *p).mean(), (w, b, c))),
        lambda x, n, w, b, c: tuple(part.float() for part in cd_image_by_image(*(p.double() for p in (x, n, w, b, c)))),
        lambda x, n, w, b, c: tuple(
            (torch.cat([x, n]) * torch.cat([torch.full((len(x), 1), 1 / len(x)), torch.full((len(n), 1), -1 / len(n))])
             ).T @ torch.cat([part(torch.cat([x, n])), torch.ones(len(x) + len(n), 1)], 1)[:, keep]
            for part, keep in ((lambda s: torch.sigmoid(c + s @ w), slice(0, -1)),)
        ) + (x.mean(0) - n.mean(0), torch.sigmoid(c + x @ w).mean(0) - torch.sigmoid(c + n @ w).mean(0)),
    ],
    "log_partition": [
        lambda h, w, b, c: torch.logsumexp(h @ c + F.softplus(h @ w.T + b).sum(1), 0),
        lambda h, w, b, c: (-free_energy_unit_by_unit(h, w.T, c, b)).logsumexp(0),
        lambda h, w, b, c: (-FREE_ENERGY.reference(h, w.T, c, b)).logsumexp(dim=0),
        lambda h, w, b, c: reduce(torch.logaddexp, (h @ c + F.softplus(b + h @ w.T).sum(-1)).unbind()),
        lambda h, w, b, c: (-FREE_ENERGY.reference(states(len(b)), w, b, c)).logsumexp(0),
        lambda h, w, b, c: (h @ c + torch.logaddexp(torch.zeros(()), F.linear(h, w, b)).sum(-1)).logsumexp(-1),
        lambda h, w, b, c: (lambda a: a.max() + (a - a.max()).exp().sum().log())(
            h @ c + F.softplus(b + h @ w.T).sum(-1)),
        lambda h, w, b, c: (h.double() @ c.double() + F.softplus(b.double() + h.double() @ w.double().T).sum(-1)
                            ).logsumexp(0).float(),
        lambda h, w, b, c: torch.logcumsumexp(h @ c + F.softplus(b + h @ w.T).sum(-1), 0)[-1],
        lambda h, w, b, c: ((states(len(b)) @ w @ h.T) + (states(len(b)) @ b)[:, None] + h @ c).logsumexp((0, 1)),
    ],
    "persistent": [
        persistent_by_recursion,
        persistent_with_while,
        lambda x, chains, sweep, k: reduce(lambda state, _: sweep(state), range(k), chains),
        torch.no_grad()(PERSISTENT.reference),
        lambda x, chains, sweep, k: sweep(persistent_by_recursion(x, chains, sweep, k - 1)),
        lambda x, chains, sweep, k: list(_states(chains, sweep, k))[-1],
        lambda x, chains, sweep, k: PERSISTENT.reference(None, chains.clone(), sweep, k),
        lambda x, chains, sweep, k: torch.stack(list(_states(chains, sweep, k)))[k - 1],
    ],
    "ais": [
        ais_with_range,
        ais_in_a_list,
        ais_from_the_second,
        ais_with_iterator,
        ais_by_recursion,
        ais_in_double,
        ais_by_states,
        torch.no_grad()(ais_with_range),
    ],
    "bug": [
        bug_mended(lambda *given: reconstruct(*given).detach()),
        bug_mended(reconstruct_without_gradient),
        bug_mended(lambda x, noise, *parameters: reconstruct(x, noise, *(p.detach() for p in parameters))),
        bug_mended(lambda *given: reconstruct(*given).data),
        bug_mended(lambda *given: torch.tensor(reconstruct(*given).tolist())),
        bug_mended(lambda x, noise, w, b, c: reconstruct(x, noise, w.clone().detach(), b.data, c)),
        as_one_batch,
        lambda x, noise, w, b, c: (
            FREE_ENERGY.reference(x, w, b, c) - FREE_ENERGY.reference(reconstruct(x, noise, w, b, c).detach(), w, b, c)
        ).mean(),
    ],
}  # fmt: skip


def _states(chains, sweep, k):
    for _ in range(k):
        chains = sweep(chains)
        yield chains


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[name], RIGHT[name][index]).message == ""


def test_they_stand_in_the_order_of_the_lesson_each_with_many_right_answers():
    of_lesson = [one.name for one in all_exercises() if one.lesson == "03_boltzmann_machines"]
    order = ("energy", "free_energy", "log_partition", "hidden", "sweep", "cd", "persistent", "ais", "bug")
    assert of_lesson == [f"boltzmann/{name}" for name in order]
    assert set(RIGHT) == set(order)
    assert min(map(len, RIGHT.values())) >= 8
