"""Spectra instead of convolutions: MelHuBERT's front end (Lin et al. 2022), for any acoustic feature.

The seven convolutions take most of a small encoder's arithmetic, and most of its training, to learn what a filter bank
computes. Frames stay 20 ms apart and cover the same samples, so that masks, labels and probes do not change.

Shapes: B clips, N samples, T frames (320 samples apart), c values of all spectra together.
"""

from collections.abc import Sequence

import torch
from torch import nn

from .acoustic_features import FeatureRecipe, at_label_rate, feature_recipe

SMALLEST_MAGNITUDE = 1e-4  # of a constant-Q bin before the logarithm: 80 dB below a bin of 1


class SpectralLayer(nn.Module):
    """Waveforms (B, 1, N) to spectra (B, c, T), on a logarithmic scale; it has no parameters."""

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.recipes = [feature_recipe(name) for name in names]

    @torch.no_grad()
    def forward(self, waveforms: torch.Tensor) -> torch.Tensor:
        with torch.autocast(waveforms.device.type, enabled=False):
            spectra = [_frames(recipe, waveforms[:, 0].float()) for recipe in self.recipes]
        return torch.cat(spectra, dim=-1).transpose(1, 2).to(waveforms.dtype)


class SpectralFrontEnd(nn.Module):
    """Replaces the convolutional front end of transformers and has its structure: a stack of one layer."""

    def __init__(self, names: Sequence[str]):
        super().__init__()
        self.conv_layers = nn.ModuleList([SpectralLayer(names)])

    def forward(self, input_values: torch.Tensor) -> torch.Tensor:
        """Waveforms (B, N) to spectra (B, c, T)."""
        return self.conv_layers[0](input_values[:, None])


def spectral_width(names: Sequence[str]) -> int:
    """The number of values c of these features together."""
    return sum(feature_recipe(name).dimension for name in names)


def _frames(recipe: FeatureRecipe, waveforms: torch.Tensor) -> torch.Tensor:
    """(B, N) -> (B, T, values) at the encoder's rate; constant-Q magnitudes become logarithms, as mel spectra are."""
    values = at_label_rate(recipe, recipe.compute(waveforms), dim=1)
    return values.clamp_min(SMALLEST_MAGNITUDE).log() if recipe.name.startswith("cqt") else values
