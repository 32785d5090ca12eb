"""--dry_run: print what recipes cost, before any audio is read or a model trained."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator

from musicssl.pretraining.config.settings import PretrainConfig, iteration_flags
from musicssl.pretraining.model.building import MODELS, build_model_config, check_masks
from musicssl.pretraining.model.device import compute_dtype
from musicssl.pretraining.planning.cost import count_parameters, crop_cost, estimate_memory_bytes, measure_peak_flops
from musicssl.pretraining.planning.geometry import derive_geometry, wanted_clips_per_update
from musicssl.pretraining.planning.micro_batch import largest_by_estimate
from musicssl.tables import Table

# Share of the measured matrix-product peak that training reaches; 0.4 is what well-tuned encoders do.
ASSUMED_UTILIZATION = 0.4


HEADER = (
    "recipe",
    "encoder M",
    "head M",
    "teacher M",
    "clips x s",
    "audio s/update",
    "updates",
    "audio hours",
    "TFLOP/update",
    "FLOP total",
    "processes x accumulation x clips",
    "GiB/process",
    "h/1,000 updates",
)


def dry_run(configs: Sequence[PretrainConfig], accelerator: Accelerator) -> None:
    """Print a table with a row for each run that the recipes stand for."""
    dtype = compute_dtype(accelerator)
    peak_flops = measure_peak_flops(accelerator.device, dtype)
    rows = [_row(run, accelerator, peak_flops) for config in configs for run in _runs(config)]
    accelerator.print(Table(HEADER, rows).text())
    accelerator.print(
        "Parameters in millions. FLOP of the encoder forward and backward, and of the teacher. Memory is an estimate. "
        f"Hours assume {ASSUMED_UTILIZATION:.0%} of the {peak_flops / 1e12:.2f} TFLOP/s that a {dtype} matrix product "
        f"reaches on this {accelerator.device.type}, on each of {accelerator.num_processes} process(es)."
    )


def _row(config: PretrainConfig, accelerator: Accelerator, peak_flops: float) -> list[str]:
    """What one run costs, in the order of HEADER; the model is laid out without memory for its weights.

    Raises:
        UserError: settings that cannot be trained.
    """
    data, optimisation, num_processes = config.data, config.optimisation, accelerator.num_processes
    model_config = build_model_config(config.model, config.labels.num_clusters)
    check_masks(config.masking, data, model_config)
    with torch.device("meta"):
        model = MODELS[config.model.family][1](model_config)
    num_samples = round(data.crop_seconds * model_config.sampling_rate)
    wanted = wanted_clips_per_update(optimisation, data.crop_seconds)
    fits = largest_by_estimate(config, accelerator, model, max(1, wanted // num_processes))
    geometry = derive_geometry(optimisation, data.crop_seconds, num_processes, fits)
    crop_flops = crop_cost(model_config, num_samples, config.masking.masks_per_clip).training_flops
    update_flops = crop_flops * geometry.clips_per_update
    parameters = count_parameters(model)
    memory_bytes = estimate_memory_bytes(
        model_config, parameters, num_samples, geometry.micro_batch_clips, accelerator.mixed_precision == "bf16",
        config.model.gradient_checkpointing,
    )  # fmt: skip
    seconds_per_update = update_flops / (peak_flops * num_processes * ASSUMED_UTILIZATION)
    return [
        config.name,
        *(f"{parameters[part] / 1e6:.2f}" for part in ("encoder", "head", "teacher")),
        f"{geometry.clips_per_update} x {data.crop_seconds:g}",
        f"{geometry.audio_seconds_per_update:g}",
        f"{optimisation.max_updates:,}",
        f"{geometry.audio_seconds_per_update * optimisation.max_updates / 3600:,.0f}",
        f"{update_flops / 1e12:.1f}",
        f"{update_flops * optimisation.max_updates:.2g}",
        f"{num_processes} x {geometry.accumulation} x {geometry.micro_batch_clips}",
        f"{memory_bytes / 2**30:.1f}",
        f"{1000 * seconds_per_update / 3600:.1f}",
    ]


def _runs(config: PretrainConfig) -> list[PretrainConfig]:
    """One configuration per iteration of a recipe, or the recipe's own."""
    return [
        config.with_flags(**iteration_flags(entry)).with_flags(recipe_name=f"{config.name} [{number}]")
        for number, entry in enumerate(config.labels.iterations, start=1)
    ] or [config]
