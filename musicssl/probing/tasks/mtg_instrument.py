"""MTG-Jamendo instrument: 40 instruments of full tracks."""

from pathlib import Path

from musicssl.probing.tasks import mtg_jamendo
from musicssl.probing.tasks.base import Task, TaskData

TAGS = """
accordion acousticbassguitar acousticguitar bass beat bell bongo brass cello clarinet classicalguitar computer
doublebass drummachine drums electricguitar electricpiano flute guitar harmonica harp horn keyboard oboe orchestra
organ pad percussion piano pipeorgan rhodes sampler saxophone strings synthesizer trombone trumpet viola violin
voice
"""
LABELS = tuple(f"instrument---{tag}" for tag in TAGS.split())
PUBLISHED_HOURS = {"train": 934.7, "validation": 337.1, "test": 356.6}


def read(root: Path) -> TaskData:
    """The tables `autotagging_instrument` of split 0."""
    return mtg_jamendo.read_table(root, TASK.name, "instrument", LABELS, PUBLISHED_HOURS)


TASK = Task(
    name="mtg_instrument",
    dataset="mtg_jamendo",
    title="MTG-Jamendo instrument",
    kind="multilabel",
    labels=LABELS,
    metrics=("roc_auc", "average_precision"),
    primary_metric="roc_auc",
    epochs=100,
    patience=10,
    plateau_patience=3,
    published_counts={"train": 14_395, "validation": 5_466, "test": 5_115},
    split_hash=None,
    licence=mtg_jamendo.LICENCE,
    citation=mtg_jamendo.CITATION,
    source=mtg_jamendo.SOURCE,
    layout=mtg_jamendo.layout("instrument"),
    comparable_to="MARBLE v1",
    read=read,
)
