"""From the command line and a recipe to validated arguments, before any heavy work."""

import sys
from collections.abc import Sequence

from transformers import HfArgumentParser

from musicssl.errors import UserError
from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.config.checks import validate
from musicssl.pretraining.config.recipes import load_recipe, recipe_to_flags, suggestion

DESCRIPTION = (
    "Pre-train music2vec or musicHuBERT. Every flag is also a recipe key; a flag on the command line overrides "
    "the recipe. Launch with `accelerate launch` for several devices."
)


class _Parser(HfArgumentParser):
    """argparse with our errors: raised, not printed with the whole usage."""

    def error(self, message: str):
        if message.startswith("unrecognized arguments"):
            message += suggestion(message.split("--")[-1].split()[0].split("=")[0])
        raise UserError(message)


def _build_parser() -> _Parser:
    parser = _Parser(Arguments, description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--config", nargs="+", metavar="RECIPE", help="recipe; several with --dry_run")
    return parser


def parse_arguments(command_line: Sequence[str] | None = None) -> list[Arguments]:
    """Parse and validate; one `Arguments` per recipe given with --config (several only with --dry_run).

    Raises:
        UserError: an unknown flag or key, a value of the wrong type or out of range; it names flag and fix.
    """
    command_line = list(sys.argv[1:] if command_line is None else command_line)
    parser = _build_parser()
    recipes = parser.parse_args(command_line).config
    all_arguments = [_parse_one(parser, path, command_line) for path in recipes or [None]]
    if len(all_arguments) > 1 and not all(arguments.dry_run for arguments in all_arguments):
        raise UserError("--config: several recipes only go with --dry_run; train one at a time")
    for arguments in all_arguments:
        validate(arguments)
    return all_arguments


def _parse_one(parser: _Parser, recipe_path: str | None, command_line: list[str]) -> Arguments:
    flags = recipe_to_flags(load_recipe(recipe_path)) if recipe_path else []
    try:
        parser.parse_args(flags)
    except UserError as error:
        raise UserError(f"{recipe_path}: {error}") from error
    arguments, _ = parser.parse_args_into_dataclasses([*flags, *command_line], look_for_args_file=False)
    return arguments
