"""Run a frozen encoder once over every clip and keep what the heads need.

Shapes: N samples of a window, W windows of a clip, S hidden states, T frames, D width.
Clips of equal length share a batch and nothing is padded: group normalization over time would see the padding.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm import tqdm

from musicssl.audio.decode import BadAudio, audio_info, load_audio
from musicssl.errors import UserError
from musicssl.probing.encoders.audio_hashes import AudioHashes
from musicssl.probing.encoders.feature_store import FeatureStore
from musicssl.probing.tasks.base import Example


@dataclass(frozen=True)
class WindowRule:
    """How a clip is cut and what is kept of each window; part of a stored feature's address.

    Attributes:
        window_seconds: non-overlapping windows (of frames: joined without a gap); None is the whole clip.
        minimum_window_seconds: a last window shorter than this is dropped (MARBLE v1: 1 s) unless it is the only one.
        pooling: "mean" over time, "mean_std" with the standard deviation behind it, or "frames" (beat tracking).
        channel_mode: how stereo becomes mono: "mean" of the channels or "left".
    """

    window_seconds: float | None = 30.0
    minimum_window_seconds: float = 1.0
    pooling: str = "mean"
    channel_mode: str = "mean"


@dataclass(frozen=True)
class ExtractionSettings:
    """Where features are kept and how fast they are computed; only `feature_dtype` is meant to change their values."""

    store: Path
    batch_seconds: float = 120.0
    feature_dtype: str = "float16"
    device: torch.device = torch.device("cpu")


@dataclass(frozen=True)
class ClipPart:
    """A part of a file, as an example of it, with its key in the store and its length by the file's header."""

    key: str
    example: Example
    length: tuple[float, int]  # seconds of the part, sampling rate of the file: equal tuples decode to equal lengths


Place = tuple[str | bytes, float, float | None]  # where a clip comes from; clip ids are unique in one task only


class Extractor:
    """One encoder with one window rule: which clips are stored, which are to be encoded, and their features."""

    def __init__(self, encoder, rule: WindowRule, settings: ExtractionSettings) -> None:
        self.encoder = encoder
        self.rule = _within_limits(encoder, rule)
        self.settings = settings
        self.process = PartialState()
        address = hashlib.sha256(
            json.dumps([encoder.fingerprint, asdict(self.rule), settings.feature_dtype]).encode()
        ).hexdigest()
        description = {"encoder": encoder.name, "fingerprint": encoder.fingerprint, **asdict(self.rule)}
        self.store = FeatureStore(settings.store / address[:24], settings.feature_dtype, description)
        self._hashes = AudioHashes(settings.store / f"audio_hashes_{self.process.process_index}.jsonl")
        self._skipped: dict[Place, str] = {}

    def key(self, example: Example) -> str:
        """Address of an example's features: its audio bytes and the part taken. BadAudio when unreadable."""
        try:
            content = self._hashes(example.audio)
        except OSError as error:
            raise BadAudio(str(example.audio), error.strerror or str(error)) from error
        return hashlib.sha256(f"{content} {example.start_seconds} {example.seconds}".encode()).hexdigest()

    def extract(self, examples: Iterable[Example], progress: bool = True) -> int:
        """Encode what is not stored yet, each distinct clip once, split over the Accelerate processes.

        Every process keeps the reason why a clip cannot be used, see `skip_reason`.

        Returns:
            How many clips this process encoded.
        """
        clips, places = self._distinct_clips(examples)
        self.store.refresh()
        groups = equal_length_groups(clips, self.settings.batch_seconds)
        todo = [group for group in groups if any(clip.key not in self.store for clip in group)]
        self.process.wait_for_everyone()  # no process writes before all have seen the same store
        mine = todo[self.process.process_index :: self.process.num_processes]
        encoded = 0
        failed: dict[str, str] = {}
        self.encoder.to(self.settings.device)
        hidden = not (progress and mine and self.process.is_main_process)
        bar = tqdm(total=sum(map(len, mine)), desc=f"encode {self.encoder.name}", unit="clip", disable=hidden)
        with closing(self.store), bar:
            for group in mine:
                keys, features, reasons = self._encode(group)
                failed |= reasons
                if keys:
                    self._append(keys, features)
                encoded += len(keys)
                bar.update(len(group))
        self.process.wait_for_everyone()
        self.store.refresh()
        for reasons in gather_object([failed]):
            for key, reason in reasons.items():
                self._skipped |= dict.fromkeys(places[key], reason)
        return encoded

    def windows(self, example: Example) -> np.ndarray | None:
        """(W, S, D) pooled features of a clip, or (W, S, T, D) frames; None when the clip was skipped."""
        return None if self.skip_reason(example) else self.store.read(self.key(example))

    def skip_reason(self, example: Example) -> str | None:
        """Why a clip has no features: it cannot be read, or is shorter than one frame."""
        return self._skipped.get(_place(example))

    def _distinct_clips(self, examples: Iterable[Example]) -> tuple[list[ClipPart], dict[str, list[Place]]]:
        clips: dict[str, ClipPart] = {}
        places: dict[str, list[Place]] = {}
        for example in examples:
            try:
                key = self.key(example)
                if key not in clips:
                    clips[key] = ClipPart(key, example, _length(example))
                places.setdefault(key, []).append(_place(example))
            except BadAudio as error:
                self._skipped[_place(example)] = error.reason
        return list(clips.values()), places

    def _encode(self, group: Sequence[ClipPart]) -> tuple[list[str], list[np.ndarray], dict[str, str]]:
        """Decode a group and run the encoder over its windows, equal lengths together."""
        keys, windows, reasons = [], [], {}
        for clip in group:
            if clip.key in self.store:
                continue
            try:
                audio, start, seconds = _place(clip.example)
                wave = load_audio(audio, self.encoder.sampling_rate, self.rule.channel_mode, start, seconds)
                windows.append(self._cut(wave))
                keys.append(clip.key)
            except BadAudio as error:
                reasons[clip.key] = error.reason
        lengths = {len(window) for clip_windows in windows for window in clip_windows}
        features: list[list] = [[None] * len(clip_windows) for clip_windows in windows]
        for length in sorted(lengths):
            places = [
                (i, j) for i, each in enumerate(windows) for j, window in enumerate(each) if len(window) == length
            ]
            at_once = max(1, int(self.settings.batch_seconds * self.encoder.sampling_rate / length))
            for first in range(0, len(places), at_once):
                part = places[first : first + at_once]
                batch = torch.from_numpy(np.stack([windows[i][j] for i, j in part])).to(self.settings.device)
                if self.rule.pooling == "frames":
                    values = self.encoder.frames(batch)
                else:
                    values = self.encoder.pooled(batch, self.rule.pooling)
                for (i, j), value in zip(part, values.cpu().numpy(), strict=True):
                    features[i][j] = value
        return keys, [_stack_windows(each) for each in features], reasons

    def _cut(self, wave: np.ndarray) -> list[np.ndarray]:
        """Normalize a whole clip, then cut it into windows. BadAudio when no frame fits."""
        if len(wave) < self.encoder.minimum_samples:
            needed = self.encoder.minimum_samples / self.encoder.sampling_rate
            raise BadAudio(
                "clip", f"{len(wave) / self.encoder.sampling_rate:.3f} s is shorter than one frame ({needed:.3f} s)"
            )
        wave = np.ascontiguousarray(self.encoder.normalize(wave), dtype=np.float32)
        if self.rule.window_seconds is None:
            return [wave]
        size = round(self.rule.window_seconds * self.encoder.sampling_rate)
        if self.rule.pooling == "frames":
            # The next window starts one hop after the last frame of this one: together they are the clip's frames.
            hop = round(self.encoder.sampling_rate / self.encoder.frame_rate_hz)
            shortest = self.encoder.minimum_samples
            count = 1 + (size - shortest) // hop
            starts = range(0, len(wave) - shortest + 1, count * hop)
            return [wave[start : start + (count - 1) * hop + shortest] for start in starts]
        windows = [wave[start : start + size] for start in range(0, len(wave), size)]
        smallest = max(self.rule.minimum_window_seconds * self.encoder.sampling_rate, self.encoder.minimum_samples)
        if len(windows) > 1 and len(windows[-1]) < smallest:
            windows.pop()
        return windows

    def _append(self, keys: list[str], features: list[np.ndarray]) -> None:
        try:
            self.store.append(keys, features)
        except FloatingPointError as error:
            raise UserError(f"--model {self.encoder.name}: {error}; use --feature_dtype float32") from error


