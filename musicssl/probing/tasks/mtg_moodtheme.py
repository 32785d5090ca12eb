"""MTG-Jamendo mood and theme: 56 moods and themes of full tracks."""

from pathlib import Path

from musicssl.probing.tasks import mtg_jamendo
from musicssl.probing.tasks.base import Task, TaskData

TAGS = """
action adventure advertising background ballad calm children christmas commercial cool corporate dark deep
documentary drama dramatic dream emotional energetic epic fast film fun funny game groovy happy heavy holiday
hopeful inspiring love meditative melancholic melodic motivational movie nature party positive powerful relaxing
retro romantic sad sexy slow soft soundscape space sport summer trailer travel upbeat uplifting
"""
LABELS = tuple(f"mood/theme---{tag}" for tag in TAGS.split())
PUBLISHED_HOURS = {"train": 611.0, "validation": 223.0, "test": 261.1}


def read(root: Path) -> TaskData:
    """The tables `autotagging_moodtheme` of split 0."""
    return mtg_jamendo.read_table(root, TASK.name, "moodtheme", LABELS, PUBLISHED_HOURS)


TASK = Task(
    name="mtg_moodtheme",
    dataset="mtg_jamendo",
    title="MTG-Jamendo mood and theme",
    kind="multilabel",
    labels=LABELS,
    metrics=("roc_auc", "average_precision"),
    primary_metric="roc_auc",
    epochs=100,
    patience=10,
    plateau_patience=3,
    published_counts={"train": 9_949, "validation": 3_802, "test": 4_231},
    split_hash=None,
    licence=mtg_jamendo.LICENCE,
    citation=mtg_jamendo.CITATION,
    source=mtg_jamendo.SOURCE,
    layout=mtg_jamendo.layout("moodtheme"),
    comparable_to="MARBLE v1",
    read=read,
)
