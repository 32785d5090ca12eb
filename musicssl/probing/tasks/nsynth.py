"""NSynth: single notes, official split, which instrument and pitch share (Engel et al., ICML 2017)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicssl.errors import UserError
from musicssl.probing.tasks.base import Example, TaskData, keep_present, require

SOURCE = "http://download.magenta.tensorflow.org/datasets/nsynth (nsynth-{train,valid,test}.jsonwav.tar.gz)"
LAYOUT = "nsynth-{train,valid,test}/examples.json, nsynth-{train,valid,test}/audio/NOTE.wav"
LICENCE = "CC BY 4.0"
CITATION = "Engel et al.: Neural audio synthesis of musical notes with WaveNet autoencoders, ICML 2017"
PUBLISHED_COUNTS = {"train": 289_205, "validation": 12_678, "test": 4_096}


def read_notes(root: Path, task: str, label_of: Callable[[dict[str, Any]], int]) -> TaskData:
    """All notes of the three archives, labelled by `label_of(note's entry in examples.json)`."""
    examples = []
    for name, split in (("train", "train"), ("valid", "validation"), ("test", "test")):
        path = require(root, task, SOURCE, f"nsynth-{name}/examples.json")
        for note, entry in json.loads(path.read_text(encoding="utf-8")).items():
            try:
                label = label_of(entry)
            except (KeyError, ValueError) as error:
                raise UserError(f"{path}: note {note} has no usable label ({error!r})") from error
            audio = path.parent / "audio" / f"{note}.wav"
            examples.append(Example(note, str(audio), label, split, track_id=note))
    return keep_present(root, examples)
