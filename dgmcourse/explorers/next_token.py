"""NextToken: what may come next in a text, and how boldly to choose from it."""

import html

import ipywidgets as W
import numpy as np
import torch
import traitlets
from PIL import Image, ImageDraw
from torch import Tensor

from .base import Explorer, Picture, reported
from .drawing import ACCENT, FAINT, INK, MUTED, PALETTE, PAPER, SCALE, beside, captioned, font, table, ticks
from .pixels import encode_drawing
from .text_reader import MOST_CHARACTERS, TextReader, entropy_bits, shown

__all__ = ["NextToken"]

MOST_BARS = 40
MOST_SHOWN = 400  # characters of the text whose surprise is shown
HEAD, ROW, NAME, NUMBER = 24, 19, 34, 62  # heights of the legend and a row; room for the character, for the number
BEFORE, AFTER = "#b9b3d9", PALETTE[0]
COLORS = (BEFORE, AFTER, ACCENT, INK, MUTED, FAINT)
LOUD = 8.0  # bits at which a character has full color
ORDERS = {"likeliest first": "likeliest", "in the alphabet's order": "alphabet"}


class NextToken(Explorer, W.VBox):
    """Type a text and see which characters a model expects next; turn the dials and let it write on.

    Pale bars are the model's distribution of the next character; dark ones what is left of it after temperature, top-k
    and nucleus, from which characters are drawn. A black mark is the source's own probability, where the source is known
    (Markov text). Every character of the text is shaded by its surprise, −log₂ p(character | those before it); their mean
    is the text's bits per character.

    Args:
        model: of tokens, with `next_distribution(prefix, temperature, top_k, top_p)`: any `Autoregressive`.
        dataset: of text, which has the `alphabet`; its `truth`, if it has one, is shown too.
        prompt: the text to begin with.
        alphabet: in place of the dataset: the characters; token i is the i-th.
        y: the condition, of conditional models: a label, (1,).
        bars: how many characters are shown, 1 … 40; the others are summed up.
        seed: of what is drawn.

    Attributes:
        text: what has been written; set it.
        temperature: 0 … 2; at 0 the likeliest character has probability 1.
        top_k: how many of the likeliest may be drawn, 1 … vocabulary.
        top_p: share of the probability that the nucleus holds, above 0 and at most 1.
        order: "likeliest" first, or in the order of the "alphabet".
        before, after: float64 (vocabulary,), the next character's distribution, as the model has it and as it is drawn from.
        reader: the mathematics, a `TextReader`.
        buttons: by name, "likeliest", "one", "forty", "reset".

    Raises:
        TypeError: the model has no `next_distribution`.
        ValueError: no alphabet, one that does not fit the model, or a prompt with characters that it does not have.
    """

    text = traitlets.Unicode("")
    temperature = traitlets.Float(1.0)
    top_k = traitlets.Int(1)
    top_p = traitlets.Float(1.0)
    order = traitlets.Enum(list(ORDERS.values()), "likeliest")

    def __init__(self, model, dataset=None, prompt: str = "", *, alphabet: str | None = None, y: Tensor | None = None,
                 bars: int = 16, seed: int = 0):  # fmt: skip
        if not 1 <= bars <= MOST_BARS:
            raise ValueError(f"NextToken shows 1 … {MOST_BARS} bars, got {bars}")
        alphabet = alphabet if alphabet is not None else getattr(dataset, "alphabet", None)
        name = getattr(dataset, "name", "this text")
        self.reader = TextReader(model, alphabet, getattr(dataset, "truth", None), y, name)
        self.rate = getattr(self.reader.truth, "entropy_rate", None)
        self.bars, self.prompt = min(bars, len(alphabet)), prompt
        self.generator = torch.Generator().manual_seed(seed)
        self.reader.read(prompt)
        self._still = True
        super().__init__(self._build(len(alphabet)))
        self.add_class("dgm-explorer").add_class("dgm-next")
        self.top_k, self.text = len(alphabet), prompt
        self._still = False
        self._read(prompt)
        if self.error:
            raise ValueError(self.error)

    # --- what is on the page ---------------------------------------------------------------------------------------

    def _build(self, vocabulary: int) -> list[W.Widget]:
        self.box = W.Textarea(self.prompt, description="text", rows=3, continuous_update=True,
                              placeholder="type here", style={"description_width": "40px"},
                              layout=W.Layout(width="430px"))  # fmt: skip
        self.box.observe(lambda change: self._still or self._typed(change["new"]), "value")
        self._shaded, self._numbers_box = W.HTML(), W.HTML()
        self._picture = Picture(width=400, sharp=False)
        style, layout = {"description_width": "84px"}, W.Layout(width="330px")
        look = {"style": style, "layout": layout}
        self.dials = {"temperature": W.FloatSlider(1.0, min=0.0, max=2.0, step=0.05, description="temperature", **look),
                      "top_k": W.IntSlider(vocabulary, 1, vocabulary, description="top-k", **look),
                      "top_p": W.FloatSlider(1.0, min=0.05, max=1.0, step=0.05, description="top-p", **look)}  # fmt: skip
        self.ordering = W.Dropdown(options=ORDERS, description="bars", style=style, layout=W.Layout(width="290px"))
        self.set_trait("top_k", vocabulary)
        for name, dial in self.dials.items():
            traitlets.link((self, name), (dial, "value"))
        traitlets.link((self, "order"), (self.ordering, "value"))
        acts = {"likeliest": ("Append the likeliest", "The character with the highest bar", self.append_likeliest),
                "one": ("Sample one", "Draw a character from the dark bars", lambda: self.sample(1)),
                "forty": ("Sample 40", "Draw forty characters, one after the other", lambda: self.sample(40)),
                "reset": ("Reset", "Back to the prompt, and dials back to where they change nothing", self.reset)}  # fmt: skip
        self.buttons = {key: self._button(*act) for key, act in acts.items()}
        pairs = [W.HBox([self.buttons[a], self.buttons[b]]) for a, b in (("likeliest", "one"), ("forty", "reset"))]
        left = W.VBox([self.box, self._shaded, *pairs, *self.dials.values(), self._numbers_box],
                      layout=W.Layout(width="450px"))  # fmt: skip
        right = W.VBox([self.ordering, self._picture], layout=W.Layout(padding="0 0 0 16px"))
        return [W.HBox([left, right], layout=W.Layout(flex_flow="row wrap")), self._message_box()]

    @staticmethod
    def _button(words: str, tip: str, act) -> W.Button:
        button = W.Button(description=words, tooltip=tip, layout=W.Layout(width="160px"))
        button.on_click(lambda _: act())
        return button

    # --- writing ---------------------------------------------------------------------------------------------------

    @traitlets.validate("text", "temperature", "top_k", "top_p")
    def _possible(self, proposal):
        name, value = proposal["trait"].name, proposal["value"]
        if name == "text":
            try:
                self.reader.encode(value)
            except ValueError as problem:
                raise traitlets.TraitError(str(problem)) from None
            return value
        vocabulary = len(self.reader.alphabet)
        low, high, within = {"temperature": (0, 2, 0 <= value <= 2), "top_k": (1, vocabulary, 1 <= value <= vocabulary),
                             "top_p": ("above 0", 1, 0 < value <= 1)}[name]  # fmt: skip
        if not within:
            raise traitlets.TraitError(f"{name} must lie in {low} … {high}, got {value}")
        return value

    @reported
    def _typed(self, words: str) -> None:
        """The learner typed; characters that the alphabet lacks are told, and the bars stay with the text before."""
        self.reader.encode(words)
        self.text = words

    @traitlets.observe("text")
    @reported
    def _rewritten(self, change) -> None:
        if not self._still:
            self._read(change["new"])

    @reported
    def _read(self, words: str) -> None:
        self.reader.read(words)
        self._still = True
        try:
            self.box.value = words
        finally:
            self._still = False
        self._refilter()

    @property
    def sampling(self) -> dict[str, float | int | None]:
        """The dials as the model takes them; None where one changes nothing."""
        whole = self.top_k == len(self.reader.alphabet)
        return {"temperature": self.temperature, "top_k": None if whole else self.top_k,
                "top_p": None if self.top_p == 1 else self.top_p}  # fmt: skip

    @property
    def before(self) -> np.ndarray:
        """The model's distribution of the next character, (vocabulary,)."""
        return self.reader.before

    @reported
    def append_likeliest(self) -> None:
        """Write the character that the model expects most."""
        self._room(1)
        self.text += self.reader.alphabet[int(self.before.argmax())]

    @reported
    def sample(self, count: int = 1) -> None:
        """Draw so many characters, one after the other, with the dials as they are."""
        self._room(count)
        self.text = self.reader.grow(count, self.generator, **self.sampling)

    def _room(self, count: int) -> None:
        if len(self.text) + count > MOST_CHARACTERS:
            raise ValueError(f"the text may have at most {MOST_CHARACTERS} characters; reset it to go on")

    @reported
    def reset(self) -> None:
        """Back to the prompt, and to the model's own distribution."""
        self.text, self.temperature, self.top_k, self.top_p = self.prompt, 1.0, len(self.reader.alphabet), 1.0
        self._read(self.prompt)

    @reported
    def refresh(self) -> None:
        """Ask the model again: it may have learned meanwhile."""
        self.reader.read_again()
        self._refilter()

    # --- what is shown ---------------------------------------------------------------------------------------------

    @traitlets.observe("temperature", "top_k", "top_p")
    @reported
    def _dialed(self, _=None) -> None:
        if not self._still:
            self._refilter()
            self.reader.encode(self.box.value)  # what is wrong with the text in the box stays told

    def _refilter(self) -> None:
        self.after = self.reader.after(**self.sampling)
        self._show()

    @traitlets.observe("order")
    @reported
    def _ordered(self, _=None) -> None:
        if not self._still:
            self._show()

    def _show(self) -> None:
        self._picture.show(encode_drawing(self._bars_picture(), COLORS), self._bars_words())
        self._shaded.value = self._shaded_html()
        self._numbers_box.value = self._numbers_html()

    @property
    def shown(self) -> np.ndarray:
        """Which characters have a bar, in their order."""
        likeliest = np.argsort(-self.before, kind="stable")[: self.bars]
        return np.sort(likeliest) if self.order == "alphabet" else likeliest

    def _rows(self) -> list[tuple[str, float, float, float | None]]:
        """What the bars show: (name, before, after, the source's own); the last sums up the characters without a bar."""
        truth, chosen = self.reader.true_next(), self.shown
        rest = np.setdiff1d(np.arange(len(self.before)), chosen)
        sets = [([i], shown(self.reader.alphabet[i])) for i in chosen] + ([(rest, "others")] if len(rest) else [])
        known = (self.before, self.after, truth)
        return [(name, *(None if p is None else float(p[i].sum()) for p in known)) for i, name in sets]

    def _bars_picture(self) -> Image.Image:
        rows, width = self._rows(), 400
        image = Image.new("RGB", (width * SCALE, (HEAD + ROW * len(rows) + 22) * SCALE), PAPER)
        draw = ImageDraw.Draw(image)
        left, right, bottom = NAME * SCALE, (width - NUMBER) * SCALE, (HEAD + ROW * len(rows)) * SCALE
        self._head(draw, left)
        top = max(value for row in rows for value in row[1:] if value is not None)
        top = next(level for level in (0.1, 0.2, 0.5, 1.0) if top <= level + 1e-6)
        for tick in ticks(0, top, 4):
            x = left + tick / top * (right - left)
            draw.line([(x, HEAD * SCALE), (x, bottom)], fill=FAINT, width=SCALE // 2)
            draw.text((x, bottom + 4 * SCALE), f"{100 * tick:g} %", fill=MUTED, font=font(9), anchor="mt")
        for i, row in enumerate(rows):
            self._bar(draw, (HEAD + i * ROW) * SCALE, left, (right - left) / top, *row)
        return image

    def _head(self, draw: ImageDraw.ImageDraw, x: float) -> None:
        """Say above the bars what each is."""
        marks = [("the model", BEFORE, (12, 14)), ("drawn from", AFTER, (12, 7))]
        marks += [("the source", INK, (2, 14))] if self.reader.truth is not None else []
        for words, color, (width, height) in marks:
            middle = HEAD * SCALE / 2 - SCALE
            draw.rectangle([x, middle - height * SCALE / 2, x + width * SCALE, middle + height * SCALE / 2], fill=color)
            draw.text((x + 18 * SCALE, middle), words, fill=INK, font=font(9.5), anchor="lm")
            x += 36 * SCALE + font(9.5).getlength(words)

    @staticmethod
    def _bar(draw, y: float, left: float, scale: float, name: str, before: float, after: float, true) -> None:
        """One row: the name, both bars, the source's mark if there is one, the number of what is drawn from."""
        middle, cut = y + ROW * SCALE / 2, after <= 0
        words = font(9) if len(name) > 1 else font(11, mono=True)
        draw.text((left - 5 * SCALE, middle), name, fill=MUTED if cut else INK, font=words, anchor="rm")
        for value, half, color in ((before, 7, BEFORE), (after, 3.5, AFTER)):
            if value > 0:
                draw.rectangle([left, middle - half * SCALE, left + value * scale, middle + half * SCALE], fill=color)
        if true is not None:
            x = left + true * scale
            draw.line([(x, middle - 8 * SCALE), (x, middle + 8 * SCALE)], fill=INK, width=2 * SCALE)
        number = "cut" if cut else f"{100 * after:.1f} %"
        draw.text(
            (draw.im.size[0] - 4 * SCALE, middle), number, fill=MUTED if cut else INK, font=font(9.5), anchor="rm"
        )

    def _shaded_html(self) -> str:
        """The text, every character shaded by its surprise, and pale where the model no longer sees it."""
        surprises, first = self.reader.surprises, max(0, len(self.text) - MOST_SHOWN)
        unseen = len(self.text) - self.reader.seen
        spans = []
        for t in range(first, len(self.text)):
            bits, character = surprises[t], self.text[t]
            strength = 0.6 * min(bits / LOUD, 1.0)
            style = f"background:rgba(213,94,0,{strength:.2f})" + (";opacity:.45" if t < unseen else "")
            words = html.escape(shown(character)) + "<br>" if character == "\n" else html.escape(character)
            spans.append(f'<span title="{bits:.2f} bits" style="{style}">{words}</span>')
        body = ("…" if first else "") + "".join(spans)
        note = "shaded: surprise" + ("; faint: what the model no longer sees" if unseen else "")
        style = (
            "font-family:monospace;font-size:13px;line-height:1.6;white-space:pre-wrap;max-height:132px;overflow-y:auto"
        )
        return (f'<div style="{style};overflow-wrap:anywhere;padding-left:44px">{body}</div>'
                f'<div class="dgm-note" style="padding-left:44px;line-height:1.4">{note}</div>')  # fmt: skip

    # --- words -----------------------------------------------------------------------------------------------------

    @property
    def bits_per_character(self) -> float | None:
        """Mean surprise of the text so far, bits; None while there is no text."""
        return float(self.reader.surprises.mean()) if self.text else None

    def _numbers(self) -> list[tuple[str, str]]:
        mean, true = self.bits_per_character, self.reader.true_surprises()
        rows = [(f"surprise of {len(self.text)} character{'s' * (len(self.text) != 1)}",
                 "–" if mean is None else f"{mean:.3f} bits per character")]  # fmt: skip
        if true is not None and len(true):
            rows.append(("the same, for the source itself", f"{true.mean():.3f} bits per character"))
        if self.rate is not None:
            rows.append(("entropy rate of the source", f"{self.rate:.3f} bits per character"))
        rows.append(("entropy of the next one, the model's", f"{entropy_bits(self.before):.3f} bits"))
        rows.append(("entropy of what is drawn from", f"{entropy_bits(self.after):.3f} bits"))
        return rows

    def _numbers_html(self) -> str:
        body = "".join(f'<tr><th scope="row" style="text-align:left;font-weight:normal">{name}</th>'
                       f'<td style="text-align:right;padding-left:14px;font-variant-numeric:tabular-nums">{value}</td></tr>'
                       for name, value in self._numbers())  # fmt: skip
        return f'<div role="status"><table style="line-height:1.5;white-space:nowrap">{body}</table></div>'

    def _bars_words(self) -> str:
        parts = [f"{name} {100 * before:.1f} %" + (" (cut)" if after <= 0 else f" ({100 * after:.1f} %)")
                 for name, before, after, _ in self._rows()]  # fmt: skip
        end = "at the start of a text" if not self.text else f"after “{self.text[-20:]}”".replace("\n", "↵")
        return f"The next character {end}, in brackets after the dials: {', '.join(parts)}."

    # --- still picture ---------------------------------------------------------------------------------------------

    @property
    def alt(self) -> str:
        numbers = "; ".join(f"{name} {value}" for name, value in self._numbers())
        dials = f"temperature {self.temperature:g}, top-k {self.top_k}, top-p {self.top_p:g}"
        return f"{self._bars_words()} Dials: {dials}. {numbers}."

    def picture(self) -> Image.Image:
        """The text, the numbers and the bars."""
        words = self.text.replace("\n", "↵")
        lines = [words[i : i + 48] for i in range(0, len(words), 48)][-8:] or ["(no text yet)"]
        text = Image.new("RGB", (360 * SCALE, 17 * SCALE * len(lines)), PAPER)
        for i, line in enumerate(lines):
            ImageDraw.Draw(text).text((0, 17 * SCALE * i), line, fill=INK, font=font(11, mono=True))
        dials = [("temperature", f"{self.temperature:g}"), ("top-k", str(self.top_k)), ("top-p", f"{self.top_p:g}")]
        left = beside([captioned(text, "text"), table([*dials, *self._numbers()])], gap=12, down=True)
        return beside([left, captioned(self._bars_picture(), "the next character")], gap=20)
