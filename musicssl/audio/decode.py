"""Decode audio: whole clips or only the crop that is asked for, mixed down to mono and resampled.

N samples of a crop at the target rate; everything returned is float32 of shape (N,).

A crop is *seek-read*: only its own samples (and 40 ms on each side for the resampler) are decoded. The
decoder is libsndfile (wav, flac, ogg, opus, mp3, aiff, au), the resampler soxr; neither needs FFmpeg.
"""

import io
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import soundfile
import soxr

AUDIO_EXTENSIONS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aiff", ".aif", ".aifc"})
CHANNEL_MODES = ("mean", "left", "random")

# Half the length of soxr's filter is below 10 ms at 16 kHz; with 40 ms a crop equals the slice of the whole
# resampled clip to float32 rounding.
_RESAMPLER_MARGIN_SECONDS = 0.04
_BLOCK_FRAMES = 1 << 20
# Headers of sound mp3 files promise up to some frames of 26 ms more than can be decoded.
_MP3_SLACK_SECONDS = 0.5
_MP3_LOOK_BACK_SECONDS = 5.0  # a seek past the end of the data gives nothing, not the end


class BadAudio(Exception):
    """Audio that cannot be used; `source` names it, `reason` says why, and `kind` is what the record calls it."""

    kind = "damaged"

    def __init__(self, source: str, reason: str):
        super().__init__(f"{source}: {reason}")
        self.source = source
        self.reason = reason

    def __reduce__(self):
        return type(self), (self.source, self.reason)


@dataclass(frozen=True)
class AudioInfo:
    """What the header says: `frames` per channel at `sampling_rate` (Hz), libsndfile's format and subtype."""

    frames: int
    sampling_rate: int
    channels: int
    format: str
    subtype: str

    @property
    def seconds(self) -> float:
        return self.frames / self.sampling_rate


