"""Write a small labelled music collection made by this package."""

import argparse
import dataclasses
from functools import partial
from pathlib import Path

from musicssl.demo.collection import PARTS, CollectionSettings
from musicssl.demo.parts import write_part
from musicssl.errors import UserError

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


def run(arguments: argparse.Namespace) -> None:
    """Write what is not there yet; raises UserError when the folder holds something else."""
    for name, smallest, _ in _SIZES:
        if not getattr(arguments, name) >= smallest:
            raise UserError(f"--{name} {getattr(arguments, name)}: give at least {smallest}")
    settings = CollectionSettings(**{name: getattr(arguments, name) for name, _, _ in _SIZES})
    for part, write in PARTS.items():
        write_part(arguments.out, part, dataclasses.asdict(settings), partial(write, settings=settings))
