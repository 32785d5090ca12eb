"""Write the encoder as ONNX or as a torch.export program, for waveforms of any length."""

from collections.abc import Sequence
from pathlib import Path

from musicssl.commands.encoder_flags import add_model_flags
from musicssl.commands.parser import CommandParser
from musicssl.errors import UserError
from musicssl.files import whole_file


def main(command_line: Sequence[str] | None = None) -> None:
    """Export, and print how far the file's numbers are from the model's."""
    parsed = _parser().parse_args(command_line)
    if parsed.output.suffix not in (".onnx", ".pt2"):
        raise UserError(f"--output {parsed.output}: name it something.onnx or something.pt2")
    import torch

    from musicssl.features.export import EXAMPLE_SAMPLES, export_onnx, export_program, largest_difference
    from musicssl.features.extract import choose_layers, open_encoder

    encoder = open_encoder(parsed.model, trust_remote_code=parsed.trust_remote_code)
    chosen = choose_layers(encoder, parsed.layer)
    if parsed.output.suffix == ".onnx":
        export_onnx(encoder, parsed.output, chosen)
    else:
        with whole_file(parsed.output) as partial, partial.open("wb") as file:
            torch.export.save(export_program(encoder, chosen), file)
    print(parsed.output)
    try:
        difference = largest_difference(encoder, parsed.output, chosen, 3 * EXAMPLE_SAMPLES + 123)
    except ImportError:
        print('not compared with the model: that needs pip install "music2vec-musichubert[export]"')
    else:
        print(f"checked on a clip of another length: largest difference from the model {difference:.2e}")


def _parser() -> CommandParser:
    parser = CommandParser("musicssl export", __doc__)
    add_model_flags(parser)
    parser.add_argument(
        "--output", type=Path, required=True, metavar="FILE",
        help="file to write: NAME.onnx, or NAME.pt2 for a torch.export program",
    )  # fmt: skip
    return parser
