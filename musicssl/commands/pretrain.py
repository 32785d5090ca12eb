"""Pre-train music2vec or musicHuBERT.

    accelerate launch -m musicssl.commands.pretrain --config music2vec_tiny --train_data FOLDER --output_dir runs/a

The same command continues an interrupted run. `--dry_run` prints what recipes cost; `--help` lists all flags.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from musicssl.errors import run_as_command
from musicssl.pretraining.config.parsing import make_config, parse_arguments
from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.iterations import train_iterations
from musicssl.pretraining.model.device import build_accelerator
from musicssl.pretraining.planning.dry_run import dry_run
from musicssl.pretraining.run import TrainingResult
from musicssl.publish.while_training import push_while_training


def main(command_line: Sequence[str] | None = None) -> None:
    """Train, or print what recipes cost; `command_line` is `sys.argv[1:]` by default."""
    configs = parse_arguments(command_line)
    accelerator = build_accelerator(configs[0])
    if configs[0].run.dry_run:
        return dry_run(configs, accelerator)
    _train(configs[0], accelerator)


def pretrain(config: str | Path | None = None, **flags: Any) -> TrainingResult:
    """Pre-train a model from Python, as the command does: it resumes, validates, writes checkpoints and may push.

        pretrain("musichubert_tiny", train_data=["music"], output_dir="runs/a", model_config={"hidden_size": 96})

    Args:
        config: a recipe, by the name of one of the package's or by its path; None starts from the defaults.
        flags: any flags of the command by name; they override the recipe. `model_config` is merged into the recipe's.

    Raises:
        UserError: an unknown flag, a value of the wrong type or out of range, audio or a checkpoint that cannot be
            used, or a health guard that stopped the run.
    """
    made = make_config(config, **{**flags, "dry_run": False})
    return _train(made, build_accelerator(made))


def _train(config: PretrainConfig, accelerator: Accelerator) -> TrainingResult:
    pushes = nullcontext()
    if config.run.push_to_hub and accelerator.is_main_process:
        pushes = push_while_training(config.run.hub_model_id, config.run.hub_private, config.run.push_every)
    with pushes as after_checkpoint:
        return train_iterations(config, accelerator, after_checkpoint)


if __name__ == "__main__":
    sys.exit(run_as_command(main))
