"""Exercises of lesson 07 on sequences: attention that looks back, and how boldly to choose the next token."""

import math

import torch
from torch.nn import functional as F

from . import Exercise, Mistake
from .autoregressive_chain import LESSON

# --- causal attention -------------------------------------------------------------------------------------------------


def causal_attention(queries, keys, values):
    time, size = queries.shape[-2:]
    scores = queries @ keys.transpose(-1, -2) / math.sqrt(size)
    later = torch.ones(time, time, dtype=torch.bool, device=queries.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1) @ values


def _draw_attention(generator):
    """Two sequences of six tokens: queries and keys of four numbers, values of three."""
    sizes = ((2, 6, 4), (2, 6, 4), (2, 6, 3))
    return tuple((1.5 * torch.randn(size, generator=generator)).requires_grad_() for size in sizes)


def _scores(queries, keys, scale=None):
    return queries @ keys.transpose(-1, -2) / (math.sqrt(queries.shape[-1]) if scale is None else scale(queries))


def _later(scores, diagonal=1):
    return torch.ones_like(scores, dtype=torch.bool).triu(diagonal)


def _like_attention(scale=None, mask=None, axis=-1):
    """Attention with another scale, mask or axis of the softmax."""
    mask = mask or (lambda scores: scores.masked_fill(_later(scores), -torch.inf))
    return lambda queries, keys, values: mask(_scores(queries, keys, scale)).softmax(axis) @ values


def _masked_after(queries, keys, values):
    weights = _scores(queries, keys).softmax(-1)
    return weights.masked_fill(_later(weights), 0.0) @ values


def _token_by_token(queries, keys, values):
    found = []
    for t in range(queries.shape[1]):
        scores = (queries[:, t : t + 1] * keys[:, : t + 1]).sum(-1) / queries.shape[-1] ** 0.5
        found.append((scores.softmax(-1)[..., None] * values[:, : t + 1]).sum(1))
    return torch.stack(found, dim=1)


ATTENTION = Exercise(
    "autoregressive/attention",
    causal_attention,
    _draw_attention,
    lesson=LESSON,
    title="causal attention",
    minutes=12,
    difficulty=3,
    differentiable=True,
    hints=(
        "Four lines: scores of every token for every other, divided by √size; −∞ where the key comes later than the query; a softmax over "
        "the keys; the weighted mean of the values.",
        "scores = queries @ keys.transpose(-1, -2) / math.sqrt(size) has a row for each query. torch.ones(time, time).triu(1).bool() is "
        "True above the diagonal: later keys. scores.masked_fill(later, -torch.inf) takes their weight away before the softmax.",
        "return scores.masked_fill(later, -torch.inf).softmax(-1) @ values",
    ),
    mistakes=(
        Mistake(
            _like_attention(scale=lambda q: 1.0),
            "The scores are not scaled: divide by √size. Without it they grow with the size, and the softmax picks one token alone.",
        ),
        Mistake(
            _like_attention(scale=lambda q: q.shape[-1]),
            "You divided by the size; divide by its root, math.sqrt(size).",
        ),
        Mistake(
            _like_attention(scale=lambda q: math.sqrt(q.shape[1])),
            "You divided by the root of the number of tokens; it is √size, the length of a query: queries.shape[-1].",
        ),
        Mistake(
            _like_attention(scale=lambda q: 1 / math.sqrt(q.shape[-1])),
            "You multiplied the scores by √size; divide them by it.",
        ),
        Mistake(
            lambda q, k, v: _like_attention(scale=lambda q: math.sqrt(v.shape[-1]))(q, k, v),
            "You divided by the root of the length of a value; it is √size, the length of a query: queries.shape[-1].",
        ),
        Mistake(
            lambda q, k, v: _scores(q, k).tril() @ v,
            "The softmax is missing: raw scores weigh the values, which may be negative and do not sum to 1.",
            also=(lambda q, k, v: _scores(q, k) @ v, lambda q, k, v: (q @ k.mT).tril() @ v),
        ),
        Mistake(
            lambda q, k, v: _scores(q, k).masked_fill(_later(_scores(q, k)), -torch.inf).softmax(-1).softmax(-1) @ v,
            "You took the softmax twice: the second gives weight again to what the mask had ruled out, exp(0) = 1.",
            also=(_like_attention(mask=lambda s: s.softmax(-1).masked_fill(_later(s), -torch.inf)),),
        ),
        Mistake(
            _like_attention(mask=lambda scores: scores),
            "Every token looks at all the others, later ones too: the mask is missing (in scaled_dot_product_attention "
            "it is is_causal=True), or it changes nothing (masked_fill returns a new tensor).",
        ),
        Mistake(
            _like_attention(mask=lambda scores: scores.masked_fill(_later(scores, 0), -torch.inf)),
            "You masked the diagonal too, so the first token has nothing to look at, and its softmax is 0/0: a token may look at "
            "itself. triu(1) begins above the diagonal.",
        ),
        Mistake(
            _like_attention(mask=lambda scores: scores.masked_fill(_later(scores).mT, -torch.inf)),
            "The mask is turned round: every token looks at itself and the *later* ones. Row t of the scores belongs to query t, so "
            "columns beyond t are the future.",
        ),
        Mistake(
            _like_attention(mask=lambda scores: scores.masked_fill(_later(scores), 0.0)),
            "A score of 0 still has weight, exp(0) = 1: later tokens need −∞, so that the softmax gives them none.",
            also=(_like_attention(mask=lambda scores: scores.tril()),),
        ),
        Mistake(
            _masked_after,
            "You masked after the softmax: the weights that are left no longer sum to 1. Mask the scores, with −∞, before it.",
        ),
        Mistake(
            _like_attention(axis=-2),
            "The softmax runs over the queries; the weights of one query over all *keys* must sum to 1: the last axis.",
            also=(_like_attention(axis=0),),
        ),
        Mistake(
            _like_attention(mask=lambda scores: scores.masked_fill(_later(scores, 2), -torch.inf)),
            "A leak: each token still sees the one after it. The mask begins just above the diagonal: triu(1).",
        ),
        Mistake(
            lambda q, k, v: _scores(q, k).masked_fill(_later(_scores(q, k)), -torch.inf).softmax(-1),
            "These are the weights; the answer is the mean of the values with these weights: weights @ values.",
        ),
        Mistake(
            lambda q, k, v: (
                (q @ k.mT).masked_fill(_later(_scores(q, k)), -torch.inf).softmax(-1) @ v / q.shape[-1] ** 0.5
            ),
            "You divided the result by √size; it is the scores that are divided, before the softmax.",
        ),
        Mistake(
            _like_attention(mask=lambda scores: (scores.mT).masked_fill(_later(scores), -torch.inf)),
            "The scores are transposed: a row for each query, so queries @ keys.transpose(-1, -2), not the other way round.",
        ),
        Mistake(
            lambda q, k, v: q @ k,
            "Queries and keys both lie in rows; for all pairs of dot products the keys are transposed: queries @ keys.transpose(-1, -2).",
            also=(lambda q, k, v: q @ k.T,),
        ),
    ),
    alternatives=(
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda q, k, v: (_scores(q, k) + torch.full_like(_scores(q, k), -torch.inf).triu(1)).softmax(-1) @ v,
        _token_by_token,
    ),
)


