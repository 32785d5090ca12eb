"""--dry_run: what recipes cost, before anything is read or trained."""

from dataclasses import dataclass, replace

import torch
import yaml
from accelerate import Accelerator

from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.model.building import MODELS, build_config, check_crop
from musicssl.pretraining.planning.cost import (
    count_parameters,
    estimate_memory_bytes,
    measure_peak_flops,
    training_cost,
)
from musicssl.pretraining.planning.geometry import BatchGeometry, derive_geometry, wanted_clips_per_update
from musicssl.pretraining.planning.micro_batch import largest_by_estimate

# Share of the measured matrix-product peak that training reaches; 0.4 is what well-tuned encoders do.
ASSUMED_UTILISATION = 0.4


@dataclass(frozen=True)
class Plan:
    """One training run, on paper."""

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


def dry_run(all_arguments: list[Arguments], accelerator: Accelerator) -> None:
    """Print a table with a row for each run that the recipes stand for."""
    dtype = torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32
    peak_flops = measure_peak_flops(accelerator.device, dtype)
    plans = [plan_run(run, accelerator, peak_flops) for arguments in all_arguments for run in _runs(arguments)]
    rows = [HEADER, *(plan.row() for plan in plans)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    for row in rows:
        accelerator.print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    accelerator.print(
        "Parameters in millions. FLOP of the encoder forward and backward, and of the teacher. Memory is an estimate. "
        f"Hours assume {ASSUMED_UTILISATION:.0%} of the {peak_flops / 1e12:.2f} TFLOP/s that a {dtype} matrix product "
        f"reaches on this {accelerator.device.type}, on each of {accelerator.num_processes} process(es)."
    )


def plan_run(arguments: Arguments, accelerator: Accelerator, peak_flops: float) -> Plan:
    """The plan of one run; the model is laid out without memory for its weights.

    Raises:
        UserError: settings that cannot be trained.
    """
    config = build_config(arguments)
    check_crop(arguments, config)
    with torch.device("meta"):
        model = MODELS[arguments.model][1](config)
    num_samples = round(arguments.crop_seconds * config.sampling_rate)
    wanted = wanted_clips_per_update(arguments)
    fits = largest_by_estimate(arguments, accelerator, model, max(1, wanted // accelerator.num_processes))
    geometry = derive_geometry(arguments, accelerator.num_processes, fits)
    flops = training_cost(config, num_samples, arguments) * geometry.clips_per_update
    parameters = count_parameters(model)
    return Plan(
        arguments.recipe_name or arguments.model,
        parameters,
        geometry.clips_per_update,
        arguments.crop_seconds,
        arguments.max_updates,
        flops,
        geometry,
        estimate_memory_bytes(
            config, parameters, num_samples, geometry.micro_batch_clips, accelerator.mixed_precision == "bf16",
            arguments.gradient_checkpointing,
        ),
        1000 * flops / (peak_flops * accelerator.num_processes * ASSUMED_UTILISATION),
    )  # fmt: skip


def _runs(arguments: Arguments) -> list[Arguments]:
    """One set of arguments per iteration of a recipe."""
    runs = []
    for number, entry in enumerate(arguments.iterations, start=1):
        iteration = yaml.safe_load(entry)
        clusters = iteration.get("clusters", iteration.get("num_clusters", arguments.num_clusters))
        runs.append(
            replace(
                arguments,
                num_clusters=clusters if isinstance(clusters, list) else [clusters],
                max_updates=iteration.get("updates", iteration.get("max_updates", arguments.max_updates)),
                recipe_name=f"{arguments.recipe_name} [{number}]",
            )
        )
    return runs or [arguments]
