"""What may change between a run and its continuation."""

from pathlib import Path

import yaml

from musicssl.errors import UserError
from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.config.recipes import arguments_to_recipe
from musicssl.pretraining.files.checkpoint import read_state

# Where things are written, how often, and who watches: none of these changes what is learned.
MAY_CHANGE = {
    "output_dir",
    "resume",
    "recipe_name",
    "checkpoint_every",
    "keep_checkpoints",
    "keep_best",
    "log_every",
    "validate_every",
    "validation_data",
    "validation_clips",
    "log_with",
    "push_to_hub",
    "hub_model_id",
    "hub_private",
    "push_every",
    "dry_run",
    "max_nonfinite_updates",
    "collapse_grace_updates",
    "min_target_std",
    "min_prediction_std",
    "min_label_perplexity",
    "divergence_action",
    "divergence_margin",
    "divergence_updates",
    "max_bad_fraction",
}


def check_same_run(arguments: Arguments, world_size: int, source: Path) -> None:
    """Raise UserError unless the arguments continue the run of checkpoint `source`."""
    # A flag that the run's version did not have yet was at what is its default today.
    then = arguments_to_recipe(Arguments()) | yaml.safe_load((source / "recipe.yaml").read_text())
    now = arguments_to_recipe(arguments)
    changed = [key for key in now if key not in MAY_CHANGE and then[key] != now[key]]
    # The micro-batch that was found is written back, so leaving it out again is no change.
    if arguments.micro_batch_clips is None and "micro_batch_clips" in changed:
        arguments.micro_batch_clips = then["micro_batch_clips"]
        changed.remove("micro_batch_clips")
    if changed:
        differences = "; ".join(f"--{key} was {then[key]}, is {now[key]}" for key in changed)
        raise UserError(
            f"{source} belongs to a run with other settings: {differences}. Restore them, or start a new run in "
            "another --output_dir (with --init_from to keep the weights)"
        )
    processes = read_state(source)["world_size"]
    if processes != world_size:
        raise UserError(
            f"{source} was written by {processes} process(es), this is a run of {world_size}: "
            f"launch with --num_processes {processes}, or start a new run with --init_from {source}"
        )
