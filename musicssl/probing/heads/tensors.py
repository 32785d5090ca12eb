"""From stored features and labels to the tensors a task's heads train on.

Shapes: n windows (beat tracking: frames) of a split, W windows of a clip, T frames, S hidden states, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch

from musicssl.errors import UserError
from musicssl.probing.encoders.features import Extractor
from musicssl.probing.heads.head_data import CROP_SECONDS, FrameCrops, Problem, Split
from musicssl.probing.kinds import get_kind
from musicssl.probing.kinds.base import ClipKind, FrameClip, FrameKind
from musicssl.probing.tasks.base import SPLITS, Example, Task


def build_problem(task: Task, examples: Sequence[Example], extractor: Extractor, scaling: str) -> Problem:
    """Gather the features of every split.

    Args:
        scaling: "none", or "standard": zero mean and unit variance over the training windows.

    Raises:
        UserError: a split has no clip left after those that cannot be read.
    """
    encoder, kind = extractor.encoder, get_kind(task.kind)
    splits: dict[str, Split] = {}
    for name in SPLITS:
        usable = [
            (example, windows)
            for example in examples
            if example.split == name and (windows := extractor.windows(example)) is not None
        ]
        if not usable:
            reasons = (extractor.skip_reason(example) for example in examples if example.split == name)
            reason = next(filter(None, reasons), "no clips")
            raise UserError(f"task {task.name}: no usable clip in {name} (first reason: {reason})")
        if isinstance(kind, FrameKind):
            splits[name] = _frame_split(kind, usable, encoder.frame_rate_hz, training=name == "train")
        else:
            splits[name] = _window_split(kind, task.labels, usable)
    training = splits["train"]
    if (target_scale := kind.target_scale(training.track_targets)) is not None:
        shift, scale = target_scale
        for split in splits.values():
            split.targets = (split.targets - shift) / scale
            split.track_targets = (split.track_targets - shift) / scale
    if scaling == "standard":
        moments = _moments(training.features)
        for split in splits.values():
            split.scaling = moments
    train: Split | FrameCrops = training
    if kind.of_frames:
        longest = int(torch.bincount(training.tracks).max())
        train = FrameCrops(training, min(longest, round(CROP_SECONDS * encoder.frame_rate_hz)))
    return Problem(
        kind, task.aggregate, task.labels, encoder.state_names, encoder.mixed_states, train, splits["validation"],
        splits["test"],
    )  # fmt: skip


def _window_split(kind: ClipKind, labels: Sequence[str], usable: Sequence[tuple[Example, np.ndarray]]) -> Split:
    """Every window is an example, with the target of its track."""
    track_index: dict[str, int] = {}
    track_targets: list[np.ndarray | int] = []
    tracks: list[int] = []
    for example, windows in usable:
        track = track_index.setdefault(example.track_id, len(track_index))
        if track == len(track_targets):
            track_targets.append(kind.target(example.label, labels))
        tracks += [track] * len(windows)
    track_of, targets = torch.tensor(tracks), torch.from_numpy(np.array(track_targets))
    features = torch.from_numpy(np.concatenate([windows for _, windows in usable]))
    return Split(features, targets[track_of], track_of, targets, list(track_index))


def _frame_split(
    kind: FrameKind, usable: Sequence[tuple[Example, np.ndarray]], frame_rate_hz: float, training: bool
) -> Split:
    """Every frame is an example, and every clip a track."""
    frames = [windows[0].swapaxes(0, 1) for _, windows in usable]  # (T, S, D) each
    clips = [
        FrameClip(example.clip_id, example.label, example.start_seconds, len(own), frame_rate_hz)
        for (example, _), own in zip(usable, frames, strict=True)
    ]
    targets = torch.from_numpy(np.concatenate([kind.target(clip, training) for clip in clips]))
    tracks = torch.arange(len(clips)).repeat_interleave(torch.tensor([clip.num_frames for clip in clips]))
    track_ids = [example.track_id for example, _ in usable]
    return Split(torch.from_numpy(np.concatenate(frames)), targets, tracks, targets, track_ids, clips=clips)


def _moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    features = features.float()
    scale = features.std(dim=0, correction=0)
    return features.mean(dim=0), torch.where(scale > 1e-6, scale, 1.0)
