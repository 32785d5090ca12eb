"""The recipes and the launch files of `accelerate` that the package brings along, found by name."""

import difflib
from pathlib import Path

from musicssl.errors import UserError

FOLDER = Path(__file__).parent


def recipe_names() -> list[str]:
    """The names that `--config` takes."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def launch_files() -> list[Path]:
    """What `accelerate launch --config_file` takes, one file per kind of machine."""
    return sorted((FOLDER / "accelerate").glob("*.yaml"))


def find_recipe(given: str | Path, beside: Path = Path()) -> Path:
    """The file of a recipe that is named by its path, or by its name if the package brings it along.

    A file wins over a recipe of the package. `recipes/NAME.yaml`, where version 0.1 had its recipes, still finds
    NAME.

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
    if Path(given).parent in (Path(), Path("recipes")) and name in recipe_names():
        return FOLDER / f"{name}.yaml"
    folder = path.parent
    inside = sorted(entry.name for entry in folder.glob("*.yaml"))
    near = difflib.get_close_matches(name, recipe_names(), n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    there = f"recipes in {folder}: {', '.join(inside)}; " if inside else ""
    raise UserError(
        f"--config: no recipe at {path}{hint} ({there}recipes of the package: {', '.join(recipe_names())})"
    )
