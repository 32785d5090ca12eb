"""HuBERT's iterations in one command: fit -> train -> relabel by the trained model -> train ...

    runs/NAME/
      config.json  model.safetensors  preprocessor_config.json    the newest iteration's,
      codebook/  environment.json  iteration_recipe.yaml          with what a model card and a push take along
      metrics.jsonl
      recipe.yaml                                                 the whole recipe, `iterations` included
      iteration-1/  iteration-2/ ...                              one run each, codebook and labels included
      label_quality.json  label_quality.png                       of every codebook, iteration by iteration

Every arrow can be interrupted: the next call of the same command finds finished samples, codebooks, label shards and
checkpoints, and goes on from there.
"""

import dataclasses
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import yaml
from accelerate import Accelerator

from musicssl.errors import UserError
from musicssl.labels.pictures import plot_usage
from musicssl.labels.quality import usage_table
from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.config.checks import validate
from musicssl.pretraining.config.recipes import KEYS, write_recipe
from musicssl.pretraining.files import checkpoint
from musicssl.pretraining.model import building
from musicssl.pretraining.run import TrainingResult, train

# An iteration's own names for flags; any other flag may be given by its own name.
SHORT_NAMES = {"features": "label_features", "clusters": "num_clusters", "updates": "max_updates"}
# What the whole run's folder takes from the newest iteration's, and its name there; the model last.
PUBLISHED = {
    "codebook": "codebook", "environment.json": "environment.json", "metrics.jsonl": "metrics.jsonl",
    "recipe.yaml": "iteration_recipe.yaml", "preprocessor_config.json": "preprocessor_config.json",
    "config.json": "config.json", "model.safetensors": "model.safetensors",
}  # fmt: skip


def train_iterations(
    arguments: Arguments,
    accelerator: Accelerator,
    after_checkpoint: Callable[[Path, int], None] | None = None,
) -> TrainingResult:
    """Train the iterations that a recipe lists, or the one run of a recipe that lists none.

    Raises:
        UserError: an iteration that cannot run; all are checked before the first begins.
    """
    if not arguments.iterations:
        return train(arguments, accelerator, after_checkpoint)
    runs = iteration_arguments(arguments)
    output_dir = building.run_directory(arguments)
    if accelerator.is_main_process:
        write_recipe(arguments, output_dir / "recipe.yaml")
    for number, own in enumerate(runs, start=1):
        accelerator.print(
            f"iteration {number} of {len(runs)}: {' '.join(own.label_features)}, {own.num_clusters} clusters, "
            f"{own.max_updates} updates"
        )
        result = train(own, accelerator, after_checkpoint)
        if not result.finished:
            return dataclasses.replace(result, output_dir=output_dir)
        if accelerator.is_main_process:
            for name, published in PUBLISHED.items():
                _copy(result.output_dir / name, output_dir / published)
            _report_quality(runs[:number], output_dir)
        accelerator.wait_for_everyone()
        accelerator.free_memory()
    return dataclasses.replace(result, output_dir=output_dir)


def iteration_arguments(arguments: Arguments) -> list[Arguments]:
    """The arguments of each iteration's run, validated.

    An iteration's settings override the recipe's; layers are taken from the iteration before. Weights start afresh,
    as in the reference, unless --init_from_previous.

    Raises:
        UserError: an unknown setting, a missing one, or a layer that the model has not; it names the iteration.
    """
    if arguments.resume not in ("auto", "none"):
        raise UserError(f"--resume {arguments.resume}: with --iterations give auto, which finds the place by itself")
    runs: list[Arguments] = []
    for number, entry in enumerate(arguments.iterations, start=1):
        where = f"iteration {number}"
        changes = {SHORT_NAMES.get(key, key): value for key, value in yaml.safe_load(entry).items()}
        if unknown := [key for key in changes if key not in KEYS or key in ("iterations", "output_dir")]:
            raise UserError(f"{where}: unknown setting '{unknown[0]}'; it takes {', '.join(SHORT_NAMES)} and flags")
        if missing := [short for short, name in SHORT_NAMES.items() if name not in changes]:
            raise UserError(
                f"{where}: '{missing[0]}' is missing, as in {{features: mfcc39, clusters: 500, updates: 9}}"
            )
        changes["label_features"] = [str(name).replace(" ", "") for name in _as_list(changes["label_features"])]
        changes["num_clusters"] = _as_list(changes["num_clusters"])
        changes["iterations"] = []
        changes["output_dir"] = str(Path(arguments.output_dir) / f"iteration-{number}")
        changes["recipe_name"] = f"{arguments.recipe_name or arguments.model}-iteration-{number}"
        if runs:
            changes["label_model"] = runs[-1].output_dir
            if arguments.init_from_previous:
                changes["init_from"] = runs[-1].output_dir
        own = dataclasses.replace(arguments, **changes)
        try:
            _check_layers(own, runs)
            validate(own)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        runs.append(own)
    return runs


def _check_layers(own: Arguments, earlier: list[Arguments]) -> None:
    layers = [name for name in own.label_features if name.startswith("layer")]
    if layers and not earlier and not own.label_model:
        raise UserError(
            f"'{layers[0]}' needs a trained model: begin with an acoustic feature, or give --label_model DIR"
        )
    if layers and earlier:
        depth = building.build_config(dataclasses.replace(earlier[-1], init_from=None)).num_hidden_layers
        for name in layers:
            if not name[5:].isdigit() or not 1 <= int(name[5:]) <= depth:
                raise UserError(f"'{name}': the iteration before has layer1 to layer{depth}")


def _as_list(value) -> list:
    return value if isinstance(value, list) else [value]


def _copy(source: Path, target: Path) -> None:
    """Put a file or folder in the place of an older one."""
    aside = target.with_name(f".{target.name}.aside")
    if source.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source, aside)
        shutil.rmtree(target, ignore_errors=True)
    else:
        shutil.copyfile(source, aside)
    os.replace(aside, target)


def _report_quality(runs: list[Arguments], output_dir: Path) -> None:
    """The label quality of all iterations so far: a table on the terminal, numbers and a picture beside the model."""
    quality = {}
    for number, own in enumerate(runs, start=1):
        path = Path(own.output_dir) / "codebook" / "quality.json"
        if path.is_file():  # a codebook that was given, not fitted, has none
            found = json.loads(path.read_text())
            quality |= {f"iteration {number}: {name}": values for name, values in found.items()}
    if quality:
        checkpoint.write_json(output_dir / "label_quality.json", quality)
        plot_usage(quality, output_dir / "label_quality.png")
        print(usage_table(quality))
