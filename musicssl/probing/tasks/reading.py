"""Helpers to read published data sets: files that must be there, tables, clips that are there."""

import csv
from collections.abc import Iterable
from pathlib import Path

from musicssl.errors import UserError
from musicssl.probing.tasks.base import Example, TaskData


def require(root: Path, task: str, source: str, *relative: str) -> Path:
    """The first of the `relative` files or folders (glob patterns) below `root`, or a UserError with the fix."""
    for pattern in relative:
        found = sorted(root.glob(pattern))
        if found:
            return found[0]
    raise UserError(f"task {task}: {root / relative[0]} is missing; get it from {source}")


def read_rows(path: Path, delimiter: str, columns: Iterable[str]) -> list[dict[str, str]]:
    """Rows of a table with a header, names and values stripped (published tables have stray blanks and CRLF).

    Cells beyond the header belong to the last column, still with `delimiter` between them.

    Raises:
        UserError: a column is absent, from the header or from a row.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, delimiter=delimiter)
        header = [name.strip() for name in next(reader, [])]
        absent = [column for column in columns if column not in header]
        if absent:
            raise UserError(f"{path}: no column {', '.join(absent)}; is this the distributed file?")
        last, rows = len(header) - 1, []
        for cells in filter(None, reader):
            cells = [cell.strip() for cell in cells]
            rows.append(dict(zip(header, [*cells[:last], delimiter.join(cells[last:])], strict=False)))
            if any(column not in rows[-1] for column in columns):
                raise UserError(f"{path}, line {reader.line_num}: {len(cells)} cells, the header has {len(header)}")
        return rows


def number(row: dict[str, str], column: str, path: Path) -> float:
    """`row[column]` as a float, or a UserError that names the file and the value."""
    try:
        return float(row[column])
    except ValueError as error:
        raise UserError(f"{path}: {column} {row[column]!r} is not a number") from error


def keep_present(root: Path, examples: Iterable[Example]) -> TaskData:
    """The examples whose file is there; files that are absent or empty are listed as missing."""
    present, missing = [], set()
    for example in examples:
        path = Path(example.audio)
        # A name alone proves nothing: archives hold empty files, and interrupted downloads leave them.
        if path.is_file() and path.stat().st_size > 0:
            present.append(example)
        else:
            missing.add(str(path.relative_to(root)))
    return TaskData(present, sorted(missing))
