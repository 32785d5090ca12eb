"""Cut a source into short mono clips in parquet shards, ready to stream and to publish.

Shapes: N samples of a clip at the target rate.
"""

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from musicssl.audio.bad_files import BadFiles
from musicssl.audio.crops import TooShort
from musicssl.audio.decode import AudioFile, BadAudio
from musicssl.audio.integrity import check_complete, check_samples, is_silent
from musicssl.audio.parallel import map_clips
from musicssl.audio.shards import Progress, ShardWriter, clip_features
from musicssl.audio.sources import Source
from musicssl.audio.tables import Clip
from musicssl.audio.write import FORMATS, write_audio
from musicssl.errors import UserError
from musicssl.files import write_text
from musicssl.tables import Table


@dataclass(frozen=True)
class ClipSettings:
    """How tracks are cut: into clips of `clip_seconds` (0: whole tracks), each at least `min_seconds` long."""

    sampling_rate: int = 16000
    audio_format: str = "flac"
    channel_mode: str = "mean"
    clip_seconds: float = 30.0
    min_seconds: float = 2.0


def prepare_track(clip: Clip, settings: ClipSettings) -> list[dict] | BadAudio:
    """Cut one track into rows, or say why it has none; silent clips are left out."""
    rows = []
    try:
        with AudioFile(clip.audio, clip.name) as file:
            check_complete(file)
            total = file.num_samples(settings.sampling_rate)
            if total < settings.min_seconds * settings.sampling_rate:
                seconds = total / settings.sampling_rate
                raise TooShort(clip.name, f"{seconds:.2f} s is shorter than min_seconds {settings.min_seconds:g}")
            length = round(settings.clip_seconds * settings.sampling_rate) or total
            start = 0
            while start < (total := file.num_samples(settings.sampling_rate)):  # the end of an mp3 may move
                waveform = file.read(start, min(length, total - start), settings.sampling_rate, settings.channel_mode)
                check_samples(clip.name, waveform)
                is_long_enough = len(waveform) >= settings.min_seconds * settings.sampling_rate
                if is_long_enough and not is_silent(waveform):
                    rows.append(_row(clip, start, waveform, settings))
                start += length
    except BadAudio as error:
        return error
    return rows or BadAudio(clip.name, "silent")


def _row(clip: Clip, start: int, waveform: np.ndarray, settings: ClipSettings) -> dict:
    """One row of the table; mean and standard deviation are those of the 16-bit samples that are written."""
    samples = np.clip(np.rint(waveform * 32768), -32768, 32767).astype(np.int16)
    scaled = samples.astype(np.float64) / 32768
    start_seconds = start / settings.sampling_rate
    clip_id = f"{clip.clip_id}@{start_seconds:g}"
    encoded = io.BytesIO()
    write_audio(encoded, samples, settings.sampling_rate, *FORMATS[settings.audio_format])
    return {
        "audio": {"bytes": encoded.getvalue(), "path": f"{clip_id}.{settings.audio_format}".replace("/", "_")},
        "clip_id": clip_id,
        "track_id": clip.track_id,
        "start_seconds": start_seconds,
        "duration_seconds": len(samples) / settings.sampling_rate,
        "mean": scaled.mean(),
        "std": scaled.std(),
    }


def split_tracks(track_ids: Sequence[str], validation_fraction: float) -> np.ndarray:
    """Which clips go to validation, bool (n,): those of the tracks whose ids have the smallest hashes.

    The split depends on no seed and no order, so that a track that is added later moves few others.
    """
    tracks = sorted(set(track_ids), key=lambda track: hashlib.sha256(track.encode()).digest())
    count = round(validation_fraction * len(tracks))
    if validation_fraction > 0 and len(tracks) > 1:
        count = min(max(1, count), len(tracks) - 1)
    validation = set(tracks[:count])
    return np.array([track in validation for track in track_ids])


def prepare(
    sources: Sequence[Source],
    directory: Path,
    settings: ClipSettings,
    validation_fraction: float = 0.05,
    shard_bytes: int = 500_000_000,
    num_workers: int = 2,
) -> Progress:
    """Write `directory`/data/{train,validation}-*.parquet, or resume an interrupted job; damaged tracks are recorded.

    Raises:
        UserError: `directory` holds something else, or no track can be used.
    """
    asked = {
        "sources": [f"{source.name} ({source.num_clips} clips)" for source in sources],
        **vars(settings),
        "validation_fraction": validation_fraction,
        "shard_bytes": shard_bytes,
    }
    progress = Progress.load(directory, asked)
    if progress.is_done:
        return progress
    progress.save(directory)
    bad_files = BadFiles(directory / "bad_files.jsonl")
    tracks = [track_id for source in sources for track_id in source.table.track_ids()]
    is_validation = split_tracks(tracks, validation_fraction)
    with tqdm(total=len(is_validation), unit="track", desc="prepare") as bar:
        for split, members in (("train", ~is_validation), ("validation", is_validation)):
            writer = ShardWriter(directory, split, progress, clip_features(settings.sampling_rate), shard_bytes)
            done = max((shard.next_clip for shard in progress.of(split)), default=0)
            bar.update(done)
            prepared = _prepared(sources, np.flatnonzero(members)[done:], settings, num_workers)
            for number, track in enumerate(prepared, start=done + 1):
                if isinstance(track, BadAudio):
                    bad_files.record([track])
                    track = []
                writer.add(track, number)
                bar.update()
            writer.finish()
    if not progress.shards:
        raise UserError(f"no track of {len(is_validation)} can be used; {bad_files.path} says why")
    progress.is_done = True
    write_text(directory / "README.md", _card(progress, settings))
    progress.save(directory)
    return progress


def _prepared(
    sources: Sequence[Source], indices: np.ndarray, settings: ClipSettings, num_workers: int
) -> Iterator[list[dict] | BadAudio]:
    first = 0
    for source in sources:
        own = indices[(indices >= first) & (indices < first + source.num_clips)] - first
        yield from map_clips(source.table, own, partial(prepare_track, settings=settings), num_workers)
        first += source.num_clips


def totals(progress: Progress) -> list[tuple[str, int, float, int]]:
    """(split, clips, hours, shards) of each split that is not empty."""
    return [
        (split, sum(s.clips for s in shards), sum(s.seconds for s in shards) / 3600, len(shards))
        for split in ("train", "validation")
        if (shards := progress.of(split))
    ]


def _card(progress: Progress, settings: ClipSettings) -> str:
    """A data set card that tells `load_dataset` and the Hub where the splits are."""
    files = [f"      - split: {split}\n        path: data/{split}-*.parquet" for split, *_ in totals(progress)]
    rows = [(split, clips, f"{hours:.2f}") for split, clips, hours, _ in totals(progress)]
    return "\n".join([
        "---", "configs:", "  - config_name: default", "    data_files:", *files, "---", "",
        f"Mono clips of up to {settings.clip_seconds:g} s at {settings.sampling_rate} Hz ({settings.audio_format}), "
        "split by track. `mean` and `std` are the mean and standard deviation of the clip.", "",
        Table(("split", "clips", "hours"), rows).markdown(), "",
    ])  # fmt: skip
