"""Write the model card of a run, or of every published recipe, from measured files only."""

from collections.abc import Sequence
from pathlib import Path

from musicssl.commands.parser import CommandParser
from musicssl.commands.publish_flags import add_card_flags
from musicssl.errors import UserError
from musicssl.recipes import FOLDER


def main(command_line: Sequence[str] | None = None) -> None:
    """Write the card or cards and print their paths."""
    parsed = _parser().parse_args(command_line)
    if (parsed.model is None) == (parsed.recipes is None):
        raise UserError("give a run's directory, or --recipes: --model DIR writes one card, --recipes all of them")
    from musicssl.publish.card import write_card
    from musicssl.publish.recipe_cards import write_recipe_cards

    if parsed.recipes:
        written = write_recipe_cards(parsed.recipes, parsed.output_dir)
    else:
        written = [write_card(parsed.model, parsed.hub_model_id, parsed.license, parsed.data_description)]
    for path in written:
        print(path)


def _parser() -> CommandParser:
    parser = CommandParser("musicssl card", __doc__)
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="output directory of a run; its card is written there"
    )
    parser.add_argument(
        "--hub_model_id", metavar="OWNER/NAME", help="repository named in the card's examples (default: DIR's name)"
    )
    add_card_flags(parser)
    parser.add_argument(
        "--recipes", type=Path, nargs="?", const=FOLDER, metavar="FOLDER",
        help="(for maintainers) write a card for each recipe that sources.yaml knows "
        "(default folder: the package's recipes)",
    )  # fmt: skip
    parser.add_argument(
        "--output_dir", type=Path, default=Path("model_cards"), metavar="DIR",
        help="with --recipes, folder of sources.yaml and of the cards (default: model_cards)",
    )  # fmt: skip
    return parser