# --- choosing the next token ------------------------------------------------------------------------------------------


def chosen_from(logits, temperature, top_p):
    p = (logits / temperature).softmax(-1)
    ranked, which = p.sort(descending=True)
    before = ranked.cumsum(0) - ranked
    kept = torch.zeros_like(p)
    kept[which] = ranked.masked_fill(before >= top_p, 0.0)
    return kept / kept.sum()


def _draw_choice(generator):
    """Nine scores of which none is certain, a temperature on either side of 1, a nucleus of two tokens or more."""
    temperature, top_p = torch.rand(2, generator=generator).tolist()
    return {"logits": torch.randn(9, generator=generator), "temperature": (0.7, 1.5)[temperature < 0.5] + 0.3 * temperature,
            "top_p": 0.6 + 0.3 * top_p}  # fmt: skip


def _like_choice(probabilities=None, cut=None, normalize=True):
    """The choice with other probabilities, another rule which of the ranked ones go, or unnormalized."""
    probabilities = probabilities or (lambda logits, temperature: (logits / temperature).softmax(-1))
    cut = cut or (lambda ranked, top_p: ranked.cumsum(0) - ranked >= top_p)

    def choice(logits, temperature, top_p):
        p = probabilities(logits, temperature)
        ranked, which = p.sort(descending=True)
        kept = torch.zeros_like(p)
        kept[which] = ranked.masked_fill(cut(ranked, top_p), 0.0)
        return kept / kept.sum() if normalize else kept

    return choice


def _not_sorted_back(logits, temperature, top_p):
    ranked = (logits / temperature).softmax(-1).sort(descending=True).values
    kept = ranked.masked_fill(ranked.cumsum(0) - ranked >= top_p, 0.0)
    return kept / kept.sum()


def _mask_not_sorted_back(logits, temperature, top_p):
    p = (logits / temperature).softmax(-1)
    ranked = p.sort(descending=True).values
    kept = p.masked_fill(ranked.cumsum(0) - ranked >= top_p, 0.0)
    return kept / kept.sum()


def _nucleus_first(logits, temperature, top_p):
    kept = chosen_from(logits, 1.0, top_p)
    warmed = kept ** (1 / temperature)
    return warmed / warmed.sum()