def equal_length_groups(clips: Sequence[ClipPart], batch_seconds: float) -> list[list[ClipPart]]:
    """Clips of equal length, together at most `batch_seconds` long (one clip may be longer), longest last.

    The groups depend on the whole list only, not on what is stored already: a restarted run encodes the same
    batches, and so the same bits, as an uninterrupted one.
    """
    groups = []
    ordered = sorted(clips, key=lambda clip: (clip.length, clip.key))
    for (seconds, _), equal in groupby(ordered, lambda clip: clip.length):
        same = list(equal)
        size = max(1, int(batch_seconds / max(seconds, 1e-3)))
        groups += [same[first : first + size] for first in range(0, len(same), size)]
    return groups


def _place(example: Example) -> Place:
    return example.audio, example.start_seconds, example.seconds


def _length(example: Example) -> tuple[float, int]:
    info = audio_info(example.audio)
    rest = info.seconds - example.start_seconds
    return (rest if example.seconds is None else min(example.seconds, rest)), info.sampling_rate


def _stack_windows(windows: list[np.ndarray]) -> np.ndarray:
    """(W, S, D); frame features of several windows are joined in time to one window (1, S, T, D)."""
    if windows[0].ndim == 3:
        return np.concatenate(windows, axis=1)[None]
    return np.stack(windows)


def _within_limits(encoder, rule: WindowRule) -> WindowRule:
    """Shorten the window to what the encoder's front end keeps; refuse frames where their rate is unknown."""
    limit = encoder.maximum_frames_seconds if rule.pooling == "frames" else encoder.maximum_window_seconds
    if rule.pooling == "frames" and encoder.frame_rate_hz is None:
        raise UserError(f"--model {encoder.name}: beat tracking needs a known frame rate; this encoder has none")
    if limit is None or (rule.window_seconds is not None and rule.window_seconds <= limit):
        return rule
    return replace(rule, window_seconds=limit)
