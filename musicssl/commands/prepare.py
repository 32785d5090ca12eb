"""Cut audio sources into mono clips (16 kHz FLAC by default) in parquet shards, ready to stream and to publish.

The same command continues an interrupted job.
"""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from musicssl.audio.bad_files import BadFiles
from musicssl.audio.decode import CHANNEL_MODES
from musicssl.audio.write import FORMATS
from musicssl.commands.parser import CommandParser
from musicssl.errors import UserError


def main(command_line: Sequence[str] | None = None) -> None:
    """Write the shards; print what they hold and how to use them."""
    parsed = _parser().parse_args(command_line)
    _check(parsed)
    from musicssl.audio.prepare import ClipSettings, prepare, totals
    from musicssl.audio.sources import parse_sources

    settings = ClipSettings(
        parsed.sampling_rate, parsed.audio_format, parsed.channel_mode, parsed.clip_seconds, parsed.min_seconds
    )
    directory = parsed.output_dir
    shard_bytes = round(parsed.shard_megabytes * 1e6)
    sources = parse_sources(parsed.sources)
    progress = prepare(sources, directory, settings, parsed.validation_fraction, shard_bytes, parsed.num_workers)
    for split, clips, hours, shards in totals(progress):
        print(f"{split:<10}  {clips} clips  {hours:.2f} h  {shards} shard{'s' if shards != 1 else ''}")
    bad_files = BadFiles(directory / "bad_files.jsonl")
    print(f"left out    {bad_files.num_damaged} damaged, {bad_files.num_short} short")
    print(f"to train on it: musicssl pretrain --train_data {directory} --validation_data {directory}:validation")
    print(f"to publish it: hf upload NAME {directory} --repo-type dataset")


def _check(parsed: Namespace) -> None:
    if not 0 <= parsed.validation_fraction < 1:
        raise UserError(f"--validation_fraction {parsed.validation_fraction}: must be at least 0 and below 1")
    if parsed.clip_seconds and parsed.clip_seconds < parsed.min_seconds:
        raise UserError(
            f"--clip_seconds {parsed.clip_seconds:g}: must be at least --min_seconds {parsed.min_seconds:g}"
        )


def _parser() -> CommandParser:
    parser = CommandParser("musicssl prepare", __doc__)
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE", help="folder, audio, parquet or tar files, or a data set on the Hub"
    )
    parser.add_argument("--output_dir", type=Path, required=True, metavar="DIR", help="folder to write the shards to")
    parser.add_argument(
        "--clip_seconds",
        type=float,
        metavar="SECONDS",
        default=30.0,
        help="length of a clip (default: 30); 0 keeps tracks whole",
    )
    parser.add_argument(
        "--min_seconds", type=float, metavar="SECONDS", default=2.0, help="leave out shorter clips (default: 2)"
    )
    parser.add_argument(
        "--sampling_rate",
        type=int,
        metavar="N",
        default=16000,
        help="sampling rate of the clips in Hz (default: 16000)",
    )
    parser.add_argument(
        "--audio_format", choices=sorted(FORMATS), default="flac", help="file format of the clips (default: flac)"
    )
    parser.add_argument(
        "--channel_mode", choices=[mode for mode in CHANNEL_MODES if mode != "random"], default="mean",
        help="how stereo becomes mono (default: mean)",
    )  # fmt: skip
    parser.add_argument(
        "--validation_fraction", type=float, metavar="X", default=0.05,
        help="share of the tracks that becomes the validation split (default: 0.05)",
    )  # fmt: skip
    parser.add_argument(
        "--shard_megabytes", type=float, metavar="X", default=500.0, help="size of a shard in megabytes (default: 500)"
    )
    parser.add_argument(
        "--num_workers",
        type=int,
        metavar="N",
        default=2,
        help="number of processes that decode and encode (default: 2)",
    )
    return parser
