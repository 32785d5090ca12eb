"""NSynth pitch: the MIDI pitch of single notes, 128 classes."""

from pathlib import Path

from musicssl.probing.tasks import nsynth
from musicssl.probing.tasks.base import Task, TaskData

LABELS = tuple(str(midi) for midi in range(128))


def read(root: Path) -> TaskData:
    """The class is the MIDI pitch (MARBLE subtracts one; any bijection scores the same)."""
    return nsynth.read_notes(root, TASK.name, lambda note: LABELS.index(str(note["pitch"])))


TASK = Task(
    name="nsynth_pitch",
    dataset="nsynth",
    title="NSynth pitch",
    kind="multiclass",
    labels=LABELS,
    metrics=("accuracy",),
    primary_metric="accuracy",
    epochs=50,
    patience=10,
    plateau_patience=3,
    published_counts=nsynth.PUBLISHED_COUNTS,
    split_hash=None,
    licence=nsynth.LICENCE,
    citation=nsynth.CITATION,
    source=nsynth.SOURCE,
    layout=nsynth.LAYOUT,
    comparable_to="MARBLE v1",
    read=read,
)
