"""Whole clips, each once and in the order of the source: for statistics, label fitting and stored labels.

Shapes: N samples of a clip at the target rate.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from musicssl.audio.bad_files import BadFiles
from musicssl.audio.decode import AudioFile, BadAudio
from musicssl.audio.integrity import check_complete, check_samples, check_whole, is_silent
from musicssl.audio.sources import Source
from musicssl.audio.tables import Clip


def iterate_clips(
    sources: Sequence[Source],
    sampling_rate: int = 16000,
    channel_mode: str = "mean",
    rank: int = 0,
    world_size: int = 1,
    bad_files: BadFiles | None = None,
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (clip_id, waveform (N,) float32) for this rank's share of the clips; damaged clips go to `bad_files`."""
    record = bad_files or BadFiles()
    for source in sources:
        first, last = (source.num_clips * share // world_size for share in (rank, rank + 1))
        for clip in source.table.fetch(np.arange(first, last)):
            try:
                waveform = read_clip(clip, sampling_rate, channel_mode)
            except BadAudio as error:
                record.record([error])
            else:
                yield clip.clip_id, waveform


def read_clip(clip: Clip, sampling_rate: int = 16000, channel_mode: str = "mean") -> np.ndarray:
    """Decode a whole clip to mono (N,) float32.

    Raises:
        BadAudio: the clip cannot be read, is cut off, holds NaN or infinite samples, or is silent throughout.
    """
    with AudioFile(clip.audio, clip.name) as file:
        check_complete(file)
        waveform = file.read(0, file.num_samples(sampling_rate), sampling_rate, channel_mode)
        check_samples(clip.name, waveform)
        if is_silent(waveform):
            check_whole(file)
        return waveform
