"""Scan a source: hours, formats, silence, duplicates and damaged clips, before it is used."""

import hashlib
import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from tqdm import tqdm

from musicssl.audio.decode import AudioFile, AudioInfo, BadAudio
from musicssl.audio.integrity import SILENCE_PEAK, check_complete, check_samples, is_silent
from musicssl.audio.parallel import map_clips
from musicssl.audio.sources import Source
from musicssl.audio.tables import Clip


@dataclass(frozen=True)
class ScannedClip:
    """One clip, decoded completely: its header, its seconds of silence and a hash of its samples."""

    name: str
    info: AudioInfo
    silent_seconds: float
    content_hash: str


def scan_clip(clip: Clip, silence_peak: float = SILENCE_PEAK) -> ScannedClip | BadAudio:
    """Decode a clip in blocks, or say what is wrong with it; a second without a sample above the peak is silent."""
    content = hashlib.sha256()
    silent_seconds = 0.0
    try:
        with AudioFile(clip.audio, clip.name) as file:
            check_complete(file)
            info, rate = file.info, file.info.sampling_rate
            for block in file.blocks():
                check_samples(clip.name, block)
                content.update(block.tobytes())
                parts = (block[start : start + rate] for start in range(0, len(block), rate))
                silent_seconds += sum(len(part) for part in parts if is_silent(part, silence_peak)) / rate
    except BadAudio as error:
        return error
    if silent_seconds > info.seconds - 0.5 / rate:
        return BadAudio(clip.name, "silent")
    return ScannedClip(clip.name, info, silent_seconds, content.hexdigest())


def scan(
    sources: Sequence[Source], silence_peak: float = SILENCE_PEAK, num_workers: int = 2
) -> list[ScannedClip | BadAudio]:
    """Scan every clip of every source with `num_workers` processes; shows a progress bar."""
    function = partial(scan_clip, silence_peak=silence_peak)
    scanned = []
    with tqdm(total=sum(source.num_clips for source in sources), unit="clip", desc="scan") as progress:
        for source in sources:
            for clip in map_clips(source.table, np.arange(source.num_clips), function, num_workers):
                scanned.append(clip)
                progress.update()
    return scanned


def summarise(clips: Sequence[ScannedClip | BadAudio], min_seconds: float) -> dict:
    """The report on a scan, ready for JSON; damaged clips are listed and counted nowhere else."""
    intact = [clip for clip in clips if isinstance(clip, ScannedClip)]
    damaged = [{"path": clip.source, "reason": clip.reason} for clip in clips if isinstance(clip, BadAudio)]
    copies = defaultdict(list)
    for clip in intact:
        copies[clip.content_hash].append(clip.name)
    seconds = [clip.info.seconds for clip in intact]
    return {
        "clips": len(intact) + len(damaged),
        "usable_clips": len(intact),
        "hours": sum(seconds) / 3600,
        "seconds": {"shortest": min(seconds), "median": statistics.median(seconds), "longest": max(seconds)}
        if seconds
        else None,
        "sampling_rates": _counts(clip.info.sampling_rate for clip in intact),
        "channels": _counts(clip.info.channels for clip in intact),
        "formats": _counts(f"{clip.info.format} {clip.info.subtype}" for clip in intact),
        "silent_seconds": sum(clip.silent_seconds for clip in intact),
        "short": {
            "min_seconds": min_seconds,
            "paths": [clip.name for clip in intact if clip.info.seconds < min_seconds],
        },
        "damaged": damaged,
        "duplicates": [names for names in copies.values() if len(names) > 1],
    }


def _counts(values: Iterable) -> dict[str, int]:
    return {str(value): count for value, count in Counter(values).most_common()}


def format_report(report: dict) -> str:
    """The report as text."""
    silence = report["silent_seconds"] / max(1e-9, report["hours"] * 3600)
    short, duplicates = report["short"], report["duplicates"]
    left_out = ""
    if short["paths"]:
        left_out = f", {len(short['paths'])} shorter than {short['min_seconds']:g} s (training leaves them out)"
    rows = [
        ("clips", f"{report['clips']}: {report['usable_clips']} readable{left_out}"),
        ("hours", f"{report['hours']:.2f}"),
    ]
    if report["seconds"]:
        rows.append(("seconds", ", ".join(f"{name} {value:.2f}" for name, value in report["seconds"].items())))
    for title, key in (("sampling rates", "sampling_rates"), ("channels", "channels"), ("formats", "formats")):
        rows.append((title, ", ".join(f"{value} ({count})" for value, count in report[key].items()) or "-"))
    rows += [
        ("silence", f"{report['silent_seconds']:.0f} s ({silence:.1%})"),
        (f"under {short['min_seconds']:g} s", str(len(short["paths"]))),
        ("duplicates", f"{sum(len(names) - 1 for names in duplicates)} (in {len(duplicates)} groups)"),
        ("damaged", str(len(report["damaged"]))),
    ]
    width = max(len(title) for title, _ in rows)
    lines = [f"{title:<{width}}  {value}" for title, value in rows]
    lines += [f"  damaged: {row['path']}: {row['reason']}" for row in report["damaged"]]
    lines += [f"  same audio: {' = '.join(names)}" for names in duplicates]
    return "\n".join(lines)
