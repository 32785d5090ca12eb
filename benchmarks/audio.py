"""Crops per second and core: reading crops by seeking, beside decoding whole files, on the same files in one run.

    python benchmarks/audio.py [--quick] [--output FILE]

Files are 4 minutes of stereo at 44.1 kHz (opus: 48 kHz), crops are 5 s. Every candidate mixes down to mono and
resamples to 16 kHz. `streamed` adds the checks of the training stream (container, silence, NaN); `decoding` omits the
resampling. `parquet row` reads rows of 30 s of flac, as `musicssl prepare` writes them, row group included.
"""

import io
import itertools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import soundfile  # noqa: E402
import soxr  # noqa: E402
from side_by_side import benchmark_parser, report, side_by_side  # noqa: E402

from musicssl.audio.crops import StreamSettings, read_crop  # noqa: E402
from musicssl.audio.decode import audio_info, load_audio  # noqa: E402
from musicssl.audio.tables import Clip, ParquetTable  # noqa: E402
from musicssl.audio.write import write_audio  # noqa: E402

try:
    from torchcodec.decoders import AudioDecoder
except (ImportError, OSError, RuntimeError):  # not installed, or without FFmpeg
    AudioDecoder = None

FILE_SECONDS = 240.0
CROP_SECONDS = 5.0
RATES = {"wav": 44100, "flac": 44100, "ogg": 44100, "opus": 48000, "mp3": 44100}


def music(rate: int) -> np.ndarray:
    """Pulsing chords in noise, stereo: (frames, 2) float32."""
    generator = np.random.default_rng(0)
    seconds = np.arange(round(FILE_SECONDS * rate), dtype=np.float32) / rate
    chord = sum(np.sin(2 * np.pi * pitch * seconds) for pitch in (220.0, 277.2, 329.6))
    noise = generator.standard_normal((len(seconds), 2), dtype=np.float32)
    return 0.1 * (chord * np.exp(-8 * (seconds % 0.5)))[:, None] + 0.01 * noise


def from_whole_file(source: str | bytes, start: float) -> np.ndarray:
    samples, rate = soundfile.read(io.BytesIO(source) if isinstance(source, bytes) else source, dtype="float32")
    mono = samples if samples.ndim == 1 else samples @ np.full(samples.shape[1], 1 / samples.shape[1], np.float32)
    resampled = mono if rate == 16000 else soxr.resample(mono, rate, 16000)
    first = round(start * 16000)
    return resampled[first : first + round(CROP_SECONDS * 16000)]


def with_torchcodec(source: str | bytes, start: float) -> np.ndarray:
    decoder = AudioDecoder(source, sample_rate=16000, num_channels=1)
    return decoder.get_samples_played_in_range(start, start + CROP_SECONDS).data[0].numpy()


def compare(source: str | bytes, starts: list[float], repeats: int) -> dict[str, float]:
    """Crops per second of each candidate, and their ratios; all candidates read the same crops in turn."""
    own_rate = audio_info(source).sampling_rate
    settings = StreamSettings(crop_seconds=CROP_SECONDS)
    readers: dict[str, Callable[[float], object]] = {
        "seek": lambda start: load_audio(source, start_seconds=start, seconds=CROP_SECONDS),
        "streamed": lambda start: read_crop(Clip("clip", source, "clip", "clip"), settings, int(1000 * start)),
        "decoding": lambda start: load_audio(source, own_rate, start_seconds=start, seconds=CROP_SECONDS),
        "whole_file": lambda start: from_whole_file(source, start),
    }
    if AudioDecoder is not None:
        readers["torchcodec"] = lambda start: with_torchcodec(source, start)
    difference = np.abs(readers["seek"](starts[0]) - readers["whole_file"](starts[0])).max()
    if difference > 1e-6:
        raise AssertionError(f"the crop differs from the slice of the whole file by {difference}")
    turns = {name: itertools.cycle(starts) for name in readers}
    candidates = {name: (lambda name=name: readers[name](next(turns[name]))) for name in readers}
    timings = {timing.name: timing for timing in side_by_side(candidates, "whole_file", repeats)}
    row = {name: 1 / timing.median_seconds for name, timing in timings.items()}
    row["times_whole_file"] = timings["seek"].ratio_to_reference
    row["resampling_share"] = max(0.0, 1 - row["seek"] / row["decoding"])
    return row


def compare_parquet(folder: Path, repeats: int) -> dict[str, float]:
    """Crops of all rows of a row group, with the reading of the group, beside decoding the whole of each row."""
    clip = io.BytesIO()
    write_audio(clip, music(16000)[: 30 * 16000].mean(axis=1), 16000, "FLAC", "PCM_16")
    rows = [{"clip_id": str(row), "audio": {"bytes": clip.getvalue(), "path": None}} for row in range(32)]
    pq.write_table(pa.Table.from_pylist(rows), folder / "shard.parquet", compression="none")
    shard = ParquetTable([str(folder / "shard.parquet")])

    def read_all(read: Callable[[bytes], object]) -> None:
        for row in shard.fetch(np.arange(len(rows))):
            read(row.audio)

    candidates = {
        "seek": lambda: read_all(lambda audio: load_audio(audio, start_seconds=12.0, seconds=CROP_SECONDS)),
        "whole_file": lambda: read_all(lambda audio: from_whole_file(audio, 12.0)),
    }
    timings = {timing.name: timing for timing in side_by_side(candidates, "whole_file", repeats)}
    row = {name: len(rows) / timing.median_seconds for name, timing in timings.items()}
    return {**row, "times_whole_file": timings["seek"].ratio_to_reference}


def main() -> None:
    arguments = benchmark_parser(__doc__.splitlines()[0], "audio").parse_args()
    repeats = 2 if arguments.quick else 7
    starts = np.random.default_rng(1).uniform(0, FILE_SECONDS - CROP_SECONDS, repeats + 1).tolist()
    rows = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        for name, rate in RATES.items():
            path = folder / f"music.{name}"
            write_audio(path, music(rate), rate)
            rows[name] = compare(str(path), starts, repeats)
        rows["flac bytes"] = compare((folder / "music.flac").read_bytes(), starts, repeats)
        rows["parquet row"] = compare_parquet(folder, repeats)
    columns = ("seek", "streamed", "decoding", "whole_file", "torchcodec", "times_whole_file", "resampling_share")
    titles = {"source": "crops/s"} | {column: column for column in columns}
    report(arguments.output, "audio", [{"source": name, **row} for name, row in rows.items()], titles)
    if AudioDecoder is None:
        print("torchcodec is not installed here")


if __name__ == "__main__":
    main()
