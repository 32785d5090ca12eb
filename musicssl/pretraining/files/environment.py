"""environment.json: the machine and the software of a run, for its model card."""

import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import torch
from accelerate import Accelerator

from musicssl.audio.sources import Source
from musicssl.files import write_json

_PACKAGES = ("torch", "transformers", "accelerate", "datasets", "faiss-cpu")


def write_environment(path: Path, accelerator: Accelerator, sources: Sequence[Source]) -> None:
    """Record the devices of all processes, the number of training clips and the versions in use."""
    if accelerator.device.type == "cuda":
        device = torch.cuda.get_device_name(accelerator.device)
    elif accelerator.device.type != "cpu":
        device = f"{platform.machine()} {accelerator.device.type}"
    else:
        device = f"{platform.machine()} CPU, {os.cpu_count()} cores"
    content = {
        "hardware": f"{accelerator.num_processes} x {device}",
        "processes": accelerator.num_processes,
        "mixed_precision": accelerator.mixed_precision,
        "train_clips": sum(source.num_clips for source in sources),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
    }
    write_json(path, content)