def _unsorted(logits, temperature, top_p):
    p = (logits / temperature).softmax(-1)
    kept = p.masked_fill(p.cumsum(0) - p >= top_p, 0.0)
    return kept / kept.sum()


def _by_masking_logits(logits, temperature, top_p):
    order = logits.argsort(descending=True)
    scaled = logits[order] / temperature
    out = torch.cat([torch.zeros(1), scaled.softmax(0).cumsum(0)[:-1]]) >= top_p
    return torch.zeros_like(logits).scatter(0, order, scaled.masked_fill(out, -math.inf).softmax(0))


def _by_counting(logits, temperature, top_p):
    p = F.softmax(logits / temperature, dim=0)
    k = 1
    while p.topk(k).values.sum() < top_p:
        k += 1
    kept = torch.where(p >= p.topk(k).values[-1], p, 0.0)
    return kept / kept.sum()


SAMPLING = Exercise(
    "autoregressive/sampling",
    chosen_from,
    _draw_choice,
    lesson=LESSON,
    title="temperature and nucleus",
    minutes=12,
    difficulty=2,
    draws=6,
    hints=(
        "In this order: divide by the temperature, softmax, sort, see how much the likelier ones hold together, cut, put back, normalize.",
        "ranked, which = p.sort(descending=True). What the likelier ones hold is ranked.cumsum(0) - ranked: a token goes where that is "
        "already ≥ top_p. kept[which] = … puts the rest back in their places.",
        "before = ranked.cumsum(0) - ranked; kept = torch.zeros_like(p); kept[which] = ranked.masked_fill(before >= top_p, 0.0); "
        "return kept / kept.sum()",
    ),
    mistakes=(
        Mistake(
            _like_choice(probabilities=lambda logits, temperature: (logits * temperature).softmax(-1)),
            "You multiplied by the temperature; divide by it: a high temperature makes the tokens more alike.",
        ),
        Mistake(
            _like_choice(probabilities=lambda logits, temperature: logits.softmax(-1)),
            "The temperature does nothing here: divide the logits by it before the softmax. (Dividing probabilities does nothing once "
            "they are normalized.)",
        ),
        Mistake(
            _like_choice(cut=lambda ranked, top_p: ranked.cumsum(0) > top_p),
            "Your nucleus is one token short: it must hold *at least* top_p, so the token with which the sum reaches it stays. Compare "
            "what the likelier ones hold, ranked.cumsum(0) - ranked.",
            also=(_like_choice(cut=lambda ranked, top_p: ranked.cumsum(0) >= top_p),),
        ),
        Mistake(
            _like_choice(cut=lambda ranked, top_p: torch.zeros_like(ranked, dtype=torch.bool)),
            "Nothing is cut: only the fewest likeliest tokens that hold at least top_p together may be drawn.",
        ),
        Mistake(
            _like_choice(normalize=False),
            "What remains sums to less than 1: divide by its sum.",
        ),
        Mistake(
            _not_sorted_back,
            "Your probabilities are in order of size; put each back at its own token: kept[which] = …",
        ),
        Mistake(
            _nucleus_first,
            "You cut before applying the temperature; here the temperature comes first, so it changes what the nucleus holds.",
        ),
        Mistake(
            _unsorted,
            "You added up the probabilities in the order of the tokens; the nucleus begins with the likeliest: sort first.",
        ),
        Mistake(
            _like_choice(cut=lambda ranked, top_p: ranked.cumsum(0) - ranked < top_p),
            "This is what should be cut, and you kept it: zero goes where the likelier ones already hold top_p or more.",
        ),
        Mistake(
            _like_choice(cut=lambda ranked, top_p: ranked < ranked[0] * top_p),
            "You kept the tokens that are nearly as likely as the likeliest; the nucleus adds them up, from the likeliest on, until top_p is reached.",
        ),
        Mistake(
            lambda logits, temperature, top_p: chosen_from(logits, temperature, top_p).log(),
            "These are log-probabilities; return the probabilities.",
        ),
        Mistake(
            _like_choice(probabilities=lambda logits, temperature: logits / temperature),
            "Scores are no probabilities: softmax them before you sort and add up.",
        ),
        Mistake(
            _mask_not_sorted_back,
            "Which ones go, you found in order of size, but you cut in the order of the tokens: put each back at its own token: kept[which] = …",
        ),
        Mistake(
            lambda logits, temperature, top_p: _like_choice(normalize=False)(logits, temperature, top_p).softmax(-1),
            "You normalized by a softmax, which gives weight again to what was cut, exp(0) = 1: divide by the sum.",
        ),
        Mistake(
            _like_choice(probabilities=lambda logits, temperature: (logits.softmax(-1) / temperature).softmax(-1)),
            "You divided probabilities by the temperature, and took a softmax of them: it is the logits that are divided, before the one softmax.",
        ),
    ),
    alternatives=(_by_masking_logits, _by_counting),
)
