"""MTG-Jamendo: tracks, official split 0 and tables, shared by four tagging tasks (Bogdanov et al., 2019)."""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from musicssl.errors import UserError
from musicssl.probing.tasks.base import (
    SPLITS,
    DataSet,
    Example,
    PublishedTask,
    TaskData,
    keep_present,
    number,
    read_rows,
    require,
)

SOURCE = (
    "https://github.com/MTG/mtg-jamendo-dataset (tables: the repository; audio: its scripts/download/download.py "
    "--dataset raw_30s --type audio-low)"
)
AUDIO_FOLDERS = ("audio-low", "raw_30s/audio-low", "raw_30s/audio", "audio", ".")


def tagging_task(
    name: str,
    title: str,
    subset: str,
    labels: tuple[str, ...],
    counts: tuple[int, int, int],
    hours: tuple[float, float, float],
) -> PublishedTask:
    """The task of one table.

    Args:
        subset: `autotagging_SUBSET` of split 0.
        counts, hours: published tracks and hours of training, validation and test.
    """
    return PublishedTask(
        name=name,
        title=title,
        kind="multilabel",
        labels=labels,
        metrics=("roc_auc", "average_precision"),
        patience=10,
        plateau_patience=3,
        published_counts=dict(zip(SPLITS, counts, strict=True)),
        data_set=DataSet(
            folder="mtg_jamendo",
            source=SOURCE,
            layout=f"data/splits/split-0/autotagging_{subset}-{{train,validation,test}}.tsv, "
            "NN/NNNN.low.mp3 (or in audio-low)",
            license="tables CC BY-NC-SA 4.0; audio Creative Commons by track (audio_licenses.txt)",
            citation="Bogdanov, Won, Tovstogan, Porter, Serra: The MTG-Jamendo dataset for automatic music tagging, "
            "ICML 2019",
        ),
        read=lambda root: read_table(root, name, subset, labels, dict(zip(SPLITS, hours, strict=True))),
    )


def read_table(
    root: Path, task: str, subset: str, labels: tuple[str, ...], published_hours: Mapping[str, float]
) -> TaskData:
    """Tracks of `autotagging_SUBSET` with the indices of their tags.

    The tables end their lines with CRLF: with them, a track's last tag would be another class.
    """
    tables = f"data/splits/split-0/autotagging_{subset}-{{}}.tsv"
    indices = {label: index for index, label in enumerate(labels)}
    rows, hours = [], {}
    for split in SPLITS:
        relative = tables.format(split)
        path = require(root, task, SOURCE, relative, f"mtg-jamendo-dataset*/{relative}")
        table = read_rows(path, "\t", ("TRACK_ID", "ARTIST_ID", "PATH", "DURATION", "TAGS"))
        rows += [(row, split) for row in table]
        hours[split] = sum(number(row, "DURATION", path) / 3600.0 for row in table)
    unknown = sorted({tag for row, _ in rows for tag in row["TAGS"].split("\t")} - set(labels))
    if unknown:
        raise UserError(f"task {task}: unknown tag {unknown[0]!r} in autotagging_{subset}; is this split-0?")
    problems = _wrong_hours(hours, published_hours) + _shared_artists(rows)
    locate = _locator(root, [row["PATH"] for row, _ in rows])
    data = keep_present(
        root,
        (
            Example(
                clip_id=row["TRACK_ID"],
                audio=str(locate(row["PATH"])),
                label=tuple(sorted(indices[tag] for tag in row["TAGS"].split("\t"))),
                split=split,
                track_id=row["TRACK_ID"],
            )
            for row, split in rows
        ),
    )
    return TaskData(data.examples, data.missing, problems=problems)


def _wrong_hours(hours: Mapping[str, float], published: Mapping[str, float]) -> list[str]:
    """The sum of durations identifies a table for which no list of ids is published."""
    if all(abs(hours[split] - published[split]) < 0.06 for split in SPLITS):
        return []
    found, expected = (" / ".join(f"{each[split]:.1f}" for split in SPLITS) for each in (hours, published))
    return [f"{found} hours instead of {expected}"]


def _shared_artists(rows: list[tuple[dict, str]]) -> list[str]:
    """The official splits share no artist."""
    artists = {split: {row["ARTIST_ID"] for row, each in rows if each == split} for split in SPLITS}
    shared = artists["test"] & (artists["train"] | artists["validation"])
    return [f"{len(shared)} artists are in test and in training, first {min(shared)}"] if shared else []


def _locator(root: Path, paths: list[str]) -> Callable[[str], Path]:
    """Find the folder and suffix of the audio once, from the first track that is there."""
    for folder in AUDIO_FOLDERS:
        for suffix in (".low.mp3", ".mp3"):
            locate = partial(_audio_path, root / folder, suffix)
            if (root / folder).is_dir() and any(locate(path).is_file() for path in paths):
                return locate
    return partial(_audio_path, root, ".low.mp3")


def _audio_path(folder: Path, suffix: str, path: str) -> Path:
    return (folder / path).with_suffix(suffix)
