"""A small MTG-Jamendo: four tables in three splits with CRLF line ends, low-rate mp3 files, one of them missing."""

from pathlib import Path

from musicssl.demo.composition import Piece
from musicssl.probing.tasks.mtg_top50 import LABELS as TOP50
from study.archives.audio import make_piece, write_audio, write_lines

TRACKS = {"train": 40, "validation": 16, "test": 16}
SECONDS = 6.0  # the originals are whole songs
HEADER = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
STYLE_GENRES = {"disco": ("disco", "dance"), "metal": ("metal", "rock"), "hiphop": ("hiphop", "rap")}
TIMBRE_INSTRUMENTS = {
    "bass": "bass", "brass": "brass", "distorted_guitar": "electricguitar", "electric_piano": "electricpiano",
    "flute": "flute", "guitar": "guitar", "organ": "organ", "piano": "piano", "reed": "clarinet",
    "strings": "strings", "synth": "synthesizer", "voice": "voice",
}  # fmt: skip


def tags_of(piece: Piece) -> list[str]:
    """Genre, instrument and mood tags of a piece."""
    genres = STYLE_GENRES.get(piece.style, (piece.style,))
    instruments = [TIMBRE_INSTRUMENTS[timbre] for timbre in sorted(set(piece.instruments.values()))]
    moods = ["happy" if piece.mode == "major" else "emotional", "energetic" if piece.tempo_bpm > 110 else "relaxing"]
    return [
        *(f"genre---{tag}" for tag in genres),
        *(f"instrument---{tag}" for tag in (*instruments, *(["drums"] if piece.strokes else []))),
        *(f"mood/theme---{tag}" for tag in moods),
    ]


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write data/splits/split-0 and audio-low/."""
    belongs = {
        "genre": lambda tag: tag.startswith("genre---"),
        "instrument": lambda tag: tag.startswith("instrument---"),
        "moodtheme": lambda tag: tag.startswith("mood/theme---"),
        "top50tags": lambda tag: tag in TOP50,
    }
    number = 0
    for split, count in TRACKS.items():
        tables = {subset: [HEADER] for subset in belongs}
        for _ in range(count * size):
            number += 1
            piece, waveform = make_piece(seed, "mtg_jamendo", number, SECONDS)
            path = f"{number % 100:02d}/{number}.mp3"
            start = f"track_{number:07d}\tartist_{number // 2:06d}{split[:2]}\talbum_{number:06d}\t{path}\t{SECONDS}"
            for subset, includes in belongs.items():
                tags = [tag for tag in tags_of(piece) if includes(tag)]
                if tags:
                    tables[subset].append("\t".join([start, *tags]))
            if number != 5:
                write_audio((root / "audio-low" / path).with_suffix(".low.mp3"), waveform, 22_050)
        for subset, lines in tables.items():
            write_lines(root / "data/splits/split-0" / f"autotagging_{subset}-{split}.tsv", lines, end="\r\n")