class AudioFile:
    """An open audio file (a path, or the bytes of a file) from which crops are read.

    Args:
        source: a path, or the bytes of an encoded file.
        name: its name in errors; by default the path, or "<bytes>".

    Raises:
        BadAudio: it is missing, empty, not audio, or has no channels or no samples.
    """

    def __init__(self, source: str | Path | bytes, name: str | None = None):
        self.source = source
        self.name = name or ("<bytes>" if isinstance(source, bytes) else str(source))
        if not isinstance(source, bytes) and not Path(source).is_file():
            raise BadAudio(self.name, "no such file")
        if (len(source) if isinstance(source, bytes) else Path(source).stat().st_size) == 0:
            raise BadAudio(self.name, "empty file")
        try:
            self._file = soundfile.SoundFile(io.BytesIO(source) if isinstance(source, bytes) else str(source))
        except (soundfile.LibsndfileError, TypeError, ValueError) as error:
            raise BadAudio(self.name, f"not readable as audio: {_libsndfile_reason(error)}") from None
        file = self._file
        self.info = AudioInfo(file.frames, file.samplerate, file.channels, file.format, file.subtype)
        if self.info.channels < 1 or self.info.frames < 1 or self.info.sampling_rate < 1:
            self.close()
            raise BadAudio(self.name, "no samples")

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    @property
    def header_log(self) -> str:
        """The notes of libsndfile on the header: sizes that do not match, for example."""
        return self._file.extra_info

    def num_samples(self, sampling_rate: int) -> int:
        """The length of the whole clip at `sampling_rate` (Hz)."""
        return int(self.info.frames * sampling_rate / self.info.sampling_rate + 0.5)

    def find_end(self) -> None:
        """Correct the length in `info` before anything relies on it: the header of an mp3 may promise too much.

        Raises:
            BadAudio: the data end long before the length in the header.
        """
        if self.info.format == "MP3":
            start = max(0, self.info.frames - int(_MP3_LOOK_BACK_SECONDS * self.info.sampling_rate))
            self.read_frames(start, self.info.frames - start)

    def read_frames(self, start: int, frames: int) -> np.ndarray:
        """Decode `frames` frames from frame `start`, all channels, at the file's own rate: (frames, channels).

        Where an mp3 ends a little before the length in its header, fewer frames are returned and `info` is corrected.

        Raises:
            BadAudio: the data end too early or cannot be decoded.
        """
        try:
            self._file.seek(start)
            samples = self._file.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise BadAudio(self.name, f"cannot be decoded: {_libsndfile_reason(error)}") from None
        if len(samples) < frames:
            end = start + len(samples)
            is_slack = (self.info.frames - end) / self.info.sampling_rate <= _MP3_SLACK_SECONDS
            if not (self.info.format == "MP3" and is_slack):
                raise BadAudio(self.name, f"truncated: data end at frame {end} of {self.info.frames}")
            self.info = replace(self.info, frames=end)
        return samples

    def blocks(self) -> Iterator[np.ndarray]:
        """Decode the whole file in blocks (frames, channels): a long file needs no more memory than a short one."""
        for start in range(0, self.info.frames, _BLOCK_FRAMES):
            if start < self.info.frames:  # the end of an mp3 may have moved
                yield self.read_frames(start, min(_BLOCK_FRAMES, self.info.frames - start))

    def read(
        self, start: int, length: int, sampling_rate: int, channel_mode: str = "mean", channel_draw: int = 0
    ) -> np.ndarray:
        """Decode samples [start, start + length) of the clip at `sampling_rate`, mono: (length,).

        Only this part is decoded. It equals the slice of the whole clip decoded, mixed down and resampled:
        bit for bit where the rates are equal, to float32 rounding where they differ.

        Args:
            channel_mode: "mean" of the channels, "left", or "random": channel `channel_draw` modulo their number.

        Raises:
            BadAudio: the data end too early or cannot be decoded.
        """
        own_rate = self.info.sampling_rate
        if own_rate == sampling_rate:
            return mix_down(self.read_frames(start, length), channel_mode, channel_draw)
        # Blocks of own_step frames become exactly target_step samples: cut there, the resampler keeps its phase.
        divisor = math.gcd(own_rate, sampling_rate)
        own_step, target_step = own_rate // divisor, sampling_rate // divisor
        margin = math.ceil(_RESAMPLER_MARGIN_SECONDS * sampling_rate)
        first_block = max(0, (start - margin) // target_step)
        last_block = -(-(start + length + margin) // target_step)
        own_start = first_block * own_step
        own_end = min(self.info.frames, last_block * own_step)
        mono = mix_down(self.read_frames(own_start, own_end - own_start), channel_mode, channel_draw)
        resampled = soxr.resample(mono, own_rate, sampling_rate)
        offset = start - first_block * target_step
        return resampled[offset : offset + length].copy()


def mix_down(samples: np.ndarray, channel_mode: str = "mean", channel_draw: int = 0) -> np.ndarray:
    """(frames, channels) -> mono (frames,)."""
    channels = samples.shape[1]
    if channels == 1:
        return samples[:, 0]
    if channel_mode == "mean":
        return samples @ np.full(channels, 1 / channels, dtype=np.float32)
    if channel_mode == "left":
        return np.ascontiguousarray(samples[:, 0])
    if channel_mode == "random":
        return np.ascontiguousarray(samples[:, channel_draw % channels])
    raise ValueError(f"unknown channel_mode {channel_mode!r}; available: {', '.join(CHANNEL_MODES)}")


def audio_info(source: str | Path | bytes) -> AudioInfo:
    """Length, rate, channels and format, from the header alone.

    Raises:
        BadAudio: it is not readable as audio.
    """
    with AudioFile(source) as file:
        return file.info


def load_audio(
    source: str | Path | bytes,
    sampling_rate: int = 16000,
    channel_mode: str = "mean",
    start_seconds: float = 0.0,
    seconds: float | None = None,
    channel_draw: int = 0,
) -> np.ndarray:
    """Decode a clip, or `seconds` of it from `start_seconds`, to mono float32 (N,) at `sampling_rate`.

    A part that reaches past the end of the clip is shortened, never padded.

    Raises:
        BadAudio: the audio cannot be read, or `start_seconds` is after its end.
    """
    with AudioFile(source) as file:
        total = file.num_samples(sampling_rate)
        start = round(start_seconds * sampling_rate)
        length = total - start if seconds is None else min(round(seconds * sampling_rate), total - start)
        if length <= 0:
            raise BadAudio(file.name, f"nothing to read at {start_seconds} s of {file.info.seconds:.2f} s")
        return file.read(start, length, sampling_rate, channel_mode, channel_draw)


def _libsndfile_reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return text.strip().rstrip(".")
