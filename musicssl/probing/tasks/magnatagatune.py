"""MagnaTagATune: the 50 most frequent of 188 tags on 29-second clips (Law et al., ISMIR 2009)."""

from pathlib import Path

from musicssl.probing.tasks.base import DataSet, Example, PublishedTask, TaskData, keep_present, read_rows, require

NAME = "magnatagatune"
SOURCE = (
    "https://mirg.city.ac.uk/datasets/magnatagatune (mp3.zip.001 to 003, joined and unpacked; annotations_final.csv)"
)
# By frequency over all clips; similar tags are not merged.
LABELS = (
    "guitar", "classical", "slow", "techno", "strings", "drums", "electronic", "rock", "fast", "piano", "ambient",
    "beat", "violin", "vocal", "synth", "female", "indian", "opera", "male", "singing", "vocals", "no vocals",
    "harpsichord", "loud", "quiet", "flute", "woman", "male vocal", "pop", "no vocal", "soft", "sitar", "solo", "man",
    "classic", "choir", "voice", "new age", "dance", "male voice", "female vocal", "beats", "harp", "cello",
    "no voice", "weird", "country", "female voice", "metal", "choral",
)  # fmt: skip
# Their mp3 files are distributed empty.
CORRUPT_CLIPS = {"35644", "55753", "57881"}


def split_of(mp3_path: str) -> str:
    """The 12:1:3 split by folder, a hexadecimal digit: 0 to b, c, d to f (van den Oord et al., ISMIR 2014)."""
    digit = int(mp3_path[0], 16)
    return "train" if digit < 12 else "validation" if digit == 12 else "test"


def read(root: Path) -> TaskData:
    """Clips without any of the 50 tags are kept, as in jukemir and MARBLE."""
    table = require(root, NAME, SOURCE, "annotations_final.csv")
    rows = read_rows(table, "\t", ("clip_id", "mp3_path", *LABELS))
    audio = root / "mp3" if (root / "mp3").is_dir() else root
    return keep_present(
        root,
        (
            Example(
                clip_id=row["clip_id"],
                audio=str(audio / row["mp3_path"]),
                label=tuple(index for index, tag in enumerate(LABELS) if row[tag] == "1"),
                split=split_of(row["mp3_path"]),
                track_id=row["clip_id"],
            )
            for row in rows
            if row["clip_id"] not in CORRUPT_CLIPS
        ),
    )


TASK = PublishedTask(
    name=NAME,
    title="MagnaTagATune, top-50 tags",
    kind="multilabel",
    labels=LABELS,
    metrics=("roc_auc", "average_precision"),
    patience=10,
    plateau_patience=3,
    published_counts={"train": 18_706, "validation": 1_825, "test": 5_329},
    split_hash="501fd338821fd3bb712a66657e1c6d555e0bedbbc20ab592da5154236f5d1b8f",
    data_set=DataSet(
        folder="magnatagatune",
        source=SOURCE,
        layout="annotations_final.csv, mp3/HEX/*.mp3",
        license="Magnatune: see the data set's page",
        citation="Law, West, Mandel, Bay, Downie: Evaluation of algorithms using games, ISMIR 2009",
    ),
    comparable_to="MARBLE v1, jukemir",
    read=read,
)
