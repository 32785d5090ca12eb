"""Pre-train music2vec or musicHuBERT."""

from collections.abc import Sequence
from contextlib import nullcontext

from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.iterations import train_iterations
from musicssl.pretraining.model.building import build_accelerator
from musicssl.pretraining.planning.dry_run import dry_run
from musicssl.publish.while_training import push_while_training


def main(command_line: Sequence[str] | None = None) -> None:
    """Train, or say what recipes cost."""
    recipes = parse_arguments(command_line)
    accelerator = build_accelerator(recipes[0])
    if recipes[0].dry_run:
        return dry_run(recipes, accelerator)
    (arguments,) = recipes
    pushes = nullcontext()
    if arguments.push_to_hub and accelerator.is_main_process:
        pushes = push_while_training(arguments.hub_model_id, arguments.hub_private, arguments.push_every)
    with pushes as after_checkpoint:
        train_iterations(arguments, accelerator, after_checkpoint)
