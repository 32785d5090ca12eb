"""An encoder of visible frames only, and the decoder that fills the gaps (data2vec 2.0, Baevski et al. 2022).

In the vanilla objective half of the student's frames are the mask embedding; here they are not computed at all.

Shapes: B clips, T frames, V visible frames of each clip, D width.
"""

import torch
from torch import nn

NOISE_STD = 0.01  # of what stands for a masked frame at the decoder's input


def visible_index(mask_time_indices: torch.Tensor) -> torch.Tensor:
    """Bool (B, T), True where masked, to the places (B, V) of the visible frames.

    Raises:
        ValueError: clips differ in their number of masked frames.
    """
    visible = ~mask_time_indices
    counts = visible.sum(dim=1)
    if (counts != counts[0]).any():
        raise ValueError("drop_masked_frames needs equally many masked frames in every clip (equal_mask_counts)")
    return visible.nonzero()[:, 1].view(len(visible), -1)


def gather_frames(frames: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    """(B, T, D) and (B, V) to (B, V, D)."""
    return frames.gather(1, index[..., None].expand(-1, -1, frames.shape[-1]))


class GapDecoder(nn.Module):
    """Convolutions over time that spread what visible frames know into the gaps between them.

    Args:
        width: D of the encoder.
        inner: channels of the convolutions.
    """

    def __init__(self, width: int, inner: int, num_layers: int, kernel: int, groups: int):
        super().__init__()
        widths = [width] + [inner] * (num_layers - 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(channels, inner, kernel, padding=kernel // 2, groups=groups) for channels in widths
        )
        self.norm = nn.LayerNorm(inner, elementwise_affine=False)
        self.activation = nn.GELU()

    def forward(self, visible: torch.Tensor, index: torch.Tensor, num_frames: int) -> torch.Tensor:
        """Frames (B, V, D) at places (B, V) to all frames (B, T, inner)."""
        clips, _, width = visible.shape
        frames = NOISE_STD * torch.randn(clips, num_frames, width, dtype=visible.dtype, device=visible.device)
        frames = frames.scatter(1, index[..., None].expand(-1, -1, width), visible)
        for convolution in self.convolutions:
            convolved = convolution(frames.transpose(1, 2)).transpose(1, 2)
            convolved = self.activation(self.norm(convolved))
            frames = convolved + frames if convolved.shape == frames.shape else convolved
        return frames
