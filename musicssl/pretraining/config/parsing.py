"""From a command line, or flags given in Python, to validated configurations, before any heavy work."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from musicssl.errors import UserError
from musicssl.flags import add_flags
from musicssl.pretraining.config.checks import validate
from musicssl.pretraining.config.recipes import config_of_recipe
from musicssl.pretraining.config.settings import FORMER_NAMES, GROUPS, PretrainConfig, suggestion

DESCRIPTION = (
    "Pre-train music2vec or musicHuBERT. Every flag is also a recipe key; a flag on the command line overrides "
    "the recipe. Use `accelerate launch` to train on several devices."
)


class _Parser(argparse.ArgumentParser):
    """argparse with our errors: raised, not printed with the whole usage."""

    def error(self, message: str):
        if message.startswith("unrecognized arguments"):
            message += suggestion(message.split("--")[-1].split()[0].split("=")[0])
        raise UserError(message)


def _build_parser() -> _Parser:
    parser = _Parser(
        prog="musicssl pretrain",
        usage="%(prog)s --config RECIPE --train_data SOURCE ... --output_dir DIR [flags]",
        description=DESCRIPTION,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--config", nargs="+", metavar="RECIPE",
        help="recipe: a name from `musicssl recipes` or a YAML file; several only with --dry_run",
    )  # fmt: skip
    for group in GROUPS.values():
        add_flags(parser, group)
    return parser


def parse_arguments(command_line: Sequence[str] | None = None) -> list[PretrainConfig]:
    """Parse and validate a command line (`sys.argv` by default): one configuration per recipe given with --config.

    Raises:
        UserError: an unknown flag or key, or a value of the wrong type or out of range; it names flag and fix.
    """
    command_line = sys.argv[1:] if command_line is None else command_line
    given = vars(_build_parser().parse_args([_spelled(token) for token in command_line]))
    recipes = given.pop("config") or [None]
    configs = [_config(recipe, given) for recipe in recipes]
    if len(configs) > 1 and not all(config.run.dry_run for config in configs):
        raise UserError("--config: several recipes need --dry_run; train one recipe at a time")
    for config in configs:
        validate(config)
    return configs


def make_config(recipe: str | Path | None = None, **flags: Any) -> PretrainConfig:
    """The validated configuration of a recipe and of flags that override it: what the command line would give.

    Raises:
        UserError: as `parse_arguments`.
    """
    config = _config(recipe, flags)
    validate(config)
    return config


def _config(recipe: str | Path | None, flags: dict[str, Any]) -> PretrainConfig:
    return (config_of_recipe(recipe) if recipe else PretrainConfig()).with_flags(**flags)


def _spelled(token: str) -> str:
    """A flag in the one spelling that the parser knows: --train-data is --train_data; an earlier name is today's."""
    if not token.startswith("--"):
        return token
    name, equals, value = token[2:].partition("=")
    name = name.replace("-", "_")
    return f"--{FORMER_NAMES.get(name, name)}{equals}{value}"
