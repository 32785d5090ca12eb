"""Recipes: YAML files of flags, in which `extends: NAME` or `extends: FILE` names the recipe that this one changes."""

import dataclasses
import difflib
import json
import os
from pathlib import Path
from typing import Any

import yaml

from musicssl.errors import UserError
from musicssl.pretraining.config.arguments import Arguments
from musicssl.recipes import find_recipe

KEYS = tuple(entry.name for entry in dataclasses.fields(Arguments))


def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe and those it extends; the nearest value of a key wins, mappings are merged.

    Raises:
        UserError: the file is missing, is no mapping, extends itself, or has an unknown key.
    """
    return _load(find_recipe(path), ())


def _load(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    if path in extended_by:
        chain = " -> ".join(str(one) for one in (*extended_by, path))
        raise UserError(f"{path}: the recipe extends itself ({chain}); remove one 'extends'")
    try:
        own = yaml.safe_load(path.read_text()) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(own, dict):
        raise UserError(f"{path}: a recipe is a mapping of flags to values, not a {type(own).__name__}")
    base_name = own.pop("extends", None)
    for key in own:
        if key not in KEYS:
            raise UserError(f"{path}: unknown key '{key}'{suggestion(key)}")
    own.setdefault("recipe_name", path.stem)
    if base_name is None:
        return own
    base = _load(_base_of(path, base_name), (*extended_by, path))
    merged_config = {**(base.get("model_config") or {}), **(own.get("model_config") or {})}
    return {**base, **own, **({"model_config": merged_config} if merged_config else {})}


def _base_of(path: Path, base_name: str) -> Path:
    """The recipe that the one at `path` extends: a file beside it, or one of the package's."""
    try:
        return find_recipe(base_name, path.parent)
    except UserError as error:
        raise UserError(f"{path}: extends: {str(error).removeprefix('--config: ')}") from error


def suggestion(key: str) -> str:
    """'; did you mean ...?' for a flag that is almost `key`, else a pointer to --help."""
    near = difflib.get_close_matches(key, KEYS, n=1)
    return f"; did you mean '{near[0]}'?" if near else "; --help lists all"


def recipe_to_flags(recipe: dict[str, Any]) -> list[str]:
    """The command line that a recipe stands for; a null keeps the flag's default."""
    flags = []
    for key, value in recipe.items():
        if isinstance(value, dict):
            flags += [f"--{key}", *(f"{name}={json.dumps(entry)}" for name, entry in value.items())]
        elif isinstance(value, list):
            entries = [json.dumps(entry) if isinstance(entry, dict) else str(entry) for entry in value]
            flags += [f"--{key}", *entries] if entries else []
        elif value is not None:
            flags.append(f"--{key}={value}")
    return flags


def arguments_to_recipe(arguments: Arguments) -> dict[str, Any]:
    """All arguments as a recipe that repeats the run: `--config recipe.yaml`."""
    recipe = dataclasses.asdict(arguments)
    recipe["model_config"] = parse_mapping(arguments.model_config)
    recipe["iterations"] = [yaml.safe_load(entry) for entry in arguments.iterations]
    return recipe


def parse_mapping(entries: list[str]) -> dict[str, Any]:
    """['hidden_size=192', 'layerdrop=0'] -> {'hidden_size': 192, 'layerdrop': 0}; a later entry wins."""
    mapping = {}
    for entry in entries:
        key, equals, value = entry.partition("=")
        if not equals:
            raise UserError(f"--model_config: '{entry}' is not KEY=VALUE, for example hidden_size=192")
        mapping[key] = yaml.safe_load(value)
    return mapping


def write_recipe(arguments: Arguments, path: Path) -> None:
    """Write every resolved argument, atomically."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(yaml.safe_dump(arguments_to_recipe(arguments), sort_keys=True))
    os.replace(aside, path)
