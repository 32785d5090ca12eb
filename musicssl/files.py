"""Files that are whole or not there: everything is written beside its place, then renamed into it."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def partial_path(path: Path) -> Path:
    """Where `path` is written before it is whole: a hidden name in the same folder."""
    return path.with_name(f".{path.name}.partial")


@contextmanager
def whole_file(path: Path, *, shared: bool = False) -> Iterator[Path]:
    """Give a path to write a file or a folder to; it takes the place of `path` when the block ends without an error.

    The parent folder is made. After an error `path` is as it was before, and nothing else is left.

    Args:
        shared: other processes may write the same `path` at the same time; each then has a name of its own.
    """
    partial = partial_path(path.with_name(f"{path.name}.{os.getpid()}") if shared else path)
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
    """Write JSON whole; `options` are those of `json.dumps`.

    Raises:
        ValueError: `content` holds NaN or infinity, which JSON does not have.
    """
    settings = {"indent": 2, "ensure_ascii": False, "allow_nan": False} | options
    write_text(path, json.dumps(content, **settings) + "\n", shared=shared)


def read_json(path: Path) -> Any:
    """Read a UTF-8 JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def copy_whole(source: Path, target: Path) -> None:
    """Put a copy of a file or folder in the place of `target`."""
    with whole_file(target) as partial:
        if source.is_dir():
            shutil.copytree(source, partial)
        else:
            shutil.copyfile(source, partial)


def remove(path: Path) -> None:
    """Delete a file or a folder with all it holds; nothing happens when it is not there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
