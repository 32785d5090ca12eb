"""A small NSynth: three folders of single notes with examples.json; no synth_lead outside training."""

import json
from pathlib import Path

import numpy as np

from musicssl.demo.collection import clip_generator
from musicssl.demo.render import SAMPLING_RATE, add_at, finish
from musicssl.demo.sounds import TIMBRES, play
from musicssl.probing.tasks.nsynth_instrument import LABELS as FAMILIES
from study.archives.audio import write_audio, write_lines

NOTES = {"train": 176, "valid": 55, "test": 55}
SECONDS = 1.5  # the originals last four
PITCHES = range(48, 72, 2)
FAMILY_TIMBRES = {
    "bass": "bass", "brass": "brass", "flute": "flute", "guitar": "guitar", "keyboard": "piano", "mallet": "mallet",
    "organ": "organ", "reed": "reed", "string": "strings", "synth_lead": "synth", "vocal": "voice",
}  # fmt: skip


def write(root: Path, seed: int, size: int = 1) -> None:
    """Write nsynth-train, nsynth-valid and nsynth-test."""
    for split, count in NOTES.items():
        folder, examples = root / f"nsynth-{split}", {}
        families = [family for family in FAMILIES if split == "train" or family != "synth_lead"]
        for index in range(count * size):
            rng = clip_generator(seed, f"nsynth/{split}", index)
            family, pitch = families[index % len(families)], int(rng.choice(PITCHES))
            velocity = int(rng.choice([25, 50, 75, 100, 127]))
            mix = np.zeros(int(SECONDS * SAMPLING_RATE), dtype=np.float32)
            add_at(mix, play(TIMBRES[FAMILY_TIMBRES[family]], pitch, 1.1, velocity / 127, rng), 0.0)
            note = f"{family}_acoustic_{split[:2]}{index:03d}-{pitch:03d}-{velocity:03d}"
            examples[note] = {
                "note_str": note,
                "pitch": pitch,
                "velocity": velocity,
                "instrument_family": FAMILIES.index(family),
                "instrument_family_str": family,
                "sample_rate": SAMPLING_RATE,
            }
            write_audio(folder / "audio" / f"{note}.wav", finish(mix, rng))
        write_lines(folder / "examples.json", [json.dumps(examples, indent=1)])
