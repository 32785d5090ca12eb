"""Emomusic: arousal and valence of 45-second clips (Soleymani et al., 2013)."""

import hashlib
from pathlib import Path

import numpy as np

from musicssl.errors import UserError
from musicssl.probing.tasks.base import (
    DataSet,
    Example,
    PublishedTask,
    TaskData,
    keep_present,
    number,
    read_rows,
    require,
)

NAME = "emomusic"
SOURCE = "http://cvml.unige.ch/databases/emoMusic (clips_45sec.tar.gz, annotations.tar.gz)"
LABELS = ("arousal", "valence")
# sha1(artist) modulo 10: below 8 is training (Castellon et al., ISMIR 2021).
TRAINING_PARTS, PARTS = 8, 10


def split_of(artist: str, mediaeval_set: str) -> str:
    """The evaluation set of MediaEval 2013 is the test; the rest is split by artist."""
    if mediaeval_set == "evaluation":
        return "test"
    letters = "".join(each for each in artist.lower() if each.isascii() and (each.isalpha() or each.isspace()))
    normalized = " ".join(letters.split())
    part = int(hashlib.sha1(normalized.encode()).hexdigest(), 16) % PARTS
    return "train" if part < TRAINING_PARTS else "validation"


def read(root: Path) -> TaskData:
    """Both scales are z-scored by the development set (training and validation), as in jukemir."""
    info = require(root, NAME, SOURCE, "annotations/songs_info.csv", "songs_info.csv")
    ratings = require(root, NAME, SOURCE, "annotations/static_annotations.csv", "static_annotations.csv")
    songs = {row["song_id"]: row for row in read_rows(info, ",", ("song_id", "Artist", "Mediaeval 2013 set"))}
    splits = {song: split_of(row["Artist"], row["Mediaeval 2013 set"]) for song, row in songs.items()}
    targets = {}
    for row in read_rows(ratings, ",", ("song_id", "mean_arousal", "mean_valence")):
        if row["song_id"] not in splits:
            raise UserError(f"{info}: no row for song {row['song_id']} of {ratings.name}")
        targets[row["song_id"]] = tuple(number(row, f"mean_{label}", ratings) for label in LABELS)
    development = np.array([target for song, target in targets.items() if splits[song] != "test"])
    if len(development) < 2:
        raise UserError(f"task {NAME}: {ratings} rates no song of the development set")
    scaled = (np.array(list(targets.values())) - development.mean(axis=0)) / development.std(axis=0)
    audio = root / "clips_45seconds"
    return keep_present(
        root,
        (
            Example(song, str(audio / f"{int(song)}.mp3"), tuple(target), splits[song], track_id=song)
            for song, target in zip(targets, scaled.tolist(), strict=True)
        ),
    )


TASK = PublishedTask(
    name=NAME,
    title="Emomusic, arousal and valence",
    kind="regression",
    labels=LABELS,
    metrics=("r2", "r2_arousal", "r2_valence"),
    patience=20,
    plateau_patience=5,
    published_counts={"train": 504, "validation": 115, "test": 125},
    split_hash="e21f30646f64ccad87c2be378731d9e546e26d8d6a78e264930b89c1cf413538",
    data_set=DataSet(
        folder="emomusic",
        source=SOURCE,
        layout="annotations/{songs_info,static_annotations}.csv, clips_45seconds/ID.mp3",
        license="annotations: none stated; audio: Creative Commons (Free Music Archive)",
        citation="Soleymani et al.: 1000 songs for emotional analysis of music, CrowdMM 2013",
    ),
    comparable_to="MARBLE v1, jukemir",
    read=read,
)
