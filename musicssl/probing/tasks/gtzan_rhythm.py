"""GTZAN rhythm: beat times on the tracks of GTZAN genre (Marchand & Peeters, 2015)."""

from pathlib import Path

from musicssl.errors import UserError
from musicssl.probing.tasks.base import Task, TaskData, require
from musicssl.probing.tasks.gtzan import AUDIO_SOURCE, LIST_SOURCE, PUBLISHED_COUNTS, SPLIT_HASH, read_tracks

BEAT_SOURCE = "https://github.com/TempoBeatDownbeat/gtzan_tempo_beat (beats/)"


def read(root: Path) -> TaskData:
    """Beat files hold "time TAB position in bar"; six of jazz have no position."""
    beats = require(root, TASK.name, BEAT_SOURCE, "beats", "gtzan_tempo_beat*/beats")
    return read_tracks(root, TASK.name, lambda track: beat_times(beats / f"gtzan_{track.replace('.', '_')}.beats"))


def beat_times(path: Path) -> tuple[float, ...]:
    """Beat times in seconds; a UserError names a file that is missing or cannot be read."""
    if not path.is_file():
        raise UserError(f"task {TASK.name}: {path} is missing; get it from {BEAT_SOURCE}")
    try:
        return tuple(float(line.split()[0]) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except ValueError as error:
        raise UserError(f"{path}: {error}; expected a time in seconds first in each line") from error


TASK = Task(
    name="gtzan_rhythm",
    dataset="gtzan",
    title="GTZAN rhythm, beat tracking",
    kind="beat",
    labels=(),
    metrics=("beat_f1_70ms_micro", "beat_f1_70ms", "beat_f1_20ms_micro"),
    primary_metric="beat_f1_70ms_micro",
    epochs=100,
    patience=20,
    plateau_patience=6,
    published_counts=PUBLISHED_COUNTS,
    split_hash=SPLIT_HASH,
    licence="annotations: none stated; audio: none stated",
    citation="Marchand, Peeters: Swing ratio estimation, DAFx 2015 (GTZAN-Rhythm)",
    source=f"{AUDIO_SOURCE}; {LIST_SOURCE}; {BEAT_SOURCE}",
    layout="as gtzan_genre, and beats/gtzan_GENRE_NNNNN.beats",
    comparable_to="MARBLE v1 (whole tracks, F at 70 ms pooled over the corpus)",
    read=read,
    window_seconds=None,
)
