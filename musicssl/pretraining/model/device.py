"""The accelerator of a run: device, precision and kernels of this process."""

import os
import sys

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, parse_flag_from_env
from torch.backends import cuda as cuda_backends
from transformers.utils.logging import disable_progress_bar

from musicssl.distributed import PROCESS_TIMEOUT
from musicssl.errors import UserError
from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.model.building import setting_of


def build_accelerator(config: PretrainConfig) -> Accelerator:
    """The accelerator, with the run's precision and kernels set on this process.

    Raises:
        UserError: the launcher's way of spreading the model does not fit the model, or this process already has an
            accelerator of another precision.
    """
    model, precision = config.model, config.optimisation.mixed_precision
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    if precision == "auto":
        precision = "no" if on_cpu or torch.accelerator.current_accelerator().type == "mps" else "bf16"
    _warn_of_lonely_process()
    if model.model == "music2vec" and parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise UserError(
            "--model music2vec: its teacher cannot be sharded; launch it with DDP "
            "(`musicssl recipes` lists the launch files)"
        )
    disable_progress_bar()  # of every save and load; the run has a bar of its own
    torch.set_float32_matmul_precision("high" if config.optimisation.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = config.optimisation.tf32
    if model.sdpa_backend != "auto":
        cuda_backends.enable_flash_sdp(model.sdpa_backend == "flash")
        cuda_backends.enable_mem_efficient_sdp(model.sdpa_backend == "efficient")
        cuda_backends.enable_cudnn_sdp(model.sdpa_backend == "cudnn")
        cuda_backends.enable_math_sdp(model.sdpa_backend == "math")
    # Dropped layers leave parameters without a gradient on some processes.
    drops_layers = setting_of(model, "layerdrop") != 0 and not model.compile
    data_parallel = DistributedDataParallelKwargs(find_unused_parameters=drops_layers, gradient_as_bucket_view=True)
    waiting = InitProcessGroupKwargs(timeout=PROCESS_TIMEOUT)
    try:
        return Accelerator(
            cpu=on_cpu,  # without it, processes on a machine without a GPU would not know of each other
            mixed_precision=precision,
            log_with=list(config.run.log_with) or None,
            project_dir=config.run.output_dir,
            kwargs_handlers=[data_parallel, waiting],
        )
    except ValueError as error:
        if "already been initialized" not in str(error):
            raise
        raise UserError(
            f"--mixed_precision {precision}: Accelerate already began with another precision or device in this "
            "process; start a new process, or call accelerate.state.AcceleratorState._reset_state(True) first"
        ) from error


def compute_dtype(accelerator: Accelerator) -> torch.dtype:
    """The type in which the run's matrix products are computed."""
    return torch.bfloat16 if accelerator.mixed_precision == "bf16" else torch.float32


def _warn_of_lonely_process() -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process without saying so (accelerate 1.15)."""
    if "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ and parse_flag_from_env("ACCELERATE_USE_CPU"):
        print(
            "warning: accelerate started one process only, since --cpu ignores --num_processes; for several: "
            "accelerate launch --config_file $(musicssl recipes --path cpu) --num_processes N ...",
            file=sys.stderr,
        )
