"""Timbres and drums: one note or stroke in, its waveform at 16 kHz out.

A note is read from two single-cycle wavetables, a bright and a dark one, which are cross-faded over time, since the
high partials of plucked and struck sounds decay first. This takes two table reads per sample for any number of
harmonics.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SAMPLING_RATE = 16_000
TABLE_LENGTH = 2048
MAX_HARMONICS = 60
Bend = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Timbre:
    """The sound of an instrument.

    Attributes:
        slope: harmonic k has the amplitude k ** -slope; a small slope is bright.
        even: gain of the even harmonics (weak in a clarinet).
        attack_seconds, release_seconds: of the envelope.
        decay_seconds: time constant of plucked and struck sounds; None for sustained ones.
        darkening: by how much the slope increases while the note sounds.
        breath: level of the added noise.
        vibrato_cents, vibrato_hz: depth and rate of the vibrato, which grows after the attack.
        tremolo, tremolo_hz: depth (0 to 1) and rate of the amplitude modulation.
        formants: (centre in Hz, bandwidth in Hz) of resonances that do not move with the pitch.
    """

    slope: float
    even: float = 1.0
    attack_seconds: float = 0.01
    decay_seconds: float | None = None
    release_seconds: float = 0.06
    darkening: float = 0.0
    breath: float = 0.0
    vibrato_cents: float = 0.0
    vibrato_hz: float = 5.5
    tremolo: float = 0.0
    tremolo_hz: float = 0.0
    formants: tuple[tuple[float, float], ...] = ()


_STRING_BODY = ((500, 300), (1500, 600))
_VOWEL_A = ((700, 130), (1200, 200), (2600, 350))
TIMBRES = {
    "piano": Timbre(1.5, attack_seconds=0.004, decay_seconds=0.9, darkening=1.2),
    "electric_piano": Timbre(2.2, decay_seconds=1.3, darkening=1.0, tremolo=0.25, tremolo_hz=4.5),
    "guitar": Timbre(1.1, attack_seconds=0.003, decay_seconds=0.5, darkening=1.6),
    "mallet": Timbre(2.6, even=0.25, attack_seconds=0.002, decay_seconds=0.25, darkening=1.5),
    "organ": Timbre(1.2, even=0.7, attack_seconds=0.02, tremolo=0.12, tremolo_hz=6.5),
    "strings": Timbre(1.0, attack_seconds=0.09, release_seconds=0.15, vibrato_cents=18, formants=_STRING_BODY),
    "flute": Timbre(2.4, attack_seconds=0.06, breath=0.08, vibrato_cents=14, vibrato_hz=5.0),
    "reed": Timbre(0.9, even=0.2, attack_seconds=0.03, vibrato_cents=8),
    "brass": Timbre(0.7, attack_seconds=0.04, darkening=-0.3, vibrato_cents=6, formants=((1200, 700),)),
    "synth": Timbre(0.8, attack_seconds=0.008, release_seconds=0.1, darkening=0.8),
    "voice": Timbre(1.2, attack_seconds=0.07, breath=0.03, vibrato_cents=35, formants=_VOWEL_A),
    "bass": Timbre(1.6, attack_seconds=0.006, decay_seconds=0.7, darkening=1.0),
    "distorted_guitar": Timbre(0.45, attack_seconds=0.006, release_seconds=0.05, formants=((900, 900), (2500, 1200))),
}


def midi_to_hz(midi: float) -> float:
    """Frequency of a MIDI pitch, A4 = 440 Hz."""
    return 440.0 * 2.0 ** ((midi - 69.0) / 12.0)


def play(
    timbre: Timbre, midi: float, seconds: float, velocity: float, rng: np.random.Generator, bend: Bend | None = None
) -> np.ndarray:
    """Play one note, including its release.

    Args:
        midi: the pitch, fractions included.
        velocity: 0 to 1; sets the loudness and, slightly, the brightness.
        bend: maps times in seconds (N,) to a deviation of the pitch in semitones (N,).

    Returns:
        float32 (N,), peak about `velocity`.
    """
    length = int((seconds + timbre.release_seconds) * SAMPLING_RATE)
    times = np.arange(length, dtype=np.float32) / SAMPLING_RATE
    # No two notes of a real instrument are equal: each is detuned by a few cents and differs slightly in brightness.
    hz = midi_to_hz(midi + rng.normal(0.0, 0.05))
    slope = timbre.slope + rng.normal(0.0, 0.1) + 0.3 * (0.7 - velocity)
    positions = TABLE_LENGTH * hz * _warped(timbre, times, rng, bend)
    phases = rng.uniform(0.0, 2.0 * np.pi, MAX_HARMONICS)
    wave = _read(_table(timbre, slope, hz, phases), positions)
    if timbre.darkening:
        dark = _read(_table(timbre, slope + timbre.darkening, hz, phases), positions)
        wave = dark + (wave - dark) * np.exp(-times / 0.25)
    if timbre.breath:
        wave = wave + timbre.breath * rng.standard_normal(length, dtype=np.float32)
    return (velocity * wave * _envelope(timbre, times, seconds, rng)).astype(np.float32)


def _warped(timbre: Timbre, times: np.ndarray, rng: np.random.Generator, bend: Bend | None) -> np.ndarray:
    """Cycles per Hz up to each time: plain time, warped by vibrato and pitch bend. (N,) -> (N,) float64."""
    warped = times.astype(np.float64)
    if timbre.vibrato_cents:
        depth = timbre.vibrato_cents / 1200.0 * np.log(2.0)
        rate = 2.0 * np.pi * timbre.vibrato_hz * rng.uniform(0.92, 1.08)
        grown = np.minimum(warped / 0.25, 1.0)
        warped = warped - grown * depth / rate * np.cos(rate * warped + rng.uniform(0.0, 2.0 * np.pi))
    if bend is not None:
        warped = warped + np.cumsum(2.0 ** (bend(times) / 12.0) - 1.0) / SAMPLING_RATE
    return warped


def _table(timbre: Timbre, slope: float, hz: float, phases: np.ndarray) -> np.ndarray:
    """One cycle without harmonics above the Nyquist frequency, unit power. (TABLE_LENGTH,)"""
    count = max(1, min(MAX_HARMONICS, int(0.48 * SAMPLING_RATE / hz)))
    harmonics = np.arange(1, count + 1)
    amplitudes = harmonics ** -float(slope) * np.where(harmonics % 2 == 0, timbre.even, 1.0)
    if timbre.formants:
        gains = [np.exp(-0.5 * ((harmonics * hz - centre) / width) ** 2) for centre, width in timbre.formants]
        amplitudes = amplitudes * (0.08 + np.sum(gains, axis=0))
    spectrum = np.zeros(TABLE_LENGTH // 2 + 1, dtype=np.complex128)
    spectrum[1 : count + 1] = amplitudes * np.exp(1j * phases[:count])
    table = np.fft.irfft(spectrum)
    return (table / (table.std() + 1e-12) * 0.35).astype(np.float32)


def _read(table: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Linear interpolation in a cyclic table."""
    floor = np.floor(positions)
    index = floor.astype(np.int64) % TABLE_LENGTH
    left = table[index]
    return left + (positions - floor).astype(np.float32) * (table[(index + 1) % TABLE_LENGTH] - left)


