"""GTZAN rhythm: beat times on the tracks of GTZAN genre (Marchand & Peeters, 2015)."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from musicssl.errors import UserError
from musicssl.probing.tasks.base import require
from musicssl.probing.tasks.gtzan import DATA_SET, track_task

NAME = "gtzan_rhythm"
BEAT_SOURCE = "https://github.com/TempoBeatDownbeat/gtzan_tempo_beat (beats/)"


def beats_below(root: Path) -> Callable[[str], tuple[float, ...]]:
    """The reader of a track's beat times below the data set's folder."""
    beats = require(root, NAME, BEAT_SOURCE, "beats", "gtzan_tempo_beat*/beats")
    return lambda track: beat_times(beats / f"gtzan_{track.replace('.', '_')}.beats")


def beat_times(path: Path) -> tuple[float, ...]:
    """Beat times in seconds: a file holds "time TAB position in bar" lines, but six files of jazz have no position.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    if not path.is_file():
        raise UserError(f"task {NAME}: {path} is missing; get it from {BEAT_SOURCE}")
    try:
        return tuple(float(line.split()[0]) for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except ValueError as error:
        raise UserError(f"{path}: {error}; expected a time in seconds first in each line") from error


TASK = track_task(
    name=NAME,
    title="GTZAN rhythm, beat tracking",
    kind="beat",
    labels=(),
    metrics=("beat_f1_70ms_micro", "beat_f1_70ms", "beat_f1_20ms_micro"),
    label_reader=beats_below,
    data_set=replace(
        DATA_SET,
        source=f"{DATA_SET.source}; {BEAT_SOURCE}",
        layout="as gtzan_genre, and beats/gtzan_GENRE_NNNNN.beats",
        license="annotations: none stated; audio: none stated",
        citation="Marchand, Peeters: Swing ratio estimation, DAFx 2015 (GTZAN-Rhythm)",
    ),
    comparable_to="MARBLE v1 (whole tracks, F at 70 ms pooled over the corpus)",
    window_seconds=None,
)
