"""Report hours, formats, silence, duplicates and damaged files of audio sources, before training hours are spent."""

from collections.abc import Sequence
from pathlib import Path

from musicssl.audio.integrity import SILENCE_PEAK
from musicssl.commands.parser import CommandParser
from musicssl.files import write_json


def main(command_line: Sequence[str] | None = None) -> None:
    """Scan the sources and print the table."""
    parsed = _parser().parse_args(command_line)
    # Here and in the other commands: what is heavy is imported once the flags are known to be right.
    from musicssl.audio.scan import format_report, scan, summarise
    from musicssl.audio.sources import parse_sources

    clips = scan(parse_sources(parsed.sources), parsed.silence_peak, parsed.num_workers)
    report = {"sources": parsed.sources, **summarise(clips, parsed.min_seconds)}
    print(format_report(report))
    if parsed.output:
        write_json(parsed.output, report)


def _parser() -> CommandParser:
    parser = CommandParser("musicssl scan", __doc__)
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="folder, audio, parquet or tar files, or a data set on the Hub"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the report to this JSON file too")
    parser.add_argument(
        "--min_seconds",
        type=float,
        metavar="SECONDS",
        default=2.0,
        help="report how many clips are shorter than this, in seconds (default: 2)",
    )
    parser.add_argument(
        "--silence_peak", type=float, metavar="X", default=SILENCE_PEAK,
        help=f"a second of audio is silent if no sample is larger than this (default: {SILENCE_PEAK:g})",
    )  # fmt: skip
    parser.add_argument(
        "--num_workers", type=int, metavar="N", default=2, help="number of decoding processes (default: 2)"
    )
    return parser
