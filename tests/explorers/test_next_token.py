"""NextToken without a browser: the bars are the model's distribution, the surprise is its log-probability."""

import io
import math

import numpy as np
import pytest
import torch
from PIL import Image
from traitlets import TraitError

from dgmcourse.core import Space
from dgmcourse.data import text
from dgmcourse.data.markov import MarkovSource
from dgmcourse.explorers import NextToken
from dgmcourse.explorers.drawing import SCALE
from dgmcourse.explorers.next_token import AFTER, BEFORE, HEAD, NAME, NUMBER, ROW
from dgmcourse.explorers.text_reader import MOST_CHARACTERS, TextReader, entropy_bits
from dgmcourse.models import MADE, VAE, Transformer
from dgmcourse.models.autoregressive import filtered

SOURCE = MarkovSource(" aeinrst", order=2, length=16)


class Table:
    """A model that knows the source's table, a little blurred, and counts how often it is asked."""

    def __init__(self, blur=0.1, length=16):
        self.space, self.blur, self.asked = Space.tokens(length, 8), blur, 0

    def exact(self, prefix):
        return (1 - self.blur) * SOURCE.next_distribution(prefix) + self.blur / 8

    def next_distribution(self, prefix, temperature=1.0, top_k=None, top_p=None):
        self.asked += 1
        return filtered(self.exact(prefix).log(), temperature, top_k, top_p).exp()


class Text:
    """What NextToken asks of a dataset."""

    name, alphabet, truth = "markov", SOURCE.alphabet, SOURCE


@pytest.fixture
def widget():
    return NextToken(Table(), Text(), "a rain ")


def causal(length=10, vocabulary=8, seed=0):
    """A real model of tokens, with random weights."""
    torch.manual_seed(seed)
    model = MADE(Space.tokens(length, vocabulary), hidden=(24,))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model


def bar_lengths(widget, color):
    """How long each row's bar of this color is, in parts of the longest scale."""
    picture = np.asarray(Image.open(io.BytesIO(widget._picture.png)).convert("RGB")).astype(int)
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    found = []
    for i in range(len(widget._rows())):
        offset = 0 if color == AFTER else 6 * SCALE  # the pale bar is higher than the dark one upon it
        row = picture[int((HEAD + (i + 0.5) * ROW) * SCALE) + offset, NAME * SCALE : (400 - NUMBER) * SCALE]
        found.append((np.abs(row - rgb).max(-1) < 12).mean())
    return np.array(found)


# --- the numbers -------------------------------------------------------------------------------------------------------


def test_the_bars_are_the_models_distribution_and_sum_to_one(widget):
    prefix = torch.tensor(widget.reader.encode("a rain "))
    np.testing.assert_allclose(widget.before, Table().exact(prefix).numpy(), atol=1e-12)
    for column in (1, 2, 3):
        assert sum(row[column] for row in widget._rows()) == pytest.approx(1)
    assert [row[1] for row in widget._rows()] == sorted(widget.before.tolist(), reverse=True)
    assert [row[3] for row in widget._rows()] == [float(SOURCE.next_distribution(prefix)[i]) for i in widget.shown]


@pytest.mark.parametrize(("temperature", "top_k", "top_p"),
                         [(0.5, 8, 1.0), (1.0, 3, 1.0), (1.0, 8, 0.7), (1.7, 4, 0.8), (0.0, 8, 1.0)])  # fmt: skip
def test_the_dark_bars_are_what_the_dials_leave(widget, temperature, top_k, top_p):
    widget.temperature, widget.top_k, widget.top_p = temperature, top_k, top_p
    expected = filtered(torch.as_tensor(widget.before).log(), temperature, top_k, top_p).exp().numpy()
    np.testing.assert_allclose(widget.after, expected, atol=1e-12)
    assert widget.after.sum() == pytest.approx(1)
    assert (widget.after > 0).sum() <= (1 if temperature == 0 else top_k)
    cut = [row[0] for row in widget._rows() if row[2] == 0]
    assert widget._bars_words().count("(cut)") == len(cut)
    lengths, after = bar_lengths(widget, AFTER), np.array([row[2] for row in widget._rows()])
    top = next(level for level in (0.1, 0.2, 0.5, 1.0) if max(after.max(), widget.before.max()) <= level)
    np.testing.assert_allclose(lengths, after / top, atol=0.03)  # marks of the source hide a little


def test_pale_bars_are_as_long_as_the_model_says(widget):
    lengths, before = bar_lengths(widget, BEFORE), np.array([row[1] for row in widget._rows()])
    top = next(level for level in (0.1, 0.2, 0.5, 1.0) if before.max() <= level)
    np.testing.assert_allclose(lengths, before / top, atol=0.03)


