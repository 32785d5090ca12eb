"""Pieces of music as lists of notes: chords in a key, melody, bass and drums."""

from dataclasses import dataclass

import numpy as np

from musicssl.demo.styles import STYLES, Style
from musicssl.keys import MODES, TONICS

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
# Scale degrees (0 is the tonic), one chord a bar.
PROGRESSIONS = {
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 4, 0), (1, 4, 0, 0), (0, 0, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 4), (0, 3, 6, 2), (0, 0, 5, 4)),
}
STEPS_PER_BEAT = 4


@dataclass(frozen=True)
class Note:
    """One note of a part (`lead`, `harmony` or `bass`)."""

    part: str
    onset_seconds: float
    seconds: float
    midi: int
    velocity: float


@dataclass(frozen=True)
class Stroke:
    """One stroke of a drum."""

    drum: str
    onset_seconds: float
    velocity: float


@dataclass(frozen=True)
class Piece:
    """A composed excerpt with all its labels."""

    style: str
    tonic: int
    mode: str
    tempo_bpm: float
    instruments: dict[str, str]
    notes: tuple[Note, ...]
    strokes: tuple[Stroke, ...]
    beat_times: tuple[float, ...]
    downbeat_times: tuple[float, ...]
    seconds: float

    @property
    def key(self) -> str:
        """Tonic and mode, flats only: "Db major"."""
        return f"{TONICS[self.tonic]} {self.mode}"


