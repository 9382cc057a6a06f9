"""The Transformer: sums to one, looks at nothing that is yet to come, and says the same with its cache."""

import itertools

import pytest
import torch

from dgmcourse.core import Kind, Space
from dgmcourse.models import Transformer

SPACES = {
    "tokens": Space.tokens(9, 5),
    "binary": Space.binary(1, 3, 4),
    "grey": Space.grey(1, 3, 3, levels=4),
    "color": Space.grey(3, 2, 3, levels=4),
}
every_space = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES.keys())


def stirred(space: Space, classes=None, **sizes) -> Transformer:
    """A model whose every parameter matters: no weight is zero or small."""
    torch.manual_seed(0)
    model = Transformer(space, **{"width": 16, "heads": 2, "layers": 2} | sizes, classes=classes).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def members(space: Space, n: int) -> torch.Tensor:
    levels = torch.randint(space.levels, (n, *space.shape), generator=torch.Generator().manual_seed(1))
    return levels if space.kind == "tokens" else levels / (space.levels - 1)


@every_space
@pytest.mark.parametrize("classes", [None, 3])
def test_the_cache_changes_nothing(space, classes):
    """Logits of every entry, computed one by one from the cache, are those of the single pass."""
    model, x = stirred(space, classes), members(space, 6)
    y = None if classes is None else torch.arange(6) % classes
    at_once = model.logits(x, y)
    tokens, cache = model.levels_of(x)[:, model.order], model.cache(6, y)
    for t in range(space.dim):
        found = model.next_logits(tokens[:, :t], cache)
        torch.testing.assert_close(found, at_once[:, model.order[t]], rtol=0, atol=1e-5)
        torch.testing.assert_close(model.next_logits(tokens[:, :t], cache), found, rtol=0, atol=0)
    score = model.scorer(6, y)
    flat = x.flatten(1)
    for t in range(space.dim):
        torch.testing.assert_close(score(flat, t), at_once[:, model.order[t]], rtol=0, atol=1e-5)


@pytest.mark.parametrize("steps", [(0, 4, 5, 8), (3, 8), (8,), (1, 2, 7)])
def test_the_cache_takes_several_entries_at_a_time(steps):
    space = SPACES["tokens"]
    model, x = stirred(space), members(space, 4)
    at_once, cache = model.logits(x), model.cache(4)
    for t in steps:
        torch.testing.assert_close(model.next_logits(x[:, :t], cache), at_once[:, t], rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=rf"needs {steps[-1]} tokens"):
        model.next_logits(x[:, : steps[-1] - 1], cache)
    with pytest.raises(ValueError, match="to 8, got 9"):
        model.next_logits(x, model.cache(4))


def test_samples_with_the_cache_are_those_without():
    model = stirred(SPACES["color"], classes=3)
    y = torch.tensor([0, 1, 2, 1])
    torch.manual_seed(5)
    cached = model.sample(4, y)
    model.scorer = super(Transformer, model).scorer  # everything anew for every entry
    torch.manual_seed(5)
    torch.testing.assert_close(cached, model.sample(4, y), rtol=0, atol=0)


@pytest.mark.parametrize("classes", [None, 2])
def test_probabilities_of_all_binary_images_sum_to_one(classes):
    space = Space.binary(1, 4, 4)
    states = ((torch.arange(2**16)[:, None] >> torch.arange(16)) & 1).float().view(-1, 1, 4, 4)
    model = stirred(space, classes, width=8)
    for label in range(classes or 1):
        with torch.no_grad():
            parts = [
                model.log_prob(part, None if classes is None else torch.full((len(part),), label)).value.double()
                for part in states.split(2**13)
            ]
        log_p = torch.cat(parts)
        assert float(log_p.exp().sum()) == pytest.approx(1, abs=1e-5)
    assert float(log_p.exp().std() * 2**16) > 0.1  # far from all being alike


def test_probabilities_of_all_short_texts_sum_to_one():
    model = stirred(Space.tokens(5, 4)).double()
    states = torch.tensor(list(itertools.product(range(4), repeat=5)))
    found = model.log_prob(states)
    assert found.kind is Kind.EXACT
    assert float(found.value.exp().sum()) == pytest.approx(1, abs=1e-12)


@every_space
def test_no_entry_looks_at_itself_or_ahead(space):
    """Changing an entry leaves the logits of it and of all before it exactly as they were, and changes all after it."""
    model = stirred(space)
    x = members(space, 1)
    before = model.logits(x)
    for t in range(space.dim):
        changed, i = x.clone().flatten(1), model.order[t]
        changed[0, i] = 0 if changed[0, i] > 0 else 1
        after = model.logits(changed.view_as(x))
        moved = (after != before).any(-1)[0][model.order]
        assert not moved[: t + 1].any()
        assert moved[t + 1 :].all()


def test_the_jacobian_in_the_inputs_is_strictly_causal():
    """The gradient of each entry's logits in the input vectors: exactly zero from the entry itself on."""
    model = stirred(Space.tokens(6, 4))
    embedded = torch.randn(1, 5, 16, requires_grad=True)
    inputs = torch.cat([model._start_token(None, 1), embedded], dim=1)
    scores = model._scores(inputs, 0)[0]
    for t in range(6):
        (gradient,) = torch.autograd.grad(scores[t].square().sum(), embedded, retain_graph=True, allow_unused=True)
        assert (gradient[0, t:] == 0).all()
        assert (gradient[0, :t] != 0).any(-1).all()


def test_the_condition_reaches_every_entry():
    model, x = stirred(SPACES["binary"], classes=3), members(SPACES["binary"], 2)
    first, second = (model.logits(x, torch.full((2,), label)) for label in (0, 2))
    assert (first != second).any(-1).all()


def test_the_next_token_after_a_prefix():
    """Equal to a row of the logits; a prefix longer than the context counts by its end alone; rows are filtered."""
    space = SPACES["tokens"]
    model, x = stirred(space), members(space, 1)
    p = model.logits(x)[0].softmax(-1)
    for t in range(9):
        torch.testing.assert_close(model.next_distribution(x[0, :t]), p[t], rtol=0, atol=1e-5)
    long = torch.cat([torch.tensor([4, 0, 4]), x[0, :8]])
    torch.testing.assert_close(model.next_distribution(long), p[8], rtol=0, atol=1e-5)
    few = model.next_distribution(x[0, :3], temperature=0.5, top_k=2)
    assert (few > 0).sum() == 2
    assert float(few.sum()) == pytest.approx(1)


def test_training_grows_from_nothing_known():
    """At the start all values are about equally likely."""
    torch.manual_seed(0)
    space = Space.tokens(9, 5)
    nats = -Transformer(space).eval().log_prob(members(space, 64)).value.mean()
    assert float(nats) == pytest.approx(9 * torch.tensor(5.0).log().item(), rel=0.03)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"got real\(2\); for series of reals"):
        Transformer(Space.real(2))
    with pytest.raises(ValueError, match="heads that divide the width"):
        Transformer(SPACES["tokens"], width=30, heads=4)
    with pytest.raises(ValueError, match="dropout must lie in"):
        Transformer(SPACES["tokens"], dropout=1.0)
    with pytest.raises(ValueError, match="classes ≥ 2"):
        Transformer(SPACES["tokens"], classes=1)