@pytest.mark.parametrize("make", [causal, lambda: Transformer(Space.tokens(10, 8), width=16, heads=2, layers=1)])
def test_the_surprise_of_a_whole_sequence_is_its_log_probability_in_bits(make):
    model = make()
    for words in ("a rain tre", "tttttttttt"):
        widget = NextToken(model, alphabet=SOURCE.alphabet, prompt=words)
        x = torch.tensor([widget.reader.encode(words)])
        bits = -float(model.eval().log_prob(x).value.detach()) / math.log(2)
        assert widget.reader.surprises.sum() == pytest.approx(bits, abs=1e-4)
        assert widget.bits_per_character == pytest.approx(bits / 10, abs=1e-5)


def test_the_sources_own_surprise_is_its_log_probability(widget):
    words = "sir rain a tear "
    widget.text = words
    tokens = torch.tensor([widget.reader.encode(words)])
    expected = -float(SOURCE.log_prob(tokens)) / math.log(2)
    assert widget.reader.true_surprises().sum() == pytest.approx(expected)
    rows = dict(widget._numbers())
    assert rows["the same, for the source itself"] == f"{expected / 16:.3f} bits per character"
    assert rows["entropy rate of the source"] == f"{SOURCE.entropy_rate:.3f} bits per character"
    assert rows["entropy of the next one, the model's"] == f"{entropy_bits(widget.before):.3f} bits"


def test_reading_in_one_pass_and_one_by_one_give_the_same_beyond_the_models_length_too():
    model = causal(length=6).eval()
    words = "a rain tree is near a stain"
    reader = TextReader(model, SOURCE.alphabet)
    reader.read(words)
    for t in range(len(words) + 1):
        expected = model.next_distribution(torch.tensor(reader.encode(words[:t]), dtype=torch.int64)).numpy()
        np.testing.assert_allclose(reader._found[t], expected, atol=1e-6)
    assert reader.seen == 5  # of the text, the model sees as much as leaves room for one more


def test_only_what_is_new_is_read_again():
    model = Table()
    reader = TextReader(model, SOURCE.alphabet)
    reader.read("a rain")
    asked = model.asked
    reader.read("a rain t")
    assert model.asked == asked + 2
    reader.read("a ra")
    assert model.asked == asked + 2
    whole = TextReader(model, SOURCE.alphabet)
    reader.read("a ten")
    whole.read("a ten")
    np.testing.assert_array_equal(reader.surprises, whole.surprises)
    np.testing.assert_array_equal(reader.before, whole.before)


# --- writing -----------------------------------------------------------------------------------------------------------


def test_the_likeliest_character_is_appended(widget):
    best = SOURCE.alphabet[int(widget.before.argmax())]
    widget.buttons["likeliest"].click()
    assert widget.text == widget.box.value == "a rain " + best
    assert "8 characters" in widget._numbers_box.value


def test_what_is_sampled_follows_the_dials_and_the_seed():
    first, second = NextToken(Table(), Text(), "a"), NextToken(Table(), Text(), "a")
    first.buttons["forty"].click()
    for _ in range(40):
        second.buttons["one"].click()
    assert first.text == second.text
    assert len(first.text) == 41
    greedy = NextToken(Table(), Text(), "a")
    greedy.temperature = 0.0
    greedy.sample(5)
    likeliest = NextToken(Table(), Text(), "a")
    for _ in range(5):
        likeliest.append_likeliest()
    assert greedy.text == likeliest.text
    third = NextToken(Table(), Text(), "a", seed=1)
    third.sample(40)
    assert third.text != first.text


def test_samples_have_the_frequencies_of_the_dark_bars():
    widget = NextToken(Table(), Text(), "s ")
    widget.temperature, widget.top_p = 1.3, 0.9
    generator = torch.Generator().manual_seed(0)
    drawn = [widget.reader.grow(1, generator, **widget.sampling)[-1] for _ in range(1000)]
    frequencies = np.array([drawn.count(c) / 1000 for c in SOURCE.alphabet])
    assert np.abs(frequencies - widget.after).max() < 4 * 0.5 / math.sqrt(1000)
    assert (frequencies[widget.after == 0] == 0).all()


def test_reset_brings_back_prompt_and_dials(widget):
    widget.temperature, widget.top_k, widget.top_p = 0.3, 2, 0.5
    widget.sample(20)
    widget.buttons["reset"].click()
    assert (widget.text, widget.box.value) == ("a rain ", "a rain ")
    assert (widget.temperature, widget.top_k, widget.top_p) == (1.0, 8, 1.0)
    np.testing.assert_allclose(widget.after, widget.before)
    assert widget.dials["temperature"].value == 1.0


