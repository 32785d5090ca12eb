"""Draw label features and labels over audio; measure how much labels tell about a labelled collection."""

from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from musicssl.audio.decode import load_audio
from musicssl.commands.parser import CommandParser
from musicssl.errors import UserError
from musicssl.files import write_json

DEFAULT_FEATURES = ["mfcc39", "logmel229", "chroma24", "cqt84"]


def main(command_line: Sequence[str] | None = None) -> None:
    """Draw or compare."""
    parsed = _parser().parse_args(command_line)
    (_plot if parsed.action == "plot" else _compare)(parsed)


def _plot(parsed: Namespace) -> None:
    if not Path(parsed.file).is_file():
        raise UserError(f"{parsed.file}: no such file")
    import torch

    from musichubert.acoustic_features import RECIPES, feature_recipe
    from musicssl.labels.labeller import Labeller
    from musicssl.labels.pictures import plot_features, plot_labels

    recipes = [feature_recipe(name) for name in parsed.features or RECIPES]
    labeller = Labeller.load(parsed.codebook) if parsed.codebook else None
    waveform = load_audio(parsed.file, start_seconds=parsed.start_seconds, seconds=parsed.seconds)
    batch = torch.from_numpy(waveform)[None]
    plot_features(waveform, recipes, [recipe.compute(batch)[0].numpy() for recipe in recipes], parsed.output)
    print(f"wrote {parsed.output}")
    if labeller:
        path = parsed.output.with_stem(parsed.output.stem + "-codebooks")
        plot_labels(waveform, labeller.label_features, labeller(batch)[0].numpy(), path)
        print(f"wrote {path}")


def _compare(parsed: Namespace) -> None:
    from musicssl.labels.comparison import compare_with_classes, fit_labeller
    from musicssl.labels.labeller import Labeller
    from musicssl.labels.pictures import plot_agreement
    from musicssl.labels.quality import agreement_table
    from musicssl.probing.tasks.custom import custom_tasks

    examples = [data.examples for _, data in custom_tasks(parsed.source, parsed.label)]
    classes = {
        column: {example.clip_id: example.label for example in of_column}
        for column, of_column in zip(parsed.label, examples, strict=True)
    }
    of_first_column = examples[0]
    if parsed.codebook:
        labeller = Labeller.load(parsed.codebook)
    else:
        training = _clips(of_first_column, ("train",))
        labeller = fit_labeller(parsed.features, training, parsed.num_clusters, parsed.budget_mb, parsed.seed)
        labeller.save(parsed.output_dir / "codebook")
    rows, frames = compare_with_classes(labeller, _clips(of_first_column, ("validation", "test")), classes)
    write_json(parsed.output_dir / "label_agreement.json", rows)
    plot_agreement(rows, parsed.output_dir / "label_agreement.png")
    print(f"{len(frames)} held-out clips, {sum(frames)} frames")
    print(agreement_table(rows))
    print(f"wrote {parsed.output_dir}/label_agreement.json and .png")


def _clips(examples: Sequence, splits: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray]]:
    """(clip id, waveform (N,)) of the examples of some splits."""
    for example in examples:
        if example.split in splits:
            audio = load_audio(example.audio, start_seconds=example.start_seconds, seconds=example.seconds)
            yield example.clip_id, audio


def _parser() -> CommandParser:
    parser = CommandParser("musicssl labels", __doc__)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    plot = actions.add_parser("plot", help="draw features, or the labels of a run's codebooks, over the audio")
    plot.add_argument("file", metavar="FILE", help="audio file")
    plot.add_argument(
        "--features", nargs="+", metavar="NAME",
        help="acoustic features to draw, such as mfcc39 or chroma24 (default: all)",
    )  # fmt: skip
    plot.add_argument(
        "--codebook", type=Path, metavar="DIR", help="codebook folder of a run: its labels are drawn too"
    )
    plot.add_argument(
        "--start_seconds", type=float, metavar="SECONDS", default=0.0, help="start of the excerpt (default: 0)"
    )
    plot.add_argument(
        "--seconds", type=float, metavar="SECONDS", default=10.0, help="length of the excerpt (default: 10)"
    )
    plot.add_argument(
        "--output", type=Path, default=Path("labels.png"), metavar="FILE", help="picture file (default: labels.png)"
    )

    compare = actions.add_parser("compare", help="measure how well the labels separate given classes")
    compare.add_argument(
        "source", metavar="SOURCE",
        help="labelled collection with training, validation and test clips, as probe takes with --custom_task",
    )  # fmt: skip
    compare.add_argument(
        "--label", nargs="+", required=True, metavar="COLUMN", help="columns of classes, such as pitch_class"
    )
    compare.add_argument(
        "--features", nargs="+", default=DEFAULT_FEATURES, metavar="NAME",
        help=f"acoustic features to fit a codebook of each (default: {' '.join(DEFAULT_FEATURES)})",
    )  # fmt: skip
    compare.add_argument(
        "--codebook", type=Path, metavar="DIR", help="codebook folder of a run, used instead of fitting codebooks"
    )
    compare.add_argument(
        "--num_clusters",
        type=int,
        metavar="N",
        default=100,
        help="number of clusters of each fitted codebook (default: 100)",
    )
    compare.add_argument(
        "--budget_mb",
        type=int,
        metavar="N",
        default=500,
        help="memory for the sampled frames in megabytes (default: 500)",
    )
    compare.add_argument(
        "--seed", type=int, metavar="N", default=0, help="seed of the sampling and the fitting (default: 0)"
    )
    compare.add_argument("--output_dir", type=Path, required=True, metavar="DIR", help="folder of the results")
    return parser
