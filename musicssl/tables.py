"""Tables: a header and rows, printed as text, Markdown or HTML."""

import html
from collections.abc import Sequence
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
        lines, widths = self._lines_and_widths()
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def markdown(self, aligned: bool = True) -> str:
        """A Markdown table; a bar in a cell is escaped.

        Args:
            aligned: whether the columns are aligned for a terminal too.
        """
        lines, widths = self._lines_and_widths(lambda cell: cell.replace("|", "\\|"))
        if not aligned:
            printed = ["| " + " | ".join(line) + " |" for line in lines]
            return "\n".join([printed[0], "|" + "---|" * len(widths), *printed[1:]])
        printed = [
            "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |"
            for line in lines
        ]
        printed.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(printed)

    def html(self) -> str:
        """A `<table>`; every cell is escaped."""
        lines, _ = self._lines_and_widths(html.escape)
        head = "".join(f"<th>{cell}</th>" for cell in lines[0])
        body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in line) + "</tr>" for line in lines[1:])
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _lines_and_widths(self, escape=str) -> tuple[list[list[str]], list[int]]:
        lines = [[escape(str(cell)) for cell in line] for line in (self.header, *self.rows)]
        return lines, [max(map(len, column)) for column in zip(*lines, strict=True)]
