"""The flags of the commands that write a model card."""

import argparse


def add_card_flags(parser: argparse.ArgumentParser) -> None:
    """Add what only the publisher can say of the weights and the data."""
    parser.add_argument(
        "--license", dest="license", help="license of the weights as the Hub spells it, such as cc-by-4.0"
    )
    parser.add_argument("--data_description", default="", help="what the model was trained on, in your own words")
