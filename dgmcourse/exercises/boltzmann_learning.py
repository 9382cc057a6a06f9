"""Exercises of lesson 03 on learning: the gradient of contrastive divergence, and chains that persist."""

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .boltzmann_energy import LESSON, draw_binary, draw_machine, free_energy

# --- the gradient of contrastive divergence ---------------------------------------------------------------------------


def cd_gradient(x, negatives, weight, b, c):
    p, q = (c + x @ weight).sigmoid(), (c + negatives @ weight).sigmoid()
    return (
        x.T @ p / len(x) - negatives.T @ q / len(negatives),
        x.mean(0) - negatives.mean(0),
        p.mean(0) - q.mean(0),
    )


def _draw_phases(generator, data=5, chains=8):
    """As many chains as there are, not as there are examples."""
    weight, b, c = draw_machine(generator)
    negatives = (torch.rand(chains, len(b), generator=generator) < 0.7).float()
    return draw_binary(generator, data, len(b)), negatives, weight, b, c


def _gradient(up=None, gather=None, join=torch.sub):
    """The gradient with other hidden activities, other sums over the batch, or phases otherwise joined."""
    up = up or (lambda x, weight, c: (c + x @ weight).sigmoid())
    gather = gather or (lambda products, n, m: products / n)

    def phase(x, p, m):
        return [gather(part, len(x), m) for part in (x.T @ p, x.sum(0), p.sum(0))]

    def other(x, negatives, weight, b, c):
        positive = phase(x, up(x, weight, c), len(x))
        negative = phase(negatives, up(negatives, weight, c), len(x))
        return tuple(join(a, b) for a, b in zip(positive, negative, strict=True))

    return other


def _by_autograd(x, negatives, *parameters):
    parameters = [parameter.detach().requires_grad_() for parameter in parameters]
    loss = free_energy(negatives, *parameters).mean() - free_energy(x, *parameters).mean()
    return torch.autograd.grad(loss, parameters)


def _by_outer_products(x, negatives, weight, b, c):
    def phase(states):
        p = torch.sigmoid(states @ weight + c)
        return (
            torch.stack([torch.outer(s, h) for s, h in zip(states, p, strict=True)]).mean(0),
            states.mean(0),
            p.mean(0),
        )

    return tuple(up - down for up, down in zip(phase(x), phase(negatives), strict=True))


CD = Exercise(
    "boltzmann/cd",
    cd_gradient,
    _draw_phases,
    lesson=LESSON,
    title="the gradient of contrastive divergence, by hand",
    minutes=12,
    difficulty=3,
    hints=(
        "Write the positive phase first: the hidden probabilities p given the data, then the three averages over the batch, of "
        "xᵢ pⱼ, of xᵢ and of pⱼ. The negative phase is the same with the negatives.",
        "The average of xᵢ pⱼ over a batch, for all i and j at once, is x.T @ p / len(x): (visible, hidden), like W. The two "
        "batches may differ in size, so each is divided by its own.",
        "p = (c + x @ weight).sigmoid(); q = (c + negatives @ weight).sigmoid(); return x.T @ p / len(x) - negatives.T @ q / "
        "len(negatives), x.mean(0) - negatives.mean(0), p.mean(0) - q.mean(0)",
    ),
    mistakes=(
        Mistake(
            lambda *inputs: tuple(-part for part in cd_gradient(*inputs)),
            "The sign is turned round: this is the gradient of the loss. log p rises along data minus negatives.",
        ),
        Mistake(
            _gradient(gather=lambda total, n, m: total),
            "You added up the examples; each phase is an average over its own batch.",
        ),
        Mistake(
            _gradient(gather=lambda total, n, m: total / m),
            "You divided both phases by the number of images; the negative phase is an average over its own batch, "
            "len(negatives).",
            also=(
                lambda x, negatives, *p: (
                    _gradient(gather=lambda total, n, m: total / m)(x, negatives, *p)[0],
                    *cd_gradient(x, negatives, *p)[1:],
                ),
            ),
        ),
        Mistake(
            _gradient(up=lambda x, weight, c: (x @ weight).sigmoid()),
            "The hidden biases c are missing in the probabilities of the hidden units.",
        ),
        Mistake(
            _gradient(up=lambda x, weight, c: c + x @ weight),
            "These are the inputs of the hidden units; the averages are of their probabilities: .sigmoid().",
        ),
        Mistake(
            _gradient(up=lambda x, weight, c: F.softplus(c + x @ weight)),
            "softplus stands in the free energy; its derivative, the sigmoid, stands in the gradient.",
        ),
        Mistake(
            _gradient(up=lambda x, weight, c: (torch.rand(len(x), len(c)) < (c + x @ weight).sigmoid()).float()),
            "You drew the hidden units. That is right on average, but noisy for no gain: use their probabilities.",
            also=(
                _gradient(up=lambda x, weight, c: torch.bernoulli((c + x @ weight).sigmoid())),
                _gradient(up=lambda x, weight, c: (c + x @ weight > 0).float()),
            ),
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (
                cd_gradient(x, negatives, weight, b, c)[0].T,
                *cd_gradient(x, negatives, weight, b, c)[1:],
            ),
            "The gradient of W must have W's shape, (visible, hidden): x.T @ p, not p.T @ x.",
        ),
        Mistake(
            lambda *inputs: (cd_gradient(*inputs)[0], cd_gradient(*inputs)[2], cd_gradient(*inputs)[1]),
            "The gradients of b and c are swapped: b belongs to the visible units, c to the hidden ones.",
        ),
        Mistake(
            lambda *inputs: cd_gradient(*inputs)[0],
            "That is the gradient of W; b and c have one each: return all three.",
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (
                x.T @ (c + x @ weight).sigmoid() / len(x),
                x.mean(0),
                (c + x @ weight).sigmoid().mean(0),
            ),
            "This is the positive phase alone; without the negative phase every energy would sink for ever.",
        ),
        Mistake(
            _gradient(join=torch.add),
            "You added the phases; the negative phase is subtracted: the averages over data minus those over negatives.",
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (cd_gradient(x, negatives, weight, b, c)[0], (x - negatives).mean(0)),
            "The two batches may differ in size: average each over its own rows first, then subtract.",
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (
                x.T @ (c + x @ weight).sigmoid() / len(x)
                - x.T @ (c + x @ weight).sigmoid().mean(0, keepdim=True).expand(len(x), -1) / len(x),
                *cd_gradient(x, negatives, weight, b, c)[1:],
            ),
            "In the negative phase both factors come from the negatives: their own hidden probabilities, and they themselves.",
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (
                torch.outer(x.mean(0), (c + x @ weight).sigmoid().mean(0))
                - torch.outer(negatives.mean(0), (c + negatives @ weight).sigmoid().mean(0)),
                *cd_gradient(x, negatives, weight, b, c)[1:],
            ),
            "You multiplied averages; the gradient of W is the average of the products xᵢ pⱼ: x.T @ p / len(x). Their "
            "difference is what the units know of each other.",
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (
                x.T @ (c + x @ weight).sigmoid() - negatives.T @ (c + x @ weight).sigmoid(),
            ),
            "In the negative phase the hidden probabilities are those of the negatives, and there are as many as chains.",
        ),
        Mistake(
            lambda x, negatives, weight, b, c: (
                cd_gradient(x, negatives, weight, b, c)[0] / len(b),
                *cd_gradient(x, negatives, weight, b, c)[1:],
            ),
            "The gradient of W is divided once too often: average over the batch alone, not over units.",
        ),
    ),
    alternatives=(
        _by_autograd,
        _by_outer_products,
        lambda x, negatives, weight, b, c: tuple(
            up - down
            for up, down in zip(
                *(
                    (torch.einsum("ni,nj->nij", s, p).mean(0), s.mean(0), p.mean(0))
                    for s, p in ((s, torch.sigmoid(s @ weight + c)) for s in (x, negatives))
                ),
                strict=True,
            )
        ),
    ),
)


