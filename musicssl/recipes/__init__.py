"""The recipes and the launch files of `accelerate` that come with the package, found by name."""

import difflib
import os
from collections.abc import Sequence
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import copy_whole

FOLDER = Path(__file__).parent


def recipe_files() -> list[Path]:
    """The recipes of the package."""
    return sorted(FOLDER.glob("*.yaml"))


def recipe_names() -> list[str]:
    """The names that `--config` takes."""
    return [path.stem for path in recipe_files()]


def launch_files() -> list[Path]:
    """What `accelerate launch --config_file` takes, one file per kind of machine."""
    return sorted((FOLDER / "accelerate").glob("*.yaml"))


def summary(path: Path) -> str:
    """The first comment line of a recipe or launch file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return next((line.lstrip("# ") for line in lines if line.startswith("#")), "")


def find_packaged(name: str) -> Path:
    """The recipe or launch file of the package with this name.

    Raises:
        UserError: there is none; the message lists the names.
    """
    available = {path.stem: path for path in (*recipe_files(), *launch_files())}
    if name not in available:
        raise UserError(f"{name}: no such recipe or launch file; available: {', '.join(available)}")
    return available[name]


def copy_recipes(directory: Path, names: Sequence[str] = ()) -> list[Path]:
    """Copy recipes to `directory` and launch files to `directory/accelerate`; without names, all of them.

    Raises:
        UserError: an unknown name, or a file that is already there.
    """
    chosen = [find_packaged(name) for name in names] or [*recipe_files(), *launch_files()]
    copies = {path: directory / path.relative_to(FOLDER) for path in chosen}
    if existing := [str(copy) for copy in copies.values() if copy.exists()]:
        raise UserError(f"{existing[0]}: already there; delete it or choose another folder")
    for path, copy in copies.items():
        copy_whole(path, copy)
    return list(copies.values())


def find_recipe(given: str | Path, beside: Path = Path()) -> Path:
    """The file of a recipe that is named by its path, or by its name if the package brings it along.

    A file wins over a recipe of the package. NAME.yaml in a folder `recipes`, where version 0.1 had its recipes,
    still finds NAME.

    Args:
        beside: the folder that a relative path starts from.

    Raises:
        UserError: there is no such file and no such name; it lists what is near.
    """
    path = beside / given
    for candidate in (path, path.with_name(f"{path.name}.yaml")):
        if candidate.is_file():
            return candidate
    name = Path(given).name.removesuffix(".yaml")
    in_old_folder = Path(os.path.abspath(path)).parent.name == "recipes"
    if (Path(given).parent == Path() or in_old_folder) and name in recipe_names():
        return FOLDER / f"{name}.yaml"
    if near := difflib.get_close_matches(name, recipe_names(), n=1):
        raise UserError(f"--config: no recipe at {path}; did you mean {near[0]}? `musicssl recipes` lists all")
    inside = sorted(entry.name for entry in path.parent.glob("[!.]*.yaml"))
    there = f"recipes in {path.parent}: {', '.join(inside)}; " if inside else ""
    raise UserError(f"--config: no recipe at {path}; {there}of the package: {', '.join(recipe_names())}")
