"""Exercises of lesson 07 on faults: a detector of leaks, and a bug hunt."""

import torch

from . import Exercise, Mistake
from .autoregressive_chain import LESSON

# --- the leak detector ------------------------------------------------------------------------------------------------


def largest_leak(logits_of, x, order):
    honest, worst = logits_of(x), 0.0
    for t, i in enumerate(order.tolist()):
        changed = x.clone()
        changed[:, order[t:]] = 1 - x[:, order[t:]]
        worst = max(worst, float((logits_of(changed) - honest)[:, i].abs().max()))
    return worst


def _masked_network(generator, order, leaks=()):
    """logits = 2 tanh(x W), in which an entry knows those before it in the order, and for each leak (i, j) i knows j too."""
    dim, places = len(order), order.argsort()
    mask = (places[:, None] < places).float()  # (from, to)
    for i, j in leaks:
        mask[j, i] = 1.0
    size = 0.3 + torch.rand(dim, dim, generator=generator)
    weights = size * torch.randn(dim, dim, generator=generator).sign() * mask
    return lambda x: (x @ weights).tanh() * 2


def _draw_leak(generator):
    """A network of five entries in a random order: honest, or one entry sees itself, another a later one, or both.

    What leaks is the same in all images, so that its change has one sign.
    """
    order = torch.randperm(5, generator=generator)
    kind, a, b = (int(torch.randint(n, (), generator=generator)) for n in (4, 3, 2))
    to_itself, to_later = (int(order[a]), int(order[a])), (int(order[(a + 1) % 3]), int(order[3 + b]))
    leaks = ((), (to_itself,), (to_later,), (to_itself, to_later))[kind]
    x = torch.randint(2, (6, 5), generator=generator).float()
    for _, j in leaks:
        x[:, j] = x[0, j].clone()
    return {"logits_of": _masked_network(generator, order, leaks), "x": x, "order": order}


def _like_leak(later=None, where=None, difference=None, reduce=max):
    """The detector that changes other entries, looks at other logits, or measures the change otherwise."""
    later = later or (lambda order, t: order[t:])
    where = where or (lambda order, t: int(order[t]))
    difference = difference or (lambda change: float(change.abs().max()))

    def leak(logits_of, x, order):
        honest, found = logits_of(x), [0.0]
        for t in range(len(order)):
            changed = x.clone()
            changed[:, later(order, t)] = 1 - x[:, later(order, t)]
            found.append(difference((logits_of(changed) - honest)[:, where(order, t)]))
        return reduce(found)

    return leak


def _without_clone(logits_of, x, order):
    x = x.clone()
    honest, worst = logits_of(x), 0.0
    for t, i in enumerate(order.tolist()):
        x[:, order[t:]] = 1 - x[:, order[t:]]
        worst = max(worst, float((logits_of(x) - honest)[:, i].abs().max()))
    return worst


def _zeroed(logits_of, x, order):
    honest, worst = logits_of(x), 0.0
    for t, i in enumerate(order.tolist()):
        changed = x.clone()
        changed[:, order[t:]] = 0
        worst = max(worst, float((logits_of(changed) - honest)[:, i].abs().max()))
    return worst


def _one_by_one(logits_of, x, order):
    worst, places = torch.zeros(()), order.argsort()
    for j in range(x.shape[1]):
        flipped = torch.where(torch.arange(x.shape[1]) == j, 1 - x, x)
        change = (logits_of(flipped) - logits_of(x)).abs().amax(0)
        worst = torch.maximum(worst, change[places <= places[j]].max())
    return worst


def _all_logits(logits_of, x, order):
    honest, worst = logits_of(x), 0.0
    for t in range(len(order)):
        changed = x.clone()
        changed[:, order[t:]] = 1 - x[:, order[t:]]
        worst = max(worst, float((logits_of(changed) - honest).abs().max()))
    return worst


LEAK = Exercise(
    "autoregressive/leak",
    largest_leak,
    _draw_leak,
    lesson=LESSON,
    title="a detector of leaks",
    minutes=10,
    difficulty=2,
    draws=8,
    hints=(
        "Go through the places t. The logit of entry i = order[t] may depend on order[:t] alone. So change everything else, and see whether it stays.",
        "changed = x.clone(); changed[:, order[t:]] = 1 - x[:, order[t:]] turns the entry itself and all later ones over. Then compare "
        "logits_of(changed)[:, i] with logits_of(x)[:, i].",
        "Inside `for t, i in enumerate(order.tolist())`: worst = max(worst, float((logits_of(changed) - logits_of(x))[:, i].abs().max()))",
    ),
    mistakes=(
        Mistake(
            _like_leak(later=lambda order, t: order[t + 1 :]),
            "You change the later entries but not entry i itself, and the commonest leak is an entry that sees itself: order[t:], not order[t + 1:].",
        ),
        Mistake(
            _like_leak(later=lambda order, t: order[t : t + 1]),
            "You change entry i alone; a leak from a later entry goes unnoticed: change all of order[t:].",
        ),
        Mistake(
            _like_leak(later=lambda order, t: order[:t]),
            "You change the entries *before* i: on those its logit should depend. Change order[t:], which it must not know.",
        ),
        Mistake(
            _like_leak(where=lambda order, t: t),
            "You look at the logit of entry t; at place t of the order stands entry order[t].",
            also=(_like_leak(later=lambda order, t: slice(t, None)),),
        ),
        Mistake(
            _like_leak(later=lambda order, t: slice(t, None), where=lambda order, t: t),
            "You went through the entries in reading order; this model visits them in the order given: change order[t:], look at order[t].",
        ),
        Mistake(
            _without_clone,
            "You changed x itself, so that the next turn begins with a changed image: begin each turn with x.clone().",
        ),
        Mistake(
            _like_leak(difference=lambda change: float(change.max())),
            "A change downwards counts as well: take abs() before max().",
        ),
        Mistake(
            _like_leak(difference=lambda change: float(change.abs().mean())),
            "You averaged over the images; a leak that shows in one of them alone is a leak: take the largest change, .max().",
        ),
        Mistake(
            _like_leak(reduce=sum),
            "You added up the changes of all entries; the exercise asks for the largest of them.",
        ),
        Mistake(
            _all_logits,
            "You look at the logits of all entries at once; those of later entries *should* change. Look at column order[t] alone: [:, i].",
        ),
        Mistake(
            _like_leak(reduce=lambda found: found[-1]),
            "You return the change at the last place; keep the largest of all: worst = max(worst, …).",
        ),
        Mistake(
            _like_leak(reduce=lambda found: max(found) > 0),
            "The exercise asks for how large the leak is, not whether there is one: return the largest change as a number.",
        ),
        Mistake(
            _like_leak(later=lambda order, t: order[max(t - 1, 0) :]),
            "You turned over the entry before i as well; on that one its logit may depend: order[t:], not order[t - 1:].",
        ),
        Mistake(
            _zeroed,
            "You set the pixels to 0, so those that were 0 already did not change, and what they leak goes unnoticed: 1 - x[:, order[t:]].",
        ),
    ),
    alternatives=(
        _one_by_one,
        lambda logits_of, x, order: max(
            float((logits_of(x.index_copy(1, order[t:], 1 - x[:, order[t:]])) - logits_of(x))[:, order[t]].abs().max())
            for t in range(len(order))
        ),
    ),
)


