"""Any labelled collection as a probing task: an `audiofolder`, parquet files, or a data set on the Hub."""

import ast
import csv
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet

from musicssl.errors import UserError
from musicssl.probing.tasks.base import SPLITS, Example, Task, TaskData

TYPES = ("multiclass", "multilabel", "regression", "key", "beat")
METRICS = {
    "multiclass": ("accuracy",),
    "multilabel": ("roc_auc", "average_precision"),
    "regression": ("r2",),
    "key": ("key_score", "accuracy"),
    "beat": ("beat_f1_70ms_micro", "beat_f1_70ms", "beat_f1_20ms_micro"),
}
KEY_NAMES = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
KEYS = tuple(f"{tonic} {mode}" for mode in ("major", "minor") for tonic in KEY_NAMES)
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}
_AUDIO_SUFFIXES = {".wav", ".flac", ".ogg", ".opus", ".mp3", ".aif", ".aiff", ".au"}
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


def custom_task(
    source: str, label: str, kind: str = "multiclass", audio_column: str = "audio", track_column: str | None = None
) -> Task:
    """Make a task of `source`'s column `label`.

    Args:
        source: a folder with `metadata.csv` or `metadata.jsonl` (`file_name` and label columns; the split is a
            column `split` or the folder train, validation or test), a folder SPLIT/CLASS/file, a folder of parquet
            files, or a Hub id.
        label: a column; for regression several columns joined by `+` are the dimensions of one target.
        kind: what the column holds. multiclass: any value. multilabel: a list, or text parted by `,`, `;` or `|`.
            regression: a number. key: like "F# minor". beat: beat times in seconds, a list or parted by spaces.
        track_column: clips with one value there are one track: their scores are averaged.

    Raises:
        UserError: no such source or column, or a label that is not of this kind (names the row).
    """
    if kind not in TYPES:
        raise UserError(f"--type {kind}: choose one of {', '.join(TYPES)}")
    rows = list(_rows(source, audio_column))
    if not rows:
        raise UserError(f"--custom_task {source}: no labelled clips there")
    columns = label.split("+") if kind == "regression" else [label]
    for column in [*columns, *([track_column] if track_column else [])]:
        if not any(column in row for row in rows):
            known = sorted({name for row in rows[:100] for name in row} - {audio_column, "split"})
            raise UserError(f"--custom_task {source}: no column {column!r}; there are {', '.join(known)}")
    examples, labels, notes = _examples(source, rows, columns, kind, audio_column, track_column)
    absent = [split for split in SPLITS if not any(example.split == split for example in examples)]
    if absent:
        raise UserError(
            f"--custom_task {source}: no labelled clips for {', '.join(absent)}; name folders, parquet files or a "
            "column `split` train, validation and test"
        )
    name = f"{Path(source).name}_{label.replace('+', '_')}"
    return Task(
        name=name,
        dataset=Path(source).name,
        title=name.replace("_", " "),
        kind=kind,
        labels=labels,
        metrics=METRICS[kind],
        primary_metric=METRICS[kind][0],
        epochs=100,
        patience=20,
        plateau_patience=5,  # as MARBLE v1 on its small sets
        published_counts=None,
        split_hash=None,
        licence="",
        citation="",
        source=source,
        layout="an audiofolder, parquet files or a Hub data set",
        comparable_to="nothing: a data set of your own",
        read=lambda root: TaskData(examples, notes=notes),
    )


def parse_key(text: str) -> int:
    """ "F# minor", "Gbm", "A:maj" -> 0-23 (0-11 C..B major, 12-23 C..B minor); ValueError when it is no key."""
    match = re.fullmatch(r"\s*([A-Ga-g])([#b♯♭]?)[\s:_-]*(major|maj|minor|min|m)?\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is not a key like 'F# minor'")
    letter, sign, mode = match.groups()
    tonic = _LETTERS[letter.upper()] + {"#": 1, "♯": 1, "b": -1, "♭": -1, "": 0}[sign]
    return tonic % 12 + 12 * ((mode or "major").startswith("m") and not (mode or "major").startswith("maj"))


