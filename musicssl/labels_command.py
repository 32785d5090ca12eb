"""Look at label features and codebooks: pictures over the audio, and how much labels tell of a labelled collection."""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from musichubert.acoustic_features import RECIPES, feature_recipe
from musicssl.audio.decode import load_audio
from musicssl.errors import UserError
from musicssl.labels.codebook import fit_codebook
from musicssl.labels.labeller import Labeller, describe, source_of
from musicssl.labels.pictures import plot_agreement, plot_features, plot_labels
from musicssl.labels.quality import agreement, agreement_table, usage
from musicssl.labels.sampling import sample_capacity, sample_frames
from musicssl.probing.tasks.custom import custom_tasks

DEFAULT_FEATURES = ["mfcc39", "logmel229", "chroma24", "cqt84"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of `musicssl labels plot` and `musicssl labels compare`."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    plot = actions.add_parser("plot", help="draw features, or the labels of a run's codebooks, over the audio")
    plot.add_argument("file", help="audio file")
    plot.add_argument("--features", nargs="+", default=list(RECIPES), help=f"default: {' '.join(RECIPES)}")
    plot.add_argument("--codebook", type=Path, help="a run's codebook folder: draw its labels too")
    plot.add_argument("--start_seconds", type=float, default=0.0)
    plot.add_argument("--seconds", type=float, default=10.0)
    plot.add_argument("--output", type=Path, default=Path("labels.png"))

    compare = actions.add_parser("compare", help="mutual information and purity of labels with given classes")
    compare.add_argument("source", help="labelled collection with train, validation and test clips (as --custom_task)")
    compare.add_argument("--label", nargs="+", required=True, help="columns of classes, such as pitch_class")
    compare.add_argument("--features", nargs="+", default=DEFAULT_FEATURES, help="fit a codebook of each")
    compare.add_argument("--codebook", type=Path, help="use a run's codebooks instead of fitting")
    compare.add_argument("--clusters", type=int, default=100)
    compare.add_argument("--budget_mb", type=int, default=500, help="memory for the sampled frames")
    compare.add_argument("--seed", type=int, default=0)
    compare.add_argument("--output_dir", type=Path, required=True)


def run(arguments: argparse.Namespace) -> None:
    """Draw or compare."""
    (_plot if arguments.action == "plot" else _compare)(arguments)


def _plot(arguments: argparse.Namespace) -> None:
    if not Path(arguments.file).is_file():
        raise UserError(f"{arguments.file}: no such file")
    recipes = [feature_recipe(name) for name in arguments.features]
    labeller = Labeller.load(arguments.codebook) if arguments.codebook else None
    waveform = load_audio(arguments.file, start_seconds=arguments.start_seconds, seconds=arguments.seconds)
    batch = torch.from_numpy(waveform)[None]
    plot_features(waveform, recipes, [recipe.compute(batch)[0].numpy() for recipe in recipes], arguments.output)
    print(f"wrote {arguments.output}")
    if labeller:
        path = arguments.output.with_stem(arguments.output.stem + "-codebooks")
        plot_labels(waveform, labeller.label_features, labeller(batch)[0].numpy(), path)
        print(f"wrote {path}")


def _compare(arguments: argparse.Namespace) -> None:
    tasks = custom_tasks(arguments.source, arguments.label)
    truths = {
        column: {example.clip_id: example.label for example in data.examples}
        for column, (_, data) in zip(arguments.label, tasks, strict=True)
    }
    examples = tasks[0][1].examples
    labeller = Labeller.load(arguments.codebook) if arguments.codebook else _fit(arguments, examples)

    sequences: list[list[np.ndarray]] = [[] for _ in labeller.sources]
    measured = []
    for clip_id, waveform in _clips(examples, ("validation", "test")):
        labels = labeller(torch.from_numpy(waveform)[None])[0].numpy()
        measured += [(clip_id, labels.shape[1])]
        for kept, row in zip(sequences, labels, strict=True):
            kept.append(row)

    rows = []
    for column, of_clip in truths.items():
        repeats = [frames for _, frames in measured]
        truth = np.repeat([of_clip[clip_id] for clip_id, _ in measured], repeats)
        for number, source in enumerate(labeller.sources):
            told = agreement(np.concatenate(sequences[number]), truth)
            used = usage(sequences[number], labeller.num_clusters[number])
            rows.append({"codebook": f"{number}-{source.name}", "truth": column, **told, **used})
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    (arguments.output_dir / "label_agreement.json").write_text(json.dumps(rows, indent=2) + "\n")
    plot_agreement(rows, arguments.output_dir / "label_agreement.png")
    print(f"{len(measured)} held-out clips, {sum(frames for _, frames in measured)} frames")
    print(agreement_table(rows))
    print(f"wrote {arguments.output_dir}/label_agreement.json and .png")


def _fit(arguments: argparse.Namespace, examples: list) -> Labeller:
    """One codebook per feature, of the collection's training clips."""
    sources = [feature_recipe(name) for name in arguments.features]
    budget_mb = arguments.budget_mb // len(sources)
    capacities = [sample_capacity(source.dimension, arguments.clusters, 1000, budget_mb) for source in sources]
    samples = sample_frames(sources, _clips(examples, ("train",)), capacities, arguments.seed)
    codebooks = [
        fit_codebook(sample.in_order()[0], arguments.clusters, seed=arguments.seed, metadata=describe(source))
        for source, sample in zip(sources, samples, strict=True)
    ]
    labeller = Labeller([source_of(codebook) for codebook in codebooks], codebooks)
    labeller.save(arguments.output_dir / "codebook")
    return labeller


def _clips(examples: list, splits: tuple[str, ...]):
    """(clip id, waveform (N,)) of the examples of some splits."""
    for example in examples:
        if example.split in splits:
            audio = load_audio(example.audio, start_seconds=example.start_seconds, seconds=example.seconds)
            yield example.clip_id, audio
