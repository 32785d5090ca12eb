"""From stored features and labels to the tensors a task's heads train on.

Shapes: n windows (beat tracking: frames) of a split, W windows of a clip, T frames, S hidden states, D width.
"""

from collections.abc import Sequence

import numpy as np
import torch

from musicssl.errors import UserError
from musicssl.probing.encoders.features import Extractor
from musicssl.probing.heads.head_data import CROP_SECONDS, FrameCrops, Problem, Split
from musicssl.probing.tasks.base import SPLITS, Example, Task


def build_problem(task: Task, examples: Sequence[Example], extractor: Extractor, scaling: str) -> Problem:
    """Gather the features of every split.

    Args:
        scaling: "none", or "standard": zero mean and unit variance over the training windows.

    Raises:
        UserError: a split has no clip left after those that cannot be read.
    """
    encoder = extractor.encoder
    build = _frame_split if task.kind == "beat" else _window_split
    splits = {}
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
        splits[name] = build(task, usable, encoder.frame_rate_hz)
    train = splits["train"]
    if task.kind == "regression":
        _standardise_targets(splits)
    if scaling == "standard":
        shift, scale = _moments(train.features)
        for split in splits.values():
            split.shift, split.scale = shift, scale
    if task.kind == "beat":
        longest = int(torch.bincount(train.tracks).max())
        train = FrameCrops(train, min(longest, round(CROP_SECONDS * encoder.frame_rate_hz)))
    num_outputs = 1 if task.kind == "beat" else len(task.labels)
    return Problem(
        task.kind,
        task.aggregate,
        num_outputs,
        encoder.state_names,
        encoder.mixed_states,
        train,
        splits["validation"],
        splits["test"],
    )


def _window_split(task: Task, usable: Sequence[tuple[Example, np.ndarray]], frame_rate_hz: float) -> Split:
    track_index, targets, tracks = {}, [], []
    for example, windows in usable:
        track = track_index.setdefault(example.track_id, len(track_index))
        if track == len(targets):
            targets.append(_target(task, example.label))
        tracks += [track] * len(windows)
    tracks, targets = torch.tensor(tracks), torch.from_numpy(np.array(targets))
    features = torch.from_numpy(np.concatenate([windows for _, windows in usable]))
    return Split(features, targets[tracks], tracks, targets, list(track_index))


def _frame_split(task: Task, usable: Sequence[tuple[Example, np.ndarray]], frame_rate_hz: float) -> Split:
    """Every frame is an example; its target is 1 at a beat and, in training, one frame to either side (MARBLE v1)."""
    reach = 1 if usable[0][0].split == "train" else 0
    features, targets, tracks = [], [], []
    for number, (example, windows) in enumerate(usable):
        frames = windows[0].swapaxes(0, 1)  # (T, S, D)
        target = np.zeros((len(frames), 1), dtype=np.float32)
        beats = np.round((np.array(example.label) - example.start_seconds) * frame_rate_hz).astype(int)
        for offset in range(-reach, reach + 1):
            near = beats + offset
            target[near[(near >= 0) & (near < len(frames))]] = 1
        features.append(frames)
        targets.append(target)
        tracks.append(np.full(len(frames), number))
    targets = torch.from_numpy(np.concatenate(targets))
    return Split(
        torch.from_numpy(np.concatenate(features)),
        targets,
        torch.from_numpy(np.concatenate(tracks)),
        targets,
        [example.track_id for example, _ in usable],
    )


def _target(task: Task, label) -> np.ndarray | int:
    if task.kind == "multilabel":
        hot = np.zeros(len(task.labels), dtype=np.float32)
        hot[list(label)] = 1
        return hot
    return np.array(label, dtype=np.float32) if task.kind == "regression" else label


def _standardise_targets(splits: dict[str, Split]) -> None:
    """Zero mean and unit variance over the training tracks; R2 does not change, the learning rates fit."""
    train = splits["train"].track_targets
    mean, std = train.mean(dim=0), train.std(dim=0, correction=0).clamp(min=1e-6)
    for split in splits.values():
        split.targets = (split.targets - mean) / std
        split.track_targets = (split.track_targets - mean) / std


def _moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    features = features.float()
    scale = features.std(dim=0, correction=0)
    return features.mean(dim=0), torch.where(scale > 1e-6, scale, 1.0)
