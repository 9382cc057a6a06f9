"""Tables as the lessons and the command line show them: aligned text, and HTML with a caption."""

import html
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Table"]


@dataclass(frozen=True)
class Table:
    """Rows of cells under a header. Numbers are shown as they are given: format them first.

    Attributes:
        header: names of the columns.
        rows: each as long as the header.
        caption: a line above it.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    caption: str = ""

    def __post_init__(self):
        for row in self.rows:
            if len(row) != len(self.header):
                raise ValueError(f"each row needs {len(self.header)} cells, as the header has; got {len(row)}: {row}")

    def __repr__(self):
        lines = [tuple(map(str, line)) for line in (self.header, *self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.header))]
        text = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines]
        return "\n".join([self.caption] * bool(self.caption) + text)

    def markdown(self) -> str:
        """The table as Markdown has it, below its caption."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        text = "\n".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines)
        return f"{self.caption}\n\n{text}" if self.caption else text

    def _repr_html_(self):
        caption = f'<caption style="text-align:left">{html.escape(self.caption)}</caption>' if self.caption else ""
        head = "".join(f'<th scope="col" style="text-align:left">{html.escape(str(cell))}</th>' for cell in self.header)
        body = "".join(
            "<tr>" + "".join(f'<td style="text-align:left">{html.escape(str(cell))}</td>' for cell in row) + "</tr>"
            for row in self.rows
        )
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
