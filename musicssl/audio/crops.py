"""One clip in, one crop out; where the crop starts is a pure function of (seed, pass, clip).

Shapes: N samples of a crop at the target rate.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from musicssl.audio.decode import CHANNEL_MODES, AudioFile, BadAudio
from musicssl.audio.integrity import SILENCE_PEAK, can_hold_nan, check_complete, check_samples, check_whole, is_silent
from musicssl.audio.tables import Clip
from musicssl.errors import UserError

# How many crops of a clip are tried before the whole clip is checked, when they are silent.
_DRAWS = 4


class TooShort(BadAudio):
    """An intact clip that is shorter than what was asked for."""

    kind = "short"


@dataclass(frozen=True)
class StreamSettings:
    """How crops are cut and in what order they come.

    Attributes:
        seed: of all random choices.
        sampling_rate: of the crops, in Hz.
        crop_seconds: the length of a crop.
        min_seconds: shorter clips are left out. HuBERT's reference leaves out clips under 2 s (32000 samples).
        short_clips: what is done with clips between `min_seconds` and `crop_seconds`: "drop", or "own_length" (the
            whole clip, in batches of equal length).
        channel_mode: "mean" of the channels, "left", or a "random" one.
        start_multiple: crops start at multiples of this many samples; 320 aligns them with the model's frames.
        buffer_clips: the clips of parquet shards are shuffled in a buffer of this many.
        silence_peak: a clip without a louder sample counts as damaged (1.0 is full scale).
        max_bad_fraction: the stream stops when more than this fraction of the clips is damaged.
        epochs: the number of passes over the data; None is endless.
        shuffle: False keeps the order of the source.
    """

    seed: int = 0
    sampling_rate: int = 16000
    crop_seconds: float = 5.0
    min_seconds: float = 2.0
    short_clips: str = "drop"
    channel_mode: str = "mean"
    start_multiple: int = 1
    buffer_clips: int = 1024
    silence_peak: float = SILENCE_PEAK
    max_bad_fraction: float = 0.02
    epochs: int | None = None
    shuffle: bool = True

    def __post_init__(self):
        checks = {
            "seed": self.seed >= 0,
            "sampling_rate": self.sampling_rate > 0,
            "crop_seconds": self.crop_seconds * self.sampling_rate >= 1,
            "min_seconds": self.min_seconds >= 0,
            "short_clips": self.short_clips in ("drop", "own_length"),
            "channel_mode": self.channel_mode in CHANNEL_MODES,
            "start_multiple": self.start_multiple >= 1,
            "buffer_clips": self.buffer_clips >= 1,
            "silence_peak": self.silence_peak >= 0,
            "max_bad_fraction": 0 <= self.max_bad_fraction <= 1,
            "epochs": self.epochs is None or self.epochs >= 1,
        }
        for field, is_valid in checks.items():
            if not is_valid:
                raise UserError(f"{field}: {getattr(self, field)!r} is out of range")

    @property
    def crop_samples(self) -> int:
        return round(self.crop_seconds * self.sampling_rate)


@dataclass(frozen=True)
class Crop:
    """A crop (N,) of a clip, and its first sample at the target rate."""

    clip: Clip
    waveform: np.ndarray
    start_sample: int


def read_crop(clip: Clip, settings: StreamSettings, pass_number: int) -> Crop:
    """Cut the crop that (seed, pass, clip) determines.

    A silent crop, or one that reaches past the true end of an mp3, is drawn again up to three times.

    Raises:
        TooShort: the clip is shorter than `min_seconds`, or shorter than the crop when such clips are dropped.
        BadAudio: the clip cannot be read, is cut off, holds NaN or infinite samples, or is silent throughout.
    """
    with AudioFile(clip.audio, clip.name) as file:
        check_complete(file)
        if can_hold_nan(file):
            check_whole(file, settings.silence_peak)
        generator = np.random.default_rng((settings.seed, pass_number, zlib.crc32(clip.clip_id.encode())))
        channel_draw = int(generator.integers(1 << 16))
        for _ in range(_DRAWS):
            total = file.num_samples(settings.sampling_rate)
            length = _crop_length(clip, total, settings)
            num_starts = (total - length) // settings.start_multiple + 1
            start = int(generator.integers(num_starts)) * settings.start_multiple
            waveform = file.read(start, length, settings.sampling_rate, settings.channel_mode, channel_draw)
            check_samples(clip.name, waveform)
            if len(waveform) == length and not is_silent(waveform, settings.silence_peak):
                return Crop(clip, waveform, start)
        check_whole(file, settings.silence_peak)
        if len(waveform) < length:
            raise BadAudio(clip.name, "truncated: the audio ends before the length in its header")
        return Crop(clip, waveform, start)


def _crop_length(clip: Clip, total: int, settings: StreamSettings) -> int:
    wanted = settings.crop_samples
    seconds = total / settings.sampling_rate
    if total < min(settings.min_seconds * settings.sampling_rate, wanted):
        raise TooShort(clip.name, f"{seconds:.2f} s is shorter than min_seconds {settings.min_seconds:g}")
    if total < wanted and settings.short_clips == "drop":
        raise TooShort(clip.name, f"{seconds:.2f} s is shorter than crop_seconds {settings.crop_seconds:g}")
    return min(wanted, total)
