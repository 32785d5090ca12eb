"""Tables: a header and rows, printed as text, Markdown or HTML."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table; a cell is printed as its `str`.

    Attributes:
        header: the names of the columns.
        rows: sequences of cells, each as long as the header.
    """

    header: Sequence[object]
    rows: Sequence[Sequence[object]]

    def text(self) -> str:
        """Columns aligned for a terminal, two spaces apart."""
        return "\n".join("  ".join(line).rstrip() for line in self._lines(str, aligned=True))

    def markdown(self, aligned: bool = True) -> str:
        """A Markdown table; a bar in a cell is escaped.

        Args:
            aligned: whether the columns are aligned for a terminal too.
        """
        lines = self._lines(lambda cell: cell.replace("|", "\\|"), aligned)
        printed = ["| " + " | ".join(line) + " |" for line in lines]
        rule = "|".join("-" * (len(cell) + 2) if aligned else "---" for cell in lines[0])
        return "\n".join([printed[0], f"|{rule}|", *printed[1:]])

    def html(self) -> str:
        """A `<table>`; every cell is escaped."""
        lines = self._lines(html.escape, aligned=False)
        head = "".join(f"<th>{cell}</th>" for cell in lines[0])
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines[1:])
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _lines(self, escape: Callable[[str], str], aligned: bool) -> list[list[str]]:
        lines = [[escape(str(cell)) for cell in line] for line in (self.header, *self.rows)]
        widths = [max(map(len, column)) if aligned else 0 for column in zip(*lines, strict=True)]
        return [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in lines]
