"""VocalSet singer: who of 20 sings, in 3-second chunks."""

from pathlib import Path

from musicssl.probing.tasks import vocalset
from musicssl.probing.tasks.base import Task, TaskData
from musicssl.probing.tasks.vocalset import Recording

LABELS = vocalset.SINGERS


def split_of(recording: Recording) -> str:
    """Recordings about 48:32:20; every singer is in all three."""
    fraction = vocalset.hash_fraction(recording.name)
    return "test" if fraction < 0.2 else "validation" if fraction < 0.52 else "train"


def read(root: Path) -> TaskData:
    """All 17 techniques."""
    return vocalset.read_chunks(root, TASK.name, lambda each: LABELS.index(each.singer), split_of)


TASK = Task(
    name="vocalset_singer",
    dataset="vocalset",
    title="VocalSet singer",
    kind="multiclass",
    labels=LABELS,
    metrics=("accuracy",),
    primary_metric="accuracy",
    epochs=100,
    patience=20,
    plateau_patience=5,
    published_counts=None,
    minimum_tracks=2_000,
    split_hash=None,
    licence=vocalset.LICENCE,
    citation=vocalset.CITATION,
    source=vocalset.SOURCE,
    layout=vocalset.LAYOUT,
    comparable_to=vocalset.COMPARABLE_TO,
    read=read,
    aggregate="window",
)