def _envelope(timbre: Timbre, times: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    attack = timbre.attack_seconds * rng.uniform(0.8, 1.25)
    released = (seconds + timbre.release_seconds - times) / timbre.release_seconds
    envelope = np.minimum(times / attack, 1.0) * np.clip(released, 0.0, 1.0)
    if timbre.decay_seconds is not None:
        envelope = envelope * np.exp(-times / timbre.decay_seconds)
    if timbre.tremolo:
        envelope = envelope * (1.0 - timbre.tremolo * (0.5 + 0.5 * np.sin(2.0 * np.pi * timbre.tremolo_hz * times)))
    return envelope


def strike(drum: str, velocity: float, rng: np.random.Generator) -> np.ndarray:
    """One stroke of `kick`, `snare`, `hat`, `open_hat`, `clap` or `tom`; float32 (N,), peak about `velocity`."""
    seconds, decay, tone_hz, sweep_hz, noise = _DRUMS[drum]
    times = np.arange(int(seconds * SAMPLING_RATE), dtype=np.float32) / SAMPLING_RATE
    tune = rng.uniform(0.95, 1.05)
    # The pitch of a drum head falls while it rings; the phase is the integral of the falling frequency.
    cycles = tune * (tone_hz * times + sweep_hz * 0.03 * (1.0 - np.exp(-times / 0.03)))
    wave = (1.0 - noise) * np.sin(2.0 * np.pi * cycles)
    hiss = rng.standard_normal(len(times), dtype=np.float32)
    if drum in ("hat", "open_hat"):
        hiss = np.diff(hiss, prepend=0.0)
    wave = wave + noise * 0.5 * hiss
    return (velocity * wave * np.exp(-times / decay)).astype(np.float32)


# Length in seconds, decay in seconds, pitch in Hz, additional pitch at the stroke in Hz, share of noise.
_DRUMS = {
    "kick": (0.35, 0.10, 50.0, 120.0, 0.02),
    "snare": (0.25, 0.07, 190.0, 40.0, 0.7),
    "hat": (0.08, 0.02, 0.0, 0.0, 0.6),
    "open_hat": (0.35, 0.12, 0.0, 0.0, 0.5),
    "clap": (0.2, 0.05, 0.0, 0.0, 0.9),
    "tom": (0.4, 0.14, 110.0, 50.0, 0.1),
}
