"""Lesson 07's exercises accept right answers however they are written, and stand in the lesson's order."""

import math

import pytest
import torch
from torch.nn import functional as F

from dgmcourse.data import series
from dgmcourse.exercises import all_exercises
from dgmcourse.exercises.engine.judging import judge
from dgmcourse.models import AR
from dgmcourse.models.autoregressive import filtered
from dgmcourse.networks.masked import autoregressive_masks
from dgmcourse.networks.masked_convolution import causal_mask

EXERCISES = {one.name: one for one in all_exercises() if one.lesson == "07_autoregressive_models"}


def chain_by_loop(x, logits):
    total = torch.zeros(len(x))
    for t in range(x.shape[1]):
        total = total + logits[range(len(x)), t, x[:, t]] - torch.logsumexp(logits[:, t], dim=1)
    return total


def ar2_by_numpy(x):
    import numpy as np

    now, past = x[:, 2:].numpy().ravel(), np.stack([x[:, 1:-1].numpy().ravel(), x[:, :-2].numpy().ravel()], axis=1)
    found, *_ = np.linalg.lstsq(past, now, rcond=None)
    return torch.as_tensor(found), torch.as_tensor(np.sqrt(np.mean((now - past @ found) ** 2)))


def ar2_by_windows(x):
    windows = x.unfold(1, 3, 1).reshape(-1, 3)
    past, now = windows[:, :2].flip(1), windows[:, 2]
    phi = torch.linalg.lstsq(past, now.unsqueeze(1)).solution.squeeze(1)
    return [phi, ((now - past.mv(phi)) ** 2).mean() ** 0.5]


def ar2_by_cramer(x):
    a, b, c = x[:, 1:-1], x[:, :-2], x[:, 2:]
    aa, ab, bb, ac, bc = (float((u * v).sum()) for u, v in ((a, a), (a, b), (b, b), (a, c), (b, c)))
    det = aa * bb - ab * ab
    phi = torch.tensor([(ac * bb - bc * ab) / det, (bc * aa - ac * ab) / det])
    return phi, (c - phi[0] * a - phi[1] * b).pow(2).mean().sqrt()


def masks_by_loop(places, degrees):
    into_hidden, into_logits = torch.zeros(len(degrees), len(places)), torch.zeros(len(places), len(degrees))
    for k, m in enumerate(degrees):
        for i, place in enumerate(places):
            into_hidden[k, i] = 1.0 if place <= m else 0.0
            into_logits[i, k] = 0.0 if place <= m else 1.0
    return into_hidden, into_logits


def leak_by_jacobian_like_flips(logits_of, x, order):
    largest = torch.tensor(0.0)
    for t in range(len(order)):
        later = torch.zeros(x.shape[1], dtype=torch.bool)
        later[order[t:]] = True
        changed = torch.where(later, 1 - x, x)
        largest = torch.maximum(largest, (logits_of(changed)[:, order[t]] - logits_of(x)[:, order[t]]).abs().max())
    return largest


def draw_with_index_fill(logits_of, order, noise):
    x = noise.new_zeros(noise.shape)
    for i in order:
        p = 1 / (1 + torch.exp(-logits_of(x)[:, i]))
        x[:, i] = torch.where(noise[:, i] < p, 1.0, 0.0)
    return x


def draw_without_writing(logits_of, order, noise):
    x = torch.zeros_like(noise)
    for i in order.tolist():
        value = (logits_of(x).sigmoid()[:, i : i + 1] > noise[:, i : i + 1]).float()
        x = torch.cat([x[:, :i], value, x[:, i + 1 :]], dim=1)
    return x


def pixel_mask_by_comparison(kind, side):
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middle = (side - 1) // 2
    before = (rows < middle) | ((rows == middle) & (columns < middle))
    return (before | ((rows == middle) & (columns == middle) & (kind == "B"))).float()


