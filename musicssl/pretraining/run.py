"""Train one model: put the run together, resume it if it was interrupted, loop, draw its curves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from transformers import PreTrainedConfig, PreTrainedModel

from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import Source, parse_sources
from musicssl.files import copy_whole
from musicssl.labels.fitting import prepare_labeller
from musicssl.labels.labeller import Labeller
from musicssl.pretraining.config.recipes import write_recipe
from musicssl.pretraining.config.resuming import continue_run
from musicssl.pretraining.config.settings import OptimisationConfig, PretrainConfig
from musicssl.pretraining.files import checkpoint
from musicssl.pretraining.files.curves import plot_training
from musicssl.pretraining.files.environment import write_environment
from musicssl.pretraining.files.metrics import MetricsLog
from musicssl.pretraining.model import building
from musicssl.pretraining.model.cpu_kernels import keep_freed_memory, use_cpu_kernels
from musicssl.pretraining.model.device import compute_dtype
from musicssl.pretraining.model.whitening import fit_front_end
from musicssl.pretraining.planning.cost import measure_peak_flops, update_flops
from musicssl.pretraining.planning.micro_batch import choose_geometry
from musicssl.pretraining.training.health import HealthMonitor
from musicssl.pretraining.training.loop import run_updates
from musicssl.pretraining.training.objectives import (
    Music2VecObjective,
    MusicHubertObjective,
    Objective,
    normalize_waveforms,
)
from musicssl.pretraining.training.optimizer import make_optimizer
from musicssl.pretraining.training.saving import restore
from musicssl.pretraining.training.schedules import make_schedule
from musicssl.pretraining.training.state import AfterCheckpoint, TrainingRun
from musicssl.pretraining.training.validation import Validator

DATA_DEPENDENT_INIT_SECONDS = 64.0


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
    output_dir = checkpoint.make_run_directory(config.run.directory)
    max_updates = config.optimisation.max_updates
    source = checkpoint.find_checkpoint(output_dir, config.run.resume)
    state = checkpoint.read_state(source) if source else {}
    if source:
        config = continue_run(config, source, state["world_size"], accelerator.num_processes)
        if state["update"] >= max_updates:
            accelerator.print(f"{output_dir} already has all {max_updates} updates")
            return TrainingResult(output_dir, max_updates, finished=True)

    run = _build_run(config, accelerator, output_dir, source, state)
    run.after_checkpoint = after_checkpoint
    accelerator.print(f"{config.name}: {run.geometry}; updates {run.update} to {max_updates}")
    try:
        finished = run_updates(run)
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
        accelerator.trackers = []  # the processes stay together: another iteration may follow
        if accelerator.is_main_process and run.log.path.stat().st_size:
            plot_training(run.log.path, output_dir / "training.png", config.name)
    return TrainingResult(output_dir, run.update, finished)


def _build_run(
    config: PretrainConfig, accelerator: Accelerator, output_dir: Path, source: Path | None, state: dict[str, Any]
) -> TrainingRun:
    """Everything the loop needs, at the state of checkpoint `source` if there is one."""
    device, seed = accelerator.device, config.optimisation.seed
    audio = parse_sources(config.data.train_data)
    held_out = parse_sources(config.data.validation_data) if config.data.validation_data else []
    model_config = building.build_model_config(config.model, config.labels.num_clusters)
    building.check_masks(config.masking, config.data, model_config)
    labeller = _prepare_labels(config, accelerator, audio, model_config, output_dir)
    model = _prepare_model(config, accelerator, audio, model_config, source)
    geometry = choose_geometry(config, accelerator, model)
    config = config.with_flags(micro_batch_clips=geometry.micro_batch_clips)  # so that the recipe repeats the run
    if config.model.compile:
        torch.compiler.reset()  # the search may have compiled for other numbers of clips
    peak_flops = measure_peak_flops(device, compute_dtype(accelerator))
    if accelerator.is_main_process:
        _begin_directory(config, output_dir, source)
        write_environment(output_dir / "environment.json", accelerator, audio)

    objective = _build_objective(config, model, device, labeller)
    prepared_model, optimizer = accelerator.prepare(model, _build_optimizer(model, config.optimisation))
    loader = _build_loader(config, accelerator, audio, geometry.micro_batch_clips, output_dir / "bad_files.jsonl")
    run = TrainingRun(
        config=config,
        accelerator=accelerator,
        output_dir=output_dir,
        model=prepared_model,
        optimizer=optimizer,
        schedule=_build_schedule(config.optimisation),
        objective=objective,
        loader=loader,
        geometry=geometry,
        flops_per_update=update_flops(config, model_config, geometry.clips_per_update),
        peak_flops=peak_flops * accelerator.num_processes,
        feature_extractor=building.build_feature_extractor(config.model, model_config.sampling_rate),
        log=_open_log(config, accelerator, output_dir, source, state),
        health=HealthMonitor(config.health, state.get("health")),
    )
    if held_out:
        loader = _build_loader(
            config, accelerator, held_out, geometry.micro_batch_clips, output_dir / "bad_validation_files.jsonl",
            epochs=1, shuffle=False,
        )  # fmt: skip
        objective = _build_objective(config, model, device, labeller and labeller.on_the_fly)
        run.validator = Validator(loader, objective, accelerator, seed, config.run.validation_clips)
    if source:
        restore(run, source, state)
    return run


def _prepare_labels(
    config: PretrainConfig, accelerator: Accelerator, audio: Sequence[Source], model_config: PreTrainedConfig,
    output_dir: Path,
) -> Labeller | None:  # fmt: skip
    """musicHuBERT's labels; the model's configuration records them."""
    if config.model.family != "musichubert":
        return None
    labeller = prepare_labeller(
        config.labels, audio, config.optimisation.seed, config.data.channel_mode, output_dir, accelerator
    )
    for name, value in labeller.config_fields().items():
        setattr(model_config, name, value)
    return labeller


def _prepare_model(
    config: PretrainConfig, accelerator: Accelerator, audio: Sequence[Source], model_config: PreTrainedConfig,
    source: Path | None,
) -> PreTrainedModel:  # fmt: skip
    """The model on the device, with its first weights or those of checkpoint `source`."""
    model = building.build_model(config.model, model_config, config.optimisation.seed, accelerator.print)
    if source:
        model.load_state_dict(checkpoint.load_tensors(source / "model.safetensors"))
    elif config.model.data_dependent_init:
        _fit_front_end(model, config, audio)
    model.to(accelerator.device)
    if accelerator.device.type == "cpu" and not config.model.compile:
        keep_freed_memory()
        use_cpu_kernels(model)
    return model


def _fit_front_end(model: PreTrainedModel, config: PretrainConfig, audio: Sequence[Source]) -> None:
    """Fit the front end to some crops; every process takes the same, so all start from the same weights."""
    clips = max(1, round(DATA_DEPENDENT_INIT_SECONDS / config.data.crop_seconds))
    batch = next(iter(CropLoader(audio, _stream_settings(config), clips)))
    waveforms = batch["waveform"]
    if config.model.normalizes:
        waveforms = normalize_waveforms(waveforms, batch["clip_mean"], batch["clip_std"])
    fit_front_end(model, waveforms.to(model.device))


def _begin_directory(config: PretrainConfig, output_dir: Path, source: Path | None) -> None:
    """Delete what an interrupted run left incomplete, and write the recipe; by the main process."""
    checkpoint.remove_partial(output_dir)
    if source and (branch := checkpoint.set_aside_newer(output_dir, source)):
        print(f"continuing from {source.name}: the checkpoints after it are now in {branch}")
    write_recipe(config, output_dir / "recipe.yaml")


def _build_objective(
    config: PretrainConfig, model: PreTrainedModel, device: torch.device, labeller: Labeller | None
) -> Objective:
    shared = model, config.masking, config.model.normalizes, device
    if labeller is None:
        return Music2VecObjective(*shared, config.optimisation.ema_steps_per_update)
    return MusicHubertObjective(*shared, labeller)


def _build_optimizer(model: PreTrainedModel, optimisation: OptimisationConfig) -> torch.optim.Optimizer:
    betas = (optimisation.adam_beta1, optimisation.adam_beta2)
    return make_optimizer(
        model, optimisation.learning_rate, betas, optimisation.adam_epsilon, optimisation.weight_decay
    )


def _build_schedule(optimisation: OptimisationConfig) -> Callable[[int], float]:
    """The factor of the peak learning rate at each update."""
    updates = optimisation.max_updates
    if optimisation.schedule == "polynomial":
        return make_schedule("polynomial", updates, optimisation.warmup_updates)
    warmup_share, hold_share, _ = optimisation.schedule_phases
    return make_schedule("tri_stage", updates, int(warmup_share * updates), int(hold_share * updates))


def _build_loader(
    config: PretrainConfig, accelerator: Accelerator, audio: Sequence[Source], batch_size: int, bad_files: Path,
    **options: Any,
) -> CropLoader:  # fmt: skip
    """The micro-batches of this process; `options` are further settings of the stream."""
    workers = Workers(config.data.num_workers, pin_memory=accelerator.device.type == "cuda")
    return CropLoader(
        audio, _stream_settings(config, **options), batch_size, accelerator.process_index, accelerator.num_processes,
        workers, bad_files,
    )  # fmt: skip


def _stream_settings(config: PretrainConfig, **options: Any) -> StreamSettings:
    data = config.data
    return StreamSettings(
        seed=config.optimisation.seed,
        sampling_rate=building.setting_of(config.model, "sampling_rate"),
        crop_seconds=data.crop_seconds,
        min_seconds=data.min_seconds,
        short_clips=data.short_clips,
        channel_mode=data.channel_mode,
        start_multiple=data.crop_start_multiple,
        buffer_clips=data.buffer_clips,
        max_bad_fraction=data.max_bad_fraction,
        **options,
    )


def _open_log(
    config: PretrainConfig, accelerator: Accelerator, output_dir: Path, source: Path | None, state: dict[str, Any]
) -> MetricsLog:
    path = output_dir / "metrics.jsonl"
    if source and source.parent.resolve() != output_dir.resolve() and accelerator.is_main_process:
        copy_whole(source.parent / "metrics.jsonl", path)
    if config.run.log_with:
        # Hyper-parameters in the few types that every tracker takes.
        tracked = {key: value for key, value in config.flags().items() if isinstance(value, bool | int | float | str)}
        accelerator.init_trackers(config.name, tracked)
    return MetricsLog(path, accelerator, state.get("metrics_bytes", 0))
