"""The parts of a probing task: examples, the facts its scores depend on, and what reads and checks a published set."""

import csv
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from musicssl.errors import UserError

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Example:
    """One labelled clip.

    Attributes:
        clip_id: unique in the task; for most tasks equal to `track_id`.
        audio: path of the file, or its bytes.
        label: int (multiclass, key), tuple of positive indices (multilabel), tuple of floats (regression),
            tuple of beat times in seconds from the start of the file (beat); for other kinds see their file.
        split: one of `SPLITS`.
        track_id: the unit of the split, over which window scores are averaged.
        start_seconds, seconds: the part of the file that is the clip; None is the rest of the file.
    """

    clip_id: str
    audio: str | bytes
    label: Any
    split: str
    track_id: str
    start_seconds: float = 0.0
    seconds: float | None = None


@dataclass(frozen=True)
class TaskData:
    """The part of a data set that was found.

    Attributes:
        examples: every usable clip.
        missing: files the annotations name but the disk lacks or holds empty, as paths in the data set.
        notes: remarks for readers of the scores, one sentence each.
        problems: differences from the published data set that were seen while reading.
        comparable: whether this is the published data set, whole.
    """

    examples: list[Example]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    comparable: bool = True

    def counts(self) -> dict[str, int]:
        """Distinct tracks per split."""
        return {split: len(self.track_ids(split)) for split in SPLITS}

    def track_ids(self, split: str) -> set[str]:
        """Distinct track ids of one split."""
        return {example.track_id for example in self.examples if example.split == split}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A probing task: everything its scores depend on, except the clips.

    Attributes:
        name: what `--tasks` takes and `results.json` holds.
        kind: a name of `musicssl.probing.kinds.KINDS`; it decides head, loss, metrics and what a label is.
        labels: class names in index order (regression: dimension names; beat: empty).
        metrics: reported on test, the primary one first.
        window_seconds: non-overlapping windows of the clips go through the encoder; None is the whole clip.
        minimum_window_seconds: a last window shorter than this is dropped.
        aggregate: "track" averages window scores per `track_id`, "window" scores each window.
        epochs, patience, plateau_patience: training of the heads, in epochs; MARBLE v1's for most sets.
        comparable_to: whose numbers these are comparable to when the data set is whole.
    """

    name: str
    title: str
    kind: str
    labels: tuple[str, ...]
    metrics: tuple[str, ...]
    comparable_to: str = "MARBLE v1"
    epochs: int = 100
    patience: int
    plateau_patience: int
    window_seconds: float | None = 30.0
    minimum_window_seconds: float = 1.0
    aggregate: str = "track"

    @property
    def primary_metric(self) -> str:
        """The metric by which two models are compared."""
        return self.metrics[0]


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """A published data set.

    Attributes:
        folder: its folder below `--data_root`; tasks on the same audio share it.
        source: where to get it.
        layout: the files and folders that must be there.
    """

    folder: str
    source: str
    layout: str
    license: str
    citation: str


@dataclass(frozen=True, kw_only=True)
class PublishedTask(Task):
    """A task on a published data set, whose folder is read and checked.

    Attributes:
        published_counts: tracks per split; None where none are published.
        minimum_tracks: where none are published, fewer tracks than this cannot be the whole set.
        split_hash: `split_digest` of the published split; None where no list is published.
        read: reads the folder; raises UserError when something of the layout is not there.
    """

    data_set: DataSet
    read: Callable[[Path], TaskData]
    published_counts: Mapping[str, int] | None = None
    minimum_tracks: int = 0
    split_hash: str | None = None

    def root(self, data_root: str | Path) -> Path:
        """The task's folder: `data_root/NAME` when there is one, else that of the data set."""
        own = Path(data_root) / self.name
        return own if own.is_dir() else Path(data_root) / self.data_set.folder

    def load(self, root: str | Path, allow_partial: bool = False) -> TaskData:
        """Read the data set below `root` and check it against the published counts and split.

        Args:
            root: the task's folder, in the layout the archive has when unpacked.
            allow_partial: take what is there, flagged as not comparable, instead of raising.

        Raises:
            UserError: nothing usable is there, a split is empty, or the set is not the published one.
        """
        data = self.read(Path(root))
        counts, source = data.counts(), self.data_set.source
        empty = [split for split in SPLITS if counts[split] == 0]
        if empty:
            absent = f" ({len(data.missing)} clips missing, first {data.missing[0]})" if data.missing else ""
            raise UserError(
                f"task {self.name}: nothing for {', '.join(empty)} in {root}{absent}; get it from {source}"
            )
        problems = self.problems(data)
        if not problems:
            return data
        if not allow_partial:
            raise UserError(
                f"task {self.name}: {'; '.join(problems)}; complete {root} from {source}, "
                "or pass --allow_partial to score what is there (not comparable)"
            )
        note = f"not the published data set: {'; '.join(problems)}"
        return replace(data, notes=[*data.notes, note], comparable=False)

    def problems(self, data: TaskData) -> list[str]:
        """How `data` differs from the published data set, in words; empty when it does not."""
        problems = list(data.problems)
        if data.missing:
            problems.append(f"{len(data.missing)} clips missing, first {data.missing[0]}")
        counts = data.counts()
        if self.published_counts is not None and counts != dict(self.published_counts):
            found, published = (slashed(each) for each in (counts, self.published_counts))
            problems.append(f"{found} tracks instead of {published}")
        if sum(counts.values()) < self.minimum_tracks:
            problems.append(f"{sum(counts.values())} tracks, the whole set has more than {self.minimum_tracks}")
        if self.split_hash is not None and split_digest(data.examples) != self.split_hash:
            problems.append("the split differs from the published one")
        return problems


def slashed(counts: Mapping[str, int]) -> str:
    """Tracks per split as "train / validation / test"."""
    return " / ".join(str(counts[split]) for split in SPLITS)


def split_digest(examples: Iterable[Example]) -> str:
    """SHA-256 of the sorted `track_id<TAB>split` lines: equal exactly when two splits are."""
    lines = sorted({f"{example.track_id}\t{example.split}" for example in examples})
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


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
        path = Path(str(example.audio))  # published sets are files, never bytes
        # A name alone proves nothing: archives hold empty files, and interrupted downloads leave them.
        if path.is_file() and path.stat().st_size > 0:
            present.append(example)
        else:
            missing.add(str(path.relative_to(root)))
    return TaskData(present, sorted(missing))


def task_name(source: str | Path, label: str) -> str:
    """The name in `results.json` of the task of a column of a custom collection."""
    return f"{Path(source).name}_{label.replace('+', '_')}"
