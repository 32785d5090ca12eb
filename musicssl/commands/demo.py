"""Write a small labelled music collection that this package synthesizes.

DIR/pretrain holds unlabelled tracks; DIR/probe/notes and DIR/probe/pieces hold labelled clips. The same seed gives the
same bytes, and a second call with the same settings changes nothing.
"""

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.demo.collection import PARTS, CollectionSettings
from musicssl.demo.parts import write_part
from musicssl.errors import UserError

# Field of CollectionSettings, its smallest value, its meaning.
SETTINGS = (
    ("seed", 0, "seed of all random choices"),
    ("clips", 1, "number of unlabelled tracks"),
    ("clip_seconds", 1.0, "length of an unlabelled track in seconds"),
    ("notes", 3, "number of labelled notes for training; validation and test get a third of this each"),
    ("pieces", 3, "number of labelled pieces for training; validation and test get a third of this each"),
)


def main(command_line: Sequence[str] | None = None) -> None:
    """Write what is not there yet."""
    parsed = _parser().parse_args(command_line)
    for name, smallest, _ in SETTINGS:
        if not getattr(parsed, name) >= smallest:
            raise UserError(f"--{name} {getattr(parsed, name)}: must be at least {smallest}")
    settings = CollectionSettings(**{name: getattr(parsed, name) for name, _, _ in SETTINGS})
    for part, write in PARTS.items():
        write_part(parsed.output_dir, part, dataclasses.asdict(settings), partial(write, settings=settings))


def _parser() -> CommandParser:
    parser = CommandParser("musicssl demo", __doc__)
    parser.add_argument("--output_dir", type=Path, required=True, metavar="DIR", help="folder to write to")
    for name, _, meaning in SETTINGS:
        default = getattr(CollectionSettings, name)
        parser.add_argument(
            f"--{name}",
            type=type(default),
            metavar="X" if type(default) is float else "N",
            default=default,
            help=f"{meaning} (default: {default})",
        )
    return parser
