"""Train one model from arguments: build everything, resume if there is something to resume, loop, draw the curves."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file
from transformers import PreTrainedModel

from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import Source, parse_sources
from musicssl.errors import UserError
from musicssl.labels.fitting import prepare_labeller
from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.config.recipes import write_recipe
from musicssl.pretraining.config.resuming import check_same_run
from musicssl.pretraining.files import checkpoint
from musicssl.pretraining.files.curves import plot_training
from musicssl.pretraining.files.environment import write_environment
from musicssl.pretraining.files.metrics import MetricsLog
from musicssl.pretraining.model import building
from musicssl.pretraining.model.cpu_kernels import keep_freed_memory, use_cpu_kernels
from musicssl.pretraining.model.whitening import fit_front_end
from musicssl.pretraining.planning.cost import measure_peak_flops, training_cost
from musicssl.pretraining.planning.micro_batch import choose_geometry
from musicssl.pretraining.training import saving
from musicssl.pretraining.training.health import HealthMonitor
from musicssl.pretraining.training.loop import run_updates
from musicssl.pretraining.training.objectives import (
    Music2VecObjective,
    MusicHubertObjective,
    Objective,
    normalize_waveforms,
)
from musicssl.pretraining.training.optimizer import make_optimizer
from musicssl.pretraining.training.schedules import make_schedule
from musicssl.pretraining.training.state import TrainingRun
from musicssl.pretraining.training.validation import Validator

DATA_DEPENDENT_INIT_SECONDS = 64.0

AfterCheckpoint = Callable[[Path, int], None]


@dataclass(frozen=True)
class TrainingResult:
    """Where the model is, how far it got, and whether that is the end."""

    output_dir: Path
    update: int
    finished: bool


def train(
    arguments: Arguments, accelerator: Accelerator, after_checkpoint: AfterCheckpoint | None = None
) -> TrainingResult:
    """Pre-train one model into `arguments.output_dir`; every process calls it.

    Args:
        after_checkpoint: called on the main process with each new checkpoint and its update.

    Raises:
        UserError: something given cannot be used, or a health guard stopped the run (`UnhealthyRun`).
    """
    output_dir = building.run_directory(arguments)
    source = checkpoint.find_checkpoint(output_dir, arguments.resume)
    if source:
        check_same_run(arguments, accelerator.num_processes, source)
    if source and checkpoint.read_state(source)["update"] >= arguments.max_updates:
        accelerator.print(f"{output_dir} already has all {arguments.max_updates} updates")
        return TrainingResult(output_dir, arguments.max_updates, finished=True)

    run = _build(arguments, accelerator, output_dir, source, after_checkpoint)
    accelerator.print(
        f"{arguments.recipe_name or arguments.model}: {run.geometry}; updates {run.update} to {arguments.max_updates}"
    )
    try:
        finished = run_updates(run)
    finally:
        accelerator.end_training()
        if accelerator.is_main_process and run.log.path.stat().st_size:
            plot_training(run.log.path, output_dir / "training.png", arguments.recipe_name or arguments.model)
    return TrainingResult(output_dir, run.update, finished)


def _build(
    arguments: Arguments,
    accelerator: Accelerator,
    output_dir: Path,
    source: Path | None,
    after_checkpoint: AfterCheckpoint | None,
) -> TrainingRun:
    """Everything the loop needs, at the state of checkpoint `source` if there is one."""
    sources = parse_sources(arguments.train_data)
    validation_sources = parse_sources(arguments.validation_data) if arguments.validation_data else None
    building.check_crop(arguments, building.build_config(arguments))
    labeller = prepare_labeller(arguments, accelerator) if arguments.model == "musichubert" else None

    config = building.build_config(arguments, labeller.config_fields() if labeller else None)
    model = building.build_model(arguments, config)
    if source:
        model.load_state_dict(_model_state(source))
    elif arguments.data_dependent_init:
        _fit_front_end(model, arguments, sources)
    model.to(accelerator.device)
    if accelerator.device.type == "cpu" and not arguments.compile:
        keep_freed_memory()
        use_cpu_kernels(model)
    geometry = choose_geometry(arguments, accelerator, model)
    if arguments.compile:
        torch.compiler.reset()  # the search may have compiled for other numbers of clips
    peak_flops = measure_peak_flops(accelerator.device, _compute_dtype(accelerator))
    num_samples = round(arguments.crop_seconds * config.sampling_rate)
    flops = training_cost(config, num_samples, arguments) * geometry.clips_per_update

    state = checkpoint.read_state(source) if source else {}
    if accelerator.is_main_process:
        checkpoint.remove_partial(output_dir)
        if source and (branch := checkpoint.set_aside_newer(output_dir, source)):
            accelerator.print(f"going on from {source.name}: the checkpoints after it are in {branch}")
        write_recipe(arguments, output_dir / "recipe.yaml")
        write_environment(output_dir / "environment.json", accelerator, sources)
    objective = _build_objective(model, arguments, accelerator, labeller)
    optimizer = make_optimizer(
        model,
        arguments.learning_rate,
        (arguments.adam_beta1, arguments.adam_beta2),
        arguments.adam_epsilon,
        arguments.weight_decay,
    )
    prepared_model, prepared_optimizer = accelerator.prepare(model, optimizer)
    loader = CropLoader(
        sources, _stream_settings(arguments, config.sampling_rate), geometry.micro_batch_clips,
        accelerator.process_index, accelerator.num_processes,
        Workers(arguments.num_workers, pin_memory=accelerator.device.type == "cuda"), output_dir / "bad_files.jsonl",
    )  # fmt: skip
    run = TrainingRun(
        arguments=arguments,
        accelerator=accelerator,
        output_dir=output_dir,
        model=prepared_model,
        optimizer=prepared_optimizer,
        schedule=_build_schedule(arguments),
        objective=objective,
        loader=loader,
        validator=None,
        geometry=geometry,
        flops_per_update=flops,
        peak_flops=peak_flops * accelerator.num_processes,
        feature_extractor=building.build_feature_extractor(arguments, config),
        log=_open_log(arguments, accelerator, output_dir, source, state),
        after_checkpoint=after_checkpoint,
        health=HealthMonitor(arguments, state.get("health")),
    )
    if validation_sources:
        settings = _stream_settings(arguments, config.sampling_rate, epochs=1, shuffle=False)
        held_out = CropLoader(
            validation_sources, settings, geometry.micro_batch_clips, accelerator.process_index,
            accelerator.num_processes, Workers(arguments.num_workers), output_dir / "bad_validation_files.jsonl",
        )  # fmt: skip
        own_objective = _build_objective(model, arguments, accelerator, labeller and labeller.on_the_fly)
        run.validator = Validator(held_out, own_objective, accelerator, arguments.seed, arguments.validation_clips)
    if source:
        saving.restore(run, source)
    return run


def _build_objective(model: PreTrainedModel, arguments: Arguments, accelerator: Accelerator, labeller) -> Objective:
    normalizes = building.normalizes(arguments)
    if arguments.model == "music2vec":
        return Music2VecObjective(model, arguments, normalizes, accelerator.device)
    return MusicHubertObjective(model, arguments, normalizes, accelerator.device, labeller)


def _fit_front_end(model: PreTrainedModel, arguments: Arguments, sources: Sequence[Source]) -> None:
    """On crops of their own; every process takes the same, so all start from the same weights."""
    clips = max(1, round(DATA_DEPENDENT_INIT_SECONDS / arguments.crop_seconds))
    settings = _stream_settings(arguments, model.config.sampling_rate)
    batch = next(iter(CropLoader(sources, settings, clips)))
    waveforms = batch["waveform"]
    if building.normalizes(arguments):
        waveforms = normalize_waveforms(waveforms, batch["clip_mean"], batch["clip_std"])
    fit_front_end(model, waveforms.to(model.device))


def _build_schedule(arguments: Arguments) -> Callable[[int], float]:
    """The factor of the peak learning rate at each update."""
    if arguments.schedule == "polynomial":
        return make_schedule("polynomial", arguments.max_updates, arguments.warmup_updates)
    warmup_share, hold_share, _ = arguments.schedule_phases
    warmup, hold = int(warmup_share * arguments.max_updates), int(hold_share * arguments.max_updates)
    return make_schedule("tri_stage", arguments.max_updates, warmup, hold)


def _stream_settings(arguments: Arguments, sampling_rate: int, **options) -> StreamSettings:
    return StreamSettings(
        seed=arguments.seed,
        sampling_rate=sampling_rate,
        crop_seconds=arguments.crop_seconds,
        min_seconds=arguments.min_seconds,
        short_clips=arguments.short_clips,
        channel_mode=arguments.channel_mode,
        start_multiple=arguments.crop_start_multiple,
        buffer_clips=arguments.buffer_clips,
        max_bad_fraction=arguments.max_bad_fraction,
        **options,
    )


def _open_log(
    arguments: Arguments, accelerator: Accelerator, output_dir: Path, source: Path | None, state: dict
) -> MetricsLog:
    path = output_dir / "metrics.jsonl"
    if source and source.parent.resolve() != output_dir.resolve() and accelerator.is_main_process:
        path.write_bytes((source.parent / "metrics.jsonl").read_bytes())
    if arguments.log_with:
        accelerator.init_trackers(arguments.recipe_name or arguments.model, _tracked(arguments))
    return MetricsLog(path, accelerator, state.get("metrics_bytes", 0))


def _tracked(arguments: Arguments) -> dict:
    """Hyper-parameters in the few types that every tracker takes."""
    return {key: value for key, value in vars(arguments).items() if isinstance(value, (bool, int, float, str))}


def _model_state(source: Path) -> dict[str, torch.Tensor]:
    try:
        return load_file(source / "model.safetensors")
    except Exception as error:  # safetensors raises its own kinds for a damaged file
        raise UserError(f"{source / 'model.safetensors'} cannot be read ({error}); try another checkpoint") from error


def _compute_dtype(accelerator: Accelerator) -> torch.dtype:
    return torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
