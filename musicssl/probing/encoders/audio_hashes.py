"""Hashes of audio files, remembered from run to run."""

import hashlib
import json
import os
from pathlib import Path

from musicssl.files import hash_file


class AudioHashes:
    """SHA-256 of audio files, remembered by path, size and modification time so that a restart does not read them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple, str] = {}
        if path.is_file():
            for line in path.read_text().splitlines():
                if line.endswith("]"):  # a killed run may leave a cut line
                    *facts, digest = json.loads(line)
                    self._known[tuple(facts)] = digest

    def __call__(self, audio: str | bytes) -> str:
        """Hash a file's content, or bytes."""
        if isinstance(audio, bytes):
            return hashlib.sha256(audio).hexdigest()
        status = os.stat(audio)
        facts = (os.path.abspath(audio), status.st_size, status.st_mtime_ns)
        if facts not in self._known:
            self._known[facts] = hash_file(audio)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a") as index:
                index.write("\n" + json.dumps([*facts, self._known[facts]]))  # never behind a cut line
        return self._known[facts]