# --- the repair: chains that persist ----------------------------------------------------------------------------------


def persistent_negatives(x, chains, sweep, k):
    for _ in range(k):
        chains = sweep(chains)
    return chains


def _sweep(x):
    """Stands in for a Gibbs sweep; without chance, so that answers can be compared."""
    return (x.roll(1, -1) + x.roll(2, 0)) % 2


def _draw_chains(generator, data=5, chains=8, visible=7):
    k = int(torch.randint(2, 6, (), generator=generator))
    return draw_binary(generator, data, visible), draw_binary(generator, chains, visible), _sweep, k


def _swept(start, k):
    for _ in range(k):
        start = _sweep(start)
    return start


PERSISTENT = Exercise(
    "boltzmann/persistent",
    persistent_negatives,
    _draw_chains,
    lesson=LESSON,
    title="chains that persist",
    minutes=5,
    difficulty=1,
    hints=(
        "What is different from contrastive divergence is one thing: where the chains start.",
        "They start where they ended at the last step, which is handed to you as `chains`; x plays no part. Then k sweeps.",
        "for _ in range(k): chains = sweep(chains); after the loop, return chains.",
    ),
    mistakes=(
        Mistake(
            lambda x, chains, sweep, k: _swept(x, k),
            "You started at the data: that is contrastive divergence, which never gets far from them. Start at `chains`.",
        ),
        Mistake(
            lambda x, chains, sweep, k: _swept(chains, 1),
            "That is one sweep; k are asked for. (Does each one go on from the one before?)",
        ),
        Mistake(
            lambda x, chains, sweep, k: chains,
            "The chains have not moved: apply `sweep` k times.",
        ),
        Mistake(
            lambda x, chains, sweep, k: _swept(chains, k - 1),
            "One sweep is missing: k of them, range(k).",
        ),
        Mistake(
            lambda x, chains, sweep, k: _swept(chains, k + 1),
            "That is one sweep too many: k of them, range(k).",
        ),
        Mistake(
            lambda x, chains, sweep, k: _swept(torch.rand_like(chains).round(), k),
            "You started from fresh noise: after k sweeps such chains are still noise. Go on from where they were, `chains`.",
            also=(lambda x, chains, sweep, k: _swept((torch.rand_like(chains) < 0.5).float(), k),),
        ),
        Mistake(
            lambda x, chains, sweep, k: torch.cat([_swept(x, k), _swept(chains, k)]),
            "The negatives are the chains alone; the data stay in the positive phase.",
            also=(lambda x, chains, sweep, k: _swept(torch.cat([x, chains]), k),),
        ),
        Mistake(
            lambda x, chains, sweep, k: _swept(chains[: len(x)], k),
            "All chains move, whatever the size of the batch: each phase is an average over its own number.",
        ),
    ),
    alternatives=(
        lambda x, chains, sweep, k: persistent_negatives(x, sweep(chains), sweep, k - 1),
        lambda x, chains, sweep, k: [chains := sweep(chains) for _ in range(k)][-1],
        lambda x, chains, sweep, k: _swept(chains, k),
    ),
)
