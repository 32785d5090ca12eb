"""Write files whole or not at all: everything is written under another name and then renamed."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# What marks a folder of synthetic sets, and records how they were made; they are small on purpose.
DEMO_RECORD = "demo.json"


NAME_BYTES = 255  # the longest file name that common file systems take


def partial_path(path: Path, unique: str = "") -> Path:
    """The hidden name in the same folder under which `path` is written until it is complete."""
    name = f".{path.name}{unique}.partial"
    if len(os.fsencode(name)) > NAME_BYTES:
        name = f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}{unique}.partial"
    return path.with_name(name)


@contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Yield a path to write a file or a folder to; it replaces `path` when the block ends without an error.

    The parent folder is created. After an error `path` is as it was before, and nothing else is left. A link stays a
    link: what it points to is replaced. A device or a pipe is written to directly.

    Args:
        shared: whether other processes may write `path` at the same time; each then writes under a name of its own.
    """
    path = path.resolve() if path.is_symlink() else path
    if path.exists() and not (path.is_file() or path.is_dir()):
        yield path
        return
    partial = partial_path(path, f".{os.getpid()}" if shared else "")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove(partial)
    try:
        yield partial
        if partial.is_dir():
            remove(path)  # a folder can only be renamed over an empty one
        os.replace(partial, path)
    finally:
        remove(partial)


def write_text(path: Path, text: str, *, shared: bool = False) -> None:
    """Write a UTF-8 file whole."""
    with whole_file(path, shared=shared) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any, *, shared: bool = False, **options: Any) -> None:
    """Write a JSON file whole; `options` are those of `json.dumps`.

    Raises:
        ValueError: `content` holds NaN or infinity, which JSON does not have.
    """
    settings = {"indent": 2, "ensure_ascii": False, "allow_nan": False} | options
    write_text(path, json.dumps(content, **settings) + "\n", shared=shared)


def read_json(path: Path) -> Any:
    """Read a UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def hash_file(path: str | Path) -> str:
    """SHA-256 of a file's content, in hexadecimal; it is read in blocks."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def copy_whole(source: Path, target: Path) -> None:
    """Replace `target` by a copy of a file or folder."""
    with whole_file(target) as partial:
        if source.is_dir():
            shutil.copytree(source, partial)
        else:
            shutil.copyfile(source, partial)


def remove(path: Path) -> None:
    """Delete a file, or a folder with everything in it; do nothing when it does not exist."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
