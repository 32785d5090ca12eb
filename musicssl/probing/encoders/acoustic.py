"""Acoustic features behind the interface of an encoder: baselines that use the same heads.

Shapes: B windows in a batch, N samples of a window, T frames, F bins of the feature, D = 6 F statistics.
"""

import hashlib
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from musichubert import acoustic_features

NUM_CEPS = 20  # as MARBLE v1's MFCC baseline
HOP_LENGTH = 320  # 20 ms, likewise


def _static_mfcc(waveform: torch.Tensor) -> torch.Tensor:
    return acoustic_features.mfcc(waveform, num_ceps=NUM_CEPS, hop_length=HOP_LENGTH)[..., :NUM_CEPS]


ACOUSTIC_FEATURES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "mfcc": _static_mfcc,
    "chroma": partial(acoustic_features.chroma, hop_length=HOP_LENGTH),
    "cqt": partial(acoustic_features.cqt, hop_length=HOP_LENGTH),
    "logmel": partial(acoustic_features.log_mel, hop_length=HOP_LENGTH),
}


class AcousticEncoder:
    """Mean and standard deviation of a feature and of its first and second differences (Castellon et al. 2021).

    One "hidden state" and no weighted sum. Its dimensions have units of their own (decibels, cepstra), so they
    are scaled to zero mean and unit variance over the training clips before the head sees them.
    """

    sampling_rate = 16000
    state_names = ("features",)
    mixed_states = ()
    frame_rate_hz = sampling_rate / HOP_LENGTH
    minimum_samples = 400  # one Kaldi frame of 25 ms
    maximum_window_seconds = maximum_frames_seconds = None
    scaling = "standard"

    def __init__(self, name: str) -> None:
        self.name = name
        self.compute = ACOUSTIC_FEATURES[name]
        # The values themselves identify the recipe: a change of its code is a change of these.
        probe = torch.sin(torch.arange(8000) / 7.0)[None] + torch.sin(torch.arange(8000) / 31.0)[None]
        values = self.compute(probe).double().round(decimals=3).numpy()
        self.fingerprint = hashlib.sha256(name.encode() + values.tobytes()).hexdigest()

    def to(self, device: torch.device) -> "AcousticEncoder":
        """Features follow their input's device."""
        return self

    def normalize(self, clip: np.ndarray) -> np.ndarray:
        """Acoustic features take the waveform as it is."""
        return clip

    def frames(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, N) -> (B, 1, T, 3 F): the feature and its differences, frame by frame (beat tracking)."""
        feature = self.compute(windows)
        first = torch.diff(feature, dim=1, prepend=feature[:, :1])
        second = torch.diff(first, dim=1, prepend=first[:, :1])
        return torch.cat([feature, first, second], dim=-1)[:, None]

    def pooled(self, windows: torch.Tensor, pooling: str = "mean") -> torch.Tensor:
        """(B, N) -> (B, 1, 6 F), whatever the pooling: mean and spread are part of the feature.

        A clip of one frame has no differences and no spread: those are 0.
        """
        feature = self.compute(windows)
        statistics = []
        for order in range(3):
            values = torch.diff(feature, n=order, dim=1)
            if values.shape[1] == 0:
                values = torch.zeros_like(feature[:, :1])
            statistics += [values.mean(dim=1), values.std(dim=1, correction=0)]
        return torch.cat(statistics, dim=-1)[:, None]
