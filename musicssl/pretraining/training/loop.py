"""The training loop: one for both models, from the first update (or a checkpoint's) to the last.

while updates remain:
    gradients of one update  ->  finite? step  ->  guards  ->  row, validation, checkpoint when due
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from tqdm import tqdm

from musicssl.pretraining.files.checkpoint import remove_old
from musicssl.pretraining.training.interruption import StopRequest
from musicssl.pretraining.training.objectives import label_perplexities
from musicssl.pretraining.training.saving import save_checkpoint
from musicssl.pretraining.training.state import TrainingRun
from musicssl.pretraining.training.sums import MetricWindow, mean_metrics, on_any_process
from musicssl.pretraining.training.update import UpdateResult, compute_gradients
from musicssl.pretraining.training.validation import Validator


class Stopwatch:
    """Wall time and time spent waiting for data, since the last row."""

    def __init__(self):
        self.reset()

    def reset(self) -> None:
        self.start = time.perf_counter()
        self.waited = 0.0
        self.updates = 0

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.start


def run_updates(run: TrainingRun) -> bool:
    """Train to the last update; False when a signal asked to stop before it.

    Raises:
        UnhealthyRun: a health guard stopped the run.
        UserError: a checkpoint could not be written, or too much of the data is damaged.
    """
    settings, max_updates = run.config.run, run.config.optimisation.max_updates
    is_main = run.accelerator.is_main_process
    bar = tqdm(total=max_updates, initial=run.update, unit="update", dynamic_ncols=True, disable=not is_main)
    stopwatch = Stopwatch()
    batches = _timed(run, stopwatch)
    with StopRequest() as stop, bar:
        while run.update < max_updates:
            result = _one_update(run, batches)
            stopwatch.updates += 1
            rate = _audio_rate(run, stopwatch)
            bar.set_postfix_str(f"loss {result.loss:.3f}, {rate:.0f} audio-s/s", refresh=False)
            bar.update()
            is_last = run.update == max_updates
            if run.update % settings.log_every == 0 or is_last:
                _write_row(run, result, stopwatch)
                stopwatch.reset()
            stop_now = on_any_process(run.accelerator, stop.received is not None)
            checkpoint_due = run.update % settings.checkpoint_every == 0 or is_last
            if run.validator and (run.update % settings.validate_every == 0 or checkpoint_due):
                validation_loss = _validate(run, run.validator)
            if checkpoint_due or stop_now:
                _checkpoint(run, validation_loss if run.validator and checkpoint_due else None)
            if stop_now and not is_last:
                if is_main:  # above the bar
                    bar.write(f"stopped by {stop.received or 'another process'} at update {run.update}, and saved")
                break
    return run.update == max_updates


def _one_update(run: TrainingRun, batches: Iterator[dict[str, Any]]) -> UpdateResult:
    """Gradients, guards, step; `run.update` is then the number of updates done."""
    learning_rate = run.config.optimisation.learning_rate * run.schedule(run.update)
    for group in run.optimizer.param_groups:
        group["lr"] = learning_rate
    is_logged = (run.update + 1) % run.config.run.log_every == 0
    result = compute_gradients(run, batches, **run.objective.forward_options(is_logged))
    is_finite = run.health.check_finite(run.update, result.loss, result.grad_norm)
    if is_finite:
        run.optimizer.step()
        run.window.add(result.metrics)
    run.optimizer.zero_grad(set_to_none=True)
    run.update += 1
    if is_finite:
        run.health.check_update(run.update, mean_metrics(result.metrics))
    return result


def _write_row(run: TrainingRun, result: UpdateResult, stopwatch: Stopwatch) -> None:
    accelerator, geometry = run.accelerator, run.geometry
    row = {"update": run.update, **mean_metrics(run.window.totals)}
    perplexities = label_perplexities(run.objective, accelerator)
    row |= perplexities
    row |= {
        "learning_rate": run.optimizer.param_groups[0]["lr"],
        "grad_norm": result.grad_norm,
        "epoch": run.epoch,
        "audio_hours": run.update * geometry.audio_seconds_per_update / 3600,
        "health/skipped_updates": run.health.state.skipped_updates,
        "data/damaged_clips": run.loader.bad_files.num_damaged,
        "perf/audio_seconds_per_second": _audio_rate(run, stopwatch),
        "perf/mfu": run.flops_per_update * stopwatch.updates / stopwatch.seconds / run.peak_flops,
        "perf/data_wait_share": stopwatch.waited / stopwatch.seconds,
    }
    if accelerator.device.type == "cuda":
        row["perf/memory_gib"] = torch.cuda.max_memory_allocated() / 2**30
    run.log.write(row)
    run.window = MetricWindow()
    run.objective.reset_label_counts()
    run.health.check_labels(run.update, perplexities)


def _audio_rate(run: TrainingRun, stopwatch: Stopwatch) -> float:
    return run.geometry.audio_seconds_per_update * stopwatch.updates / stopwatch.seconds


def _validate(run: TrainingRun, validator: Validator) -> float:
    metrics = validator.evaluate(run.model)
    run.log.write({"update": run.update, **{f"validation/{name}": value for name, value in metrics.items()}})
    return next(iter(metrics.values()))


def _checkpoint(run: TrainingRun, validation_loss: float | None) -> None:
    path = save_checkpoint(run, validation_loss)
    run.health.last_checkpoint = path
    if run.accelerator.is_main_process:
        remove_old(run.output_dir, run.config.run.keep_checkpoints, run.best_checkpoint)
        if run.after_checkpoint:
            run.after_checkpoint(run.output_dir, run.update)


def _timed(run: TrainingRun, stopwatch: Stopwatch) -> Iterator[dict[str, Any]]:
    """The batches of the stream; the stopwatch adds up the time spent waiting for them."""
    stream = iter(run.loader)
    while True:
        start = time.perf_counter()
        batch = next(stream)
        stopwatch.waited += time.perf_counter() - start
        run.epoch = batch["epoch"]
        yield batch
