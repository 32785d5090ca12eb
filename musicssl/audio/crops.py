"""One clip in, one crop out: where it starts is a pure function of (seed, epoch, clip).

N samples of a crop at the target rate.
"""

import zlib
from dataclasses import dataclass

import numpy as np

from musicssl.audio.decode import CHANNEL_MODES, AudioFile, BadAudio
from musicssl.audio.integrity import SILENCE_PEAK, can_hold_nan, check_complete, check_samples, check_whole, is_silent
from musicssl.audio.tables import Clip
from musicssl.errors import UserError

# How often a silent crop of a clip is drawn anew before the whole clip is checked.
_DRAWS = 4


class TooShort(BadAudio):
    """A sound clip that is shorter than what was asked for."""


@dataclass(frozen=True)
class StreamSettings:
    """How crops are cut and in what order they come.

    crop_seconds: the length of a crop.
    min_seconds: shorter clips are left out. HuBERT's reference leaves out clips under 2 s (32000 samples).
    short_clips: what becomes of clips between the two: "drop", or "own_length" (whole, in batches of equal length).
    channel_mode: "mean" of the channels, "left", or a "random" one.
    start_multiple: crops start at multiples of this many samples; 320 aligns them with the model's frames.
    buffer_clips: clips of parquet shards are shuffled among this many neighbours.
    silence_peak: a clip that is nowhere louder counts as damaged (1.0 is full scale).
    max_bad_fraction: the stream stops when more of the clips than this are damaged.
    epochs: how often the data are passed; None is endless.
    shuffle: False gives the order of the source.
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
                raise UserError(f"{field}: {getattr(self, field)!r} cannot be used")

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
    """Cut the crop that (seed, pass, clip) decides.

    A crop of silence from a clip that sounds elsewhere is drawn again, a few times, as is one that reaches past the
    true end of an mp3.

    Raises:
        TooShort: the clip is shorter than min_seconds, or than the crop and such clips are dropped.
        BadAudio: it cannot be read, is cut off, holds NaN or infinite samples, or is silent throughout.
    """
    with AudioFile(clip.audio, clip.name) as file:
        check_complete(file, clip.audio)
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
            raise BadAudio(clip.name, "truncated: its end moves while it is read")
        return Crop(clip, waveform, start)


def _crop_length(clip: Clip, total: int, settings: StreamSettings) -> int:
    wanted = settings.crop_samples
    seconds = total / settings.sampling_rate
    if total < min(settings.min_seconds * settings.sampling_rate, wanted):
        raise TooShort(clip.name, f"{seconds:.2f} s is shorter than min_seconds {settings.min_seconds:g}")
    if total < wanted and settings.short_clips == "drop":
        raise TooShort(clip.name, f"{seconds:.2f} s is shorter than crop_seconds {settings.crop_seconds:g}")
    return min(wanted, total)
