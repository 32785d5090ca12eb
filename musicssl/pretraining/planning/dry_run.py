"""--dry_run: print what recipes cost, before any audio is read or a model trained."""

from collections.abc import Sequence

import torch
from accelerate import Accelerator

from musicssl.pretraining.config.settings import PretrainConfig, iteration_flags
from musicssl.pretraining.model.building import MODELS, build_model_config, check_masks
from musicssl.pretraining.model.device import compute_dtype
from musicssl.pretraining.planning.cost import (
    count_parameters,
    estimate_memory_bytes,
    measure_peak_flops,
    update_flops,
)
from musicssl.pretraining.planning.geometry import derive_geometry, wanted_clips_per_update
from musicssl.pretraining.planning.micro_batch import largest_by_estimate
from musicssl.tables import Table

# Share of the measured matrix-product peak that training reaches; 0.4 is what well-tuned encoders do.
ASSUMED_UTILIZATION = 0.4


def dry_run(configs: Sequence[PretrainConfig], accelerator: Accelerator) -> None:
    """Print a table with a row for each run that the recipes stand for."""
    dtype = compute_dtype(accelerator)
    peak_flops = measure_peak_flops(accelerator.device, dtype)
    rows = [_row(run, accelerator, peak_flops) for config in configs for run in _runs(config)]
    accelerator.print(Table(tuple(rows[0]), [tuple(row.values()) for row in rows]).text())
    accelerator.print(
        "Parameters in millions. FLOP of the encoder forward and backward, and of the teacher. Memory is an estimate. "
        f"Hours assume {ASSUMED_UTILIZATION:.0%} of the {peak_flops / 1e12:.2f} TFLOP/s that a {dtype} matrix product "
        f"reaches on this {accelerator.device.type}, on each of {accelerator.num_processes} process(es)."
    )


def _row(config: PretrainConfig, accelerator: Accelerator, peak_flops: float) -> dict[str, str]:
    """What one run costs, by the names of the columns; the model is laid out without memory for its weights."""
    data, updates, num_processes = config.data, config.optimisation.max_updates, accelerator.num_processes
    model_config = build_model_config(config.model, config.labels.num_clusters)
    check_masks(config.masking, data, model_config)
    with torch.device("meta"):
        model = MODELS[config.model.family][1](model_config)
    wanted = wanted_clips_per_update(config.optimisation, data.crop_seconds)
    fits = largest_by_estimate(config, accelerator, model, max(1, wanted // num_processes))
    geometry = derive_geometry(config.optimisation, data.crop_seconds, num_processes, fits)
    parameters = count_parameters(model)
    flops = update_flops(config, model_config, geometry.clips_per_update)
    seconds = flops / (peak_flops * num_processes * ASSUMED_UTILIZATION)
    split = (num_processes, geometry.accumulation, geometry.micro_batch_clips)
    is_half = accelerator.mixed_precision == "bf16"
    memory_bytes = estimate_memory_bytes(config, model, geometry.micro_batch_clips, is_half)
    return {
        "recipe": config.name,
        **{f"{part} M": f"{parameters[part] / 1e6:.2f}" for part in ("encoder", "head", "teacher")},
        "clips x s": f"{geometry.clips_per_update} x {data.crop_seconds:g}",
        "audio s/update": f"{geometry.audio_seconds_per_update:g}",
        "updates": f"{updates:,}",
        "audio hours": f"{geometry.audio_seconds_per_update * updates / 3600:,.0f}",
        "TFLOP/update": f"{flops / 1e12:.1f}",
        "FLOP total": f"{flops * updates:.2g}",
        "processes x accumulation x clips": " x ".join(map(str, split)),
        "GiB/process": f"{memory_bytes / 2**30:.1f}",
        "h/1,000 updates": f"{1000 * seconds / 3600:.1f}",
    }


def _runs(config: PretrainConfig) -> list[PretrainConfig]:
    """One configuration per iteration of a recipe, or the recipe's own."""
    return [
        config.with_flags(**iteration_flags(entry)).with_flags(recipe_name=f"{config.name} [{number}]")
        for number, entry in enumerate(config.labels.iterations, start=1)
    ] or [config]
