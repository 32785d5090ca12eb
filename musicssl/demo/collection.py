"""The demo collection: unlabelled tracks to pre-train on, and two small labelled sets to probe with.

```
DIR/pretrain/track-0000.flac …                                   unlabelled
DIR/probe/notes/{train,validation,test}/metadata.csv, *.flac     instrument, pitch, pitch_class
DIR/probe/pieces/{train,validation,test}/metadata.csv, *.flac    style, key, mode, lead, tempo_bpm, beat_times …
```
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musicssl.audio.write import write_audio
from musicssl.demo.composition import compose
from musicssl.demo.render import SAMPLING_RATE, add_at, finish, render
from musicssl.demo.sounds import TIMBRES, play
from musicssl.keys import TONICS

NOTE_INSTRUMENTS = ("brass", "flute", "guitar", "organ", "piano", "reed", "strings", "voice")
NOTE_SECONDS = 1.5
PIECE_SECONDS = 6.0


@dataclass(frozen=True)
class CollectionSettings:
    """The size of the demo collection; the same settings give the same bytes.

    Attributes:
        seed: of all random choices.
        clips, clip_seconds: number and length of the unlabelled tracks.
        notes, pieces: number of labelled training clips; validation and test have a third as many each.
    """

    seed: int = 0
    clips: int = 40
    clip_seconds: float = 20.0
    notes: int = 240
    pieces: int = 120


def write_pretrain(directory: Path, settings: CollectionSettings) -> None:
    """Write unlabelled tracks in all styles, keys and tempi."""
    for index in range(settings.clips):
        rng = clip_generator(settings.seed, "pretrain", index)
        waveform = render(compose(rng, settings.clip_seconds), rng)
        write_audio(directory / f"track-{index:04d}.flac", waveform, SAMPLING_RATE)


def write_notes(directory: Path, settings: CollectionSettings) -> None:
    """Write single notes: every instrument over three octaves, soft and loud, in many rooms."""
    for split, index in _clips(settings.notes):
        rng = clip_generator(settings.seed, f"notes/{split}", index)
        instrument = NOTE_INSTRUMENTS[index % len(NOTE_INSTRUMENTS)]
        midi = int(rng.integers(48, 84))
        mix = np.zeros(int(NOTE_SECONDS * SAMPLING_RATE), dtype=np.float32)
        seconds, velocity = rng.uniform(0.5, 1.2), rng.uniform(0.3, 1.0)
        add_at(mix, play(TIMBRES[instrument], midi, seconds, velocity, rng), 0.05)
        labels = {"instrument": instrument, "pitch": midi, "pitch_class": TONICS[midi % 12]}
        _add_clip(directory / split, f"note-{index:04d}.flac", finish(mix, rng), labels)


def write_pieces(directory: Path, settings: CollectionSettings) -> None:
    """Write polyphonic excerpts with the labels of their composition."""
    for split, index in _clips(settings.pieces):
        rng = clip_generator(settings.seed, f"pieces/{split}", index)
        piece = compose(rng, PIECE_SECONDS)
        labels = {
            "style": piece.style,
            "key": piece.key,
            "mode": piece.mode,
            "lead": piece.instruments["lead"],
            "tempo_bpm": round(piece.tempo_bpm, 1),
            "beat_times": " ".join(f"{time:.3f}" for time in piece.beat_times),
            "downbeat_times": " ".join(f"{time:.3f}" for time in piece.downbeat_times),
        }
        _add_clip(directory / split, f"piece-{index:04d}.flac", render(piece, rng), labels)


def clip_generator(seed: int, part: str, index: int) -> np.random.Generator:
    """The generator of one clip: a clip does not change with the number of clips."""
    return np.random.default_rng([seed, index, *part.encode()])


def _clips(train: int) -> Iterable[tuple[str, int]]:
    for split, count in (("train", train), ("validation", train // 3), ("test", train // 3)):
        for index in range(count):
            yield split, index


def _add_clip(directory: Path, name: str, waveform: np.ndarray, labels: dict[str, object]) -> None:
    """Write one clip and append its row to the folder's metadata.csv."""
    write_audio(directory / name, waveform, SAMPLING_RATE)
    metadata = directory / "metadata.csv"
    is_new = not metadata.exists()
    with metadata.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["file_name", *labels], lineterminator="\n")
        if is_new:
            writer.writeheader()
        writer.writerow({"file_name": name, **labels})


# Part of the collection -> what writes it.
PARTS = {"pretrain": write_pretrain, "probe/notes": write_notes, "probe/pieces": write_pieces}
