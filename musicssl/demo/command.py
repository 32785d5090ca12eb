"""Write a small labelled music collection made by this package."""

import argparse
import dataclasses
import json
import os
import shutil
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from musicssl.demo.archives import ARCHIVES
from musicssl.demo.collection import PARTS, CollectionSettings
from musicssl.errors import UserError
from musicssl.probing.tasks import TASKS, get_task
from musicssl.probing.tasks.finding import DEMO_RECORD

# Flag, its smallest value, its help.
_SIZES = (
    ("seed", 0, "same seed, same bytes"),
    ("clips", 1, "unlabelled tracks"),
    ("clip_seconds", 1.0, "their length"),
    ("notes", 3, "labelled training notes; a third as many to validate and to test"),
    ("pieces", 3, "labelled training pieces, likewise"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `musicssl demo`."""
    parser.add_argument("--out", required=True, type=Path, help="folder to write to")
    for name, _, meaning in _SIZES:
        default = getattr(CollectionSettings, name)
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{meaning} (default: {default})")
    parser.add_argument("--size", type=int, default=1, help="times as many clips in the sets of --tasks (default: 1)")
    parser.add_argument(
        "--tasks", help="instead, small sets in the distributed layouts of these probing tasks: all, or names like a,b"
    )


def run(arguments: argparse.Namespace) -> None:
    """Write what is not there yet; raises UserError when the folder holds something else."""
    for name, smallest, _ in _SIZES:
        if not getattr(arguments, name) >= smallest:
            raise UserError(f"--{name} {getattr(arguments, name)}: give at least {smallest}")
    if arguments.size < 1:
        raise UserError(f"--size {arguments.size}: give at least 1")
    if arguments.tasks:
        names = list(TASKS) if arguments.tasks == "all" else arguments.tasks.split(",")
        archives = dict.fromkeys(get_task(name).data_set.folder for name in names)
        write_archives(arguments.out, archives, arguments.seed, arguments.size)
        return
    settings = CollectionSettings(**{name: getattr(arguments, name) for name, _, _ in _SIZES})
    for part, write in PARTS.items():
        write_part(arguments.out, part, dataclasses.asdict(settings), partial(write, settings=settings))


def write_archives(out: Path, archives: Iterable[str], seed: int = 0, size: int = 1) -> None:
    """Write each data set in the layout it is distributed in, `size` times the smallest, as `write_part` does."""
    settings = {"seed": seed, "size": size}
    for archive in archives:
        write_part(out, archive, settings, partial(ARCHIVES[archive], **settings))


def write_part(out: Path, part: str, settings: dict, write: Callable[[Path], None]) -> None:
    """Write `out/part` once: aside first, then renamed, so that a killed run leaves nothing half-written.

    `out/demo.json` records the settings of each finished part; the same settings again are a no-op.

    Raises:
        UserError: `out/part` is there and was not made with these settings.
    """
    record_path, folder = out / DEMO_RECORD, out / part
    record = json.loads(record_path.read_text()) if record_path.is_file() else {}
    settings = json.loads(json.dumps(settings))
    if folder.exists():
        if record.get(part) != settings:
            raise UserError(f"--out {out}: {part} is there, made otherwise; delete it or choose another folder")
        print(f"{folder}: already there")
        return
    aside = folder.with_name(f".{folder.name}.partial")
    if aside.exists():
        shutil.rmtree(aside)
    write(aside)
    os.replace(aside, folder)
    record_path.write_text(json.dumps(record | {part: settings}, indent=1) + "\n")
    print(f"{folder}: written")
