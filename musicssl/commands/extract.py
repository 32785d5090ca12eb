"""Write the features of audio files of any length. Files whose features are up to date are left alone."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from musicssl.audio.decode import BadAudio
from musicssl.commands.encoder_flags import add_model_flags, add_window_flags, settings_from
from musicssl.commands.parser import CommandParser
from musicssl.features.feature_files import DTYPES


def main(command_line: Sequence[str] | None = None) -> int:
    """Extract every file; the status is 1 when some file could not be read."""
    parsed = _parser().parse_args(command_line)
    from musicssl.features.extract import choose_layers, extract_to_file, find_audio, open_encoder, total_seconds

    files = find_audio(parsed.audio)
    encoder = open_encoder(parsed.model, parsed.device, parsed.trust_remote_code)
    settings = settings_from(parsed, file_statistics=not parsed.window_statistics)
    choose_layers(encoder, settings.layer)  # an unknown layer is an error before any file is read
    written, bad = 0, []
    total = total_seconds(files)
    with tqdm(total=round(total, 1), unit="audio-s", unit_scale=True, desc="extract", file=sys.stderr) as progress:
        for file, name in files:
            target = parsed.output_dir / name.with_name(f"{name.name}.{parsed.format}")
            try:
                written += extract_to_file(encoder, file, target, settings, parsed.dtype, progress)
            except BadAudio as error:
                bad.append(str(error))
    for reason in bad:
        print(f"skipped {reason}", file=sys.stderr)
    there = len(files) - written - len(bad)
    print(f"{written} written, {there} already there, {len(bad)} skipped: {parsed.output_dir}")
    return 1 if bad else 0


def _parser() -> CommandParser:
    parser = CommandParser("musicssl extract", __doc__)
    parser.add_argument("audio", nargs="+", metavar="AUDIO", help="audio file, or folder of audio files")
    parser.add_argument(
        "--output_dir", type=Path, required=True, metavar="DIR", help="folder to write NAME.npz or NAME.parquet to"
    )
    add_model_flags(parser)
    add_window_flags(parser)
    parser.add_argument(
        "--window_statistics",
        action="store_true",
        help="normalize the waveform window by window, not over the whole file",
    )
    parser.add_argument(
        "--format", choices=("npz", "parquet"), default="npz", help="file format of the features (default: npz)"
    )
    parser.add_argument(
        "--dtype", choices=DTYPES, default="float32", help="number format of the features (default: float32)"
    )
    return parser
