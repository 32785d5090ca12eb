"""VocalSet: its recordings and their 3-second chunks, shared by singer and technique (Wilkins et al., ISMIR 2018).

No split list was ever published for the scores in print, and the original split depends on the order of files on a
disk. Here a recording's split is a hash of its name: it never changes, whatever other files are there.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile as sf

from musicssl.probing.tasks.base import DataSet, Example, PublishedTask, TaskData, require

SOURCE = "https://zenodo.org/records/1203819 (VocalSet11.zip, version 1.1)"
DATA_SET = DataSet(
    folder="vocalset",
    source=SOURCE,
    layout="FULL/{female1-9,male1-11}/CONTEXT/TECHNIQUE/*.wav",
    license="see the Zenodo record",
    citation="Wilkins, Seetharaman, Wahl, Pardo: VocalSet, a singing voice dataset, ISMIR 2018",
)
SINGERS = tuple(f"f{index}" for index in range(1, 10)) + tuple(f"m{index}" for index in range(1, 12))
TECHNIQUES = (
    "belt", "breathy", "fast_forte", "fast_piano", "forte", "inhaled", "lip_trill", "messa", "pp", "slow_forte",
    "slow_piano", "spoken", "straight", "trill", "trillo", "vibrato", "vocal_fry",
)  # fmt: skip
# Duplicates and files the paper's table 2 does not list, left out by MARBLE v1.
LEFT_OUT = {
    f"vibrato/{name}.wav"
    for name in ("f2_scales_vibrato_a(1)", "caro_vibrato", "dona_vibrato", "row_vibrato", "slow_vibrato_arps")
}
# MARBLE v1 cuts 44100 // 1000 * 3000 samples and drops what remains, so that shorter recordings vanish.
CHUNK_SECONDS = 44_100 // 1_000 * 3_000 / 44_100
SPLIT_SEED = 42_617  # MARBLE v1's
SILENCE_DB = -45.0


@dataclass(frozen=True)
class Recording:
    """One file: `name` is its path below FULL without the suffix."""

    name: str
    path: Path
    singer: str
    technique: str


def hash_fraction(name: str) -> float:
    """A number in [0, 1) that depends on a recording's name only."""
    return int(hashlib.sha1(f"{SPLIT_SEED}:{name}".encode()).hexdigest()[:8], 16) / 16**8


def chunk_task(
    name: str,
    title: str,
    labels: tuple[str, ...],
    label_of: Callable[[Recording], str],
    split_of: Callable[[Recording], str],
    minimum_tracks: int,
    patience: int,
) -> PublishedTask:
    """Classify chunks; recordings whose `label_of` is not one of `labels` are left out."""

    def index_of(recording: Recording) -> int | None:
        label = label_of(recording)
        return labels.index(label) if label in labels else None

    return PublishedTask(
        name=name,
        title=title,
        kind="multiclass",
        labels=labels,
        metrics=("accuracy",),
        patience=patience,
        plateau_patience=5,
        minimum_tracks=minimum_tracks,
        aggregate="window",
        comparable_to="MARBLE v1 in style (no split list is published)",
        data_set=DATA_SET,
        read=lambda root: read_chunks(root, name, index_of, split_of),
    )


def read_chunks(
    root: Path, task: str, label_of: Callable[[Recording], int | None], split_of: Callable[[Recording], str]
) -> TaskData:
    """Every whole 3-second chunk of the recordings `label_of` gives a label; leading silence is skipped.

    Files that cannot be decoded, or that hold less than one chunk, are named in `missing` and `notes`.
    """
    examples, damaged, short = [], [], 0
    for recording in _recordings(require(root, task, SOURCE, "FULL", "*/FULL")):
        label = label_of(recording)
        if label is None:
            continue
        try:
            starts = chunk_starts(recording.path)
        except sf.LibsndfileError:
            damaged.append(str(recording.path.relative_to(root)))
            continue
        short += not starts
        for index, start in enumerate(starts):
            examples.append(
                Example(
                    clip_id=f"{recording.name}_{index:02d}",
                    audio=str(recording.path),
                    label=label,
                    split=split_of(recording),
                    track_id=recording.name,
                    start_seconds=start,
                    seconds=CHUNK_SECONDS,
                )
            )
    notes = ["the split is a hash of the recording's name: no list was ever published"]
    if short:
        notes.append(f"{short} recordings shorter than {CHUNK_SECONDS:.3f} s are left out, as in MARBLE v1")
    return TaskData(examples, damaged, notes)


def chunk_starts(path: Path) -> list[float]:
    """Start of each whole chunk in seconds, counted from the end of the leading silence."""
    with sf.SoundFile(path) as file:
        first, rate = _leading_silence(file), file.samplerate
        length = round(CHUNK_SECONDS * rate)
        # Strictly longer, as the reference's loop is.
        count = max(0, (file.frames - first - 1) // length)
    return [(first + index * length) / rate for index in range(count)]


def _leading_silence(file: sf.SoundFile) -> int:
    """Samples before the first 10 ms louder than `SILENCE_DB`; 0 when none is."""
    hop = file.samplerate // 100
    for block, samples in enumerate(file.blocks(hop, dtype="float32", always_2d=True)):
        if np.sqrt(np.mean(samples**2)) > 10.0 ** (SILENCE_DB / 20.0):
            return block * hop
    return 0


def _recordings(full: Path) -> Iterator[Recording]:
    for path in sorted(full.glob("*/*/*/*.wav")):
        technique = path.parent.name
        singer = path.parts[-4].replace("female", "f").replace("male", "m")
        is_resource_fork = path.name.startswith("._")
        if technique not in TECHNIQUES or singer not in SINGERS or is_resource_fork:
            continue
        if f"{technique}/{path.name}" not in LEFT_OUT:
            # The folder names the singer: 28 file names lack or garble it.
            yield Recording(str(path.relative_to(full).with_suffix("")), path, singer, technique)