def _examples(
    source: str, rows: list[dict], columns: Sequence[str], kind: str, audio_column: str, track_column: str | None
) -> tuple[list[Example], tuple[str, ...], list[str]]:
    kept, unlabelled = [], 0
    for row in rows:
        values = [row.get(column) for column in columns]
        if any(_is_empty(value, kind) for value in values):
            unlabelled += 1
            continue
        try:
            kept.append((row, _PARSERS[kind](values)))
        except ValueError as error:
            raise UserError(
                f"--custom_task {source}: {row['clip_id']}, column {'+'.join(columns)}: {error}"
            ) from error
    labels = _vocabulary(kind, columns, [value for _, value in kept])
    places = {name: index for index, name in enumerate(labels)}
    encode: Callable[[Any], Any] = {
        "multiclass": lambda value: places[value],
        "multilabel": lambda value: tuple(sorted(places[tag] for tag in value)),
    }.get(kind, lambda value: value)
    examples = [
        Example(
            row["clip_id"],
            row[audio_column],
            encode(value),
            row["split"],
            str(row[track_column]) if track_column else row["clip_id"],
        )
        for row, value in kept
    ]
    _check_tracks(source, track_column, examples)
    notes = [f"{unlabelled} clips without a label left out"] if unlabelled else []
    return examples, labels, notes + _label_notes(kind, labels, examples)


def _check_tracks(source: str, track_column: str | None, examples: Sequence[Example]) -> None:
    """The clips of a track are one example: one label, and one split, or a test would hear what was trained on."""
    first: dict[str, Example] = {}
    for example in examples:
        other = first.setdefault(example.track_id, example)
        for what, differ in (("labels", other.label != example.label), ("splits", other.split != example.split)):
            if differ:
                raise UserError(
                    f"--custom_task {source}: {other.clip_id} and {example.clip_id} are one track by --track_column "
                    f"{track_column}, but have two {what}; mend the table, or leave the flag out"
                )


def _label_notes(kind: str, labels: Sequence[str], examples: Sequence[Example]) -> list[str]:
    """Say which classes a split lacks: they cannot be learnt, or are not tested."""
    if kind not in ("multiclass", "multilabel"):
        return []
    notes = []
    seen = {split: Counter() for split in SPLITS}
    for example in examples:
        seen[example.split].update([example.label] if kind == "multiclass" else example.label)
    for index, name in enumerate(labels):
        elsewhere = seen["validation"][index] + seen["test"][index]
        if not seen["train"][index] and elsewhere:
            notes.append(f"label {name!r} is missing from train: its {elsewhere} clips elsewhere count as wrong")
    untested = [name for index, name in enumerate(labels) if not seen["test"][index]]
    if untested:
        shown = ", ".join(untested[:10]) + (" ..." if len(untested) > 10 else "")
        notes.append(f"{len(untested)} of {len(labels)} labels have no test clip: {shown}")
    return notes


def _vocabulary(kind: str, columns: Sequence[str], values: Sequence[Any]) -> tuple[str, ...]:
    if kind == "key":
        return KEYS
    if kind == "regression":
        return tuple(columns)
    if kind == "beat":
        return ()
    names = set(values) if kind == "multiclass" else {tag for tags in values for tag in tags}
    return tuple(sorted(names, key=_natural))


def _natural(name: str) -> tuple:
    """Numbers by value, before words."""
    try:
        return (0, float(name), name)
    except ValueError:
        return (1, 0.0, name)


def _is_empty(value: Any, kind: str) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    empty = {"", "unknown", "none", "-"} if kind == "key" else {""}
    return isinstance(value, str) and value.strip().lower() in empty


def _as_list(value: Any, separators: str) -> list[str]:
    """A list, the text of one ("[1, 2]"), or parted text -> its items as text."""
    if isinstance(value, str):
        if value.strip().startswith("["):
            value = ast.literal_eval(value.strip())
        else:
            value = re.split(separators, value.strip())
    return [str(item).strip() for item in value if str(item).strip()]


