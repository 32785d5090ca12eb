"""Any labelled collection as probing tasks, one per column of labels."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicssl.errors import UserError
from musicssl.probing.kinds import get_kind
from musicssl.probing.kinds.base import Kind
from musicssl.probing.tasks.base import SPLITS, Example, Task, TaskData, task_name
from musicssl.probing.tasks.labelled_rows import read_rows


def custom_task(
    source: str | Path, label: str, kind: str = "multiclass", track_column: str | None = None
) -> tuple[Task, TaskData]:
    """The task of one column, see `custom_tasks`."""
    return custom_tasks(source, [label], [kind], track_column=track_column)[0]


def custom_tasks(
    source: str | Path,
    labels: Sequence[str],
    kinds: Sequence[str] = ("multiclass",),
    audio_column: str = "audio",
    track_column: str | None = None,
) -> list[tuple[Task, TaskData]]:
    """Make a task of each column of labels; `source` is read once.

    Args:
        source: a folder with `metadata.csv` or `metadata.jsonl` (`file_name` and label columns; the split is a
            column `split` or the folder train, validation or test), a folder SPLIT/CLASS/file, a folder of parquet
            files, or a Hub id.
        labels: columns; for regression several columns joined by `+` are the dimensions of one target.
        kinds: names of `musicssl.probing.kinds.KINDS`, one for all of `labels` or one for each; the file of a kind
            says what a column of it holds.
        audio_column: of parquet files and Hub data sets.
        track_column: clips with the same value in this column are one track: their scores are averaged.

    Raises:
        UserError: no such source, column or kind, or a label that is not of its kind (names the row).
    """
    source = str(source)
    kinds = list(kinds) * len(labels) if len(kinds) == 1 else kinds
    wanted = [(label, get_kind(kind)) for label, kind in zip(labels, kinds, strict=True)]
    rows = list(read_rows(source, audio_column))
    if not rows:
        raise UserError(
            f"--custom_task {source}: no labelled clips; add a metadata table, parquet files or folders SPLIT/CLASS"
        )
    return [_make_task(source, rows, label, kind, audio_column, track_column) for label, kind in wanted]


def _make_task(
    source: str, rows: Sequence[dict], label: str, kind: Kind, audio_column: str, track_column: str | None
) -> tuple[Task, TaskData]:
    columns = kind.columns(label)
    for column in [*columns, *([track_column] if track_column else [])]:
        if not any(column in row for row in rows):
            known = sorted({name for row in rows[:100] for name in row} - {audio_column, "split"})
            raise UserError(f"--custom_task {source}: no column {column!r}; available: {', '.join(known)}")
    labelled, parsed = _labelled(source, rows, columns, kind)
    vocabulary, values = kind.encode(columns, parsed)
    examples = [
        Example(row["clip_id"], row[audio_column], value, row["split"], str(row[track_column or "clip_id"]))
        for row, value in zip(labelled, values, strict=True)
    ]
    _check_tracks(source, track_column, examples)
    by_split = {split: [each.label for each in examples if each.split == split] for split in SPLITS}
    if absent := [split for split, own in by_split.items() if not own]:
        raise UserError(
            f"--custom_task {source}: no labelled clips for {', '.join(absent)}; name folders, parquet files or the "
            "values of a column `split` train, validation and test"
        )
    unlabelled = len(rows) - len(examples)
    notes = [f"{unlabelled} clips without a label left out"] if unlabelled else []
    name = task_name(source, label)
    task = Task(
        name=name,
        title=name.replace("_", " "),
        kind=kind.name,
        labels=vocabulary,
        metrics=kind.metrics,
        patience=20,
        plateau_patience=5,  # as MARBLE v1 on its small sets
        comparable_to="nothing: a data set of your own",
    )
    return task, TaskData(examples, notes=notes + kind.label_notes(vocabulary, by_split))


def _labelled(source: str, rows: Sequence[dict], columns: Sequence[str], kind: Kind) -> tuple[list[dict], list]:
    """The rows that have a label, and their labels."""
    labelled, parsed = [], []
    for row in rows:
        values = [row.get(column) for column in columns]
        if any(_is_empty(value, kind) for value in values):
            continue
        try:
            parsed.append(kind.parse(values))
        except ValueError as error:
            raise UserError(
                f"--custom_task {source}: {row['clip_id']}, column {'+'.join(columns)}: {error}"
            ) from error
        labelled.append(row)
    return labelled, parsed


def _is_empty(value: Any, kind: Kind) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str) and value.strip().lower() in kind.empty


def _check_tracks(source: str, track_column: str | None, examples: Sequence[Example]) -> None:
    """The clips of a track are one example: one label, and one split, or the test would hold what was trained on."""
    first: dict[str, Example] = {}
    for example in examples:
        other = first.setdefault(example.track_id, example)
        for what, differ in (("labels", other.label != example.label), ("splits", other.split != example.split)):
            if differ:
                raise UserError(
                    f"--custom_task {source}: {other.clip_id} and {example.clip_id} share --track_column "
                    f"{track_column} but have different {what}; fix the table or drop --track_column"
                )
