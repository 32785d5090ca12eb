"""Make the pieces of the archives; write their audio and text files."""

from pathlib import Path

import numpy as np
import soundfile as sf
import soxr

from musicssl.demo.collection import clip_generator
from musicssl.demo.composition import Piece, compose
from musicssl.demo.render import SAMPLING_RATE, render


def make_piece(seed: int, part: str, index: int, seconds: float, **choices: str) -> tuple[Piece, np.ndarray]:
    """The piece of one clip, and its waveform; `choices` are the style and the key of `compose`."""
    rng = clip_generator(seed, part, index)
    piece = compose(rng, seconds, **choices)
    return piece, render(piece, rng)


def write_audio(path: Path, waveform: np.ndarray, sampling_rate: int = SAMPLING_RATE) -> None:
    """Write a 16 kHz waveform (N,) in the format of the suffix, at `sampling_rate` Hz; makes the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sampling_rate != SAMPLING_RATE:
        waveform = soxr.resample(waveform, SAMPLING_RATE, sampling_rate)
    # The lowest variable bit rate is the fastest to encode, and mp3 encoding takes most of the time.
    options = {"bitrate_mode": "VARIABLE", "compression_level": 0.9} if path.suffix == ".mp3" else {}
    sf.write(path, waveform, sampling_rate, format=path.suffix[1:].upper(), **options)


def write_lines(path: Path, lines: list[str], end: str = "\n") -> None:
    """Write lines, each ended by `end`, byte for byte; makes the folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(line + end for line in lines).encode())
