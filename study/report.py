"""Write the tables and pictures of a study into its documents, between their markers; other text is left as it is.

    python -m study.report --results runs/study --documents docs/study.md docs/study_tables.md

A block of a document is everything from `<!-- begin NAME -->` to `<!-- end NAME -->`.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from musicssl.errors import UserError, run_as_command
from musicssl.files import write_text
from study import figures, tables
from study.measurements import Study, load_study

TABLES: dict[str, Callable[[Study], str]] = {
    "answers": partial(tables.claim_table, is_main=True),
    "setup": tables.setup_table,
    "averages": tables.average_table,
    "scores": tables.score_tables,
    "claims": partial(tables.claim_table, is_main=False),
    "ablations": tables.ablation_table,
    "hours": tables.curve_table,
    "front_ends": tables.front_end_table,
}
# NAME -> what draws figures/study_NAME.png, for the block NAME_figure, and its caption.
FIGURES: dict[str, tuple[Callable[[Study, Path], None], str]] = {
    "answers": (
        figures.draw_answers,
        "The main claims: difference between the two arms with its paired 95 % interval. A claim holds when the "
        "interval is above zero.",
    ),
    "averages": (figures.draw_averages, "Average score of each arm with its 95 % interval."),
    "ablations": (
        figures.draw_ablations,
        "Difference of the average score from the base recipe, for each change of it.",
    ),
    "front_ends": (
        figures.draw_front_ends,
        "Score against the share of variance between clips in the convolutions' output. Each point is one network "
        "that takes the waveform as input, with one pre-training seed.",
    ),
    "hours": (figures.draw_hours, "Average score against hours of training audio; dotted: acoustic features."),
    "training": (figures.draw_training, "Learning curves: loss of music2vec, masked accuracy of musicHuBERT."),
    "layers": (figures.draw_layers, "Validation score of each layer; dashed: the same network with random weights."),
}


def main(command_line: Sequence[str] | None = None) -> None:
    """Fill every block of the documents."""
    parser = argparse.ArgumentParser(prog="python -m study.report", description="Fill in the documents of a study.")
    parser.add_argument("--results", type=Path, required=True, help="folder that study.run filled (its --output_dir)")
    parser.add_argument(
        "--documents", type=Path, nargs="+", default=[], help="Markdown files with markers; default: print all tables"
    )
    parsed = parser.parse_args(command_line)
    study = load_study(parsed.results)
    for document in parsed.documents:
        if not document.is_file():
            raise UserError(f"--documents {document}: no such file; start from docs/study.md and docs/study_tables.md")
    rendered = {name: render(study) for name, render in TABLES.items()}
    if not parsed.documents:
        print("\n\n".join(f"{name}\n\n{table}" for name, table in rendered.items()))
    for document in parsed.documents:
        write_text(document, fill(document.read_text(encoding="utf-8"), rendered | draw(study, document)))
        print(document)


def draw(study: Study, document: Path) -> dict[str, str]:
    """Draw the pictures that the document shows, into `figures/` beside it; returns their blocks."""
    blocks, text = {}, document.read_text(encoding="utf-8")
    for name, (draw_one, caption) in FIGURES.items():
        picture = document.parent / "figures" / f"study_{name}.png"
        if f"<!-- begin {name}_figure -->" in text:
            draw_one(study, picture)
        blocks[f"{name}_figure"] = f"![{caption}](figures/{picture.name})\n\n*{caption}*"
    return blocks


def fill(text: str, blocks: dict[str, str]) -> str:
    """Replace what stands between the markers of each block.

    Raises:
        UserError: the text has markers of an unknown block.
    """

    def replacement(match: re.Match) -> str:
        name = match["name"]
        if name not in blocks:
            raise UserError(f"the document has markers of an unknown block {name!r}; available: {', '.join(blocks)}")
        return f"<!-- begin {name} -->\n{blocks[name]}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin (?P<name>\w+) -->.*?<!-- end (?P=name) -->", replacement, text, flags=re.DOTALL)


if __name__ == "__main__":
    sys.exit(run_as_command(main))
