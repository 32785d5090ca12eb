"""Checks that need no model, no data and no device; every message names the flag and the fix."""

from pathlib import Path

import yaml

from musicssl.errors import UserError
from musicssl.pretraining.config.arguments import Arguments

POSITIVE = (
    "crop_seconds",
    "audio_seconds_per_update",
    "learning_rate",
    "max_updates",
    "checkpoint_every",
    "keep_checkpoints",
    "log_every",
    "validate_every",
    "validation_clips",
    "mask_span",
    "adam_epsilon",
    "crop_start_multiple",
    "packing_devices",
    "buffer_clips",
    "max_nonfinite_updates",
    "divergence_updates",
    "masks_per_clip",
    "kmeans_iterations",
    "kmeans_restarts",
)
NOT_NEGATIVE = (
    "min_seconds",
    "num_workers",
    "min_mask_spans",
    "warmup_updates",
    "weight_decay",
    "max_grad_norm",
    "ema_steps_per_update",
    "collapse_grace_updates",
    "divergence_margin",
    "seed",
)
FRACTIONS = ("mask_probability", "adam_beta1", "adam_beta2", "max_bad_fraction")


def validate(arguments: Arguments) -> None:
    """Raise UserError for the first flag that cannot be right."""
    for name in POSITIVE:
        _require(getattr(arguments, name) > 0, f"--{name}", getattr(arguments, name), "must be above 0")
    for name in NOT_NEGATIVE:
        _require(getattr(arguments, name) >= 0, f"--{name}", getattr(arguments, name), "must not be negative")
    for name in FRACTIONS:
        _require(0 <= getattr(arguments, name) <= 1, f"--{name}", getattr(arguments, name), "must be between 0 and 1")
    _validate_model(arguments)
    _validate_batch(arguments)
    _validate_schedule(arguments)
    if arguments.model == "musichubert":
        _validate_labels(arguments)
    if not arguments.dry_run:
        _validate_paths(arguments)


def _require(condition: bool, flag: str, value, rule: str) -> None:
    if not condition:
        raise UserError(f"{flag} is {value}: it {rule}")


def _validate_model(arguments: Arguments) -> None:
    if arguments.model is None:
        raise UserError("--model is missing: give --config recipes/NAME.yaml, or --model music2vec or musichubert")
    if arguments.data_dependent_init and arguments.init_from:
        raise UserError("--data_dependent_init would overwrite weights of --init_from: leave one of them out")
    if arguments.compile and arguments.gradient_checkpointing and arguments.attention == "flash_attention_2":
        raise UserError("--compile with --gradient_checkpointing needs --attention sdpa")
    if arguments.push_to_hub and not arguments.hub_model_id:
        raise UserError("--push_to_hub needs --hub_model_id OWNER/NAME")
    if arguments.push_every < 1:
        raise UserError(f"--push_every {arguments.push_every}: push every checkpoint (1) or every so many")


def _validate_batch(arguments: Arguments) -> None:
    per_device = arguments.audio_seconds_per_update / arguments.packing_devices
    if per_device < arguments.crop_seconds:
        raise UserError(
            f"--audio_seconds_per_update is {arguments.audio_seconds_per_update:g} over --packing_devices "
            f"{arguments.packing_devices}: less than one crop of --crop_seconds {arguments.crop_seconds:g} each; "
            "raise the first or lower one of the others"
        )
    if arguments.min_seconds > arguments.crop_seconds:
        raise UserError(
            f"--min_seconds {arguments.min_seconds:g} is above --crop_seconds {arguments.crop_seconds:g}; lower it"
        )
    if arguments.micro_batch_clips is not None and arguments.micro_batch_clips < 1:
        raise UserError(f"--micro_batch_clips is {arguments.micro_batch_clips}: it must be at least 1, or left out")


def _validate_schedule(arguments: Arguments) -> None:
    phases = arguments.schedule_phases
    if len(phases) != 3 or min(phases) < 0 or abs(sum(phases) - 1) > 1e-6:
        raise UserError(f"--schedule_phases is {phases}: give three shares that add up to 1, like 0.03 0.9 0.07")
    if arguments.schedule == "polynomial" and arguments.warmup_updates >= arguments.max_updates:
        raise UserError(
            f"--warmup_updates {arguments.warmup_updates} is not below --max_updates {arguments.max_updates}: "
            f"for a run this short give --warmup_updates {max(1, int(0.08 * arguments.max_updates))} "
            "(the reference warms up for 8% of its updates)"
        )


def _validate_labels(arguments: Arguments) -> None:
    for entry in arguments.iterations:
        if not isinstance(yaml.safe_load(entry), dict):
            example = "{features: mfcc39, clusters: 500, updates: 250000}"
            raise UserError(f"--iterations: {entry} is not a mapping like {example}")
    if arguments.iterations:
        return
    if not arguments.label_features:
        raise UserError("--label_features is missing: musicHuBERT needs labels, say mfcc39 with --num_clusters 500")
    if len(arguments.num_clusters) != len(arguments.label_features):
        raise UserError(
            f"--num_clusters has {len(arguments.num_clusters)} numbers for {len(arguments.label_features)} "
            "--label_features: give one per codebook"
        )
    if min(arguments.num_clusters) < 2:
        raise UserError(f"--num_clusters is {arguments.num_clusters}: each must be at least 2")
    if any(name.startswith("layer") for name in arguments.label_features) and not arguments.label_model:
        raise UserError(
            f"--label_features {' '.join(arguments.label_features)} clusters a layer: give the earlier checkpoint "
            "with --label_model DIR"
        )


def _validate_paths(arguments: Arguments) -> None:
    if not arguments.train_data:
        raise UserError("--train_data is missing: give an audio folder, parquet files, tars or a Hub id")
    if not arguments.output_dir:
        raise UserError("--output_dir is missing: give the directory of the run, for example runs/my-model")
    if Path(arguments.output_dir).is_file():
        raise UserError(f"--output_dir {arguments.output_dir} is a file: give a directory")
