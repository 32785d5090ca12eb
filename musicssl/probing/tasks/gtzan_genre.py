"""GTZAN genre: ten genres on 30-second clips, fault-filtered split (Tzanetakis & Cook, 2002; Sturm, 2013)."""

from pathlib import Path

from musicssl.probing.tasks.base import Task, TaskData
from musicssl.probing.tasks.gtzan import (
    AUDIO_SOURCE,
    GENRES,
    LIST_SOURCE,
    PUBLISHED_COUNTS,
    SPLIT_HASH,
    read_tracks,
)


def read(root: Path) -> TaskData:
    """The genre is the first part of a track's name."""
    return read_tracks(root, TASK.name, lambda track: GENRES.index(track.split(".")[0]))


TASK = Task(
    name="gtzan_genre",
    dataset="gtzan",
    title="GTZAN genre",
    kind="multiclass",
    labels=GENRES,
    metrics=("accuracy",),
    primary_metric="accuracy",
    epochs=100,
    patience=20,
    plateau_patience=6,
    published_counts=PUBLISHED_COUNTS,
    split_hash=SPLIT_HASH,
    licence="none stated",
    citation="Tzanetakis, Cook: Musical genre classification of audio signals, IEEE TSAP 10(5), 2002",
    source=f"{AUDIO_SOURCE}; {LIST_SOURCE}",
    layout="genres/GENRE/GENRE.NNNNN.wav, {train,valid,test}_filtered.txt",
    comparable_to="MARBLE v1",
    read=read,
)
