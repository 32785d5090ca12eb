"""GiantSteps key: 24 keys of electronic dance music (Knees et al., ISMIR 2015; Faraldo 2017)."""

import hashlib
from pathlib import Path

from musicssl.errors import UserError
from musicssl.keys import KEYS, parse_key
from musicssl.probing.tasks.base import DataSet, Example, PublishedTask, TaskData, keep_present, read_rows, require

NAME = "giantsteps_key"
SOURCE = (
    "https://github.com/GiantSteps/giantsteps-mtg-key-dataset and giantsteps-key-dataset (annotations), "
    "https://huggingface.co/datasets/m-a-p/GS (audio: the first hosts are gone)"
)
# sha1(artist) modulo 116: below 100 is training (Castellon et al., ISMIR 2021).
TRAINING_PARTS, PARTS = 100, 116


def artists_in_validation(artist_fields: list[str]) -> set[str]:
    """Artists of the validation split: by their hash, or because they share a song with one, in two passes."""
    songs = [[artist.strip() for artist in artists.split(",")] for artists in artist_fields]
    validation = {artist for artists in songs for artist in artists if _part(artist) >= TRAINING_PARTS}
    for _ in range(2):
        for artists in songs:
            if not validation.isdisjoint(artists):
                validation.update(artists)
    return validation


def _part(artist: str) -> int:
    return int(hashlib.sha1(artist.lower().encode()).hexdigest(), 16) % PARTS


def key_index(text: str, where: str) -> int:
    """Index in `KEYS` of "C# major " and the like."""
    try:
        return parse_key(text)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from error


def read(root: Path) -> TaskData:
    """Training songs need confidence 2 and a single key (Korzeniowski & Widmer, ISMIR 2018)."""
    mtg = require(root, NAME, SOURCE, "giantsteps-mtg-key-dataset*/annotations")
    test = require(root, NAME, SOURCE, "giantsteps-key-dataset*/annotations/key")
    metadata = read_rows(require(mtg, NAME, SOURCE, "beatport_metadata.txt"), "\t", ("ID", "ARTIST"))
    annotations = read_rows(require(mtg, NAME, SOURCE, "annotations.txt"), "\t", ("ID", "MANUAL KEY", "C"))
    validation = artists_in_validation([row["ARTIST"] for row in metadata])
    artists = {row["ID"]: row["ARTIST"].split(",") for row in metadata}
    examples = []
    for row in annotations:
        if row["C"] != "2" or "/" in row["MANUAL KEY"]:
            continue
        if row["ID"] not in artists:
            raise UserError(f"{mtg / 'beatport_metadata.txt'}: no row for song {row['ID']}")
        split = "validation" if artists[row["ID"]][0].strip() in validation else "train"
        key = key_index(row["MANUAL KEY"], f"{mtg / 'annotations.txt'}, song {row['ID']}")
        examples.append(_song(root, mtg.parent, row["ID"], key, split))
    for path in sorted(test.glob("*.LOFI.key")):
        key = key_index(path.read_text(encoding="utf-8"), str(path))
        examples.append(_song(root, test.parents[1], path.name.split(".")[0], key, "test"))
    return keep_present(root, examples)


def _song(root: Path, repository: Path, song_id: str, key: int, split: str) -> Example:
    own, shared = (folder / "audio" / f"{song_id}.LOFI.mp3" for folder in (repository, root))
    return Example(song_id, str(shared if shared.is_file() else own), key, split, track_id=song_id)


TASK = PublishedTask(
    name=NAME,
    title="GiantSteps key",
    kind="key",
    labels=KEYS,
    metrics=("key_score", "accuracy"),
    patience=20,
    plateau_patience=5,
    # Songs; cut into 30 s windows they are 3,687 / 942 / 2,406 clips.
    published_counts={"train": 923, "validation": 236, "test": 604},
    split_hash="646c66f90e8a87c78a0be84e8d92a9a5ebec6c96ed3a578e34ec7d1c27da285d",
    data_set=DataSet(
        folder="giantsteps",
        source=SOURCE,
        layout=(
            "giantsteps-mtg-key-dataset/annotations/{annotations,beatport_metadata}.txt, "
            "giantsteps-key-dataset/annotations/key/ID.LOFI.key, audio/ID.LOFI.mp3 here or in each repository"
        ),
        license="annotations: see the two repositories; audio: Beatport previews, none stated",
        citation="Knees et al.: Two data sets for tempo estimation and key detection in EDM, ISMIR 2015",
    ),
    comparable_to="MARBLE v1, jukemir",
    read=read,
    minimum_window_seconds=30.0,  # remainders are dropped
)
