"""The constant-Q transform: geometrically spaced bins, each with a window of Q periods of its frequency.

Shapes: B clips, N samples, F frames, K bins, P points of the padded transform.

Direct kernels are 34,000 samples long at 48 bins per octave. In the frequency domain a bin is a narrow bump, and a
hop of h samples is a fold of the spectrum, so one FFT of the clip and one short inverse FFT per bin give the same
frames: |IFFT(fold(spectrum * bump))|. The bumps are the closed-form transform of a Hann window, cut where they fall
below 1e-5 of their peak.
"""

import math
from functools import lru_cache

import torch

from .errors import LabelError

SAMPLE_RATE = 16000
FIELD = 400  # the encoder's frame t covers the samples [320 t, 320 t + 400)
CENTRE = FIELD // 2
LOBES = 32  # half width of a kept bump, in units of 1 / window


def checked(waveform: torch.Tensor, sample_rate: int) -> torch.Tensor:
    """The waveform as float32 (B, N); LabelError when it cannot be used."""
    if sample_rate != SAMPLE_RATE:
        raise LabelError(f"acoustic features need audio at {SAMPLE_RATE} Hz, got {sample_rate} Hz: resample it first")
    waveform = torch.atleast_2d(waveform).float()
    if waveform.shape[-1] < FIELD:
        raise LabelError(f"a clip of {waveform.shape[-1]} samples is shorter than one frame ({FIELD} samples)")
    return waveform


def longest_window(bins_per_octave: int, fmin_hz: float = 32.7) -> float:
    """The length of the window of the lowest bin, in samples."""
    return SAMPLE_RATE / fmin_hz / (2 ** (1 / bins_per_octave) - 1)


def cqt(
    waveform: torch.Tensor,
    sample_rate: int = SAMPLE_RATE,
    num_bins: int = 336,
    bins_per_octave: int = 48,
    fmin_hz: float = 32.7,
    hop_length: int = 320,
) -> torch.Tensor:
    """Constant-Q magnitudes, frame t centred on sample hop_length * t + 200 (the encoder's frame for hop 320).

    The windows are Hann windows of unit sum, times the square root of their length: the scale of librosa and of MERT's
    CQT target (336 bins, 48 per octave from 32.7 Hz). The clip is continued with zeros at both ends.

    Args:
        waveform: (B, N) or (N,) in [-1, 1].

    Returns:
        (B, F, num_bins) float32.

    Raises:
        LabelError: the rate is not 16 kHz, the clip is shorter than one frame, or a bin is above half the rate.
    """
    waveform = checked(waveform, sample_rate)
    num_samples = waveform.shape[-1]
    if fmin_hz * 2 ** ((num_bins - 1) / bins_per_octave) >= SAMPLE_RATE / 2:
        raise LabelError(f"{num_bins} constant-Q bins from {fmin_hz} Hz reach beyond half the sampling rate")

    # Circular buffer whose point 0 is the centre of frame 0, with silence between the clip's two ends.
    silence = longest_window(bins_per_octave, fmin_hz)
    fold = _smooth_number(math.ceil((num_samples + silence) / hop_length))
    spectrum = torch.fft.fft(waveform, n=fold * hop_length).unsqueeze(1)  # (B, 1, P)
    frames = 1 + (num_samples - FIELD) // hop_length
    magnitudes = []
    for octave in range(0, num_bins, bins_per_octave):
        bins = tuple(range(octave, min(octave + bins_per_octave, num_bins)))
        points, bumps = _bumps(bins, bins_per_octave, fmin_hz, fold, hop_length, waveform.device)
        banded = spectrum.expand(-1, len(bins), -1).gather(2, points.expand(len(waveform), -1, -1)) * bumps
        folded = banded.unflatten(2, (-1, fold)).sum(2)  # decimation in time is aliasing in frequency
        magnitudes.append(torch.fft.ifft(folded)[..., :frames].abs() / hop_length)
    return torch.cat(magnitudes, dim=1).transpose(1, 2)


def _smooth_number(at_least: int) -> int:
    """The next number whose only prime factors are 2, 3 and 5, for which FFTs are fast."""
    number = at_least
    while True:
        rest = number
        for prime in (2, 3, 5):
            while rest % prime == 0:
                rest //= prime
        if rest == 1:
            return number
        number += 1


@lru_cache(maxsize=64)
def _bumps(
    bins: tuple[int, ...], bins_per_octave: int, fmin_hz: float, fold: int, hop_length: int, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The points of the spectrum that each bin keeps, and their factors: int64 and complex64 (1, K, W).

    W is a multiple of `fold`, and every row starts at a multiple of it, so that folding needs no shift. The phase
    moves the clip left by half an encoder field: frame 0 is centred on sample 200.
    """
    size = fold * hop_length
    quality = 1 / (2 ** (1 / bins_per_octave) - 1)
    hz = fmin_hz * 2.0 ** (torch.tensor(bins, dtype=torch.float64) / bins_per_octave)
    window = quality * SAMPLE_RATE / hz  # samples
    centre = hz * size / SAMPLE_RATE
    reach = LOBES * size / window
    first = ((centre - reach) / fold).floor() * fold
    width = math.ceil(float((centre + reach - first).max()) / fold) * fold
    points = first[:, None] + torch.arange(width, dtype=torch.float64)  # (K, W)
    lobes = (points - centre[:, None]) * (window / size)[:, None]
    # Transform of the Hann window of unit sum: sinc(x) / (1 - x^2), one half at x = +-1.
    pole = (lobes.abs() - 1).abs() < 1e-6
    bump = torch.where(pole, 0.5, torch.sinc(lobes) / (1 - lobes.square()).masked_fill(pole, 1.0))
    bump = bump * (lobes.abs() <= LOBES) * window.sqrt()[:, None]
    phase = torch.polar(torch.ones_like(points), 2 * math.pi * points * CENTRE / size)
    kernel = (bump * phase).to(torch.complex64)
    return points.long().remainder(size)[None].to(device), kernel[None].to(device)