def pixel_mask_from_ones(kind, side):
    mask = torch.ones(side, side)
    if kind == "A":
        mask[side // 2, side // 2] = 0
    mask[side // 2, side // 2 + 1 :] = 0
    mask[side // 2 + 1 :, :] = 0
    return mask


def pixel_mask_flat(kind, side):
    count = side * side // 2 + int(kind == "B")
    return torch.cat([torch.ones(count), torch.zeros(side**2 - count)]).reshape(side, side)


def attention_by_einsum(queries, keys, values):
    weights = torch.einsum("bqd,bkd->bqk", queries, keys) * queries.size(-1) ** -0.5
    weights = weights + torch.triu(torch.full(weights.shape[1:], float("-inf")), diagonal=1)
    return torch.einsum("bqk,bkd->bqd", F.softmax(weights, dim=2), values)


def attention_by_exp(queries, keys, values):
    weights = (queries @ keys.mT / math.sqrt(queries.shape[2])).exp().tril()
    return weights / weights.sum(-1, keepdim=True) @ values


def attention_by_bmm(queries, keys, values):
    time = queries.shape[1]
    allowed = torch.tril(torch.ones(time, time)) == 1
    scores = torch.bmm(queries, keys.permute(0, 2, 1)) / math.sqrt(queries.shape[2])
    return torch.bmm(torch.softmax(scores.where(allowed, torch.tensor(-1e30)), dim=-1), values)


def choice_by_loop(logits, temperature, top_p):
    p = torch.softmax(logits / temperature, dim=0)
    kept, held = torch.zeros_like(p), 0.0
    for i in torch.argsort(p, descending=True).tolist():
        if held >= top_p:
            break
        kept[i] = p[i]
        held += float(p[i])
    return kept / held


def choice_by_inverse_sort(logits, temperature, top_p):
    p = (logits / temperature).softmax(0)
    ranked, which = torch.sort(p, descending=True)
    ranked[F.pad(ranked.cumsum(0)[:-1], (1, 0)) >= top_p] = 0
    return (ranked / ranked.sum())[which.argsort()]


RIGHT = {
    "chain": [
        chain_by_loop,
        lambda x, logits: -F.nll_loss(F.log_softmax(logits, 2).transpose(1, 2), x, reduction="none").sum(1),
        lambda x, logits: torch.take_along_dim(logits.log_softmax(-1), x[..., None], -1).sum((1, 2)),
        lambda x, logits: torch.stack(
            [-F.cross_entropy(a, b, reduction="sum") for a, b in zip(logits, x, strict=True)]
        ),
    ],
    "ar2": [ar2_by_numpy, ar2_by_windows, ar2_by_cramer],
    "masks": [
        masks_by_loop,
        lambda places, degrees: (
            torch.le(places[None, :], degrees[:, None]).float(),
            torch.lt(degrees[None, :], places[:, None]).float(),
        ),
        lambda places, degrees: (
            torch.where(places <= degrees.view(-1, 1), 1.0, 0.0),
            1 - (places.view(-1, 1) <= degrees).float(),
        ),
    ],
    "leak": [leak_by_jacobian_like_flips],
    "bug": [draw_with_index_fill, draw_without_writing],
    "pixel_mask": [pixel_mask_by_comparison, pixel_mask_from_ones, pixel_mask_flat],
    "attention": [attention_by_einsum, attention_by_exp, attention_by_bmm],
    "sampling": [
        choice_by_loop,
        choice_by_inverse_sort,
        lambda logits, temperature, top_p: filtered(logits, temperature, top_p=top_p).exp(),
    ],
}


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in RIGHT for index in range(len(RIGHT[name]))])
def test_a_right_answer_written_differently_passes(name, index):
    assert judge(EXERCISES[f"autoregressive/{name}"], RIGHT[name][index]).message == ""


def ar2_of_columns(x):
    past = torch.stack([x[:, 1:-1].flatten(), x[:, :-2].flatten()], 1)
    now = x[:, 2:].flatten()
    phi = torch.linalg.lstsq(past, now[:, None]).solution
    return phi[:, 0], (now - past @ phi).pow(2).mean().sqrt()


def leak_by_zeros(logits_of, x, order):
    changes = []
    for t in range(len(order)):
        erased = x.clone()
        erased[:, order[t:]] = 0.0
        changes.append((logits_of(erased) - logits_of(x))[:, order[t]].abs().max().item())
    return max(changes)


def softmax_of_probabilities(queries, keys, values):
    scores = queries @ keys.mT / queries.shape[-1] ** 0.5
    seen = torch.ones(scores.shape[1:]).tril().bool()
    return scores.where(seen, torch.tensor(-math.inf)).softmax(-1).softmax(-1) @ values


def choice_masked_in_order_of_size(logits, temperature, top_p):
    p = torch.softmax(logits / temperature, 0)
    ranked, _ = torch.sort(p, descending=True)
    p = p * (ranked.cumsum(0) - ranked < top_p)
    return p / p.sum()


NAMED = {
    "chain": [
        (lambda x, scores: -F.cross_entropy(scores.softmax(-1).mT, x, reduction="none").sum(1), "normalized twice"),
        (lambda x, scores: (scores.softmax(-1).gather(-1, x[..., None])[..., 0].clamp(1e-8)).log().sum(1), "tiny number"),
        (lambda x, scores: chain_by_loop(x[:, 1:], scores[:, 1:]), "first entry is missing"),
        (lambda x, scores: scores.log_softmax(-1).gather(-1, x[..., None])[..., 0].sum(0), "over the examples, axis 0"),
    ],
    "ar2": [
        (ar2_of_columns, "table of all pairs"),
        (lambda x: ar2_by_cramer(x[:1]), "first series alone"),
        (lambda x: tuple(torch.stack(parts).mean(0) for parts in zip(*map(ar2_by_cramer, x.split(1)), strict=True)),
         "each series by itself"),
        (lambda x: ar2_by_cramer(x)[::-1], "in the wrong order"),
    ],
    "leak": [(leak_by_zeros, "set the pixels to 0")],
    "attention": [
        (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=q.shape[-1] ** 0.5), "multiplied"),
        (lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=v.shape[-1] ** -0.5), "of a value"),
        (lambda q, k, v: (q @ k.mT / math.sqrt(q.shape[-1])).tril() @ v, "softmax is missing"),
        (softmax_of_probabilities, "the softmax twice"),
    ],
    "sampling": [
        (choice_masked_in_order_of_size, "in the order of the tokens"),
        (lambda logits, temperature, top_p: choice_by_loop((logits.softmax(0) / temperature), 1.0, top_p),
         "divided probabilities"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(("name", "index"), [(name, index) for name in NAMED for index in range(len(NAMED[name]))])
def test_a_mistake_of_a_first_reader_is_named(name, index):
    answer, words = NAMED[name][index]
    assert words in judge(EXERCISES[f"autoregressive/{name}"], answer).message


def test_the_exercises_stand_in_the_lessons_order():
    assert list(EXERCISES) == [f"autoregressive/{name}" for name in RIGHT]


def reference(name):
    return EXERCISES[f"autoregressive/{name}"].reference


def test_the_masks_are_those_of_the_package():
    places = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    theirs = autoregressive_masks(places.tolist(), (10,), 1)
    for mine, mask in zip(reference("masks")(places, torch.arange(10) * 5 // 10), theirs, strict=True):
        torch.testing.assert_close(mine, mask)
    for kind in "AB":
        torch.testing.assert_close(reference("pixel_mask")(kind, 5), causal_mask(kind, 1, 1, (5, 5))[0, 0])


def test_conditional_least_squares_is_that_of_the_package_but_for_the_mean():
    data = series("ar2")
    phi, sigma = reference("ar2")(data.train)
    model = AR(data.space, 2).estimate(data.train, "least_squares")
    torch.testing.assert_close(phi, model.coefficients, atol=1e-3, rtol=0)
    torch.testing.assert_close(sigma, model.scale, atol=1e-3, rtol=0)


def test_draws_of_a_leak_are_honest_or_leak_in_every_way():
    exercise = EXERCISES["autoregressive/leak"]
    found = [reference("leak")(**exercise.inputs(torch.Generator().manual_seed(seed))) for seed in range(8)]
    assert min(found) == 0.0
    assert max(found) > 0.1
