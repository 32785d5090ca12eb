"""Render a composed piece to a waveform."""

import numpy as np
from scipy.signal import oaconvolve

from musicssl.demo.composition import Piece
from musicssl.demo.sounds import SAMPLING_RATE, TIMBRES, play, strike

PART_GAINS = {"lead": 0.9, "harmony": 0.55, "bass": 0.8}


def render(piece: Piece, rng: np.random.Generator) -> np.ndarray:
    """Play all notes and strokes of `piece` in a simulated room; float32 (N,), |x| <= 1."""
    mix = np.zeros(round(piece.seconds * SAMPLING_RATE), dtype=np.float32)
    for note in piece.notes:
        timbre = TIMBRES[piece.instruments[note.part]]
        sound = play(timbre, note.midi, note.seconds, note.velocity * PART_GAINS[note.part], rng)
        add_at(mix, sound, note.onset_seconds)
    for stroke in piece.strokes:
        add_at(mix, strike(stroke.drum, 0.7 * stroke.velocity, rng), stroke.onset_seconds)
    return finish(mix, rng)


def finish(mix: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a room, a little noise, soft limiting and a level between -12 and -1 dB. (N,) -> (N,) float32."""
    room_seconds = rng.uniform(0.15, 0.5)
    times = np.arange(int(room_seconds * SAMPLING_RATE)) / SAMPLING_RATE
    tail = rng.standard_normal(len(times)) * np.exp(-6.9 * times / room_seconds)
    tail /= np.sqrt(np.sum(tail**2)) + 1e-12
    mix = mix + rng.uniform(0.05, 0.25) * oaconvolve(mix, tail)[: len(mix)]
    mix = mix + 10.0 ** rng.uniform(-3.5, -2.5) * rng.standard_normal(len(mix))
    peak = np.abs(mix).max() + 1e-9
    return (10.0 ** rng.uniform(-0.6, -0.05) * np.tanh(1.5 * mix / peak) / np.tanh(1.5)).astype(np.float32)


def add_at(mix: np.ndarray, sound: np.ndarray, onset_seconds: float) -> None:
    """Add `sound` into `mix` in place, cut at its end."""
    start = round(onset_seconds * SAMPLING_RATE)
    part = mix[start : start + len(sound)]
    part += sound[: len(part)]
