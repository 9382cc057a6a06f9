"""What all autoregressive models share, on tables whose probabilities are known: the chain rule, sampling, completion, filters."""

import itertools
import math

import pytest
import torch
from members import every
from torch import nn

from dgmcourse.core import Kind, Space
from dgmcourse.models.autoregressive import Autoregressive, filtered, raster_order

BINARY, GREY, TOKENS = Space.binary(1, 2, 2), Space.grey(2, 1, 2, levels=3), Space.tokens(3, 4)
SPACES = [BINARY, GREY, TOKENS]
every_space = pytest.mark.parametrize("space", SPACES, ids=str)


class Bilinear(Autoregressive):
    """logits of entry i = b_i + Σ over earlier j of x_j · w_ji: nothing to approximate, and `order` is what is said."""

    def __init__(self, space, classes=None, reverse=False):
        super().__init__(space, classes)
        if reverse:
            self.order.copy_(self.order.flip(0))
        place = self.order.argsort()
        earlier = (place[:, None] < place[None, :]).float()[..., None]  # [j, i]: j comes before i
        generator = torch.Generator().manual_seed(0)
        weights = torch.randn(space.dim, space.dim, space.levels, generator=generator)
        self.weights = nn.Parameter(2 * weights * earlier)
        self.bias = nn.Parameter(torch.randn(classes or 1, space.dim, space.levels, generator=generator))

    def logits(self, x, y=None):
        self.check_input(x)
        condition = self.condition(y, len(x))
        bias = self.bias if condition is None else torch.einsum("bc,cij->bij", condition, self.bias)
        return torch.einsum("bj,jik->bik", self.levels_of(x).float(), self.weights) + bias


def by_hand(model, x, y=None):
    """Π_t p(x_t | before), one factor after the other: (dim,) -> a probability."""
    levels, product = model.levels_of(x[None])[0], 1.0
    for i in model.order.tolist():
        p = model.logits(x[None], y)[0, i].softmax(-1)
        product *= p[levels[i]].item()
    return product


@every_space
@pytest.mark.parametrize("reverse", [False, True])
def test_log_prob_is_the_product_of_the_conditionals_and_sums_to_one(space, reverse):
    model, x = Bilinear(space, reverse=reverse), every(space)
    with torch.no_grad():
        found = model.log_prob(x)
        assert found.kind is Kind.EXACT
        assert found.value.exp().sum().item() == pytest.approx(1, abs=1e-5)
        for row in (0, 3, len(x) - 1):
            assert found.value[row].exp().item() == pytest.approx(by_hand(model, x[row]), rel=1e-4)


def test_training_minimizes_the_mean_negative_log_likelihood():
    model, x = Bilinear(TOKENS), every(TOKENS)
    (step,) = model.training_step(x)
    assert step.loss.item() == pytest.approx(-model.log_prob(x).value.mean().item(), rel=1e-6)


def test_images_are_read_pixel_by_pixel_with_all_their_channels():
    assert raster_order(Space.grey(3, 2, 2, levels=4)).tolist() == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]
    assert raster_order(Space.binary(1, 2, 2)).tolist() == [0, 1, 2, 3]
    assert raster_order(TOKENS).tolist() == [0, 1, 2]


@every_space
@pytest.mark.parametrize("reverse", [False, True])
def test_samples_are_as_frequent_as_their_probabilities_say(space, reverse):
    model, x, n = Bilinear(space, reverse=reverse), every(space), 30_000
    torch.manual_seed(1)
    drawn = model.levels_of(model.sample(n)) @ (space.levels ** torch.arange(space.dim - 1, -1, -1))
    counts = torch.bincount(drawn, minlength=len(x))
    with torch.no_grad():
        expected = n * model.log_prob(x).value.exp()
    often = expected > 5  # elsewhere the statistic is not χ²: rare states count together
    counts = torch.cat([counts[often], counts[~often].sum()[None]])
    expected = torch.cat([expected[often], expected[~often].sum()[None].clamp_min(1)])
    chi_square = ((counts - expected).square() / expected).sum().item()
    assert chi_square < len(counts) + 5 * math.sqrt(2 * len(counts))


@every_space
def test_there_is_a_state_an_entry_and_each_is_a_member_of_the_space(space):
    model = Bilinear(space, reverse=True)
    states = list(model.trajectory(5))
    assert len(states) == space.dim
    assert len({id(state) for state in states}) == space.dim
    for t, state in enumerate(states):
        space.check(state, values=True)
        to_come = model.order[t + 1 :]
        assert (state.flatten(1)[:, to_come] == 0).all()
        if t:
            visited = model.order[:t]
            assert torch.equal(state.flatten(1)[:, visited], states[t - 1].flatten(1)[:, visited])


@every_space
def test_completion_keeps_what_is_given_and_draws_the_rest_from_its_conditional(space):
    model, n = Bilinear(space), 20_000
    mask = torch.zeros(space.dim, dtype=torch.bool)
    mask[model.order[: space.dim - 1]] = True
    x = every(space)[-1:].repeat(n, *[1] * len(space.shape))
    torch.manual_seed(0)
    found = model.complete(x, mask.view(space.shape))
    assert torch.equal(found.flatten(1)[:, mask], x.flatten(1)[:, mask])
    last = model.order[-1]
    frequencies = torch.bincount(model.levels_of(found)[:, last], minlength=space.levels) / n
    with torch.no_grad():
        expected = model.logits(x[:1])[0, last].softmax(-1)
    assert (frequencies - expected).abs().max() < 4 * 0.5 / math.sqrt(n)


