"""The argument parser of the commands; its errors are one line that names the flag."""

import argparse
from typing import NoReturn

from musicssl.errors import UserError


class CommandParser(argparse.ArgumentParser):
    """argparse without abbreviated flags; it raises UserError where argparse prints the whole usage and exits."""

    def __init__(self, prog: str, description: str | None = None, **options):
        """`prog` is "musicssl NAME"; `description` the docstring of the command's module."""
        options |= {"formatter_class": argparse.RawDescriptionHelpFormatter, "allow_abbrev": False}
        super().__init__(prog, description=description, **options)

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (`{self.prog} --help` lists the flags)")
