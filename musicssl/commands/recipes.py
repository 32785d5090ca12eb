"""List the recipes and launch files of the package, copy them to a folder, or print the path of one.

accelerate launch --config_file $(musicssl recipes --path cpu) -m musicssl pretrain --config musichubert_tiny ...
"""

from collections.abc import Sequence
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.recipes import copy_recipes, find_packaged, launch_files, recipe_files, summary


def main(command_line: Sequence[str] | None = None) -> None:
    """List, copy, or print a path."""
    parsed = _parser().parse_args(command_line)
    if parsed.path:
        print(find_packaged(parsed.path))
    elif parsed.copy:
        directory, *names = parsed.copy
        for path in copy_recipes(Path(directory), names):
            print(path)
    else:
        _list("recipes, for --config NAME", recipe_files())
        print()
        _list("launch files, for accelerate launch --config_file $(musicssl recipes --path NAME)", launch_files())


def _list(title: str, paths: Sequence[Path]) -> None:
    width = max(len(path.stem) for path in paths)
    print(f"{title}:")
    for path in paths:
        print(f"  {path.stem:<{width}}  {summary(path)}")


def _parser() -> CommandParser:
    parser = CommandParser("musicssl recipes", __doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--copy", nargs="+", metavar=("DIR", "NAME"),
        help="copy the named recipes and launch files to DIR; without names, all of them",
    )  # fmt: skip
    what.add_argument("--path", metavar="NAME", help="print the path of one recipe or launch file")
    return parser
