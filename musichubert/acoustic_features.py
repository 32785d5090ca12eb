"""Acoustic features, which HuBERT's first labels are clustered from: waveform in, frames out.

Shapes: B clips, N samples at 16 kHz, F frames of a feature, M mel bands.

Every feature is aligned with the encoder. Frame t of the encoder covers the samples [320 t, 320 t + 400). Frame j of a
feature with hop h is centred on sample h j + 200, the middle of such a field, for any length of the feature's window,
and there are 1 + (N - 400) // h frames. So every second frame at 100 Hz (hop 160), and every frame at 50 Hz (hop 320),
is a frame of the encoder.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import torch
import torch.nn.functional as F

from .constant_q import FIELD, SAMPLE_RATE, checked, cqt, longest_window
from .errors import LabelError

__all__ = ["FeatureRecipe", "chroma", "cqt", "feature_recipe", "log_mel", "mfcc", "num_frames"]

ENCODER_HOP = 320  # samples between encoder frames
LABEL_RATE_HZ = SAMPLE_RATE / ENCODER_HOP


def num_frames(num_samples: int, hop_length: int = ENCODER_HOP) -> int:
    """The number of frames of a clip; at hop 320 it equals that of the encoder."""
    return max(1 + (num_samples - FIELD) // hop_length, 0)


def at_label_rate(source, values: torch.Tensor, dim: int) -> torch.Tensor:
    """The values at the encoder's frames, from values at `source.rate_hz`: every second one of 100 Hz."""
    stride = round(source.rate_hz / LABEL_RATE_HZ)
    return values[(slice(None),) * dim + (slice(None, None, stride),)]


def mfcc(
    waveform: torch.Tensor, sample_rate: int = SAMPLE_RATE, num_ceps: int = 13, hop_length: int = 160
) -> torch.Tensor:
    """Kaldi MFCCs with first and second differences, as HuBERT's first iteration clusters them.

    25 ms Povey windows, pre-emphasis 0.97, 23 mel bands from 20 Hz to 8 kHz, lifter 22, C0 kept, no dither and no
    mean normalization (fairseq `dump_mfcc_feature.py`, which calls Kaldi's defaults with `use_energy=False`).

    Args:
        waveform: (B, N) or (N,) in [-1, 1], not normalized.

    Returns:
        (B, F, 3 * num_ceps) float32, 100 frames a second.

    Raises:
        LabelError: the rate is not 16 kHz, or the clip is shorter than one frame.
    """
    frames = _fields(checked(waveform, sample_rate), FIELD, hop_length)
    frames = frames - frames.mean(dim=-1, keepdim=True)
    frames = frames - 0.97 * F.pad(frames, (1, 0), mode="replicate")[..., :-1]
    window = torch.hann_window(FIELD, periodic=False, device=frames.device).pow(0.85)  # Povey's
    power = torch.fft.rfft(frames * window, n=512).abs().square()
    bands = (power @ _kaldi_mel_bands(23, 512).to(frames.device)).clamp_min(torch.finfo(torch.float32).eps)
    cepstra = bands.log() @ _liftered_dct(num_ceps, 23).to(frames.device)
    first = _differences(cepstra)
    return torch.cat([cepstra, first, _differences(first)], dim=-1)


def log_mel(
    waveform: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    num_bands: int = 229,
    hop_length: int = ENCODER_HOP,
    n_fft: int = 2048,
) -> torch.Tensor:
    """Natural logarithm of the mel power spectrum (Slaney's scale and area normalization, 30 Hz to 8 kHz).

    MERT-v0's labels were clustered from 229 bands. Its other settings are not public: window and range are those that
    are usual with 229 bands in music transcription.

    Returns:
        (B, F, num_bands) float32.
    """
    power = _spectrum(waveform, sample_rate, hop_length, n_fft).square()
    return (power @ _slaney_mel_bands(num_bands, n_fft).to(power.device)).clamp_min(1e-8).log()


