"""MTG-Jamendo top 50: the most frequent tags (31 genres, 14 instruments, 5 moods) of full tracks."""

from pathlib import Path

from musicssl.probing.tasks import mtg_jamendo
from musicssl.probing.tasks.base import Task, TaskData

TAGS = {
    "genre": """
    alternative ambient atmospheric chillout classical dance downtempo easylistening electronic
    experimental folk funk hiphop house indie instrumentalpop jazz lounge metal newage orchestral pop
    popfolk poprock reggae rock soundtrack techno trance triphop world
    """,
    "instrument": """
    acousticguitar bass computer drummachine drums electricguitar electricpiano guitar keyboard piano
    strings synthesizer violin voice
    """,
    "mood/theme": """
    emotional energetic film happy relaxing
    """,
}
LABELS = tuple(f"{category}---{tag}" for category, tags in TAGS.items() for tag in tags.split())
PUBLISHED_HOURS = {"train": 2183.8, "validation": 703.6, "test": 801.0}


def read(root: Path) -> TaskData:
    """The tables `autotagging_top50tags` of split 0."""
    return mtg_jamendo.read_table(root, TASK.name, "top50tags", LABELS, PUBLISHED_HOURS)


TASK = Task(
    name="mtg_top50",
    dataset="mtg_jamendo",
    title="MTG-Jamendo top 50",
    kind="multilabel",
    labels=LABELS,
    metrics=("roc_auc", "average_precision"),
    primary_metric="roc_auc",
    epochs=100,
    patience=10,
    plateau_patience=3,
    published_counts={"train": 32_136, "validation": 10_888, "test": 11_356},
    split_hash=None,
    licence=mtg_jamendo.LICENCE,
    citation=mtg_jamendo.CITATION,
    source=mtg_jamendo.SOURCE,
    layout=mtg_jamendo.layout("top50tags"),
    comparable_to="MARBLE v1",
    read=read,
)