def test_typing_moves_the_bars_and_a_character_that_is_unknown_is_named(widget):
    widget.box.value = "sat"
    assert widget.text == "sat"
    before = widget.before
    widget.box.value = "saté"
    assert widget.error.startswith("‘é’ is not in the alphabet of markov. Its 8 characters: ␣aeinrst")
    assert widget.text == "sat"
    np.testing.assert_array_equal(widget.before, before)
    widget.temperature = 0.5
    assert widget.error.startswith("‘é’ is not in the alphabet")  # the dials serve, the box still holds it
    assert widget.after.max() > before.max()
    widget.box.value = "saT?"
    assert "‘T’, ‘?’ are not in the alphabet of markov; try ‘t’" in widget.error
    widget.box.value = "sate"
    assert widget.error == ""
    assert widget.text == "sate"
    with pytest.raises(TraitError, match="‘x’ is not in the alphabet"):
        widget.text = "x"


def test_a_text_has_an_end(widget):
    widget.text = "a" * (MOST_CHARACTERS - 10)
    widget.buttons["forty"].click()
    assert f"at most {MOST_CHARACTERS} characters" in widget.error
    assert len(widget.text) == MOST_CHARACTERS - 10
    assert len(widget._shaded.value) < 100_000


# --- what is seen ------------------------------------------------------------------------------------------------------


def test_bars_stand_in_the_order_that_is_chosen_and_the_others_are_summed_up():
    widget = NextToken(Table(), Text(), "a", bars=3)
    names = [row[0] for row in widget._rows()]
    assert len(names) == 4
    assert names[-1] == "others"
    assert sum(row[1] for row in widget._rows()) == pytest.approx(1)
    widget.ordering.value = "alphabet"
    assert [row[0] for row in widget._rows()] == [*sorted(names[:3], key="␣aeinrst".index), "others"]


def test_every_character_is_shaded_by_its_surprise_and_markup_is_text():
    alphabet = "<>&ab\ncd"
    widget = NextToken(Table(), alphabet=alphabet, prompt="<b>&\na")
    assert "<b>" not in widget._shaded.value
    assert "&lt;" in widget._shaded.value
    assert "↵<br>" in widget._shaded.value
    for bits in widget.reader.surprises:
        assert f'title="{bits:.2f} bits"' in widget._shaded.value
    assert "↵" in widget.alt
    assert widget._repr_mimebundle_()[0]["text/html"].startswith("<img alt=")


def test_what_the_model_no_longer_sees_is_faint():
    widget = NextToken(Table(length=6), alphabet=SOURCE.alphabet, prompt="a rain")
    assert widget._shaded.value.count("opacity") == 1
    widget.text = "a rain in a tent"
    assert widget._shaded.value.count("opacity") == 11


def test_the_still_picture_and_its_words(widget):
    assert "after “a rain ”" in widget.alt
    assert "temperature 1" in widget.alt
    assert widget.picture().width > 800


def test_a_model_that_has_learned_meanwhile_is_asked_again():
    model = Table()
    widget = NextToken(model, Text(), "a rain ")
    before = widget.before
    model.blur = 0.9
    widget.refresh()
    np.testing.assert_allclose(widget.before, 0.9 / 8 + 0.1 * (before - 0.1 / 8) / 0.9, atol=1e-12)


def test_the_courses_own_prose_has_an_alphabet():
    data = text("course", length=32)
    widget = NextToken(MADE(data.space, hidden=(16,)), data, "A model")
    assert len(widget.before) == len(data.alphabet)
    assert widget.reader.truth is None
    assert not any(row[3] for row in widget._rows())


# --- what is refused ---------------------------------------------------------------------------------------------------


def test_what_does_not_fit_is_refused_in_words():
    with pytest.raises(TypeError, match=r"NextToken needs a model of tokens.*VAE has none"):
        NextToken(VAE(Space.binary(1, 4, 4), 2), alphabet="ab")
    with pytest.raises(ValueError, match=r"which character each token is; give the dataset"):
        NextToken(Table())
    with pytest.raises(ValueError, match="an alphabet of 3 characters needs a model of as many tokens"):
        NextToken(Table(), alphabet="abc")
    with pytest.raises(ValueError, match="‘!’ is not in the alphabet"):
        NextToken(Table(), Text(), "rain!")
    with pytest.raises(ValueError, match="NextToken shows 1 … 40 bars"):
        NextToken(Table(), Text(), bars=0)
    widget = NextToken(Table(), Text())
    for name, value in (("temperature", -0.1), ("top_k", 0), ("top_k", 9), ("top_p", 0.0), ("top_p", 1.1)):
        with pytest.raises(TraitError, match=f"{name} must lie in"):
            setattr(widget, name, value)


def test_what_is_no_distribution_is_refused():
    class Broken(Table):
        def next_distribution(self, prefix, **sampling):
            return torch.full((8,), math.nan if len(prefix) else 0.125)

    with pytest.raises(ValueError, match="entries must be ≥ 0 and sum to 1"):
        NextToken(Broken(), Text(), "a")
    widget = NextToken(Broken(), Text())
    widget.append_likeliest()
    assert "has training diverged" in widget.error
