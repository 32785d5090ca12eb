"""HuBERT's iterations in one command: fit -> train -> relabel by the trained model -> train ...

    runs/NAME/
      config.json  model.safetensors  preprocessor_config.json    the newest iteration's,
      codebook/  environment.json  iteration_recipe.yaml          with what a model card and a push need
      metrics.jsonl
      recipe.yaml                                                 the whole recipe, `iterations` included
      iteration-1/  iteration-2/ ...                              one run each, codebook and labels included
      label_quality.json  label_quality.png                       of every codebook, iteration by iteration

Every step can be interrupted: the same command finds the finished samples, codebooks, label shards and checkpoints,
and continues from there.
"""

import dataclasses
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from musicssl.errors import UserError
from musicssl.files import copy_whole, read_json, write_json
from musicssl.labels.pictures import plot_usage
from musicssl.labels.quality import usage_table
from musicssl.pretraining.config.checks import validate
from musicssl.pretraining.config.recipes import write_recipe
from musicssl.pretraining.config.settings import FLAGS, ITERATION_NAMES, PretrainConfig, iteration_flags
from musicssl.pretraining.files.checkpoint import make_run_directory
from musicssl.pretraining.model.building import build_model_config, check_masks, setting_of
from musicssl.pretraining.run import AfterCheckpoint, TrainingResult, train

# The files that the folder of the whole run takes from the newest iteration, and their names there; the model last.
PUBLISHED = {
    "codebook": "codebook", "environment.json": "environment.json", "metrics.jsonl": "metrics.jsonl",
    "recipe.yaml": "iteration_recipe.yaml", "preprocessor_config.json": "preprocessor_config.json",
    "config.json": "config.json", "model.safetensors": "model.safetensors",
}  # fmt: skip


def train_iterations(
    config: PretrainConfig, accelerator: Accelerator, after_checkpoint: AfterCheckpoint | None = None
) -> TrainingResult:
    """Train the iterations that a recipe lists, or the one run of a recipe that lists none.

    Args:
        after_checkpoint: as `train` takes it; it receives the directory of the iteration's run.

    Raises:
        UserError: an iteration cannot run; all are checked before the first begins.
    """
    try:
        if not config.labels.iterations:
            return train(config, accelerator, after_checkpoint)
        return _train_each(config, accelerator, after_checkpoint)
    finally:
        accelerator.end_training()


def _train_each(
    config: PretrainConfig, accelerator: Accelerator, after_checkpoint: AfterCheckpoint | None
) -> TrainingResult:
    """Train one iteration after the other; the folder of the whole run has the newest model."""
    runs = iteration_configs(config)
    output_dir = make_run_directory(config.run.directory)
    if accelerator.is_main_process:
        write_recipe(config, output_dir / "recipe.yaml")
    for number, own in enumerate(runs, start=1):
        accelerator.print(
            f"iteration {number} of {len(runs)}: {' '.join(own.labels.label_features)}, "
            f"{list(own.labels.num_clusters)} clusters, {own.optimisation.max_updates} updates"
        )
        result = train(own, accelerator, after_checkpoint)
        if not result.finished:
            return dataclasses.replace(result, output_dir=output_dir)
        if accelerator.is_main_process:
            for name, published in PUBLISHED.items():
                copy_whole(result.output_dir / name, output_dir / published)
            _report_quality(runs[:number], output_dir)
        accelerator.wait_for_everyone()
        accelerator.free_memory()
    return dataclasses.replace(result, output_dir=output_dir)


def iteration_configs(config: PretrainConfig) -> list[PretrainConfig]:
    """The configuration of each iteration's run, validated.

    An iteration's settings override the recipe's; layers are taken from the iteration before. Weights start afresh,
    as in the reference, unless --init_from_previous.

    Raises:
        UserError: an unknown setting, a missing one, or a layer that the model does not have; it names the iteration.
    """
    if config.run.resume not in ("auto", "none"):
        raise UserError(
            f"--resume {config.run.resume}: with --iterations give auto, which finds the checkpoint by itself"
        )
    runs: list[PretrainConfig] = []
    for number, entry in enumerate(config.labels.iterations, start=1):
        try:
            changes = _changes(entry)
            changes["output_dir"] = str(config.run.directory / f"iteration-{number}")
            changes["recipe_name"] = f"{config.name}-iteration-{number}"
            if runs:
                changes["label_model"] = runs[-1].run.output_dir
                if config.labels.init_from_previous:
                    changes["init_from"] = runs[-1].run.output_dir
            own = config.with_flags(iterations=None, **changes)
            _check_layers(own, runs)
            validate(own)
            _check_model(
                own, config.model.init_from if runs and config.labels.init_from_previous else own.model.init_from
            )
        except UserError as error:
            raise UserError(f"iteration {number}: {error}") from error
        runs.append(own)
    return runs


def _changes(entry: dict[str, Any]) -> dict[str, Any]:
    """The flags that an entry of a recipe's `iterations` changes."""
    changes = iteration_flags(entry)
    if unknown := [key for key in changes if key not in FLAGS or key in ("iterations", "output_dir")]:
        raise UserError(f"unknown setting '{unknown[0]}'; available: {', '.join(ITERATION_NAMES)} and flags")
    if missing := [short for short, name in ITERATION_NAMES.items() if name not in changes]:
        raise UserError(f"'{missing[0]}' is missing, as in {{features: mfcc39, clusters: 500, updates: 9}}")
    features = changes["label_features"]
    names = features if isinstance(features, list | tuple) else [features]
    changes["label_features"] = [str(name).replace(" ", "") for name in names]
    return changes


def _check_layers(own: PretrainConfig, earlier: list[PretrainConfig]) -> None:
    layers = [name for name in own.labels.label_features if name.startswith("layer")]
    if layers and not earlier and not own.labels.label_model:
        raise UserError(
            f"'{layers[0]}' needs a trained model: begin with an acoustic feature, or give --label_model DIR"
        )
    if layers and earlier:
        depth = setting_of(earlier[-1].model, "num_hidden_layers")
        for name in layers:
            if not name[5:].isdigit() or not 1 <= int(name[5:]) <= depth:
                raise UserError(f"'{name}': the iteration before has layer1 to layer{depth}")


def _check_model(own: PretrainConfig, init_from: str | None) -> None:
    """The weights of an iteration before do not exist yet; its architecture is that of the recipe's --init_from."""
    model = dataclasses.replace(own.model, init_from=init_from)
    check_masks(own.masking, own.data, build_model_config(model, own.labels.num_clusters))


def _report_quality(runs: list[PretrainConfig], output_dir: Path) -> None:
    """The label quality of all iterations so far: a table on the terminal, numbers and a picture beside the model."""
    quality: dict[str, dict] = {}
    for number, own in enumerate(runs, start=1):
        path = own.run.directory / "codebook" / "quality.json"
        if path.is_file():  # a codebook that was given, not fitted, has none
            quality |= {f"iteration {number}: {name}": values for name, values in read_json(path).items()}
    if quality:
        write_json(output_dir / "label_quality.json", quality, indent=1)
        plot_usage(quality, output_dir / "label_quality.png")
        print(usage_table(quality))
