"""A small Emomusic: tables with tabs around the names, numbered mp3 files."""

from pathlib import Path

import numpy as np

from musicssl.demo.collection import clip_generator
from musicssl.demo.composition import Piece, compose
from musicssl.demo.render import render
from study.archives.audio import write_audio, write_lines

SONGS = 60
SECONDS = 6.0  # the originals last 45
HEADER = (
    "song_id,file_name,Artist,Song title,start of the segment (min.sec),end of the segment (min.sec),Genre,"
    "Mediaeval 2013 set"
)


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write annotations/ and clips_45seconds/; every fifth song is in the evaluation set."""
    info, ratings = [HEADER], ["song_id,mean_arousal,std_arousal,mean_valence,std_valence"]
    for index in range(SONGS * size):
        rng = clip_generator(seed, "emomusic", index)
        piece = compose(rng, SECONDS)
        song_id = 2 + index
        mediaeval = "evaluation" if index % 5 == 4 else "development"
        artist, title = f"\tThe {_letters(index)} Band\t", f"\tSong {index}\t"
        info.append(f"{song_id},{song_id}.mp3,{artist},{title},0.15,1,{piece.style}\t,{mediaeval}")
        arousal, valence = feeling(piece) + rng.normal(0.0, 0.3, 2)
        ratings.append(f"{song_id},{arousal:.4f},1.2000,{valence:.4f},1.1000")
        write_audio(root / "clips_45seconds" / f"{song_id}.mp3", render(piece, rng), 22_050)
    write_lines(root / "annotations" / "songs_info.csv", info)
    write_lines(root / "annotations" / "static_annotations.csv", ratings)


def _letters(index: int) -> str:
    """A name without digits: the split rule reads letters only."""
    return "".join("abcdefghij"[int(digit)] for digit in str(index))


def feeling(piece: Piece) -> np.ndarray:
    """(arousal, valence) on scales of 1 to 9: fast and noisy music is arousing, major and soft music is pleasant."""
    harsh = "distorted_guitar" in piece.instruments.values()
    arousal = 2.0 + 4.0 * (piece.tempo_bpm - 60.0) / 120.0 + 1.5 * harsh + 0.01 * len(piece.strokes)
    valence = 4.0 + 2.0 * (piece.mode == "major") - 1.0 * harsh + 1.0 * ("voice" in piece.instruments.values())
    return np.clip([arousal, valence], 1.0, 9.0)
