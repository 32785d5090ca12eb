"""Encoder frames of a crop. Shapes: N samples of a crop, T frames."""

from transformers import PreTrainedConfig


def frames_per_crop(config: PreTrainedConfig, num_samples: int) -> list[int]:
    """Output lengths of the convolutions for a crop of `num_samples`; the last is T."""
    lengths = []
    for kernel, stride in zip(config.conv_kernel, config.conv_stride, strict=True):
        num_samples = (num_samples - kernel) // stride + 1
        lengths.append(num_samples)
    return lengths
