"""NSynth: single notes and their official split, shared by instrument and pitch (Engel et al., ICML 2017)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from musicssl.errors import UserError
from musicssl.probing.tasks.base import DataSet, Example, PublishedTask, TaskData, keep_present, require

SOURCE = "http://download.magenta.tensorflow.org/datasets/nsynth (nsynth-{train,valid,test}.jsonwav.tar.gz)"
DATA_SET = DataSet(
    folder="nsynth",
    source=SOURCE,
    layout="nsynth-{train,valid,test}/examples.json, nsynth-{train,valid,test}/audio/NOTE.wav",
    license="CC BY 4.0",
    citation="Engel et al.: Neural audio synthesis of musical notes with WaveNet autoencoders, ICML 2017",
)


def note_task(
    name: str, title: str, labels: tuple[str, ...], label_of: Callable[[dict[str, Any]], str]
) -> PublishedTask:
    """Classify notes; `label_of` a note's entry in examples.json is one of `labels`."""
    return PublishedTask(
        name=name,
        title=title,
        kind="multiclass",
        labels=labels,
        metrics=("accuracy",),
        epochs=50,
        patience=10,
        plateau_patience=3,
        published_counts={"train": 289_205, "validation": 12_678, "test": 4_096},
        data_set=DATA_SET,
        read=lambda root: read_notes(root, name, lambda entry: labels.index(label_of(entry))),
    )


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
