"""The files below a folder."""

import os
from collections.abc import Iterator
from pathlib import Path

from musicssl.audio.decode import AUDIO_EXTENSIONS


def visible_files(folder: Path) -> Iterator[Path]:
    """The files below a folder, at any depth, without hidden ones; links are followed, no folder is entered twice."""
    seen: set[str] = set()
    for current, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        folders[:] = sorted(name for name in folders if not name.startswith(".")) if real not in seen else []
        if real not in seen:
            seen.add(real)
            yield from (Path(current, name) for name in sorted(names) if not name.startswith("."))


def is_audio(path: Path) -> bool:
    """Whether the name of a file ends as that of an audio file that libsndfile reads."""
    return path.suffix.lower() in AUDIO_EXTENSIONS


def audio_files(folder: Path) -> list[Path]:
    """All audio files below a folder, sorted by path."""
    return sorted(filter(is_audio, visible_files(folder)))
