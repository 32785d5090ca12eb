"""NSynth instrument: eleven families of single notes."""

from pathlib import Path

from musicssl.probing.tasks import nsynth
from musicssl.probing.tasks.base import Task, TaskData

LABELS = (
    "bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal",
)  # fmt: skip


def read(root: Path) -> TaskData:
    """The family by its name; `synth_lead` has training notes only."""
    return nsynth.read_notes(root, TASK.name, lambda note: LABELS.index(note["instrument_family_str"]))


TASK = Task(
    name="nsynth_instrument",
    dataset="nsynth",
    title="NSynth instrument family",
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
