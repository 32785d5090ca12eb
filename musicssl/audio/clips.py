"""Whole clips, each once and in the order of the source: for statistics, label fitting and stored labels.

N samples of a clip at the target rate.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from musicssl.audio.bad_files import BadFiles
from musicssl.audio.crops import TooShort
from musicssl.audio.decode import AudioFile, BadAudio
from musicssl.audio.integrity import SILENCE_PEAK, check_complete, check_samples, check_whole, is_silent
from musicssl.audio.sources import Source
from musicssl.audio.tables import Clip


def iterate_clips(
    sources: Sequence[Source],
    sampling_rate: int = 16000,
    channel_mode: str = "mean",
    rank: int = 0,
    world_size: int = 1,
    window_seconds: float | None = None,
    hop_seconds: float | None = None,
    min_seconds: float = 0.0,
    silence_peak: float = SILENCE_PEAK,
    bad_files: BadFiles | None = None,
) -> Iterator[tuple[str, np.ndarray | list[np.ndarray]]]:
    """Yield (clip_id, waveform (N,) float32), or (clip_id, windows) with `window_seconds`, of this rank's clips.

    Windows start every `hop_seconds` (default: every `window_seconds`, no overlap); they cover the clip and the last
    one is as short as the clip leaves it. Damaged clips are skipped, as are clips under `min_seconds`, and put on
    record in `bad_files`.
    """
    record = bad_files or BadFiles()
    for source in sources:
        first, last = (source.num_clips * share // world_size for share in (rank, rank + 1))
        for clip in source.table.fetch(np.arange(first, last)):
            try:
                waveform = read_clip(clip, sampling_rate, channel_mode, min_seconds, silence_peak)
            except BadAudio as error:
                record.record([(error, "short" if isinstance(error, TooShort) else "damaged")])
                continue
            if window_seconds is None:
                yield clip.clip_id, waveform
            else:
                window = round(window_seconds * sampling_rate)
                hop = window if hop_seconds is None else round(hop_seconds * sampling_rate)
                starts = range(0, max(1, len(waveform) - (window - hop)), hop)
                yield clip.clip_id, [waveform[start : start + window] for start in starts]


def read_clip(
    clip: Clip,
    sampling_rate: int = 16000,
    channel_mode: str = "mean",
    min_seconds: float = 0.0,
    silence_peak: float = SILENCE_PEAK,
) -> np.ndarray:
    """Decode a whole clip to mono (N,) float32.

    Raises:
        TooShort: it is shorter than `min_seconds`.
        BadAudio: it cannot be read, is cut off, holds NaN or infinite samples, or is silent throughout.
    """
    with AudioFile(clip.audio, clip.name) as file:
        check_complete(file, clip.audio)
        if file.info.seconds < min_seconds:
            raise TooShort(clip.name, f"{file.info.seconds:.2f} s is shorter than min_seconds {min_seconds:g}")
        waveform = file.read(0, file.num_samples(sampling_rate), sampling_rate, channel_mode)
        check_samples(clip.name, waveform)
        if is_silent(waveform, silence_peak):
            check_whole(file, silence_peak)
        return waveform