# --- bug hunt ---------------------------------------------------------------------------------------------------------


def draw_images(logits_of, order, noise):
    x = torch.zeros_like(noise)
    for i in order.tolist():
        p = logits_of(x)[:, i].sigmoid()
        x[:, i] = (noise[:, i] < p).float()
    return x


def _in_order(visits):
    """Drawing in another order."""

    def draw(logits_of, order, noise):
        return draw_images(logits_of, torch.as_tensor(visits(order)), noise)

    return draw


def _all_at_once(logits_of, order, noise):
    return (noise < logits_of(torch.zeros_like(noise)).sigmoid()).float()


def _mixed_up(logits_of, order, noise):
    x = torch.zeros_like(noise)
    for t, i in enumerate(order.tolist()):
        x[:, i] = (noise[:, i] < logits_of(x)[:, t].sigmoid()).float()
    return x


def _written_elsewhere(logits_of, order, noise):
    x = torch.zeros_like(noise)
    for t, i in enumerate(order.tolist()):
        x[:, t] = (noise[:, t] < logits_of(x)[:, i].sigmoid()).float()
    return x


def _draw_sampling(generator):
    order = torch.randperm(6, generator=generator)
    network = _masked_network(generator, order)
    return {
        "logits_of": lambda x: 2 * network(x) - 0.5,
        "order": order,
        "noise": torch.rand(40, 6, generator=generator),
    }


BUG = Exercise(
    "autoregressive/bug",
    draw_images,
    _draw_sampling,
    lesson=LESSON,
    title="bug hunt: good likelihood, poor samples",
    minutes=8,
    difficulty=2,
    bug_hunt=True,
    hints=(
        "The likelihood is right, so the network is. Which pixels are known at the moment when pixel i is drawn, and which does its logit look at?",
        "The first pixel that this loop draws is pixel 0. What are the pixels that come before it in `order`, and what do they hold at that moment?",
        "They still hold zeros. Draw them in the order in which the network conditions on them: for i in order.tolist().",
    ),
    mistakes=(
        Mistake(
            _in_order(lambda order: range(len(order))),
            "The bug is still there. Look at what each pixel's logit depends on, and which of that is drawn already.",
        ),
        Mistake(
            _in_order(lambda order: order.argsort()),
            "Close: argsort gives the place of each pixel; `order` itself lists the pixels in the order in which they are visited.",
        ),
        Mistake(
            _all_at_once,
            "Each pixel is now drawn as if all those before it in the order were paper (drawing all at once does that, and so does going "
            "backwards): their values must be there first, so it takes one turn a pixel, from order[0] on.",
        ),
        Mistake(
            _mixed_up,
            "You write to pixel i but ask for the logit of another: both must be of the same pixel, i = order[t].",
        ),
        Mistake(
            _written_elsewhere,
            "You ask for the logit of pixel order[t] but write it to pixel t: both must be of the same pixel.",
        ),
        Mistake(
            lambda logits_of, order, noise: 1 - draw_images(logits_of, order, noise),
            "You turned the comparison round; it was right: noise < p happens with probability p. The bug is elsewhere.",
        ),
        Mistake(
            lambda logits_of, order, noise: draw_images(logits_of, torch.arange(len(order)), noise)[:, order],
            "You drew in reading order and shuffled afterwards; it is the drawing that has to follow the order.",
            also=(
                lambda logits_of, order, noise: draw_images(logits_of, torch.arange(len(order)), noise)[
                    :, order.argsort()
                ],
            ),
        ),
    ),
    alternatives=(
        lambda logits_of, order, noise: _by_places(logits_of, order, noise),
        lambda logits_of, order, noise: _repeated(logits_of, order, noise),
    ),
)


def _by_places(logits_of, order, noise):
    x = torch.zeros_like(noise)
    for t in range(len(order)):
        probability = torch.sigmoid(logits_of(x))
        x[:, order[t]] = (noise[:, order[t]] < probability[:, order[t]]).to(x.dtype)
    return x


def _repeated(logits_of, order, noise):
    x = torch.zeros_like(noise)
    for _ in order:  # each turn makes one more pixel final
        x = (noise < logits_of(x).sigmoid()).float()
    return x
