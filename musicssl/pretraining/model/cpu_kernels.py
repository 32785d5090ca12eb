"""Kernels for training on a CPU: the arithmetic of the stock modules, without what a CPU is slow at.

- Dropout: PyTorch draws one 64-bit number per element, in one thread; here one draw serves four elements.
- Attention with dropout: the stock fallback computes in fp32 whatever the precision, and looks for masked-out rows.
- Layer-normed convolutions: the stock ones go back and forth between (B, C, T) and (B, T, C); here all is (B, T, C).
- Memory: freed blocks stay with the process, for the next update meets the same sizes; else each comes back page by
  page, zeroed by the system.

Modules are changed in place, by class only: parameters, their names, hooks and checkpoints stay as they are.
`benchmarks/training_step.py` measures what each brings. On a GPU, and under `torch.compile`, the stock modules stay.

Shapes: B clips, T frames in, S frames out, C channels in, O channels out, H heads, D width of a head.
"""

import ctypes
import platform

import torch
from torch import nn
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.models.data2vec.modeling_data2vec_audio import Data2VecAudioConvLayer
from transformers.models.hubert.modeling_hubert import HubertGroupNormConvLayer, HubertLayerNormConvLayer

ATTENTION = "cpu_dropout"
# Of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4


def use_cpu_kernels(model: PreTrainedModel) -> None:
    """Let every module of `model` that has a faster form on a CPU take it; SDPA attention likewise."""
    for module in model.modules():
        if type(module) is nn.Dropout:
            module.__class__ = Dropout
        elif isinstance(module, HubertGroupNormConvLayer):
            module.__class__ = GroupNormConvLayer
        elif isinstance(module, Data2VecAudioConvLayer | HubertLayerNormConvLayer) and module.conv.bias is None:
            module.__class__ = LayerNormConvLayer
    if model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(ATTENTION)


def keep_freed_memory() -> None:
    """Keep freed memory in this process; where the C library is not glibc, change nothing."""
    if platform.libc_ver()[0] == "glibc":
        library = ctypes.CDLL(None)
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)


def dropout(tensor: torch.Tensor, probability: float) -> torch.Tensor:
    """Zero elements with `probability`, to the nearest of 65536 steps, and scale the rest to keep the mean."""
    return _Dropout.apply(tensor, round(probability * 65536))


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx, tensor: torch.Tensor, steps: int) -> torch.Tensor:
        draws = torch.empty(-(-tensor.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        kept = draws.view(torch.int16)[: tensor.numel()].view(tensor.shape) >= steps - 32768
        ctx.save_for_backward(kept)
        ctx.scale = 65536 / (65536 - steps)
        return torch.ops.aten.native_dropout_backward(tensor, kept, ctx.scale)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (kept,) = ctx.saved_tensors
        return torch.ops.aten.native_dropout_backward(gradient, kept, ctx.scale), None


class Dropout(nn.Dropout):
    """`nn.Dropout` that draws 16 bits per element."""

    def forward(self, tensor: torch.Tensor) -> torch.Tensor:
        return dropout(tensor, self.p) if self.training and 0 < self.p < 1 else super().forward(tensor)


def attention_with_dropout(
    module: nn.Module, query, key, value, attention_mask=None, dropout: float = 0.0, scaling: float = 1.0, **kwargs
) -> tuple[torch.Tensor, None]:
    """Attention over (B, H, T, D), in the precision of its inputs; SDPA where there is no dropout or a mask."""
    if dropout == 0.0 or attention_mask is not None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
    with torch.autocast("cpu", enabled=False):
        weights = torch.softmax((query * scaling) @ key.transpose(-1, -2), dim=-1)
        attended = _Dropout.apply(weights, round(dropout * 65536)) @ value
    return attended.transpose(1, 2), None


AttentionInterface.register(ATTENTION, attention_with_dropout)


class GroupNormConvLayer(GradientCheckpointingLayer):
    """Convolution, group norm, GELU: in half precision, norm and GELU compute in fp32 but read and write half."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = self.conv(hidden_states)
        with torch.autocast("cpu", enabled=False):
            return self.activation(self.layer_norm(hidden_states))


class LayerNormConvLayer(GradientCheckpointingLayer):
    """Convolution, layer norm, GELU from (B, C, T) to (B, O, S), both of them views of channels-last memory."""

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        channels_last = hidden_states.transpose(1, 2).contiguous()
        matrix = self.conv.weight.transpose(1, 2).flatten(1)
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            channels_last, matrix = channels_last.to(dtype), matrix.to(dtype)
        with torch.autocast("cpu", enabled=False):
            convolved = _Convolution.apply(channels_last, matrix, self.conv.stride[0])
            return self.activation(self.layer_norm(convolved)).transpose(1, 2)


class _Convolution(torch.autograd.Function):
    """A strided convolution of (B, T, C) with (O, kernel * C) as few matrix products, without unfolding the input.

    Non-overlapping windows of `stride` frames are rows of one matrix, in place; so are those of the frames that a
    longer kernel adds, further on.
    """

    @staticmethod
    def forward(ctx, frames: torch.Tensor, matrix: torch.Tensor, stride: int) -> torch.Tensor:
        ctx.save_for_backward(frames, matrix)
        ctx.stride = stride
        kernel = matrix.shape[1] // frames.shape[2]
        convolved = frames.new_empty(len(frames), (frames.shape[1] - kernel) // stride + 1, len(matrix))
        for clip, output in zip(frames, convolved, strict=True):
            for columns, windows in _windows(clip, len(output), kernel, stride):
                _add_product(output, windows, matrix[:, columns].T, first=columns.start == 0)
        return convolved

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None]:
        frames, matrix = ctx.saved_tensors
        kernel, size = matrix.shape[1] // frames.shape[2], gradient.shape[1]
        gradient = gradient.contiguous()
        matrix_gradient = torch.zeros_like(matrix)
        frames_gradient = torch.zeros_like(frames) if ctx.needs_input_grad[0] else None
        for index, output in enumerate(gradient):
            for columns, windows in _windows(frames[index], size, kernel, ctx.stride):
                matrix_gradient[:, columns].addmm_(output.T, windows)
            if frames_gradient is not None:
                for columns, windows in _windows(frames_gradient[index], size, kernel, ctx.stride):
                    _add_product(windows, output, matrix[:, columns], first=columns.start == 0)
        return frames_gradient, matrix_gradient, None


def _windows(clip: torch.Tensor, count: int, kernel: int, stride: int):
    """The parts of a kernel that fit into one stride: their columns of the matrix, and (count, columns) of (T, C)."""
    channels = clip.shape[1]
    for start in range(0, kernel, stride):
        columns = slice(start * channels, min(start + stride, kernel) * channels)
        size = (count, columns.stop - columns.start)
        yield columns, clip.as_strided(size, (stride * channels, 1), clip.storage_offset() + columns.start)


def _add_product(total: torch.Tensor, left: torch.Tensor, right: torch.Tensor, first: bool) -> None:
    if first:
        torch.mm(left, right, out=total)
    else:
        total.addmm_(left, right)
