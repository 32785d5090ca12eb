"""A small GTZAN: wav files by genre, the three lists, beats with and without positions, a broken jazz.00054."""

from pathlib import Path

from musicssl.demo.composition import Piece
from musicssl.demo.styles import STYLES
from study.archives.audio import make_piece, write_audio, write_lines

SECONDS = 4.0  # the originals last 30
# Track numbers of each genre by list; a larger set continues with numbers above 100, which the original lacks.
TRACKS = {"train": (4, 18, 54, 60), "valid": (7,), "test": (10, 71)}


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write genres/, beats/ and the lists."""
    for name, numbers in TRACKS.items():
        lines = []
        for genre_index, genre in enumerate(sorted(STYLES)):
            for number in (first + 100 * turn for turn in range(size) for first in numbers):
                track = f"{genre}.{number:05d}"
                lines.append(f"{genre}/{track}.wav")
                path = root / "genres" / genre / f"{track}.wav"
                if track == "jazz.00054":
                    write_lines(path, ["not a sound file"])
                    continue
                piece, waveform = make_piece(seed, "gtzan", 1000 * genre_index + number, SECONDS, style=genre)
                write_audio(path, waveform, 22_050)
                _write_beats(root / "beats" / f"gtzan_{track.replace('.', '_')}.beats", piece)
        write_lines(root / f"{name}_filtered.txt", lines)


def _write_beats(path: Path, piece: Piece) -> None:
    """ "time TAB position in bar"; files 10 and 18 of jazz lack the position, as in the original."""
    lines, position = [], None
    for time in piece.beat_times:
        if time in piece.downbeat_times:
            position = 1
        elif position is not None:
            position += 1
        bare = position is None or path.stem in ("gtzan_jazz_00010", "gtzan_jazz_00018")
        lines.append(f"{time:.3f}" if bare else f"{time:.3f}\t{position}")
    write_lines(path, lines)
