"""The flags of the commands that run an encoder."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from musicssl.features.extract import ExtractSettings


def add_model_flags(parser: argparse.ArgumentParser) -> None:
    """Add --model, which of its layers, and whether its code may run."""
    parser.add_argument("--model", required=True, metavar="DIR|ID", help="directory or Hub id of the model")
    parser.add_argument(
        "--layer", default="last", help="layer to write: last (default), all, a number, or numbers joined by commas"
    )
    parser.add_argument("--trust_remote_code", action="store_true", help="run the code that a Hub model comes with")


def add_window_flags(parser: argparse.ArgumentParser) -> None:
    """Add how the features of a file are computed."""
    parser.add_argument(
        "--window_seconds",
        type=float,
        metavar="SECONDS",
        default=30.0,
        help="audio that the transformer attends over (default: 30)",
    )
    parser.add_argument(
        "--context_seconds", type=float, metavar="SECONDS", default=2.5,
        help="audio at both ends of each window that is computed but not kept (default: 2.5)",
    )  # fmt: skip
    parser.add_argument("--device", default="cpu", help="device that computes: cpu (default), cuda, ...")


def settings_from(parsed: argparse.Namespace, file_statistics: bool = True) -> "ExtractSettings":
    """The settings that the flags give."""
    from musicssl.features.extract import ExtractSettings

    return ExtractSettings(parsed.layer, parsed.window_seconds, parsed.context_seconds, file_statistics)