def chroma(
    waveform: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    num_bins: int = 24,
    hop_length: int = ENCODER_HOP,
    n_fft: int = 4096,
) -> torch.Tensor:
    """Energy per pitch class, each frame divided by its largest bin (silence stays zero); bin 0 is C.

    A 256 ms window, tuned to A4 = 440 Hz; the filters are Ellis's Gaussian bumps, as in librosa.

    Returns:
        (B, F, num_bins) float32 in [0, 1].
    """
    power = _spectrum(waveform, sample_rate, hop_length, n_fft).square()
    energy = power @ _chroma_bands(num_bins, n_fft).to(power.device)
    return energy / energy.amax(dim=-1, keepdim=True).clamp_min(1e-10)


def _fields(waveform: torch.Tensor, width: int, hop_length: int) -> torch.Tensor:
    """(B, N) -> (B, F, width): windows centred on the encoder's fields, zeros beyond the clip's ends."""
    frames = num_frames(waveform.shape[-1], hop_length)
    left = (width - FIELD) // 2
    right = max((frames - 1) * hop_length + width - left - waveform.shape[-1], 0)
    return F.pad(waveform, (left, right)).unfold(-1, width, hop_length)[:, :frames]


def _spectrum(waveform: torch.Tensor, sample_rate: int, hop_length: int, n_fft: int) -> torch.Tensor:
    """Magnitudes (B, F, n_fft // 2 + 1) under a periodic Hann window."""
    frames = _fields(checked(waveform, sample_rate), n_fft, hop_length)
    return torch.fft.rfft(frames * torch.hann_window(n_fft, device=frames.device)).abs()


def _differences(features: torch.Tensor) -> torch.Tensor:
    """Kaldi's regression slope over five frames; the first and last frames are repeated."""
    padded = F.pad(features.transpose(1, 2), (2, 2), mode="replicate").transpose(1, 2)
    frames = features.shape[1]
    return sum(n * (padded[:, 2 + n : 2 + n + frames] - padded[:, 2 - n : 2 - n + frames]) for n in (1, 2)) / 10


