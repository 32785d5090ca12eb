"""What may change between a run and its continuation: the flags with the fact `may_change`.

They say where things are written, how often, and who watches; none of them changes what is learned.
"""

from pathlib import Path

from musicssl.errors import UserError
from musicssl.pretraining.config.recipes import config_of_recipe
from musicssl.pretraining.config.settings import FLAGS, PretrainConfig

MUST_STAY = tuple(name for name, (_, own) in FLAGS.items() if not own.metadata.get("may_change"))


def continue_run(config: PretrainConfig, source: Path, processes: int, world_size: int) -> PretrainConfig:
    """The configuration with which the run of checkpoint `source` continues: as given, with the run's micro-batch.

    Args:
        processes: the number of processes that wrote the checkpoint.
        world_size: the number of processes now.

    Raises:
        UserError: the configuration or the number of processes belongs to another run.
    """
    # A flag that the run's version did not have yet was at the default of that version.
    then = config_of_recipe(source / "recipe.yaml").flags()
    if config.optimisation.micro_batch_clips is None:
        # The micro-batch that was found is in the run's recipe, so leaving it out again is no change.
        config = config.with_flags(micro_batch_clips=then["micro_batch_clips"])
    now = config.flags()
    changed = [name for name in MUST_STAY if then[name] != now[name]]
    if changed:
        differences = "; ".join(f"--{name} was {then[name]}, is {now[name]}" for name in changed)
        raise UserError(
            f"{source} belongs to a run with other settings: {differences}. Restore them, or start a new run in "
            "another --output_dir (with --init_from to keep the weights)"
        )
    if processes != world_size:
        raise UserError(
            f"{source} was written by {processes} process(es), this is a run of {world_size}: "
            f"launch with --num_processes {processes}, or start a new run with --init_from {source}"
        )
    return config
