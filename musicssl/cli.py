"""The `musicssl` command: one sub-command per module, imported only when it is called.

A command module has a docstring whose first line is its help, `add_arguments(parser)` and `run(arguments)`.
"""

import argparse
import importlib
import sys
from collections.abc import Sequence

from musicssl.errors import run_as_command

COMMANDS: dict[str, tuple[str, str]] = {
    "scan": ("musicssl.audio.scan", "report hours, formats, silence, duplicates and damaged files of a source"),
    "prepare": ("musicssl.audio.prepare", "cut a source into clips of 16 kHz mono FLAC in parquet shards"),
    "demo": ("musicssl.demo.command", "write a small labelled music collection made by this package"),
    "labels": ("musicssl.labels_command", "draw label features over audio; compare codebooks on labelled music"),
    "card": ("musicssl.publish.card", "write the model card of a run, or of every published recipe"),
    "convert": ("musicssl.convert.convert", "between reference checkpoints, stock transformers and ours"),
    "extract": ("musicssl.features.extract", "write the features of audio files of any length"),
    "export": ("musicssl.features.export", "write the encoder as ONNX or as a torch.export program"),
    "push": ("musicssl.publish.while_training", "publish a run on the Hub"),
    "similar": ("musicssl.features.similar", "find the clips of a folder nearest to one clip, and play them"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run one sub-command; returns the process exit status."""
    return run_as_command(_dispatch, arguments)


def _dispatch(arguments: Sequence[str] | None) -> int | None:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(prog="musicssl", description="Tools around music2vec and musicHuBERT.")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module_name, help_text) in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=help_text, description=help_text)
        # Only the chosen command's module is imported: `musicssl --help` must not load torch.
        if arguments and arguments[0] == name:
            module = importlib.import_module(module_name)
            module.add_arguments(subparser)
            subparser.set_defaults(run=module.run)
    parsed = parser.parse_args(arguments)
    return parsed.run(parsed)
