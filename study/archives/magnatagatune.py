"""A small MagnaTagATune: a table of quoted, tab-separated cells, short mp3 files in folders 0 to f, three empty."""

from pathlib import Path

from musicssl.demo.composition import Piece
from musicssl.probing.tasks.magnatagatune import CORRUPT_CLIPS, LABELS
from study.archives.audio import make_piece, write_audio, write_lines

CLIPS = 96  # six in each folder
SECONDS = 4.0
# A few of the 138 rarer tags, which the task does not use.
RARER_TAGS = ("duet", "irish", "trance", "water")
STYLE_TAGS = {
    "blues": ("guitar",),
    "classical": ("classical", "classic", "violin"),
    "country": ("country",),
    "disco": ("dance", "beats"),
    "hiphop": ("beat", "electronic"),
    "jazz": ("solo",),
    "metal": ("metal", "loud"),
    "pop": ("pop",),
    "reggae": ("beat",),
    "rock": ("rock",),
}
TIMBRE_TAGS = {
    "distorted_guitar": ("guitar", "loud"),
    "flute": ("flute",),
    "guitar": ("guitar",),
    "piano": ("piano",),
    "strings": ("strings",),
    "synth": ("synth", "electronic"),
    "voice": ("vocal", "vocals", "singing", "voice"),
}


def tags_of(piece: Piece) -> set[str]:
    """The tags that listeners of the original would have given."""
    tags = set(STYLE_TAGS[piece.style])
    for timbre in piece.instruments.values():
        tags.update(TIMBRE_TAGS.get(timbre, ()))
    if "voice" not in piece.instruments.values():
        tags.update(("no vocals", "no vocal", "no voice"))
    if piece.strokes:
        tags.add("drums")
    if piece.tempo_bpm > 125:
        tags.add("fast")
    if piece.tempo_bpm < 85:
        tags.add("slow")
    return tags


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write annotations_final.csv and mp3/."""
    columns = ("clip_id", *LABELS, *RARER_TAGS, "mp3_path")
    rows = [columns]
    for index in range(CLIPS * size):
        piece, waveform = make_piece(seed, "magnatagatune", index, SECONDS)
        path = f"{index % 16:x}/demo-album-{index:02d}-{piece.style}-0-29.mp3"
        rows.append(_row(columns, str(2 + 3 * index), tags_of(piece), path))
        # One clip is in the table but missing from the folder.
        if index != 7:
            write_audio(root / "mp3" / path, waveform)
    for clip_id in sorted(CORRUPT_CLIPS):
        path = f"8/corrupt-{clip_id}-0-29.mp3"
        rows.append(_row(columns, clip_id, set(), path))
        write_lines(root / "mp3" / path, [])
    write_lines(root / "annotations_final.csv", ["\t".join(f'"{cell}"' for cell in row) for row in rows])


def _row(columns: tuple[str, ...], clip_id: str, tags: set[str], path: str) -> list[str]:
    return [clip_id, *("1" if tag in tags else "0" for tag in columns[1:-1]), path]