@lru_cache
def _kaldi_mel_bands(num_bands: int, n_fft: int, low_hz: float = 20.0) -> torch.Tensor:
    """Triangles on Kaldi's mel scale, (n_fft // 2 + 1, num_bands); the weight of the Nyquist bin is zero."""

    def mel(hz):
        return 1127.0 * np.log1p(np.asarray(hz) / 700.0)

    edges = np.linspace(mel(low_hz), mel(SAMPLE_RATE / 2), num_bands + 2)
    bins = mel(np.arange(n_fft // 2) * SAMPLE_RATE / n_fft)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    return torch.from_numpy(np.pad(triangles, ((0, 1), (0, 0)))).float()


@lru_cache
def _liftered_dct(num_ceps: int, num_bands: int, lifter: float = 22.0) -> torch.Tensor:
    """Orthonormal DCT-II times Kaldi's cepstral lifter, (num_bands, num_ceps)."""
    order = np.arange(num_ceps)
    basis = np.cos(np.pi / num_bands * (np.arange(num_bands)[:, None] + 0.5) * order) * math.sqrt(2 / num_bands)
    basis[:, 0] = math.sqrt(1 / num_bands)
    return torch.from_numpy(basis * (1 + 0.5 * lifter * np.sin(np.pi * order / lifter))).float()


@lru_cache
def _slaney_mel_bands(num_bands: int, n_fft: int, low_hz: float = 30.0) -> torch.Tensor:
    """Triangles of unit area on Slaney's mel scale (linear to 1 kHz, logarithmic above), (n_fft // 2 + 1, bands)."""
    step = math.log(6.4) / 27
    low, high = low_hz * 3 / 200, 15 + math.log(SAMPLE_RATE / 2 / 1000) / step
    mels = np.linspace(low, high, num_bands + 2)
    edges = np.where(mels < 15, mels * 200 / 3, 1000 * np.exp(step * (mels - 15)))
    bins = np.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0.0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return torch.from_numpy(triangles).float()


@lru_cache
def _chroma_bands(num_bins: int, n_fft: int) -> torch.Tensor:
    """Ellis's chroma filters, (n_fft // 2 + 1, num_bins): Gaussian in pitch, and around octave 5, two octaves wide."""
    hz = np.linspace(0, SAMPLE_RATE, n_fft, endpoint=False)[1:]
    pitch = num_bins * np.log2(hz / (440.0 / 16))
    pitch = np.concatenate([[pitch[0] - 1.5 * num_bins], pitch])
    width = np.concatenate([np.maximum(np.diff(pitch), 1.0), [1.0]])
    half = round(num_bins / 2)
    distance = np.remainder(pitch[None] - np.arange(num_bins)[:, None] + half + 10 * num_bins, num_bins) - half
    bumps = np.exp(-0.5 * (2 * distance / width) ** 2)
    bumps /= np.maximum(np.linalg.norm(bumps, axis=0), 1e-12)
    bumps *= np.exp(-0.5 * ((pitch / num_bins - 5.0) / 2.0) ** 2)
    bumps = np.roll(bumps, -3 * (num_bins // 12), axis=0)  # from A to C
    return torch.from_numpy(np.ascontiguousarray(bumps[:, : n_fft // 2 + 1].T)).float()


@dataclass(frozen=True)
class FeatureRecipe:
    """A named feature with fixed settings, so that a codebook can record what it was fitted on.

    `compute(waveform (B, N)) -> (B, F, dimension)` at `rate_hz` frames per second. Frames within `edge_seconds` of the
    ends of a clip depend on the zeros beyond it; outside this margin, the labels of a crop equal those of the file.
    """

    name: str
    dimension: int
    rate_hz: float
    edge_seconds: float
    compute: Callable[[torch.Tensor], torch.Tensor] = field(repr=False)
    settings: str = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """A hash of the settings; a codebook that was fitted with other settings is refused."""
        return hashlib.sha256(f"{self.name}|{self.settings}".encode()).hexdigest()[:16]

    def to(self, device: torch.device | str) -> "FeatureRecipe":
        """Return the feature itself, which is computed on the device of its waveform."""
        return self


def _recipe(name: str, function: Callable, dimension: int, rate_hz: float, edge_samples: float, **settings):
    settings = {"hop_length": round(SAMPLE_RATE / rate_hz), **settings}
    described = f"v1 {function.__name__} {sorted(settings.items())}"
    # The nearest encoder frame that depends on nothing beyond the ends: half the window minus half the field.
    edge_seconds = max(edge_samples - FIELD / 2, 0) / SAMPLE_RATE
    return FeatureRecipe(name, dimension, rate_hz, edge_seconds, partial(function, **settings), described)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        # Second differences reach four 10 ms frames to either side.
        _recipe("mfcc39", mfcc, 39, 100.0, FIELD / 2 + 4 * 160, num_ceps=13),
        _recipe("mfcc60", mfcc, 60, 100.0, FIELD / 2 + 4 * 160, num_ceps=20),
        _recipe("logmel229", log_mel, 229, 50.0, 1024, num_bands=229, n_fft=2048),
        _recipe("chroma24", chroma, 24, 50.0, 2048, num_bins=24, n_fft=4096),
        _recipe("chroma264", chroma, 264, 50.0, 2048, num_bins=264, n_fft=4096),
        _recipe("cqt84", cqt, 84, 50.0, longest_window(12) / 2, num_bins=84, bins_per_octave=12, fmin_hz=32.7),
        _recipe("cqt336", cqt, 336, 50.0, longest_window(48) / 2, num_bins=336, bins_per_octave=48, fmin_hz=32.7),
    )
}


def feature_recipe(name: str) -> FeatureRecipe:
    """The named recipe: mfcc39, mfcc60, logmel229, chroma24, chroma264, cqt84 or cqt336.

    Raises:
        LabelError: the name is unknown.
    """
    if name not in RECIPES:
        raise LabelError(f"unknown acoustic feature {name!r}; available: {', '.join(RECIPES)}")
    return RECIPES[name]
