"""Save and restore a `TrainingRun`: the steps that all processes take together."""

from pathlib import Path
from typing import Any

from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_optimizer_state_dict

from musicssl.errors import UserError
from musicssl.files import write_json
from musicssl.pretraining.config.recipes import write_recipe
from musicssl.pretraining.files import checkpoint
from musicssl.pretraining.training.state import TrainingRun
from musicssl.pretraining.training.sums import MetricWindow, on_any_process

WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def save_checkpoint(run: TrainingRun, validation_loss: float | None) -> Path:
    """Write `checkpoint-NNNNNN` of the run as it is now; all processes call it.

    Args:
        validation_loss: measured at this update, or None; the lowest decides which checkpoint is the best.

    Raises:
        UserError: nothing could be written; checkpoints written before are untouched.
    """
    accelerator = run.accelerator
    writer = checkpoint.CheckpointWriter(run.output_dir, run.update)
    best = run.best_checkpoint, run.best_loss
    if (
        run.config.run.keep_best
        and validation_loss is not None
        and (run.best_loss is None or validation_loss < run.best_loss)
    ):
        best = writer.final.name, validation_loss
    # Collective: sharded states are gathered here. On the main process they are whole.
    model_state, optimizer_state = get_state_dict(run.model, run.optimizer.optimizer, options=WHOLE)

    def write_shared() -> None:
        accelerator.unwrap_model(run.model).save_pretrained(writer.aside, state_dict=model_state)
        run.feature_extractor.save_pretrained(writer.aside)
        write_recipe(run.config, writer.aside / "recipe.yaml")
        checkpoint.save_tensors(writer.aside / "optimizer.pt", optimizer_state)
        write_json(writer.aside / checkpoint.STATE_FILE, _trainer_state(run, *best), indent=1, allow_nan=True)

    def write_own() -> None:
        own = {"stream": run.loader.state_dict(), "label_counts": run.objective.label_counts()}
        checkpoint.save_tensors(checkpoint.process_file(writer.aside, accelerator.process_index), own)

    # Each step must have worked on every process before the next one begins.
    for step in (writer.begin, write_shared, write_own, writer.publish):
        takes_part = accelerator.is_main_process or step is write_own
        problem = checkpoint.try_to_write(step, run.output_dir) if takes_part else ""
        if on_any_process(accelerator, bool(problem)):
            if accelerator.is_main_process:
                writer.abandon()
            last = run.health.last_checkpoint or "none"
            raise UserError(
                f"{problem or f'another process cannot write {run.output_dir}'}; the last good checkpoint is {last}. "
                "Make room (lower --keep_checkpoints?) and start the same command again: it continues from there"
            )
    run.best_checkpoint, run.best_loss = best
    return writer.final


def restore(run: TrainingRun, source: Path, state: dict[str, Any]) -> None:
    """Load a checkpoint's optimizer, metrics and place in the stream into a run built for it.

    The model's weights are loaded before the accelerator wraps it (see `run`).

    Args:
        state: the trainer's state of the checkpoint.

    Raises:
        UserError: the checkpoint is damaged, or was written by another number of processes.
    """
    optimizer_state = checkpoint.load_tensors(source / "optimizer.pt")
    set_optimizer_state_dict(run.model, run.optimizer.optimizer, optimizer_state, options=WHOLE)
    own = checkpoint.load_tensors(checkpoint.process_file(source, run.accelerator.process_index))
    run.loader.load_state_dict(own["stream"])
    for counts, saved in zip(run.objective.label_counts(), own["label_counts"], strict=True):
        counts.copy_(saved)
    run.update, run.epoch = state["update"], state["epoch"]
    run.window = MetricWindow(state["window"])
    run.best_checkpoint, run.best_loss = state["best_checkpoint"], state["best_loss"]
    run.health.last_checkpoint = source


def _trainer_state(run: TrainingRun, best_checkpoint: str | None, best_loss: float | None) -> dict:
    geometry = run.geometry
    return {
        "update": run.update,
        "epoch": run.epoch,
        "world_size": geometry.world_size,
        "micro_batch_clips": geometry.micro_batch_clips,
        "accumulation": geometry.accumulation,
        "metrics_bytes": run.log.size(),
        "window": run.window.state_dict(),
        "health": run.health.state_dict(),
        "best_checkpoint": best_checkpoint,
        "best_loss": best_loss,
    }
