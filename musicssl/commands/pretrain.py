"""Pre-train music2vec or musicHuBERT.

    accelerate launch -m musicssl.commands.pretrain --config music2vec_tiny --train_data FOLDER --output_dir runs/a

The same command continues an interrupted run. `--dry_run` prints what recipes cost; `--help` lists all flags.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musicssl.errors import run_as_command
from musicssl.pretraining.config.parsing import make_config, parse_arguments
from musicssl.pretraining.config.settings import PretrainConfig

if TYPE_CHECKING:
    from musicssl.pretraining.run import TrainingResult


def main(command_line: Sequence[str] | None = None) -> None:
    """Train, or print what recipes cost; `command_line` is `sys.argv[1:]` by default."""
    _train(*parse_arguments(command_line))


def pretrain(config: str | Path | None = None, **flags: Any) -> "TrainingResult | None":
    """Pre-train a model from Python, as the command does: it resumes, validates, writes checkpoints and may push.

        pretrain("musichubert_tiny", train_data=["music"], output_dir="runs/a", model_config={"hidden_size": 96})

    Args:
        config: a recipe, by the name of one of the package's or by its path; None starts from the defaults.
        flags: any flags of the command by name; they override the recipe. `model_config` is merged into the recipe's.

    Returns:
        Where the model is; None with `dry_run=True`, which prints what the recipe costs.

    Raises:
        UserError: an unknown flag, a value of the wrong type or out of range, audio or a checkpoint that cannot be
            used, or a health guard that stopped the run.
    """
    return _train(make_config(config, **flags))


def _train(config: PretrainConfig, *others: PretrainConfig) -> "TrainingResult | None":
    # What trains loads torch: `--help` and a flag that is wrong are answered without it.
    from musicssl.pretraining.iterations import train_iterations
    from musicssl.pretraining.model.device import build_accelerator
    from musicssl.pretraining.planning.dry_run import dry_run
    from musicssl.publish.while_training import push_while_training

    accelerator = build_accelerator(config)
    if config.run.dry_run:
        dry_run([config, *others], accelerator)
        return None
    if not (config.run.push_to_hub and accelerator.is_main_process):
        return train_iterations(config, accelerator)
    with push_while_training(config.run.hub_model_id, config.run.hub_private, config.run.push_every) as push:
        return train_iterations(config, accelerator, push)


if __name__ == "__main__":
    sys.exit(run_as_command(main))
