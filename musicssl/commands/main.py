"""The `musicssl` command: finds the module of a command and hands the rest of the command line to its `main`."""

import argparse
import difflib
import importlib
import sys
from collections.abc import Sequence

import musicssl
from musicssl.commands.renamed import refuse_old_spellings
from musicssl.errors import UserError, run_as_command

# The module musicssl.commands.NAME and what `musicssl --help` says of it, in the order of use.
COMMANDS: dict[str, str] = {
    "quickstart": "train both tiny models here, probe them, print one table",
    "demo": "write a small labelled music collection, synthesized here",
    "scan": "report hours, formats, silence, duplicates, damaged files",
    "prepare": "cut audio sources into mono clips in parquet shards",
    "recipes": "list or copy the recipes and launch files of the package",
    "pretrain": "pre-train music2vec or musicHuBERT on your music",
    "labels": "draw label features; compare codebooks on labelled music",
    "probe": "measure what a frozen model knows, by task and by layer",
    "extract": "write the features of audio files of any length",
    "similar": "find the clips of a folder that are nearest to one clip",
    "convert": "convert between fairseq, Transformers and this package",
    "export": "write the encoder as ONNX or as a torch.export program",
    "card": "write the model card of a run, or of every published recipe",
    "push": "publish a run on the Hugging Face Hub",
}


def main(command_line: Sequence[str] | None = None) -> int:
    """Run one command; `command_line` is `sys.argv[1:]` by default. Returns the exit status of the process."""
    return run_as_command(_dispatch, command_line)


def _dispatch(command_line: Sequence[str] | None) -> int | None:
    command_line = list(sys.argv[1:] if command_line is None else command_line)
    if command_line and not command_line[0].startswith("-") and command_line[0] not in COMMANDS:
        near = difflib.get_close_matches(command_line[0], COMMANDS, 1)
        hint = f"did you mean {near[0]}?" if near else f"available: {', '.join(COMMANDS)}"
        raise UserError(f"{command_line[0]}: no such command; {hint}")
    # Only the first word is parsed here and only its module is imported: `musicssl --help` must not load torch.
    name = _parser(with_version=command_line[:1] == ["--version"]).parse_args(command_line[:1]).command
    rest = command_line[1:]
    refuse_old_spellings(name, rest)
    return importlib.import_module(f"musicssl.commands.{name}").main(rest)


def _parser(with_version: bool) -> argparse.ArgumentParser:
    lines = [f"  {name:<10}  {summary}" for name, summary in COMMANDS.items()]
    parser = argparse.ArgumentParser(
        prog="musicssl",
        usage="musicssl COMMAND ...",
        description="\n".join(["Pre-train, probe, use and publish music models.", "", "commands:", *lines]),
        epilog="`musicssl COMMAND --help` lists the flags of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS, help=argparse.SUPPRESS)
    # Reading the installed version takes a while, so it is read only when it is asked for.
    version = musicssl.__version__ if with_version else ""
    parser.add_argument("--version", action="version", version=f"musicssl {version}", help="print the version")
    return parser
