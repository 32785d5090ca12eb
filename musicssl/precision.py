"""Sums that need float64, on any device."""

import torch


def in_float64(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor in float64: on its own device, or on the CPU where that device has none (Apple's mps)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()