def test_what_is_given_may_differ_from_sample_to_sample():
    model, x = Bilinear(TOKENS), torch.tensor([[3, 3, 3]] * 4)
    mask = torch.tensor([[True, False, False], [False, True, False], [True, True, False], [False, False, False]])
    torch.manual_seed(0)
    states = list(model.trajectory(4, given=(x, mask)))
    assert len(states) == 3
    assert all((state[mask] == 3).all() for state in states)
    everything = torch.ones(3, dtype=torch.bool)
    (state,) = model.trajectory(4, given=(x, everything))
    assert torch.equal(state, x)


def test_a_condition_chooses_the_distribution():
    model, x = Bilinear(BINARY, classes=2), every(BINARY)
    with torch.no_grad():
        for label in range(2):
            y = torch.full((len(x),), label)
            assert model.log_prob(x, y).value.exp().sum().item() == pytest.approx(1, abs=1e-5)
            assert model.log_prob(x, y).value[5].exp().item() == pytest.approx(by_hand(model, x[5], y[:1]), rel=1e-4)
    with pytest.raises(ValueError, match="pass y"):
        model.sample(2)
    with pytest.raises(ValueError, match="not conditional"):
        Bilinear(BINARY).sample(2, torch.tensor([0, 1]))


# --- filters -------------------------------------------------------------------------------------------------------


def filtered_by_hand(logits, temperature, top_k, top_p):
    """The definition, value by value, in plain Python."""
    weights = [math.exp(score / temperature) for score in logits]
    p = [w / sum(weights) for w in weights]
    ranked = sorted(range(len(p)), key=lambda v: -p[v])  # stable: of equal ones the first
    kept = ranked if top_k is None else ranked[:top_k]
    if top_p is not None and top_p < 1:
        share = sum(p[v] for v in kept)
        for size in range(1, len(kept) + 1):
            if sum(p[v] for v in kept[:size]) / share >= top_p - 1e-9:
                kept = kept[:size]
                break
    total = sum(p[v] for v in kept)
    return [p[v] / total if v in kept else 0.0 for v in range(len(p))]


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("top_k", "top_p"), [*itertools.product([None, 1, 3, 20], [None, 0.05, 0.5, 0.93, 1.0])])
def test_filters_agree_with_their_definition(temperature, top_k, top_p):
    logits = 2 * torch.randn(20, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = filtered(logits, temperature, top_k, top_p).exp()
    expected = [filtered_by_hand(row, temperature, top_k, top_p) for row in logits.tolist()]
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=1e-12)


def test_of_equal_values_the_first_are_kept_and_extremes_stay_finite():
    level = torch.zeros(5)
    assert filtered(level, top_k=2).exp().tolist() == pytest.approx([0.5, 0.5, 0, 0, 0])
    assert filtered(level, temperature=0).exp().tolist() == [1, 0, 0, 0, 0]
    assert filtered(torch.tensor([1.0, 3.0, 2.0]), temperature=0).exp().tolist() == [0, 1, 0]
    huge = torch.tensor([1e30, -1e30, 0.0])
    assert filtered(huge, temperature=1e-3, top_p=0.9).exp().tolist() == [1, 0, 0]
    assert filtered(torch.tensor([0.0, -torch.inf, 0.0]), top_p=0.99).exp().tolist() == pytest.approx([0.5, 0, 0.5])


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="temperature must be ≥ 0"):
        filtered(torch.zeros(3), temperature=-1)
    with pytest.raises(ValueError, match="top_k must be ≥ 1"):
        filtered(torch.zeros(3), top_k=0)
    with pytest.raises(ValueError, match=r"\(0, 1\], got 1.5"):
        next(Bilinear(TOKENS).trajectory(2, top_p=1.5))


def test_at_temperature_zero_every_sample_is_the_greedy_one():
    model = Bilinear(TOKENS)
    drawn = list(model.trajectory(20, temperature=0))[-1]
    assert (drawn == drawn[0]).all()
    with torch.no_grad():
        assert torch.equal(model.logits(drawn[:1])[0].argmax(-1), drawn[0])


def test_the_next_token_is_distributed_as_the_model_says():
    model, prefix = Bilinear(TOKENS), torch.tensor([2, 1])
    p = model.next_distribution(prefix)
    with torch.no_grad():
        expected = model.logits(torch.tensor([[2, 1, 0]]))[0, 2].softmax(-1)
    torch.testing.assert_close(p, expected)
    assert model.next_distribution(prefix[:0]).sum().item() == pytest.approx(1)
    long = torch.tensor([3, 3, 3, 2, 1])
    torch.testing.assert_close(model.next_distribution(long), p)  # only the last two fit
    assert (model.next_distribution(prefix, top_k=1) > 0).sum() == 1
    with pytest.raises(ValueError, match="left to right"):
        Bilinear(TOKENS, reverse=True).next_distribution(prefix)
    with pytest.raises(ValueError, match="model of tokens"):
        Bilinear(BINARY).next_distribution(prefix)


def test_bad_givens_are_refused_in_words():
    model, x = Bilinear(TOKENS), torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match="2 examples, but 5 samples"):
        next(model.trajectory(5, given=(x, torch.ones(3, dtype=torch.bool))))
    with pytest.raises(ValueError, match=r"bools of shape \(3,\)"):
        next(model.trajectory(2, given=(x, torch.ones(3))))
