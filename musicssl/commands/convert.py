"""Convert between the reference's checkpoints, the stock classes of transformers and this package.

fairseq .pt  ──>  ours  ──>  stock (data2vec-audio, hubert)  ──>  ours
                  ours  ──>  fairseq .pt
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.convert import TARGETS
from musicssl.errors import UserError


def main(command_line: Sequence[str] | None = None) -> None:
    """Convert and print what was written."""
    parsed = _parser().parse_args(command_line)
    target = _target(parsed)
    import torch

    from musicssl.convert.convert import convert

    convert(parsed.model, target, parsed.to, getattr(torch, parsed.dtype) if parsed.dtype else None)
    print(target)


def _target(parsed: Namespace) -> Path:
    """--output_dir, or --output for the one format that is a file."""
    is_file = parsed.to == "fairseq"
    target, other = (parsed.output, parsed.output_dir) if is_file else (parsed.output_dir, parsed.output)
    if target is None or other is not None:
        wanted = "a file: give --output NAME.pt" if is_file else "a folder: give --output_dir DIR"
        raise UserError(f"--to {parsed.to} writes {wanted}")
    return target


def _parser() -> CommandParser:
    parser = CommandParser("musicssl convert", __doc__)
    parser.add_argument(
        "--model", required=True, metavar="SOURCE", help="reference .pt file, model directory, or Hub id"
    )
    parser.add_argument("--output_dir", type=Path, metavar="DIR", help="folder to write the model to")
    parser.add_argument("--output", type=Path, metavar="FILE", help="with --to fairseq, the .pt file to write")
    parser.add_argument(
        "--to", choices=TARGETS, default="ours",
        help="what to write: ours (default: the form of this package, with the stock encoder in stock/), "
        "stock (a class of Transformers itself: data2vec-audio or hubert), or fairseq",
    )  # fmt: skip
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), help="number format of the weights (default: as in the source)"
    )
    return parser
