"""Find the clips of a folder that are nearest to one clip; write a page to listen to them."""

import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from musicssl.commands.encoder_flags import add_model_flags, add_window_flags, settings_from
from musicssl.commands.parser import CommandParser
from musicssl.errors import UserError


def main(command_line: Sequence[str] | None = None) -> None:
    """Print the neighbours, and write the page when a file is given for it."""
    parsed = _parser().parse_args(command_line)
    if not parsed.query.is_file():
        raise UserError(f"{parsed.query}: no such file")
    if parsed.count < 1:
        raise UserError(f"--count {parsed.count}: must be at least 1")
    from musicssl.features.extract import choose_layers, find_audio, open_encoder, total_seconds
    from musicssl.features.similar import find_similar, write_page

    encoder = open_encoder(parsed.model, parsed.device, parsed.trust_remote_code)
    cache = parsed.cache or parsed.folder / ".features"
    length = total_seconds([*find_audio([str(parsed.folder)]), (parsed.query, parsed.query)])
    with tqdm(total=round(length, 1), unit="audio-s", unit_scale=True, desc="extract", file=sys.stderr) as progress:
        neighbours, total, bad = find_similar(
            encoder, parsed.query, parsed.folder, cache, parsed.count, settings_from(parsed), progress
        )
    for reason in bad:
        print(f"skipped {reason}", file=sys.stderr)
    for neighbour in neighbours:
        print(f"{neighbour.score:.3f}  {neighbour.name}")
    print(f"features are kept in {cache}", file=sys.stderr)
    if parsed.output:
        layer = encoder.state_names[choose_layers(encoder, parsed.layer)[0]]
        write_page(parsed.output, parsed.query, neighbours, total, parsed.model, layer)
        print(parsed.output)


def _parser() -> CommandParser:
    parser = CommandParser("musicssl similar", __doc__)
    parser.add_argument("query", type=Path, metavar="QUERY", help="audio file to find neighbours of")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="folder of audio files to search")
    add_model_flags(parser)
    add_window_flags(parser)
    parser.add_argument("--count", type=int, metavar="N", default=10, help="number of neighbours (default: 10)")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="folder that keeps the features (default: FOLDER/.features)"
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write an HTML page with the neighbours' audio")
    return parser