def compose(rng: np.random.Generator, seconds: float, style: str | None = None, key: str | None = None) -> Piece:
    """Compose an excerpt; what is not given is drawn from the ranges of the style.

    Args:
        seconds: length of the excerpt; it starts inside a bar, like a cut from a longer track.
        style: one of `STYLES`.
        key: one of `musicssl.keys.KEYS`.
    """
    style = style or str(rng.choice(list(STYLES)))
    rules = STYLES[style]
    mode = key.split()[1] if key else MODES[int(rng.random() < rules.minor_probability)]
    tonic = TONICS.index(key.split()[0]) if key else int(rng.integers(12))
    tempo_bpm = float(rng.uniform(*rules.tempo_bpm))
    instruments = {"lead": str(rng.choice(rules.lead)), "harmony": str(rng.choice(rules.harmony)), "bass": "bass"}
    grid = _beat_grid(rng, seconds, tempo_bpm)
    first = -int(rng.integers(rules.beats_per_bar))
    num_bars = -(-(len(grid) - 1 - first) // rules.beats_per_bar)
    chords = PROGRESSIONS[mode][int(rng.integers(len(PROGRESSIONS[mode])))]
    writer = _Writer(rng, rules, grid, first, tonic, mode)
    for bar in range(num_bars):
        degree = chords[bar % len(chords)]
        # Every second phrase has fewer notes, as verse and chorus differ.
        full = (bar // 4) % 2 == 0
        writer.harmony(bar, degree)
        writer.bass(bar, degree)
        writer.lead(bar, degree, rules.density * (1.0 if full else 0.6))
        writer.drums(bar, fill=bar % 4 == 3)
    beats = [(index, time) for index, time in enumerate(grid) if 0.0 <= time < seconds]
    return Piece(
        style, tonic, mode, tempo_bpm, instruments,
        tuple(writer.notes), tuple(writer.strokes),
        tuple(round(float(time), 3) for _, time in beats),
        tuple(round(float(time), 3) for index, time in beats if (index + first) % rules.beats_per_bar == 0),
        seconds,
    )  # fmt: skip


def _beat_grid(rng: np.random.Generator, seconds: float, tempo_bpm: float) -> np.ndarray:
    """Beat times from before the start to after the end; the tempo drifts by about one percent, as a player's does."""
    count = int(seconds * tempo_bpm / 60.0) + 4
    drift = np.cumsum(rng.normal(0.0, 0.004, count))
    periods = 60.0 / tempo_bpm * (1.0 + np.clip(drift, -0.03, 0.03))
    return np.concatenate([[0.0], np.cumsum(periods)]) - rng.uniform(0.0, 1.0) * periods[0]


class _Writer:
    """Writes bars of notes and strokes onto the beat grid."""

    def __init__(self, rng, rules: Style, grid: np.ndarray, first: int, tonic: int, mode: str):
        self.rng, self.rules, self.grid, self.first = rng, rules, grid, first
        self.tonic, self.mode, self.scale = tonic, mode, SCALES[mode]
        self.notes: list[Note] = []
        self.strokes: list[Stroke] = []
        self.melody_degree = int(rng.integers(0, 7))
        self.motif = self._rhythm()

    def harmony(self, bar: int, degree: int) -> None:
        steps = self.rules.beats_per_bar * STEPS_PER_BEAT
        chord = [self._pitch(degree + offset, 48) for offset in (0, 2, 4)]
        if self.rules.comping == "arpeggio":
            order = (0, 1, 2, 1)
            for index, step in enumerate(range(0, steps, 2)):
                self._note("harmony", bar, step, 3, chord[order[index % 4]], 0.45)
            return
        onsets = {
            "sustained": [(0, steps)],
            "offbeat": [(step, 1) for step in range(2, steps, 4)],
            "strum": [(0, 3), (6, 2), (8, 3), (14, 2)],
            "pulse": [(step, 2) for step in range(0, steps, 2)],
        }[self.rules.comping]
        for step, length in onsets:
            for midi in chord:
                self._note("harmony", bar, step, length, midi, 0.38)

    def bass(self, bar: int, degree: int) -> None:
        for beat in range(self.rules.beats_per_bar):
            offset = (0, 4, 0, 2)[beat % 4] if self.rules.swing > 0.2 else (0, 0, 4, 0)[beat % 4]
            if self.rng.random() < 0.85:
                self._note("bass", bar, beat * STEPS_PER_BEAT, 3, self._pitch(degree + offset, 36), 0.6)

    def lead(self, bar: int, degree: int, density: float) -> None:
        if bar % 4 == 0 or self.rng.random() < 0.3:
            self.motif = self._rhythm()
        for step, length in self.motif:
            if self.rng.random() > density + 0.25:
                continue
            self.melody_degree += int(self.rng.choice([-2, -1, -1, 0, 1, 1, 2]))
            self.melody_degree = int(np.clip(self.melody_degree, -2, 10))
            if step % STEPS_PER_BEAT == 0:
                # Strong beats fall on notes of the chord, which is what makes a melody belong to it.
                self.melody_degree += min((0, 1, -1, 2, -2), key=lambda move: self._off_chord(move, degree))
            self._note("lead", bar, step, length, self._pitch(self.melody_degree, 62), 0.7)

    def drums(self, bar: int, fill: bool) -> None:
        for drum, pattern in self.rules.drums.items():
            for step, mark in enumerate(pattern[: self.rules.beats_per_bar * STEPS_PER_BEAT]):
                if mark != "." and self.rng.random() < 0.97:
                    self._stroke(drum, bar, step, 0.8 if mark == "x" else 0.4)
        if fill and self.rules.drums and self.rng.random() < 0.6:
            for step in range(12, 16):
                self._stroke("tom", bar, step, 0.5)

    def _rhythm(self) -> list[tuple[int, int]]:
        """Onset step and length in steps of the notes of a bar."""
        steps, step, rhythm = self.rules.beats_per_bar * STEPS_PER_BEAT, 0, []
        while step < steps:
            length = int(self.rng.choice([2, 2, 4, 4, 6, 8]))
            rhythm.append((step, length))
            step += length
        return rhythm

    def _off_chord(self, move: int, degree: int) -> tuple[bool, int]:
        return ((self.melody_degree + move - degree) % 7 not in (0, 2, 4), abs(move))

    def _pitch(self, degree: int, lowest: int) -> int:
        """MIDI pitch of a scale degree, the tonic being the first at or above `lowest`."""
        octave, step = divmod(degree, 7)
        interval = self.scale[step]
        # The dominant of a minor key has a raised third: without it, relative major and minor keys share all notes.
        if self.mode == "minor" and step == 6 and lowest < 60:
            interval = 11
        return lowest + (self.tonic - lowest) % 12 + 12 * octave + interval

    def _time(self, bar: int, step: float) -> float:
        if step % 4 == 2:
            step += self.rules.swing * 2.0
        beat = bar * self.rules.beats_per_bar + step / STEPS_PER_BEAT + self.first
        return float(np.interp(beat, np.arange(len(self.grid)), self.grid, left=-1.0, right=np.inf))

    def _note(self, part: str, bar: int, step: int, length: int, midi: int, velocity: float) -> None:
        start, end = self._time(bar, step), self._time(bar, step + length)
        if start < 0.0 or not np.isfinite(end):
            return
        onset = max(0.0, start + self.rng.normal(0.0, 0.006))
        loudness = float(np.clip(velocity * self.rng.uniform(0.8, 1.15), 0.05, 1.0))
        self.notes.append(Note(part, onset, 0.92 * (end - start), midi, loudness))

    def _stroke(self, drum: str, bar: int, step: int, velocity: float) -> None:
        time = self._time(bar, step)
        if 0.0 <= time < np.inf:
            onset = max(0.0, time + self.rng.normal(0.0, 0.004))
            self.strokes.append(Stroke(drum, onset, float(velocity * self.rng.uniform(0.8, 1.1))))
