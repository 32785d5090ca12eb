"""Read any labelled collection as rows: a folder with a metadata table, parquet files, a folder per class, or the Hub.

A row is a dict with at least `clip_id`, `split` and the audio column (a path or the bytes of a file).
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import pyarrow.parquet as parquet

from musicssl.audio.decode import AUDIO_EXTENSIONS
from musicssl.errors import UserError, first_line

_SPLIT_NAMES = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    "validation": "validation", "valid": "validation", "val": "validation", "dev": "validation",
}  # fmt: skip


def read_rows(source: str, audio_column: str) -> Iterator[dict]:
    """The rows of a collection, see `custom_tasks` for what `source` may be.

    Raises:
        UserError: nothing is there, or a row has no split, file name or audio.
    """
    root = Path(source)
    if not root.is_dir():
        return _hub_rows(source, audio_column)
    if tables := sorted([*root.rglob("metadata.csv"), *root.rglob("metadata.jsonl")]):
        return (row for table in tables for row in _metadata_rows(root, table, audio_column))
    if files := sorted(root.rglob("*.parquet")):
        return (row for path in files for row in _parquet_rows(path, audio_column))
    return _class_folder_rows(root, audio_column)


def _metadata_rows(root: Path, table: Path, audio_column: str) -> Iterator[dict]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        is_csv = table.suffix == ".csv"
        rows = list(csv.DictReader(file)) if is_csv else [json.loads(line) for line in file if line.strip()]
    for number, row in enumerate(rows, start=2):
        if not row.get("file_name"):
            raise UserError(f"--custom_task {root}: {table} row {number} has no file_name; fill the column in")
        path = table.parent / row["file_name"]
        # Only folders below `root` name a split, not the collection's own folder.
        folders = [_SPLIT_NAMES.get(part.lower()) for part in path.relative_to(root).parts[:-1]]
        split = _split_of(str(row.get("split") or "")) or next(filter(None, folders), None)
        if split is None:
            raise UserError(
                f"--custom_task {root}: {table} row {number} has no split; add a column `split` or put the files into "
                "folders train, validation and test"
            )
        yield row | {"clip_id": str(path.relative_to(root)), "split": split, audio_column: str(path)}


def _class_folder_rows(root: Path, audio_column: str) -> Iterator[dict]:
    for path in sorted(root.glob("*/*/*")):
        split = _SPLIT_NAMES.get(path.parts[-3].lower())
        if split and path.suffix.lower() in {*AUDIO_EXTENSIONS, ".au"}:
            clip_id = str(path.relative_to(root))
            yield {"clip_id": clip_id, "split": split, audio_column: str(path), "label": path.parent.name}


def _parquet_rows(path: Path, audio_column: str) -> Iterator[dict]:
    return _table_rows(path.name, _split_of(path.name), parquet.read_table(path).to_pylist(), audio_column)


def _hub_rows(source: str, audio_column: str) -> Iterator[dict]:
    from datasets import Audio, load_dataset

    try:
        splits = load_dataset(source)
    except Exception as error:  # the Hub client has no common error; all mean: not loadable
        raise UserError(
            f"--custom_task {source}: no such folder, and not a data set on the Hub: {first_line(error)}"
        ) from error
    for name, table in splits.items():
        if audio_column in table.column_names:
            # Undecoded: the bytes are read with the same decoder as every other clip.
            table = table.cast_column(audio_column, Audio(decode=False))
        yield from _table_rows(name, _split_of(name), table, audio_column)


def _table_rows(name: str, split: str | None, rows: Iterable[dict], audio_column: str) -> Iterator[dict]:
    for number, row in enumerate(rows):
        row_split = _split_of(str(row.get("split") or "")) or split
        if row_split is None:
            raise UserError(f"--custom_task: {name} row {number} has no split; add a column `split`")
        audio = row.get(audio_column)
        if isinstance(audio, dict):
            audio = audio.get("bytes") or audio.get("path")
        if not isinstance(audio, (str, bytes)):
            raise UserError(
                f"--custom_task: {name} row {number} has no audio in column {audio_column!r}; name the column "
                "with --audio_column"
            )
        yield row | {"clip_id": f"{name}:{number}", "split": row_split, audio_column: audio}


def _split_of(name: str) -> str | None:
    """The split that a parquet file or a column value names: `train-00000-of-00002.parquet` is train."""
    return _SPLIT_NAMES.get(re.split(r"[-_.]", name.lower())[0])
