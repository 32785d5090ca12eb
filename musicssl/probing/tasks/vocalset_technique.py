"""VocalSet technique: ten ways of singing by unseen singers, in 3-second chunks."""

from pathlib import Path

from musicssl.probing.tasks import vocalset
from musicssl.probing.tasks.base import Task, TaskData
from musicssl.probing.tasks.vocalset import Recording

LABELS = (
    "belt", "breathy", "inhaled", "lip_trill", "spoken", "straight", "trill", "trillo", "vibrato", "vocal_fry",
)  # fmt: skip
TEST_SINGERS = ("f2", "f8", "m3", "m5", "m10")


def split_of(recording: Recording) -> str:
    """Five singers test (Wilkins et al.); the others' recordings are parted 60:40, as MARBLE v1's code does."""
    if recording.singer in TEST_SINGERS:
        return "test"
    return "validation" if vocalset.hash_fraction(recording.name) < 0.4 else "train"


def label_of(recording: Recording) -> int | None:
    """None for the seven techniques that are not classes here."""
    return LABELS.index(recording.technique) if recording.technique in LABELS else None


def read(root: Path) -> TaskData:
    """Ten of the 17 techniques."""
    return vocalset.read_chunks(root, TASK.name, label_of, split_of)


TASK = Task(
    name="vocalset_technique",
    dataset="vocalset",
    title="VocalSet technique",
    kind="multiclass",
    labels=LABELS,
    metrics=("accuracy",),
    primary_metric="accuracy",
    epochs=100,
    patience=10,
    plateau_patience=5,
    published_counts=None,
    minimum_tracks=1_000,
    split_hash=None,
    licence=vocalset.LICENCE,
    citation=vocalset.CITATION,
    source=vocalset.SOURCE,
    layout=vocalset.LAYOUT,
    comparable_to=vocalset.COMPARABLE_TO,
    read=read,
    aggregate="window",
)
