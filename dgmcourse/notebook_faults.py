"""What a reader should not see in a notebook: errors, warnings, paths of a machine, pictures without words."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nbformat import NotebookNode

__all__ = ["WIDGET", "faults", "headings"]

WIDGET = "application/vnd.jupyter.widget-view+json"
DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,[A-Za-z0-9+/=\s]+")
MACHINE_PATH = re.compile(
    r"(?<![\w./:~-])/(?:home|Users|root|tmp|var|usr|opt|mnt|srv|private|work|workspace)/[\w.@~-]+"
    r"|file:///\S+|(?<!\w)[A-Za-z]:\\+(?:Users|Windows|Program|Temp)\S*"
)
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


def faults(notebook: "NotebookNode") -> list[str]:
    """Everything that stops a notebook from being published, one line each, with the cell it is in.

    Errors and warnings among the outputs; a picture without alternative text (show it with `show(fig, alt="…")`);
    a widget without a static picture; a path of this machine or an object's address; headings that skip a level, or
    another number of `#` headings than one.
    """
    found = list(_heading_faults(headings(notebook)))
    for number, cell in enumerate(notebook.cells, 1):
        messages = [*_text_faults(cell.source, "its source")]
        if cell.cell_type == "markdown":
            messages += _picture_faults(_without_code(cell.source), markdown=True)
        for output in cell.get("outputs", ()):
            messages += _output_faults(output)
        begins = next((line for line in cell.source.split("\n") if line.strip()), "")
        found += [f"cell {number}, which begins {begins!r}: {message}" for message in messages]
    return found


def headings(notebook: "NotebookNode") -> list[tuple[int, str]]:
    """The headings of all markdown cells in order, as (level, text); what stands in a block of code is none."""
    found = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            lines = re.findall(r"^ {0,3}(#{1,6})[ \t]+(.+?)\s*$", _without_code(cell.source), re.MULTILINE)
            found += [(len(marks), text) for marks, text in lines]
    return found


def _heading_faults(found: list[tuple[int, str]]) -> Iterator[str]:
    titles = [text for level, text in found if level == 1]
    if len(titles) != 1:
        yield f"a notebook has one '#' heading, this one has {len(titles)}: {', '.join(titles) or 'none'}"
    if found and found[0][0] != 1:
        yield f"the first heading is of level {found[0][0]}: {found[0][1]!r}; begin with '#'"
    for (before, _), (level, text) in pairwise(found):
        if level > before + 1:
            yield f"the heading {text!r} is of level {level} below one of level {before}: no level may be skipped"


def _without_code(markdown: str) -> str:
    return re.sub(r"^(```+|~~~+).*?^\1[ \t]*$", "", markdown, flags=re.MULTILINE | re.DOTALL)


def _output_faults(output: "NotebookNode") -> Iterator[str]:
    if output.output_type == "error":
        yield f"it shows an error: {output.ename}: {output.evalue}"
        return
    if output.output_type == "stream":
        if output.name == "stderr":
            yield f"it writes to stderr (a warning?): {output.text.strip()[:300]!r}"
        yield from _text_faults(output.text, "its output")
        return
    data = output.data
    pictures = [kind for kind in data if kind.startswith("image/")]
    html = "".join(data.get("text/html", ""))
    if pictures and not html:
        yield f"a bare {pictures[0]} has no alternative text; show it with show(fig, alt='…')"
    if WIDGET in data and not pictures and not html:
        yield "a widget without a static picture; give it one (text/html) for readers without a kernel"
    yield from _picture_faults(html)
    for kind, content in data.items():
        if kind.startswith("text/"):
            yield from _text_faults("".join(content), f"its output ({kind})")


def _text_faults(text: str, where: str) -> Iterator[str]:
    text = DATA_URI.sub("", text)
    for path in dict.fromkeys(MACHINE_PATH.findall(text)):
        yield f"{where} names a path of this machine: {path!r}"
    if ADDRESS.search(text):
        yield f"{where} shows an object's address ({ADDRESS.search(text)[0]}), another one at each run; give it a repr"


def _picture_faults(text: str, markdown: bool = False) -> Iterator[str]:
    parser = _Pictures()
    parser.feed(text)
    yield from (f"a picture without alternative text: <{tag} …>" for tag in parser.silent)
    if markdown:
        yield from ("a picture without alternative text: ![](…)" for _ in re.findall(r"!\[\s*\]\(", text))


class _Pictures(HTMLParser):
    """Collects the <img> and <svg> tags of a piece of HTML that say nothing to a screen reader."""

    def __init__(self):
        super().__init__()
        self.silent = []
        self.depth = 0  # of <svg> tags: what is inside one is described by the outermost

    def handle_starttag(self, tag, attributes):
        said = dict(attributes)
        hidden = said.get("aria-hidden") == "true"
        if tag == "img" and not hidden and not (said.get("alt") or "").strip():
            self.silent.append(tag)
        if tag == "svg":
            self.depth += 1
            labels = (said.get(name) or "" for name in ("aria-label", "aria-labelledby"))
            if self.depth == 1 and not hidden and not any(label.strip() for label in labels):
                self.silent.append(tag)

    def handle_endtag(self, tag):
        if tag == "svg":
            self.depth = max(0, self.depth - 1)
