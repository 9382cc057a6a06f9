"""Exercises of lesson 07 on masks: of a dense network, and of a convolution."""

import torch

from . import Exercise, Mistake
from .autoregressive_chain import LESSON

# --- MADE -------------------------------------------------------------------------------------------------------------


def made_masks(places, degrees):
    into_hidden = (degrees[:, None] >= places).float()
    into_logits = (places[:, None] > degrees).float()
    return into_hidden, into_logits


def _draw_places(generator):
    """Five entries in a random order, seven hidden units with random degrees of which the ends occur."""
    degrees = torch.randint(4, (7,), generator=generator)
    degrees[:2] = torch.tensor([0, 3])
    return torch.randperm(5, generator=generator), degrees


def _looks_ahead(answer, inputs):
    """The property that no logit can see its own entry or a later one."""
    places, degrees = inputs
    into_hidden, into_logits = answer(places, degrees)
    if tuple(into_hidden.shape) != (7, 5) or tuple(into_logits.shape) != (5, 7):
        return None
    paths = into_logits.float() @ into_hidden.float()
    for i, j in ((paths > 0) & (places >= places[:, None])).nonzero().tolist():
        return (f"A path leads from the entry at place {int(places[j])} to the logit of the entry at place {int(places[i])}: "
                "the network sees what it should predict.")  # fmt: skip
    return None


MASKS = Exercise(
    "autoregressive/masks",
    made_masks,
    _draw_places,
    lesson=LESSON,
    title="MADE's masks",
    minutes=10,
    difficulty=2,
    draws=4,
    properties=(_looks_ahead,),
    hints=(
        "Read the two rules aloud with a unit of degree m: it may see the entries at places ≤ m; the logits of places > m may see it.",
        "Compare all pairs at once: degrees[:, None] >= places is (hidden, dim), a row for each hidden unit. The other mask has a row for each logit.",
        "(degrees[:, None] >= places).float() and (places[:, None] > degrees).float()",
    ),
    mistakes=(
        Mistake(
            lambda places, degrees: (made_masks(places, degrees)[0], (places[:, None] >= degrees).float()),
            "A leak: with ≥ in the second mask, the logit of the entry at place m sees units that have seen this very entry. It must be >.",
        ),
        Mistake(
            lambda places, degrees: ((degrees[:, None] > places).float(), made_masks(places, degrees)[1]),
            "Nothing leaks, but a unit of degree m should see the entry at place m too: ≥ in the first mask. With > on both sides no "
            "logit sees the entry just before its own, which says the most about it.",
        ),
        Mistake(
            lambda places, degrees: ((degrees[:, None] > places).float(), (places[:, None] >= degrees).float()),
            "The strict comparison stands on the wrong side. Nothing leaks, but a unit of degree 0 sees nothing at all, and the entry "
            "at place 4 never sees the one at place 3: ≥ into the hidden units, > out of them.",
        ),
        Mistake(
            lambda places, degrees: tuple(mask.T for mask in made_masks(places, degrees)),
            "Both masks are transposed: a weight matrix has a row for each output, so (hidden, dim), then (dim, hidden).",
        ),
        Mistake(
            lambda places, degrees: (made_masks(places, degrees)[0], made_masks(places, degrees)[0].T),
            "Here the logits see exactly the units that see *their* entry, as in an ordinary autoencoder: all of it leaks. A logit sees "
            "the units of a degree below its place.",
        ),
        Mistake(
            lambda places, degrees: ((degrees[:, None] <= places).float(), (places[:, None] < degrees).float()),
            "Both comparisons are turned round: each entry would be predicted from those *after* it.",
        ),
        Mistake(
            lambda places, degrees: made_masks(torch.arange(len(places)), degrees),
            "You took the entries in reading order; the order is given by `places`: compare with places[i], not with i.",
        ),
        Mistake(
            lambda places, degrees: made_masks(places.argsort(), degrees),
            "places[i] is already the place of entry i; argsort turns that round and gives the entry at place i.",
        ),
        Mistake(
            lambda places, degrees: made_masks(places, degrees)[::-1],
            "The masks are right, in the wrong order: first the one into the hidden units, then the one into the logits.",
        ),
        Mistake(
            lambda places, degrees: (degrees[:, None] >= places, places[:, None] > degrees),
            "These are the right masks, of true and false; weights are multiplied by them, so make them numbers: .float().",
        ),
        Mistake(
            lambda places, degrees: (degrees >= places, places > degrees),
            "The two lists have different lengths and meet entry by entry. Compare all pairs, by making one of them a column: degrees[:, None] >= places.",
        ),
    ),
    alternatives=(
        lambda places, degrees: (
            1 - (places > degrees[:, None]).float(),
            (places.unsqueeze(1) - degrees.unsqueeze(0)).clamp(0, 1).float(),
        ),
        lambda places, degrees: (
            torch.tensor([[float(place <= m) for place in places] for m in degrees]),
            torch.tensor([[float(m < place) for m in degrees] for place in places]),
        ),
    ),
)


