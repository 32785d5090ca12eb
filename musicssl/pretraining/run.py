"""Train one model: build the run, resume it if it was interrupted, loop, draw its curves."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator

from musicssl.pretraining.assembly import build_run
from musicssl.pretraining.config.resuming import continue_run
from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.files import checkpoint
from musicssl.pretraining.files.curves import plot_training
from musicssl.pretraining.training.loop import run_updates

AfterCheckpoint = Callable[[Path, int], None]


@dataclass(frozen=True)
class TrainingResult:
    """Where the model is, how many updates it has had, and whether these are all."""

    output_dir: Path
    update: int
    finished: bool


def train(
    config: PretrainConfig, accelerator: Accelerator, after_checkpoint: AfterCheckpoint | None = None
) -> TrainingResult:
    """Pre-train one model into --output_dir; every process calls it.

    Args:
        after_checkpoint: called by the main process with the run's directory and the update, after each checkpoint.

    Raises:
        UserError: something given cannot be used, or a health guard stopped the run (`UnhealthyRun`).
    """
    output_dir = checkpoint.make_run_directory(config.run.output_dir)
    max_updates = config.optimisation.max_updates
    source = checkpoint.find_checkpoint(output_dir, config.run.resume)
    if source:
        config = continue_run(config, accelerator.num_processes, source)
        if checkpoint.read_state(source)["update"] >= max_updates:
            accelerator.print(f"{output_dir} already has all {max_updates} updates")
            return TrainingResult(output_dir, max_updates, finished=True)

    run = build_run(config, accelerator, output_dir, source)
    run.after_checkpoint = after_checkpoint
    accelerator.print(f"{config.name}: {run.geometry}; updates {run.update} to {max_updates}")
    try:
        finished = run_updates(run)
    finally:
        accelerator.end_training()
        if accelerator.is_main_process and run.log.path.stat().st_size:
            plot_training(run.log.path, output_dir / "training.png", config.name)
    return TrainingResult(output_dir, run.update, finished)
