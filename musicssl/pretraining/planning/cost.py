"""What an update costs: floating point operations, parameters, memory.

One multiply-add counts as two operations. Shapes: N samples of a crop, T frames, L layers, D width.
"""

import time
from dataclasses import dataclass

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from musicssl.pretraining.config.settings import PretrainConfig
from musicssl.pretraining.frames import frames_per_crop

BYTES_FP32 = 4
# Per trainable parameter: weight, gradient and two AdamW moments, all fp32.
BYTES_PER_PARAMETER = 4 * BYTES_FP32
# Tensors kept for the backward pass, in units of one tensor of the layer's width: fitted to measured peaks of the
# base models (attention input, q, k, v, context, two norms, feed-forward in and out at 4 x width, dropout masks).
KEPT_PER_LAYER = 18
KEPT_PER_CONVOLUTION = 3


@dataclass(frozen=True)
class UpdateCost:
    """Floating point operations for one crop; forward alone and with what training adds."""

    forward_flops: float
    training_flops: float


def crop_cost(config: PreTrainedConfig, num_samples: int, masks_per_clip: int = 1) -> UpdateCost:
    """Cost of one crop through the encoder: forward, and a training step of it.

    A backward pass is twice the forward pass, less the gradient of the waveform that nobody needs; music2vec adds
    the teacher's transformer. Heads are left out (below 0.3% in the reference's models).

    Args:
        masks_per_clip: how often the student's transformer runs on the crop.
    """
    lengths = frames_per_crop(config, num_samples)
    frames, width, layers = lengths[-1], config.hidden_size, config.num_hidden_layers
    channels = [1, *config.conv_dim]
    convolutions = [
        2 * kernel * channels[i] * channels[i + 1] * lengths[i] for i, kernel in enumerate(config.conv_kernel)
    ]
    if getattr(config, "front_end_features", None):
        convolutions = [0]
    projection = 2 * channels[-1] * width * frames
    # data2vec: `num_conv_pos_embeddings` blocks of kernel `conv_pos_kernel_size`; HuBERT: one of that many taps.
    is_data2vec = hasattr(config, "conv_pos_kernel_size")
    taps = config.num_conv_pos_embeddings * (config.conv_pos_kernel_size if is_data2vec else 1)
    position_frames = frames if is_data2vec else frames + 1
    position = 2 * width * (width // config.num_conv_pos_embedding_groups) * taps * position_frames
    linear = layers * 2 * (4 * width**2 + 2 * width * config.intermediate_size) * frames
    attention = layers * 4 * width * frames**2
    transformer = position + linear + attention
    front_end = sum(convolutions) + projection
    teacher = transformer if is_data2vec else 0
    training = 3 * (front_end + masks_per_clip * transformer) - convolutions[0] + teacher
    return UpdateCost(front_end + transformer, training)


def update_flops(config: PretrainConfig, model_config: PreTrainedConfig, clips: int) -> float:
    """Floating point operations of an update of `clips` crops."""
    num_samples = round(config.data.crop_seconds * model_config.sampling_rate)
    return crop_cost(model_config, num_samples, config.masking.masks_per_clip).training_flops * clips


def count_parameters(model: PreTrainedModel) -> dict[str, int]:
    """Parameters of the encoder, of what only pre-training needs, and of the teacher."""
    total = sum(parameter.numel() for parameter in model.parameters())
    encoder = sum(parameter.numel() for parameter in model.base_model.parameters())
    teacher = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
    return {"encoder": encoder, "head": total - encoder - teacher, "teacher": teacher}


def estimate_memory_bytes(config: PretrainConfig, model: PreTrainedModel, clips: int, half: bool) -> float:
    """Rough peak memory of a training process: parameters and what a micro-batch keeps for its backward pass."""
    model_config, parameters = model.config, count_parameters(model)
    lengths = frames_per_crop(model_config, round(config.data.crop_seconds * model_config.sampling_rate))
    size = 2 if half else BYTES_FP32
    convolutions = sum(dim * length for dim, length in zip(model_config.conv_dim, lengths, strict=True))
    layer = lengths[-1] * model_config.hidden_size
    if config.model.gradient_checkpointing:
        kept = layer * model_config.num_hidden_layers + KEPT_PER_LAYER * layer
        kept += convolutions + KEPT_PER_CONVOLUTION * model_config.conv_dim[0] * lengths[0]
    else:
        kept = KEPT_PER_LAYER * layer * model_config.num_hidden_layers + KEPT_PER_CONVOLUTION * convolutions
    weights = BYTES_PER_PARAMETER * (parameters["encoder"] + parameters["head"]) + BYTES_FP32 * parameters["teacher"]
    return weights + kept * size * clips * config.masking.masks_per_clip


def measure_peak_flops(device: torch.device, dtype: torch.dtype, repeats: int = 10) -> float:
    """Operations per second of a large matrix product on `device`: the base of the utilization."""
    size = 8192 if device.type == "cuda" else 1536
    a = torch.randn(size, size, device=device, dtype=dtype)
    b = torch.randn(size, size, device=device, dtype=dtype)
    product = torch.empty_like(a)  # allocating it each time would be timed too
    seconds = min(_time_product(a, b, product) for _ in range(repeats))
    return 2 * size**3 / seconds


def _time_product(a: torch.Tensor, b: torch.Tensor, product: torch.Tensor) -> float:
    synchronize = (lambda: None) if a.device.type == "cpu" else lambda: torch.accelerator.synchronize(a.device)
    synchronize()
    start = time.perf_counter()
    torch.mm(a, b, out=product)
    synchronize()
    return time.perf_counter() - start
