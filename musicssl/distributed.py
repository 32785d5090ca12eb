"""Settings that hold for every process of a job and on every device."""

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# How long processes wait for one another. While one of them fits labels or trains heads, NCCL's own limit of ten
# minutes would end the job.
PROCESS_TIMEOUT = timedelta(days=1)


def in_float64(tensor: "torch.Tensor") -> "torch.Tensor":
    """The tensor in float64: on its own device, or on the CPU where that device has none (Apple's mps)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
