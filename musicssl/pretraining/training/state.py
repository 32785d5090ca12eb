"""What a run consists of: put together by `run.train`, used by the loop and by what saves and restores it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from musicssl.audio.loader import CropLoader
from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.files.metrics import MetricsLog
from musicssl.pretraining.planning.geometry import BatchGeometry
from musicssl.pretraining.training.health import HealthMonitor
from musicssl.pretraining.training.objectives import Objective
from musicssl.pretraining.training.sums import MetricWindow
from musicssl.pretraining.training.validation import Validator

AfterCheckpoint = Callable[[Path, int], None]


@dataclass
class TrainingRun:
    """All that a run consists of; what changes while it runs is in the second half and in every checkpoint."""

    config: PretrainConfig
    accelerator: Accelerator
    output_dir: Path
    model: torch.nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Callable[[int], float]
    objective: Objective
    loader: CropLoader
    geometry: BatchGeometry
    flops_per_update: float
    peak_flops: float
    feature_extractor: Any
    log: MetricsLog
    health: HealthMonitor
    validator: Validator | None = None
    # Called by the main process with the run's directory and the update, after each checkpoint.
    after_checkpoint: AfterCheckpoint | None = None

    window: MetricWindow = field(default_factory=MetricWindow)
    update: int = 0
    epoch: int = 0
    best_checkpoint: str | None = None
    best_loss: float | None = None
