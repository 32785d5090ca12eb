"""Features of audio of any length in overlapping windows, in constant memory.

Shapes: N samples, T frames of the whole file (`hop` samples apart), W frames of a window, S hidden states, D width.

A frame of the convolutions covers 400 samples, so that windows which start at a multiple of the hop give the frames of
the whole file. What a model computes over its whole input is computed over the whole file first, in one pass of
constant memory: the mean and variance of the waveform (music2vec), the statistics of the group norm after the first
convolution (HuBERT). State 0 therefore equals that of the whole file, up to rounding, wherever the 64 frames of the
positional convolution lie inside the window. Attention covers one window only: the higher states are close to those of
the whole file but not equal to them, the closer the more context a frame has in its window.
"""

import contextlib
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from musicssl.audio.decode import AudioFile, BadAudio
from musicssl.errors import UserError
from musicssl.probing.encoders.huggingface import HuggingFaceEncoder

STATISTICS_BLOCK_SECONDS = 60.0


@dataclass(frozen=True)
class Window:
    """Frames `first` to `end` are computed, `keep_first` to `keep_end` are kept (ends excluded)."""

    first: int
    end: int
    keep_first: int
    keep_end: int


def plan_windows(num_frames: int, window_frames: int, context_frames: int) -> list[Window]:
    """Windows whose kept frames tile the file; all have the same length, unless the file is shorter than one.

    Raises:
        UserError: the context leaves no frame of a window to keep.
    """
    step = window_frames - 2 * context_frames
    if step < 1:
        raise UserError(
            f"--context_seconds leaves nothing of --window_seconds: {context_frames} frames at both ends of"
            f" {window_frames}; choose a longer window or less context"
        )
    if num_frames <= window_frames:
        return [Window(0, num_frames, 0, num_frames)]
    firsts = list(range(0, num_frames - window_frames, step)) + [num_frames - window_frames]
    # Neighbours meet in the middle of their overlap; the last window starts early enough to have the full length.
    seams = [(first + window_frames + following) // 2 for first, following in zip(firsts, firsts[1:], strict=False)]
    return [
        Window(first, first + window_frames, start, end)
        for first, start, end in zip(firsts, [0, *seams], [*seams, num_frames], strict=True)
    ]


@dataclass(frozen=True)
class FileStatistics:
    """Statistics of a whole file: mean and std of the waveform, and of each channel of the first convolution."""

    mean: float
    std: float
    group_mean: torch.Tensor | None = None
    group_variance: torch.Tensor | None = None


class WindowedEncoder:
    """An encoder of waveforms applied to files window by window; `ExtractSettings` describes the arguments."""

    def __init__(
        self, encoder: HuggingFaceEncoder, window_seconds: float, context_seconds: float, file_statistics: bool = True
    ):
        if not encoder.takes_waveform or encoder.frame_rate_hz is None:
            raise UserError(f"--model {encoder.name}: choose an encoder of waveforms with a constant frame rate")
        self.encoder, self.file_statistics = encoder, file_statistics
        self.sampling_rate, self.frame_rate_hz = encoder.sampling_rate, encoder.frame_rate_hz
        self.hop = round(self.sampling_rate / encoder.frame_rate_hz)
        self.field = encoder.minimum_samples
        self.window_frames = max(1, round(window_seconds * encoder.frame_rate_hz))
        self.context_frames = round(context_seconds * encoder.frame_rate_hz)
        self.device = next(encoder.model.parameters()).device
        plan_windows(2 * self.window_frames, self.window_frames, self.context_frames)

    def num_frames(self, file: AudioFile) -> int:
        """T of a file; BadAudio when it is shorter than one frame or ends long before the length in its header."""
        file.find_end()
        samples = file.num_samples(self.sampling_rate)
        if samples < self.field:
            raise BadAudio(file.name, f"{samples} samples are too short for one frame ({self.field} samples)")
        return (samples - self.field) // self.hop + 1

    def frames(self, file: AudioFile) -> Iterator[tuple[Window, torch.Tensor]]:
        """Each window of the plan with its frames, including context: float32 (S, W, D)."""
        statistics = self.statistics(file) if self.file_statistics else None
        with self._group_norm(statistics):
            for window in plan_windows(self.num_frames(file), self.window_frames, self.context_frames):
                length = (window.end - window.first - 1) * self.hop + self.field
                waveform = file.read(window.first * self.hop, length, self.sampling_rate)
                yield window, self.encoder.frames(self._normalize(waveform, statistics)[None])[0]

    def _normalize(self, waveform: np.ndarray, statistics: FileStatistics | None) -> torch.Tensor:
        if statistics is None:
            return torch.from_numpy(self.encoder.normalize(waveform)).to(self.device)
        return ((torch.from_numpy(waveform) - statistics.mean) / statistics.std).to(self.device)

    @torch.no_grad()
    def statistics(self, file: AudioFile) -> FileStatistics:
        """One pass over the file in blocks, sums in float64."""
        moments, group_moments = _Moments(), _Moments()
        group_layer = self._group_layer()
        total = file.num_samples(self.sampling_rate)
        # Whole frames of the first convolution per block, so that blocks tile its output.
        stride = group_layer.conv.stride[0] if group_layer is not None else 1
        block = int(STATISTICS_BLOCK_SECONDS * self.sampling_rate) // stride * stride
        overlap = group_layer.conv.kernel_size[0] - stride if group_layer is not None else 0
        for start in range(0, total, block):
            samples = torch.from_numpy(file.read(start, min(block + overlap, total - start), self.sampling_rate))
            moments.add(samples[None, :block])
            if group_layer is not None and len(samples) >= group_layer.conv.kernel_size[0]:
                group_moments.add(group_layer.conv(samples.to(self.device, self.encoder.dtype)[None, None])[0])
        if not getattr(self.encoder.extractor, "do_normalize", False):
            mean, std = 0.0, 1.0
        else:
            # `Wav2Vec2FeatureExtractor` adds 1e-7, music2vec's own extractor 1e-5.
            epsilon = getattr(self.encoder.extractor, "variance_epsilon", 1e-7)
            mean, std = moments.mean.item(), math.sqrt(moments.variance.item() + epsilon)
        if group_layer is None:
            return FileStatistics(mean, std)
        # The convolution is affine: normalizing its input shifts and scales its moments.
        bias = 0.0 if group_layer.conv.bias is None else group_layer.conv.bias.cpu().double()
        shift = group_layer.conv.weight.sum(dim=(1, 2)).cpu().double() * mean
        group_mean = (group_moments.mean - bias - shift) / std + bias
        return FileStatistics(mean, std, group_mean, group_moments.variance / std**2)

    def _group_layer(self) -> nn.Module | None:
        """The first convolution with its group norm over time, where the model has one."""
        first = getattr(self.encoder.model, "feature_extractor", nn.Module())
        first = first.conv_layers[0] if hasattr(first, "conv_layers") else None
        return first if isinstance(getattr(first, "layer_norm", None), nn.GroupNorm) else None

    @contextlib.contextmanager
    def _group_norm(self, statistics: FileStatistics | None) -> Iterator[None]:
        layer = self._group_layer()
        if layer is None or statistics is None:
            yield
            return
        original = layer.layer_norm
        layer.layer_norm = _FixedGroupNorm(original, statistics)
        try:
            yield
        finally:
            layer.layer_norm = original


class _FixedGroupNorm(nn.Module):
    """A group norm with one channel per group and given statistics."""

    def __init__(self, norm: nn.GroupNorm, statistics: FileStatistics):
        super().__init__()
        weight, bias = norm.weight.cpu().double(), norm.bias.cpu().double()
        scale = weight / torch.sqrt(statistics.group_variance + norm.eps)
        self.scale = scale.to(norm.weight)[None, :, None]
        self.shift = (bias - statistics.group_mean * scale).to(norm.weight)[None, :, None]

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return hidden_states * self.scale + self.shift


class _Moments:
    """Mean and biased variance over time, accumulated block by block: (channels,) in float64."""

    def __init__(self):
        self.count, self.sum, self.square = 0, 0.0, 0.0

    def add(self, values: torch.Tensor) -> None:
        """Add a block (channels, time)."""
        values = values.cpu().double()
        self.count += values.shape[1]
        self.sum = self.sum + values.sum(dim=1)
        self.square = self.square + values.square().sum(dim=1)

    @property
    def mean(self) -> torch.Tensor:
        return self.sum / self.count

    @property
    def variance(self) -> torch.Tensor:
        return (self.square / self.count - self.mean**2).clamp(min=0)
