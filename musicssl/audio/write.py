"""Write audio with libsndfile, in blocks."""

from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile

# libsndfile can crash when it encodes minutes of Vorbis in one call.
_BLOCK_FRAMES = 1 << 16


def write_audio(
    target: str | Path | BinaryIO,
    samples: np.ndarray,
    sampling_rate: int,
    format: str | None = None,
    subtype: str | None = None,
) -> None:
    """Write float samples (N,) or (N, channels) of any length; the format follows the name if it is not given."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    if format is None and Path(target).suffix.lower() == ".opus":
        format, subtype = "OGG", "OPUS"
    name = str(target) if isinstance(target, (str, Path)) else target
    with soundfile.SoundFile(name, "w", sampling_rate, channels, format=format, subtype=subtype) as file:
        for start in range(0, len(samples), _BLOCK_FRAMES):
            file.write(samples[start : start + _BLOCK_FRAMES])
