"""--dry_run: print what recipes cost, before any audio is read or a model trained."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from accelerate import Accelerator

from musicssl.pretraining.config.settings import PretrainConfig, iteration_flags
from musicssl.pretraining.model.building import MODELS, build_model_config, check_masks
from musicssl.pretraining.model.device import compute_dtype
from musicssl.pretraining.planning.cost import (
    count_parameters,
    estimate_memory_bytes,
    measure_peak_flops,
    training_cost,
)
from musicssl.pretraining.planning.geometry import BatchGeometry, derive_geometry, wanted_clips_per_update
from musicssl.pretraining.planning.micro_batch import largest_by_estimate
from musicssl.tables import Table

# Share of the measured matrix-product peak that training reaches; 0.4 is what well-tuned encoders do.
ASSUMED_UTILIZATION = 0.4


@dataclass(frozen=True)
class Plan:
    """The size and the cost of one training run."""

    name: str
    parameters: dict[str, int]
    clips_per_update: int
    crop_seconds: float
    updates: int
    flops_per_update: float
    geometry: BatchGeometry
    memory_bytes: float
    seconds_per_1000_updates: float

    @property
    def audio_seconds_per_update(self) -> float:
        return self.clips_per_update * self.crop_seconds

    @property
    def audio_hours(self) -> float:
        return self.audio_seconds_per_update * self.updates / 3600

    def row(self) -> list[str]:
        return [
            self.name,
            f"{self.parameters['encoder'] / 1e6:.2f}",
            f"{self.parameters['head'] / 1e6:.2f}",
            f"{self.parameters['teacher'] / 1e6:.2f}",
            f"{self.clips_per_update} x {self.crop_seconds:g}",
            f"{self.audio_seconds_per_update:g}",
            f"{self.updates:,}",
            f"{self.audio_hours:,.0f}",
            f"{self.flops_per_update / 1e12:.1f}",
            f"{self.flops_per_update * self.updates:.2g}",
            f"{self.geometry.world_size} x {self.geometry.accumulation} x {self.geometry.micro_batch_clips}",
            f"{self.memory_bytes / 2**30:.1f}",
            f"{self.seconds_per_1000_updates / 3600:.1f}",
        ]


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
    plans = [plan_run(run, accelerator, peak_flops) for config in configs for run in _runs(config)]
    accelerator.print(Table(HEADER, [plan.row() for plan in plans]).text())
    accelerator.print(
        "Parameters in millions. FLOP of the encoder forward and backward, and of the teacher. Memory is an estimate. "
        f"Hours assume {ASSUMED_UTILIZATION:.0%} of the {peak_flops / 1e12:.2f} TFLOP/s that a {dtype} matrix product "
        f"reaches on this {accelerator.device.type}, on each of {accelerator.num_processes} process(es)."
    )


def plan_run(config: PretrainConfig, accelerator: Accelerator, peak_flops: float) -> Plan:
    """The plan of one run; the model is laid out without memory for its weights.

    Raises:
        UserError: settings that cannot be trained.
    """
    data, optimisation, num_processes = config.data, config.optimisation, accelerator.num_processes
    model_config = build_model_config(config.model, config.labels.num_clusters)
    check_masks(config.masking, data, model_config)
    with torch.device("meta"):
        model = MODELS[config.model.model][1](model_config)
    num_samples = round(data.crop_seconds * model_config.sampling_rate)
    wanted = wanted_clips_per_update(optimisation, data.crop_seconds)
    fits = largest_by_estimate(config, accelerator, model, max(1, wanted // num_processes))
    geometry = derive_geometry(optimisation, data.crop_seconds, num_processes, fits)
    flops = training_cost(model_config, num_samples, config.masking) * geometry.clips_per_update
    parameters = count_parameters(model)
    return Plan(
        config.name,
        parameters,
        geometry.clips_per_update,
        data.crop_seconds,
        optimisation.max_updates,
        flops,
        geometry,
        estimate_memory_bytes(
            model_config, parameters, num_samples, geometry.micro_batch_clips, accelerator.mixed_precision == "bf16",
            config.model.gradient_checkpointing,
        ),
        1000 * flops / (peak_flops * num_processes * ASSUMED_UTILIZATION),
    )  # fmt: skip


def _runs(config: PretrainConfig) -> list[PretrainConfig]:
    """One configuration per iteration of a recipe, or the recipe's own."""
    return [
        config.with_flags(**iteration_flags(entry)).with_flags(recipe_name=f"{config.name} [{number}]")
        for number, entry in enumerate(config.labels.iterations, start=1)
    ] or [config]
