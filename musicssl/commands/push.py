"""Publish a run, or a converted model, on the Hugging Face Hub,
with a model card and a copy that Transformers loads alone."""

from collections.abc import Sequence
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.commands.publish_flags import add_card_flags
from musicssl.publish.push import check_repo_id, check_token


def main(command_line: Sequence[str] | None = None) -> None:
    """Publish and print the commit."""
    parsed = _parser().parse_args(command_line)
    check_repo_id(parsed.hub_model_id, "--hub_model_id")
    check_token()
    import torch

    from musicssl.publish.while_training import push_run

    commit, tag = push_run(
        parsed.model, parsed.hub_model_id, private=not parsed.public,
        dtype=getattr(torch, parsed.dtype) if parsed.dtype else None, license=parsed.license,
        data_description=parsed.data_description,
    )  # fmt: skip
    print(f"{parsed.hub_model_id} is at {commit}{f', tag {tag}' if tag else ''}")


def _parser() -> CommandParser:
    parser = CommandParser("musicssl push", __doc__)
    parser.add_argument(
        "--model", type=Path, required=True, metavar="DIR", help="output directory of a run, or of a converted model"
    )
    parser.add_argument(
        "--hub_model_id", required=True, metavar="OWNER/NAME", help="repository on the Hub; created if it is missing"
    )
    parser.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
    parser.add_argument(
        "--dtype", choices=("float32", "bfloat16"), help="number format of the weights (default: as in the run)"
    )
    add_card_flags(parser)
    return parser
