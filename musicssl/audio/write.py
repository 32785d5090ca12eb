"""Write audio with libsndfile, in blocks."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

from musicssl.files import whole_file

# --audio_format -> libsndfile's names.
FORMATS = {
    "flac": ("FLAC", "PCM_16"),
    "wav": ("WAV", "PCM_16"),
    "ogg": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mp3": ("MP3", None),
}
# libsndfile can crash when it encodes minutes of Vorbis in one call.
_BLOCK_FRAMES = 1 << 16


def write_audio(
    target: str | Path | BinaryIO,
    samples: np.ndarray,
    sampling_rate: int,
    format: str | None = None,
    subtype: str | None = None,
) -> None:
    """Write float samples (N,) or (N, channels) of any length to a stream, or whole to a file.

    Args:
        sampling_rate: in Hz.
        format: libsndfile's name; by default that of the file's suffix.
        subtype: libsndfile's name; by default that of the format.
    """
    if not isinstance(target, (str, Path)):
        _write(target, samples, sampling_rate, format, subtype)
        return
    suffix = Path(target).suffix[1:].upper()
    if format is None and suffix == "OPUS":
        format, subtype = "OGG", "OPUS"
    with whole_file(Path(target)) as partial:
        _write(str(partial), samples, sampling_rate, format or suffix, subtype)


def _write(
    target: str | BinaryIO, samples: np.ndarray, sampling_rate: int, format: str | None, subtype: str | None
) -> None:
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    with soundfile.SoundFile(target, "w", sampling_rate, channels, format=format, subtype=subtype) as file:
        for start in range(0, len(samples), _BLOCK_FRAMES):
            file.write(samples[start : start + _BLOCK_FRAMES])
