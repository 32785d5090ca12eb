"""A task as its heads see it: features and targets of each split, the loss and the validation score.

Shapes: n windows (beat tracking: frames) of a split, S hidden states, D width, C outputs, K seeds, b examples of a
batch, H heads, R tracks of a split.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from musicssl.probing.kinds.base import FrameClip, HeadOutputs, Kind
from musicssl.probing.kinds.evaluation import Evaluation, bootstrap_weights

CROP_SECONDS = 10.0  # MARBLE v1 trains its beat head on random 10 s of each track


@dataclass
class Split:
    """One split's windows.

    Attributes:
        features: (n, S, D) as stored. targets: per window, (n,) or (n, C).
        tracks: (n,) index of the window's track; track_targets: one row per track. track_ids: their names.
        scaling: shift and scale of the standard scaling, (S, D) each, or None.
        clips: of a kind of frames, the clips in the order of their frames.
    """

    features: torch.Tensor
    targets: torch.Tensor
    tracks: torch.Tensor
    track_targets: torch.Tensor
    track_ids: list[str]
    scaling: tuple[torch.Tensor, torch.Tensor] | None = None
    clips: Sequence[FrameClip] = ()

    frames_per_example = 1

    def __len__(self) -> int:
        return len(self.features)

    @property
    def width(self) -> int:
        return self.features.shape[-1]

    @property
    def num_states(self) -> int:
        return self.features.shape[-2]

    def batch(self, index: torch.Tensor, device: torch.device, generators=None) -> tuple[torch.Tensor, torch.Tensor]:
        """index (K, b) -> features (K, b, S, D) float32 and targets (K, b, ...), on the device."""
        features = self.features[index].to(device).float()
        if self.scaling is not None:
            shift, scale = self.scaling
            features = (features - shift.to(device)) / scale.to(device)
        return features, self.targets[index].to(device)

    def by_track(self, outputs: torch.Tensor) -> torch.Tensor:
        """Mean of the window outputs of each track: (H, n, C) -> (H, R, C)."""
        tracks = self.tracks.to(outputs.device)
        summed = torch.zeros(len(outputs), len(self.track_ids), outputs.shape[-1], device=outputs.device)
        counts = torch.bincount(tracks, minlength=len(self.track_ids)).clamp(min=1)
        return summed.index_add_(1, tracks, outputs) / counts[:, None]


@dataclass
class FrameCrops:
    """Training examples of a frame-level task: a new random crop of each track in every epoch and for every seed.

    A track shorter than the crop is read cyclically, so that all crops have one length.
    """

    frames: Split
    crop_frames: int

    def __post_init__(self) -> None:
        self.lengths = torch.bincount(self.frames.tracks)
        self.starts = torch.cumsum(self.lengths, 0) - self.lengths
        self.frames_per_example = self.crop_frames
        self.width, self.num_states = self.frames.width, self.frames.num_states

    def __len__(self) -> int:
        return len(self.lengths)

    def batch(
        self, index: torch.Tensor, device: torch.device, generators: Sequence[torch.Generator]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """index (K, b) of tracks -> features (K, b * crop, S, D) and targets (K, b * crop, C)."""
        room = (self.lengths[index] - self.crop_frames).clamp(min=0) + 1
        draws = torch.stack([torch.rand(index.shape[1], generator=generator) for generator in generators])
        first = (draws * room).long()
        position = (first[..., None] + torch.arange(self.crop_frames)) % self.lengths[index][..., None]
        return self.frames.batch((self.starts[index][..., None] + position).flatten(1), device)


@dataclass
class Problem:
    """A task in the form that heads are trained and tested on.

    Attributes:
        aggregate: "track" (mean of window outputs) or "window".
        labels: names of the C outputs (beats: none).
        state_names, mixed_states: the encoder's.
        train: windows, or crops of frames. validation, test: windows or frames.
    """

    kind: Kind
    aggregate: str
    labels: Sequence[str]
    state_names: tuple[str, ...]
    mixed_states: tuple[int, ...]
    train: Split | FrameCrops
    validation: Split
    test: Split

    @property
    def num_outputs(self) -> int:
        """C."""
        return self.kind.num_outputs(self.labels)

    def judged(self, outputs: torch.Tensor, split: Split) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs and targets as they are scored: by track, or window by window, or frame by frame."""
        if self.aggregate == "track" and not self.kind.of_frames:
            return split.by_track(outputs), split.track_targets.to(outputs.device)
        return outputs, split.targets.to(outputs.device)

    def validation_score(self, outputs: torch.Tensor) -> torch.Tensor:
        """(H, n, C) validation outputs -> (H,): the score for plateau, early stopping and the choice of layer."""
        outputs, targets = self.judged(outputs, self.validation)
        if outputs.device.type == "mps":  # it has no float64
            outputs, targets = outputs.cpu(), targets.cpu()
        return self.kind.monitor(outputs, targets)

    def evaluate(self, outputs: torch.Tensor, resamples: int) -> Evaluation:
        """Score the test outputs (K, n, C) of one head per seed, over `resamples` bootstraps of the test tracks."""
        weights = bootstrap_weights(len(self.test.track_ids), resamples)
        if self.aggregate == "window" and not self.kind.of_frames:
            weights = weights[:, self.test.tracks]
        outputs, targets = self.judged(outputs, self.test)
        return self.kind.evaluate(HeadOutputs(outputs.cpu(), targets.cpu(), weights, self.labels, self.test.clips))
