"""The plain prose of the lessons, which the lesson on autoregressive models learns to write.

    python -m dgmcourse.notebook_prose        writes dgmcourse/data/prose.txt anew, from solutions/*.py

Not part of `make notebooks`: the text changes what that lesson's models learn, so it is renewed on purpose.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

__all__ = ["PROSE", "lesson_prose", "plain_sentences", "write_prose"]

PROSE = Path(__file__).parent / "data" / "prose.txt"
ASCII = str.maketrans(
    {"–": "-", "—": "-", "−": "-", "‐": "-", "…": "...", "’": "'", "‘": "'", "“": '"', "”": '"', "\u00a0": " "}
)
PLAIN = re.compile(r"[A-Za-z0-9 .,;:!?'\"()%/+-]+")  # what a sentence may be made of
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
SHORT = 40  # strings of code cells below this length are names, not prose


def lesson_prose(source: str) -> list[str]:
    """The paragraphs of a lesson in percent format that hold plain sentences, without mark-up: one string each.

    They come from the text, and from what code cells ask, explain and describe pictures with. Sentences with formulas
    or signs beyond the keyboard's are left out, and so are headings and tables.
    """
    found = []
    for paragraph in _paragraphs(source):
        sentences = plain_sentences(paragraph)
        if sentences:
            found.append(" ".join(sentences))
    return found


def plain_sentences(paragraph: str) -> list[str]:
    """The whole sentences of a Markdown paragraph that need nothing but letters, digits and punctuation."""
    text = re.sub(r"\$\$.*?\$\$", " $ ", paragraph, flags=re.DOTALL)
    text = re.sub(r"!?\[([^]]*)\]\([^)]*\)", r"\1", text)  # a link is its text
    text = re.sub(r"`([^`]*)`", r"\1", text)
    text = re.sub(
        r"\$([A-Za-z0-9]|[0-9.,]+)\$", r"\1", text
    )  # a letter or a number is none the worse without its dollars
    text = re.sub(r"\*+|\b_|_\b", "", text).translate(ASCII)
    sentences = SENTENCE_END.split(" ".join(text.split()))
    return [one for one in sentences if PLAIN.fullmatch(one) and one[0].isupper() and one[-1] in ".!?" and " " in one]


def _paragraphs(source: str) -> Iterator[str]:
    """Every paragraph and list item of the Markdown cells, and every long string of the code cells."""
    for cell in re.split(r"^# %%", source, flags=re.MULTILINE)[1:]:
        header, _, body = cell.partition("\n")
        if "[markdown]" not in header:
            yield from _long_strings(body)
            continue
        markdown = "\n".join(line.removeprefix("#").removeprefix(" ") for line in body.splitlines())
        for piece in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.)\s)", markdown):
            piece = re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "", piece.strip("\n"))
            if piece and not piece.startswith(("#", "|", ">")):
                yield piece


def _long_strings(code: str) -> Iterator[str]:
    """The long string constants of a code cell, but for docstrings, which name shapes and formulas."""
    tree = ast.parse(code)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        long = isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) >= SHORT
        if long and id(node) not in docstrings:
            yield node.value


def write_prose(solutions: Path, target: Path = PROSE) -> int:
    """Write the prose of all lessons in a folder, a paragraph a line; returns the number of characters.

    A sentence that several lessons share is written once: what is to be predicted must not stand in the training text.
    """
    lessons = (path.read_text(encoding="utf-8") for path in sorted(solutions.glob("[0-9][0-9]*_*.py")))
    told, paragraphs = set(), []
    for paragraph in (paragraph for lesson in lessons for paragraph in lesson_prose(lesson)):
        new = [sentence for sentence in SENTENCE_END.split(paragraph) if sentence not in told]
        told.update(new)
        paragraphs += [" ".join(new)] if new else []
    prose = "\n".join(paragraphs) + "\n"
    target.write_text(prose, encoding="utf-8")
    return len(prose)


if __name__ == "__main__":
    write_prose(Path(__file__).resolve().parents[1] / "solutions")
