"""Checks that need no model, no data and no device; every message names the flag and the fix."""

from dataclasses import fields
from importlib.util import find_spec

from musicssl.errors import UserError
from musicssl.extras import require
from musicssl.flags import check_limits
from musicssl.labels.settings import LabelConfig
from musicssl.pretraining.config.settings import OptimisationConfig, PretrainConfig


def validate(config: PretrainConfig) -> None:
    """Raise UserError for the first flag that cannot be right."""
    for group in fields(config):
        check_limits(getattr(config, group.name))
    _check_model(config)
    _check_batch(config)
    _check_schedule(config.optimisation)
    if config.model.model == "musichubert":
        _check_labels(config.labels)
    if config.run.push_to_hub and not config.run.hub_model_id:
        raise UserError("--push_to_hub needs --hub_model_id OWNER/NAME")
    if not config.run.dry_run:
        if "tensorboard" in config.run.log_with and find_spec("tensorboardX") is None:  # Accelerate takes either
            require("trackers", "--log_with tensorboard", "tensorboard")
        _check_paths(config)


def _check_model(config: PretrainConfig) -> None:
    model = config.model
    if model.family == "music2vec" and model.data_dependent_init:
        raise UserError("--data_dependent_init is for musicHuBERT only: leave it out with --model music2vec")
    if model.data_dependent_init and model.init_from:
        raise UserError("--data_dependent_init would overwrite weights of --init_from: leave one of them out")
    if model.compile and model.gradient_checkpointing and model.attention == "flash_attention_2":
        raise UserError("--compile with --gradient_checkpointing needs --attention sdpa")


def _check_batch(config: PretrainConfig) -> None:
    data, optimisation = config.data, config.optimisation
    if optimisation.audio_seconds_per_update / optimisation.packing_devices < data.crop_seconds:
        raise UserError(
            f"--audio_seconds_per_update is {optimisation.audio_seconds_per_update:g} over --packing_devices "
            f"{optimisation.packing_devices}: less than one crop of --crop_seconds {data.crop_seconds:g} each; "
            "raise the first or lower one of the others"
        )
    if data.min_seconds > data.crop_seconds:
        raise UserError(f"--min_seconds {data.min_seconds:g} is above --crop_seconds {data.crop_seconds:g}; lower it")


def _check_schedule(optimisation: OptimisationConfig) -> None:
    phases, warmup, updates = optimisation.schedule_phases, optimisation.warmup_updates, optimisation.max_updates
    if len(phases) != 3 or min(phases) < 0 or abs(sum(phases) - 1) > 1e-6:
        raise UserError(f"--schedule_phases is {list(phases)}: give three shares that add up to 1, like 0.03 0.9 0.07")
    if optimisation.schedule == "polynomial" and warmup >= updates:
        raise UserError(
            f"--warmup_updates {warmup} is not below --max_updates {updates}: for a run this short give "
            f"--warmup_updates {max(1, int(0.08 * updates))} (the reference warms up for 8% of its updates)"
        )


def _check_labels(labels: LabelConfig) -> None:
    if labels.iterations:
        return
    if not labels.label_features:
        raise UserError("--label_features is missing: musicHuBERT needs labels, say mfcc39 with --num_clusters 500")
    if len(labels.num_clusters) != len(labels.label_features):
        raise UserError(
            f"--num_clusters has {len(labels.num_clusters)} numbers for {len(labels.label_features)} "
            "--label_features: give one per codebook"
        )
    if min(labels.num_clusters) < 2:
        raise UserError(f"--num_clusters is {list(labels.num_clusters)}: each must be at least 2")
    if any(name.startswith("layer") for name in labels.label_features) and not labels.label_model:
        raise UserError(
            f"--label_features {' '.join(labels.label_features)} clusters a layer: give the earlier checkpoint "
            "with --label_model DIR"
        )


def _check_paths(config: PretrainConfig) -> None:
    if not config.data.train_data:
        raise UserError("--train_data is missing: give an audio folder, parquet files, tars or a Hub id")
    if config.run.directory.is_file():
        raise UserError(f"--output_dir {config.run.output_dir} is a file: give a directory")
