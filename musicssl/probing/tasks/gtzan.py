"""GTZAN's audio and its fault-filtered split, shared by genre and rhythm (Kereliuk, Sturm & Larsen, 2015)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicssl.errors import UserError
from musicssl.probing.tasks.base import DataSet, Example, PublishedTask, TaskData, keep_present, require

AUDIO_SOURCE = (
    "genres.tar.gz, sha256 24347e0223d2ba798e0a558c4c172d9d4a19c00bb7963fe055d183dadb4ef2c6 (the first host is gone; "
    "https://www.kaggle.com/datasets/andradaolteanu/gtzan-dataset-music-genre-classification has the files)"
)
LIST_SOURCE = "https://github.com/coreyker/dnn-mgr/tree/master/gtzan ({train,valid,test}_filtered.txt)"
GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")
# Damaged in most copies; MARBLE leaves it out, so that training has 442 of 443 tracks.
CORRUPT_TRACK = "jazz.00054"
DATA_SET = DataSet(
    folder="gtzan",
    source=f"{AUDIO_SOURCE}; {LIST_SOURCE}",
    layout="genres/GENRE/GENRE.NNNNN.wav, {train,valid,test}_filtered.txt",
    license="none stated",
    citation="Tzanetakis, Cook: Musical genre classification of audio signals, IEEE TSAP 10(5), 2002",
)


def track_task(
    name: str, label_reader: Callable[[Path], Callable[[str], Any]], data_set: DataSet = DATA_SET, **facts: Any
) -> PublishedTask:
    """A task on the tracks of the fault-filtered split.

    Args:
        label_reader: gives, for the data set's folder, the function from a track ("blues.00029") to its label.
        facts: what else `Task` needs.
    """
    return PublishedTask(
        name=name,
        patience=20,
        plateau_patience=6,
        published_counts={"train": 442, "validation": 197, "test": 290},
        split_hash="c9d706537d7fc0a52dcae23c1092a303884b2032cb0c282297e29c0dabcbebc9",
        data_set=data_set,
        read=lambda root: read_tracks(root, name, label_reader(root)),
        **facts,
    )


def filtered_tracks(root: Path, task: str) -> dict[str, str]:
    """Track ("blues.00029") -> split, from the three published lists."""
    splits = {}
    for name, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        path = require(root, task, LIST_SOURCE, f"{name}_filtered.txt", f"**/{name}_filtered.txt")
        for line in path.read_text(encoding="utf-8").split():
            track = line.rsplit("/", 1)[-1].removesuffix(".wav")
            if track.split(".")[0] not in GENRES:
                raise UserError(f"{path}: {line!r} is not GENRE/GENRE.NNNNN.wav")
            splits[track] = split
    return splits


def read_tracks(root: Path, task: str, label_of: Callable[[str], Any]) -> TaskData:
    """The tracks of the split with `label_of(track)`."""
    tracks = filtered_tracks(root, task)
    audio = require(root, task, AUDIO_SOURCE, "genres", "genres_original", "Data/genres_original")
    return keep_present(
        root,
        (
            Example(track, str(audio / track.split(".")[0] / f"{track}.wav"), label_of(track), split, track_id=track)
            for track, split in tracks.items()
            if track != CORRUPT_TRACK
        ),
    )