# --- PixelCNN ---------------------------------------------------------------------------------------------------------


def pixel_mask(kind, side):
    mask = torch.zeros(side, side)
    middle = side // 2
    mask[:middle] = 1
    mask[middle, : middle + (kind == "B")] = 1
    return mask


def _draw_kind(generator):
    kind = "AB"[int(torch.randint(2, (), generator=generator))]
    return {"kind": kind, "side": 3 + 2 * int(torch.randint(3, (), generator=generator))}


def _other(kind):
    return "B" if kind == "A" else "A"


def _only(kind, side, above, left):
    """The rows above, or the left of the middle row, alone."""
    mask, middle = pixel_mask(kind, side), side // 2
    if not above:
        mask[:middle] = 0
    if not left:
        mask[middle, :middle] = 0
    return mask


def _whole_row(kind, side):
    mask = pixel_mask(kind, side)
    mask[side // 2] = 1
    return mask


def _quadrant(kind, side):
    mask, middle = torch.zeros(side, side), side // 2
    mask[:middle, : middle + 1] = 1
    mask[middle, : middle + (kind == "B")] = 1
    return mask


def _one_more_row(kind, side):
    mask = torch.zeros(side, side)
    mask[: side // 2 + 1] = 1
    mask[side // 2 + 1, : side // 2 + (kind == "B")] = 1
    return mask


PIXEL_MASK = Exercise(
    "autoregressive/pixel_mask",
    pixel_mask,
    _draw_kind,
    lesson=LESSON,
    title="PixelCNN's masks A and B",
    minutes=6,
    difficulty=1,
    draws=8,
    hints=(
        "Begin with zeros, and set to 1 what comes before the middle in reading order: all rows above it, and in its own row what is on its left.",
        "The middle is row and column side // 2. mask[:middle] = 1 are the rows above, mask[middle, :middle] = 1 the left of its row.",
        "mask[:middle] = 1; mask[middle, :middle] = 1; and if kind == 'B': mask[middle, middle] = 1.",
    ),
    mistakes=(
        Mistake(
            lambda kind, side: pixel_mask(_other(kind), side),
            "A and B are exchanged: A leaves out the middle, since on the image it is the very pixel to be predicted; B keeps it.",
        ),
        Mistake(
            lambda kind, side: pixel_mask("A", side),
            "Your middle is always 0; in B it is 1: a feature of the layer below has not seen its own pixel, and may be used.",
        ),
        Mistake(
            lambda kind, side: pixel_mask("B", side),
            "Your middle is always 1, so in kind A the pixel sees itself: a leak. Set it for kind B alone.",
        ),
        Mistake(
            lambda kind, side: _only(kind, side, above=False, left=True),
            "The rows above are missing: all of them come before the middle in reading order, the pixels on its right as well.",
        ),
        Mistake(
            lambda kind, side: _only(kind, side, above=True, left=False),
            "The left part of the middle row is missing: it comes before the middle too.",
        ),
        Mistake(
            _quadrant,
            "In the rows above, you kept the left half alone; in reading order their right half comes before the middle as well.",
        ),
        Mistake(
            _whole_row,
            "A leak: in the middle's own row, what is on its right comes after it.",
        ),
        Mistake(
            lambda kind, side: pixel_mask(kind, side).flip(0, 1),
            "This is the future: everything after the middle. Keep what comes before it.",
        ),
        Mistake(
            lambda kind, side: pixel_mask(kind, side).T,
            "Rows and columns are exchanged: the first index is the row. Reading goes along a row, then to the next.",
        ),
        Mistake(
            _one_more_row,
            "You are one row too low: the middle row is side // 2, counted from 0.",
        ),
        Mistake(
            lambda kind, side: pixel_mask(kind, side)[None, None],
            "The entries are right; the shape should be (side, side), without the two axes of length one.",
        ),
        Mistake(
            lambda kind, side: torch.ones(side, side).tril(-1 if kind == "A" else 0),
            "A triangle is the mask of a sequence. Here one row of the kernel stands above the other: all rows above the middle are whole.",
            also=(lambda kind, side: torch.ones(side, side).tril(0 if kind == "A" else -1),),
        ),
        Mistake(
            lambda kind, side: pixel_mask(kind, side).bool(),
            "These are the right entries, as true and false; a weight is multiplied by them, so make them numbers: .float().",
        ),
    ),
    alternatives=(
        lambda kind, side: (
            torch.arange(side * side).view(side, side) < side * side // 2 + (1 if kind == "B" else 0)
        ).float(),
        lambda kind, side: torch.tensor(
            [[float((i, j) < (side // 2, side // 2 + (kind == "B"))) for j in range(side)] for i in range(side)]
        ),
    ),
)