_PARSERS: dict[str, Callable[[list], Any]] = {
    "multiclass": lambda values: str(values[0]).strip(),
    "multilabel": lambda values: tuple(_as_list(values[0], r"[,;|]")),
    "regression": lambda values: tuple(float(value) for value in values),
    "key": lambda values: parse_key(str(values[0])),
    "beat": lambda values: tuple(sorted(float(time) for time in _as_list(values[0], r"[\s,;]+"))),
}


def _rows(source: str, audio_column: str) -> Iterator[dict]:
    """Rows with at least `clip_id`, `split` and the audio column (a path or bytes)."""
    root = Path(source)
    if not root.is_dir():
        yield from _hub_rows(source, audio_column)
        return
    tables = sorted([*root.rglob("metadata.csv"), *root.rglob("metadata.jsonl")])
    if tables:
        for table in tables:
            yield from _metadata_rows(root, table, audio_column)
    elif any(root.rglob("*.parquet")):
        for path in sorted(root.rglob("*.parquet")):
            yield from _table_rows(path.name, _split_of(path.name), parquet.read_table(path).to_pylist(), audio_column)
    else:
        for path in sorted(root.glob("*/*/*")):
            split = _SPLIT_NAMES.get(path.parts[-3].lower())
            if split and path.suffix.lower() in _AUDIO_SUFFIXES:
                yield {
                    "clip_id": str(path.relative_to(root)),
                    "split": split,
                    audio_column: str(path),
                    "label": path.parent.name,
                }


def _metadata_rows(root: Path, table: Path, audio_column: str) -> Iterator[dict]:
    with table.open(newline="", encoding="utf-8-sig") as file:
        rows = (
            list(csv.DictReader(file))
            if table.suffix == ".csv"
            else [json.loads(line) for line in file if line.strip()]
        )
    for number, row in enumerate(rows, start=2):
        if not row.get("file_name"):
            raise UserError(f"--custom_task {root}: {table} row {number} has no file_name")
        path = table.parent / row["file_name"]
        # The folder a clip lies in, below `root`: the collection's own name says nothing.
        folders = [_SPLIT_NAMES.get(part.lower()) for part in path.relative_to(root).parts[:-1]]
        split = _split_of(str(row.get("split") or "")) or next(filter(None, folders), None)
        if split is None:
            raise UserError(
                f"--custom_task {root}: {table} row {number} has no split; add a column `split` or put the files into "
                "folders train, validation and test"
            )
        yield row | {"clip_id": str(path.relative_to(root)), "split": split, audio_column: str(path)}


def _table_rows(name: str, split: str | None, rows: Sequence[dict], audio_column: str) -> Iterator[dict]:
    for number, row in enumerate(rows):
        row_split = _split_of(str(row.get("split") or "")) or split
        if row_split is None:
            raise UserError(f"--custom_task: {name} row {number} has no split; add a column `split`")
        audio = row.get(audio_column)
        if isinstance(audio, dict):
            audio = audio.get("bytes") or audio.get("path")
        if not isinstance(audio, (str, bytes)):
            raise UserError(
                f"--custom_task: {name} row {number} has no audio in column {audio_column!r} (--audio_column)"
            )
        yield row | {"clip_id": f"{name}:{number}", "split": row_split, audio_column: audio}


def _hub_rows(source: str, audio_column: str) -> Iterator[dict]:
    from datasets import Audio, load_dataset

    try:
        splits = load_dataset(source)
    except Exception as error:  # the Hub client has no common error; all mean: not loadable
        raise UserError(
            f"--custom_task {source}: neither a folder here nor a data set on the Hub: {str(error).splitlines()[0]}"
        ) from error
    for name, table in splits.items():
        if audio_column in table.column_names:
            # Undecoded: the bytes are read with the same decoder as every other clip.
            table = table.cast_column(audio_column, Audio(decode=False))
        yield from _table_rows(name, _split_of(name), table, audio_column)


def _split_of(name: str) -> str | None:
    """The split that a parquet file or a column value names: `train-00000-of-00002.parquet` is train."""
    return _SPLIT_NAMES.get(re.split(r"[-_.]", name.lower())[0])
