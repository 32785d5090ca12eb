"""Recipes: YAML files of flags, in which `extends: NAME` or `extends: FILE` names the recipe that this one changes.

`schema_version: N` says for which version of the flags a recipe was written; without the key it is 1 (package 0.1).
A recipe of an older version resolves as it did then.
"""

from pathlib import Path
from typing import Any

import yaml

from musicssl.errors import UserError
from musicssl.files import write_text
from musicssl.pretraining.config.settings import FLAGS, FORMER_NAMES, PretrainConfig, suggestion, with_names
from musicssl.recipes import find_recipe

SCHEMA_VERSION = 2
# Version -> the flags whose default has changed since, or that are newer, with the value that the version used.
DEFAULTS_OF: dict[int, dict[str, Any]] = {1: {}}


def load_recipe(path: str | Path) -> dict[str, Any]:
    """Read a recipe and those it extends; the nearest value of a key wins, mappings are merged.

    Returns:
        Flags and their values. The version of the recipe named decides the defaults that have changed since.

    Raises:
        UserError: the file is missing, is no mapping, extends itself, has an unknown key, or is of a newer version.
    """
    recipe = _load(find_recipe(path), ())
    version = recipe.pop("schema_version")
    defaults: dict[str, Any] = {}
    for older in range(SCHEMA_VERSION - 1, version - 1, -1):
        defaults |= DEFAULTS_OF[older]
    return {**defaults, **recipe}


def _load(path: Path, extended_by: tuple[Path, ...]) -> dict[str, Any]:
    if path in extended_by:
        chain = " -> ".join(str(one) for one in (*extended_by, path))
        raise UserError(f"{path}: the recipe extends itself ({chain}); remove one 'extends'")
    own = _read(path)
    base_name = own.pop("extends", None)
    if base_name is None:
        return _of_today(path, own)
    try:
        base_path = find_recipe(base_name, path.parent)  # a file beside this one, or one of the package's
    except UserError as error:
        raise UserError(f"{path}: extends: {str(error).removeprefix('--config: ')}") from error
    base = _load(base_path, (*extended_by, path))
    merged_config = {**(base.get("model_config") or {}), **(own.get("model_config") or {})}
    return _of_today(path, {**base, **own, **({"model_config": merged_config} if merged_config else {})})


def _of_today(path: Path, recipe: dict[str, Any]) -> dict[str, Any]:
    """The recipe without the settings that music2vec had in version 1 only."""
    settings = recipe.get("model_config")
    if recipe["schema_version"] > 1 or recipe.get("model") != "music2vec" or not isinstance(settings, dict):
        return recipe
    from music2vec.configuration_music2vec import without_former_settings  # loads torch

    try:
        return {**recipe, "model_config": without_former_settings(settings)}
    except ValueError as error:
        raise UserError(f"{path}: model_config: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    """One file, with today's names of its keys, its version and its name."""
    try:
        own = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(own, dict):
        raise UserError(f"{path}: a recipe is a mapping of flags to values, not a {type(own).__name__}")
    version = own.setdefault("schema_version", 1)
    if version not in range(1, SCHEMA_VERSION + 1):
        raise UserError(
            f"{path}: schema_version is {version}, this version of the package reads 1 to {SCHEMA_VERSION}; "
            "install a newer version of the package"
        )
    try:
        own = with_names(FORMER_NAMES, own)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    for key in own:
        if key not in FLAGS and key not in ("extends", "schema_version"):
            raise UserError(f"{path}: unknown key '{key}'{suggestion(key)}")
    own.setdefault("recipe_name", path.stem)
    return own


def config_of_recipe(path: str | Path) -> PretrainConfig:
    """The configuration that a recipe alone stands for.

    Raises:
        UserError: the recipe cannot be read, or a value has the wrong type; it names the file.
    """
    recipe = load_recipe(path)
    try:
        return PretrainConfig().with_flags(**recipe)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def write_recipe(config: PretrainConfig, path: Path) -> None:
    """Write every flag's value: `--config recipe.yaml` repeats the run."""
    recipe = {**config.flags(), "schema_version": SCHEMA_VERSION}
    write_text(path, yaml.safe_dump(recipe, sort_keys=True), shared=True)
