"""Checkpoints. Each is written under another name and then renamed, so a checkpoint that exists is complete.

    runs/NAME/
      config.json  model.safetensors  preprocessor_config.json  recipe.yaml    the newest checkpoint's, hard-linked
      metrics.jsonl
      checkpoint-000400/
        config.json  model.safetensors  preprocessor_config.json  recipe.yaml  the model, head and teacher included
        optimizer.pt                                                           AdamW's moments and steps
        trainer_state.json                                                     update, health, metrics so far, geometry
        process-00000.pt ...                                                   each process's place in the stream
      superseded-1/checkpoint-000800 ...                                       later ones, if an earlier was resumed

Masks and dropout need no state: they are functions of the update (see `randomness`).
"""

import errno
import itertools
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from musicssl.errors import UserError
from musicssl.files import partial_path, read_json, remove, whole_file

NAME = re.compile(r"checkpoint-\d{6,}")
ROOT_FILES = ("config.json", "model.safetensors", "preprocessor_config.json", "recipe.yaml")
STATE_FILE = "trainer_state.json"


def make_run_directory(output_dir: str | Path) -> Path:
    """The output directory, made if needed.

    Raises:
        UserError: it cannot be made or written.
    """
    path = Path(output_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--output_dir {path}: cannot write there ({error.strerror}); choose another") from error
    return path


def checkpoint_path(output_dir: Path, update: int) -> Path:
    return output_dir / f"checkpoint-{update:06d}"


def list_checkpoints(output_dir: Path) -> list[Path]:
    """Whole checkpoints, oldest first."""
    found = [path for path in output_dir.glob("checkpoint-*") if NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(found, key=lambda path: int(path.name.removeprefix("checkpoint-")))


def find_checkpoint(output_dir: Path, resume: str) -> Path | None:
    """The checkpoint that --resume means, or None to start afresh.

    Raises:
        UserError: the directory is no checkpoint, or --resume none would mix a new run into an old one.
    """
    existing = list_checkpoints(output_dir)
    if resume == "auto":
        return existing[-1] if existing else None
    if resume == "none":
        if existing:
            raise UserError(
                f"--resume none, but {output_dir} holds a run up to {existing[-1].name}: "
                "choose another --output_dir, or --resume auto to continue it"
            )
        return None
    chosen = Path(resume)
    if not (chosen / STATE_FILE).is_file():
        raise UserError(f"--resume {resume}: no checkpoint there; give auto, none or a directory checkpoint-NNNNNN")
    return chosen


def read_state(checkpoint: Path) -> dict[str, Any]:
    """The trainer's state of a checkpoint.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        return read_json(checkpoint / STATE_FILE)
    except (OSError, ValueError) as error:
        raise UserError(f"{checkpoint / STATE_FILE} cannot be read ({error}); try another checkpoint") from error


def process_file(checkpoint: Path, rank: int) -> Path:
    return checkpoint / f"process-{rank:05d}.pt"


class CheckpointWriter:
    """Writes one checkpoint under another name, in steps that processes may share, and renames it at the end."""

    def __init__(self, output_dir: Path, update: int):
        self.final = checkpoint_path(output_dir, update)
        self.aside = partial_path(self.final)

    def begin(self) -> None:
        """Make the folder; by the main process, before any other process writes."""
        remove(self.aside)
        self.aside.mkdir(parents=True)

    def publish(self) -> None:
        """Rename the folder and link its files into the run's folder; by the main process, after all have written."""
        for path in self.aside.iterdir():
            _flush_to_disk(path)
        remove(self.final)
        os.replace(self.aside, self.final)
        for name in ROOT_FILES:
            _link(self.final / name, self.final.parent / name)

    def abandon(self) -> None:
        shutil.rmtree(self.aside, ignore_errors=True)


def remove_partial(output_dir: Path) -> None:
    """Delete what a killed process left incomplete."""
    for path in output_dir.glob(".checkpoint-*.partial"):
        shutil.rmtree(path, ignore_errors=True)


def set_aside_newer(output_dir: Path, source: Path) -> Path | None:
    """Move the checkpoints after `source` of the same run into a folder: the run continues from `source`.

    Otherwise they would count as the newest, and be kept and resumed instead of the new ones.

    Returns:
        The folder that now holds them, or None when there are none.
    """
    if source.resolve().parent != output_dir.resolve():
        return None
    names = [path.name for path in list_checkpoints(output_dir)]
    newer = names[names.index(source.resolve().name) + 1 :]
    if not newer:
        return None
    branch = next(path for path in (output_dir / f"superseded-{n}" for n in itertools.count(1)) if not path.exists())
    branch.mkdir()
    for name in newer:
        os.replace(output_dir / name, branch / name)
    return branch


def remove_old(output_dir: Path, keep: int, best: str | None) -> None:
    """Delete all but the newest `keep` checkpoints and the one named `best`."""
    for path in list_checkpoints(output_dir)[:-keep]:
        if path.name != best:
            shutil.rmtree(path)


def save_tensors(path: Path, content: Any) -> None:
    with path.open("wb") as file:
        torch.save(content, file)


def load_tensors(path: Path) -> Any:
    """Read safetensors, or tensors and plain values that `save_tensors` wrote; never executes code from the file.

    Raises:
        UserError: missing or damaged.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # both libraries raise many kinds for a damaged file
        raise UserError(f"{path} cannot be read ({error}); resume from another checkpoint") from error


def try_to_write(write: Callable[[], None], where: Path) -> str:
    """Call `write`; '' when it worked, else what to tell the user (a full or read-only disk must not lose the run)."""
    try:
        write()
    except Exception as error:  # OSError from Python, but RuntimeError and SafetensorError from the libraries
        full = is_disk_full(error) or shutil.disk_usage(where).free < 1 << 20
        reason = "the disk is full" if full else f"{type(error).__name__}: {error}"
        return f"cannot write {where}: {reason}"
    return ""


def is_disk_full(error: BaseException) -> bool:
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    return any(sign in str(error) for sign in ("No space left", "os error 28", "code: 28", "Disk quota"))


def _flush_to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _link(source: Path, target: Path) -> None:
    """Point `target` at `source`'s content; a copy where the file system has no hard links."""
    with whole_file(target) as partial:
        try:
            os.link(source, partial)
        except OSError:
            shutil.copyfile(source, partial)
