"""A small VocalSet: FULL/SINGER/CONTEXT/TECHNIQUE, long and too short recordings, some with silence in front."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from musicssl.demo.collection import clip_generator
from musicssl.demo.render import SAMPLING_RATE, add_at, finish
from musicssl.demo.sounds import TIMBRES, Timbre, play
from musicssl.probing.tasks.vocalset import SINGERS, TECHNIQUES
from study.archives.audio import write_audio, write_lines

SECONDS = 3.3  # one chunk of the task
RECORDINGS_PER_SINGER = 9


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write FULL/; every singer sings nine of the 17 techniques."""
    for singer_index, singer in enumerate(SINGERS):
        folder = f"{'female' if singer[0] == 'f' else 'male'}{singer[1:]}"
        for number in range(RECORDINGS_PER_SINGER * size):
            take, turn = divmod(number, RECORDINGS_PER_SINGER)
            technique = TECHNIQUES[(singer_index + 2 * turn) % len(TECHNIQUES)]
            rng = clip_generator(seed, f"vocalset/{singer}", number)
            # The original's takes differ in their vowel.
            vowel = "aeiou"[take % 5] * (1 + take // 5)
            # As in the original, some names lack the singer, and some takes are shorter than a chunk.
            prefix = "" if (singer_index, number) == (3, 1) else f"{singer}_"
            name = f"{prefix}arpeggios_{technique}_{vowel}.wav"
            seconds = 1.5 if (singer_index + turn) % 17 == 5 else SECONDS
            waveform = sing(singer_index, technique, seconds, rng)
            silence = np.zeros(int(0.4 * SAMPLING_RATE * (turn % 2)), dtype=np.float32)
            path = root / "FULL" / folder / "arpeggios" / technique / name
            write_audio(path, np.concatenate([silence, waveform]), 44_100)
    write_lines(root / "FULL" / "female1" / "arpeggios" / "belt" / "._f1_arpeggios_belt_a.wav", ["a resource fork"])


def voice_of(singer_index: int) -> tuple[Timbre, int]:
    """The vowel and the lowest note of a singer."""
    is_female = SINGERS[singer_index][0] == "f"
    size = 1.0 + (0.18 if is_female else 0.0) + 0.03 * (singer_index % 10 - 5)
    formants = tuple((centre * size, width) for centre, width in TIMBRES["voice"].formants)
    slope = TIMBRES["voice"].slope + 0.08 * (singer_index % 7 - 3)
    return replace(TIMBRES["voice"], formants=formants, slope=slope), (57 if is_female else 45) + singer_index % 4


def sing(singer_index: int, technique: str, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """An arpeggio up and down in one technique; float32 (N,) at 16 kHz."""
    timbre, lowest = voice_of(singer_index)
    changes, transpose, bend = _TECHNIQUES.get(technique, ({}, 0, None))
    timbre = replace(timbre, **changes)
    note_seconds = 0.3 if technique.startswith("fast") else 0.65
    mix = np.zeros(int(seconds * SAMPLING_RATE), dtype=np.float32)
    for index, onset in enumerate(np.arange(0.0, seconds, note_seconds)):
        midi = lowest + transpose + (0, 4, 7, 12, 7, 4)[index % 6]
        velocity = 0.4 if technique in ("pp", "fast_piano", "slow_piano") else 0.8
        add_at(mix, play(timbre, midi, note_seconds, velocity, rng, bend), onset)
    return finish(mix, rng)


def _trill(times: np.ndarray) -> np.ndarray:
    return np.where(np.sin(2.0 * np.pi * 6.0 * times) > 0.0, 1.0, 0.0)


def _speech(times: np.ndarray) -> np.ndarray:
    return 3.0 - 9.0 * times


# Technique -> (changes of the voice, semitones of transposition, pitch bend).
_TECHNIQUES: dict[str, tuple[dict, int, Callable | None]] = {
    "belt": ({"slope": 0.5, "attack_seconds": 0.02}, 0, None),
    "breathy": ({"breath": 0.25, "slope": 1.9}, 0, None),
    "inhaled": ({"breath": 0.5, "slope": 2.6, "vibrato_cents": 0.0}, 3, None),
    "lip_trill": ({"slope": 2.2, "tremolo": 0.9, "tremolo_hz": 24.0}, 0, None),
    "spoken": ({"vibrato_cents": 0.0, "release_seconds": 0.15}, -5, _speech),
    "straight": ({"vibrato_cents": 0.0}, 0, None),
    "trill": ({"vibrato_cents": 0.0}, 0, _trill),
    "trillo": ({"vibrato_cents": 0.0, "tremolo": 1.0, "tremolo_hz": 6.0}, 0, None),
    "vibrato": ({"vibrato_cents": 90.0}, 0, None),
    "vocal_fry": ({"vibrato_cents": 0.0, "slope": 0.6, "breath": 0.05}, -22, None),
}
