"""MTG-Jamendo genre: 87 genres of full tracks."""

from pathlib import Path

from musicssl.probing.tasks import mtg_jamendo
from musicssl.probing.tasks.base import Task, TaskData

TAGS = """
60s 70s 80s 90s acidjazz alternative alternativerock ambient atmospheric blues bluesrock bossanova breakbeat celtic
chanson chillout choir classical classicrock club contemporary country dance darkambient darkwave deephouse disco
downtempo drumnbass dub dubstep easylistening edm electronic electronica electropop ethno eurodance experimental
folk funk fusion groove grunge hard hardrock hiphop house idm improvisation indie industrial instrumentalpop
instrumentalrock jazz jazzfusion latin lounge medieval metal minimal newage newwave orchestral pop popfolk poprock
postrock progressive psychedelic punkrock rap reggae rnb rock rocknroll singersongwriter soul soundtrack swing
symphonic synthpop techno trance triphop world worldfusion
"""
LABELS = tuple(f"genre---{tag}" for tag in TAGS.split())
PUBLISHED_HOURS = {"train": 2212.6, "validation": 714.2, "test": 808.2}


def read(root: Path) -> TaskData:
    """The tables `autotagging_genre` of split 0."""
    return mtg_jamendo.read_table(root, TASK.name, "genre", LABELS, PUBLISHED_HOURS)


TASK = Task(
    name="mtg_genre",
    dataset="mtg_jamendo",
    title="MTG-Jamendo genre",
    kind="multilabel",
    labels=LABELS,
    metrics=("roc_auc", "average_precision"),
    primary_metric="roc_auc",
    epochs=100,
    patience=10,
    plateau_patience=3,
    published_counts={"train": 32_572, "validation": 11_043, "test": 11_479},
    split_hash=None,
    licence=mtg_jamendo.LICENCE,
    citation=mtg_jamendo.CITATION,
    source=mtg_jamendo.SOURCE,
    layout=mtg_jamendo.layout("genre"),
    comparable_to="MARBLE v1",
    read=read,
)
