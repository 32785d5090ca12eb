"""Fit a front end to the statistics of some audio before training.

A stack of random convolutions maps all sounds to nearly the same direction. A short training spends its updates on
undoing that. Standardizing every channel layer by layer, and whitening what enters the transformer, keeps the
differences between sounds (after Krähenbühl et al. 2015, arXiv:1511.06856). Not in the reference.

Shapes: B clips, N samples, T frames, c channels, D width.
"""

import torch
import torch.nn.functional as F
from torch import nn
from transformers import PreTrainedModel

# Directions with less than this share of the largest variance are not scaled up to unit variance.
WHITENING_FLOOR = 1e-4


@torch.no_grad()
def fit_front_end(model: PreTrainedModel, waveforms: torch.Tensor) -> None:
    """Set the gains of the convolutions' layer norms and the feature projection, in place.

    Afterwards each channel of each convolution has zero mean and unit variance over the frames of `waveforms` before
    its activation, and the frames that enter the transformer are white: a random rotation of their principal
    components.

    Args:
        model: its convolutions have layer norms (`feat_extract_norm: layer`).
        waveforms: (B, N), normalized as in training; thousands of frames in all.
    """
    encoder = model.base_model
    hidden = waveforms[:, None]
    for layer in encoder.feature_extractor.conv_layers:
        if not hasattr(layer, "conv"):  # a filter bank has nothing to fit
            hidden = layer(hidden)
            continue
        convolved = layer.conv(hidden).transpose(1, 2)  # (B, T, c)
        normed = F.layer_norm(convolved, convolved.shape[-1:]).flatten(0, 1)
        gain = 1 / normed.std(dim=0).clamp(min=1e-3)
        layer.layer_norm.weight.copy_(gain)
        layer.layer_norm.bias.copy_(-gain * normed.mean(dim=0))
        hidden = layer(hidden)
    projection = encoder.feature_projection
    frames = hidden.transpose(1, 2)
    if projection.feat_proj_layer_norm:
        frames = projection.layer_norm(frames)
    _whiten(projection.projection, frames.flatten(0, 1))


def _whiten(projection: nn.Linear, frames: torch.Tensor) -> None:
    """Frames (n, c) -> zero mean, and identity covariance as far as D <= c and their rank allow."""
    mean = frames.mean(dim=0)
    variances, directions = torch.linalg.eigh(torch.cov(frames.T))  # ascending
    kept = min(projection.out_features, projection.in_features)
    variances, directions = variances[-kept:], directions[:, -kept:]
    whitening = directions / torch.sqrt(variances.clamp(min=WHITENING_FLOOR * variances[-1]))  # (c, kept)
    rotation = nn.init.orthogonal_(frames.new_empty(projection.out_features, kept))
    projection.weight.copy_(rotation @ whitening.T)
    projection.bias.copy_(-projection.weight @ mean)
