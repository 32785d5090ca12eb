"""musicHuBERT: the encoder predicts the k-means cluster of each masked frame.

The encoder is Hugging Face's Hubert, inherited; this file adds what pre-training needs. References: the HuBERT paper
(Hsu et al. 2021) and its code, fairseq `fairseq/models/hubert/hubert.py` and `criterions/hubert_criterion.py`.

Shapes: B clips, N samples, T frames (320 samples apart), D width, C codebooks, K clusters, P projection width,
M masked frames of the whole batch.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import HubertForSequenceClassification, HubertModel, HubertPreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .configuration_musichubert import MusicHubertConfig
from .spectral_front_end import SpectralFrontEnd


@dataclass
class MusicHubertForPreTrainingOutput(ModelOutput):
    """The output of a forward pass of pre-training; scalars unless a shape is given.

    Attributes:
        loss: mean over masked frames of the whole objective, ready for `backward()`.
        loss_sum: its sum, so that a distributed loop can divide by the masked frames of all its clips.
        num_masked_frames: M, int64.
        cross_entropy: mean over masked frames, in nats, summed over codebooks.
        feature_penalty: mean square of the convolutional features, unweighted.
        auxiliary_loss: mean squared error of the auxiliary regression at masked frames, unweighted; None without one.
        num_correct_masked: masked frames whose cluster is predicted correctly, int64, summed over codebooks.
        num_correct_masked_per_codebook: the same, int64 (C,).
        num_correct_unmasked: the same of unmasked frames, int64, summed over codebooks; None if not counted.
        num_unmasked_frames: B * T - M, int64.
        hidden_states, attentions: of the encoder, when requested.
    """

    loss: torch.FloatTensor | None = None
    loss_sum: torch.FloatTensor | None = None
    num_masked_frames: torch.LongTensor | None = None
    cross_entropy: torch.FloatTensor | None = None
    feature_penalty: torch.FloatTensor | None = None
    auxiliary_loss: torch.FloatTensor | None = None
    num_correct_masked: torch.LongTensor | None = None
    num_correct_masked_per_codebook: torch.LongTensor | None = None
    num_correct_unmasked: torch.LongTensor | None = None
    num_unmasked_frames: torch.LongTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class CodebookHead(nn.Module):
    """Scores frames against the label embeddings of one codebook by cosine similarity."""

    def __init__(self, config: MusicHubertConfig, num_clusters: int):
        super().__init__()
        self.temperature = config.logit_temperature
        self.projection = nn.Linear(config.hidden_size, config.projection_dim)
        self.label_embeddings = nn.Parameter(
            torch.empty(config.num_reserved_classes + num_clusters, config.projection_dim)
        )

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        """Frames (M, D) to fp32 logits (M, reserved + K).

        Their plain softmax equals that of the reference, which puts the positive first and removes its duplicate.
        """
        frames = F.normalize(self.projection(hidden_states).float(), dim=-1)
        labels = F.normalize(self.label_embeddings.float(), dim=-1)
        # Divided by a temperature of 0.1, cosines in half precision would be off by several hundredths of a nat.
        with torch.autocast(frames.device.type, enabled=False):
            return frames @ labels.T / self.temperature


class MusicHubertPreTrainedModel(HubertPreTrainedModel):
    """Initialization and loading shared by the musicHuBERT classes."""

    config_class = MusicHubertConfig
    config: MusicHubertConfig
    # An encoder loads from a pre-training checkpoint without a warning about the parts it does not have.
    _keys_to_ignore_on_load_unexpected = [r"^heads\.", r"^auxiliary_head\."]

    @torch.no_grad()
    def _init_weights(self, module):
        """Initialize as the reference does where Hugging Face does not."""
        super()._init_weights(module)
        # From the root, since transformers skips modules without parameters of their own in packages like this one.
        if isinstance(module, HubertModel):
            _init_like_torch(module.feature_projection.projection)
            # Stock Hubert initializes the weight that the weight norm computes, which has no effect.
            conv = module.encoder.pos_conv_embed.conv
            magnitude, direction = conv.parametrizations.weight.original0, conv.parametrizations.weight.original1
            std = math.sqrt(4 / (conv.kernel_size[0] * conv.in_channels))
            init.normal_(direction, mean=0.0, std=std)
            init.copy_(magnitude, torch.norm_except_dim(direction, 2, 2))
            init.zeros_(conv.bias)
        elif isinstance(module, CodebookHead):
            _init_like_torch(module.projection)
            init.uniform_(module.label_embeddings)
        elif module is getattr(self, "auxiliary_head", None):
            _init_like_torch(module)


class MusicHubertModel(MusicHubertPreTrainedModel, HubertModel):
    """The encoder: `HubertModel`, with the single steps that pre-training needs."""

    def __init__(self, config: MusicHubertConfig):
        super().__init__(config)
        if config.front_end_features:
            self.feature_extractor = SpectralFrontEnd(config.front_end_features)

    def extract(self, input_values: torch.Tensor) -> torch.Tensor:
        """Waveforms (B, N) to convolutional features (B, T, channels)."""
        features = input_values[:, None]
        # Not `feature_extractor.forward`, which computes a gradient with respect to the waveform that is never used.
        for layer in self.feature_extractor.conv_layers:
            features = layer(features)
        return features.transpose(1, 2)

    @capture_outputs(tie_last_hidden_states=False)
    def encode(self, features: torch.Tensor, mask_time_indices: torch.Tensor | None = None, **kwargs):
        """Convolutional features (B, T, channels) through projection, dropout, mask and transformer."""
        hidden_states = self._mask_hidden_states(self.feature_projection(features), mask_time_indices)
        return BaseModelOutput(last_hidden_state=self.encoder(hidden_states, **kwargs).last_hidden_state)

    def _mask_hidden_states(self, hidden_states, mask_time_indices=None, attention_mask=None):
        if mask_time_indices is None:
            return super()._mask_hidden_states(hidden_states, attention_mask=attention_mask)
        return torch.where(mask_time_indices[..., None], self.masked_spec_embed.to(hidden_states.dtype), hidden_states)


class MusicHubertForPreTraining(MusicHubertPreTrainedModel):
    """The encoder, a head for each codebook and, optionally, a linear regression of an auxiliary target."""

    def __init__(self, config: MusicHubertConfig):
        super().__init__(config)
        self.hubert = MusicHubertModel(config)
        self.heads = nn.ModuleList(CodebookHead(config, clusters) for clusters in config.clusters_per_codebook)
        self.auxiliary_head = nn.Linear(config.hidden_size, config.auxiliary_dim) if config.auxiliary_dim else None
        if not config.feature_gradient_scale:
            self.hubert.feature_extractor.requires_grad_(False)  # its backward pass is not computed
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_values: torch.Tensor,
        mask_time_indices: torch.Tensor,
        labels: torch.Tensor,
        auxiliary_targets: torch.Tensor | None = None,
        count_unmasked: bool | None = None,
        **kwargs,
    ) -> MusicHubertForPreTrainingOutput:
        """The loss of predicting the clusters of masked frames.

        Args:
            input_values: waveforms (B, N).
            mask_time_indices: bool (B, T), True where the input is the mask embedding; or (R * B, T), R masks of each
                clip, one after the other, which share the front end.
            labels: int64 (B, T) or (B, C, T), cluster indices from 0. Frames without a label and labels without a
                frame are cut off at the end.
            auxiliary_targets: (B, T, auxiliary_dim), needed when the model has an auxiliary head.
            count_unmasked: whether to count the correct unmasked frames too, which needs their logits; None counts
                them in eval mode only.
            kwargs: `output_hidden_states`, `output_attentions`, `return_dict` as in any transformers model.
        """
        config = self.config
        features = self.hubert.extract(input_values)
        frames = min(features.shape[1], labels.shape[-1])
        features = _ScaleGradient.apply(features[:, :frames], config.feature_gradient_scale)
        masks_per_clip = len(mask_time_indices) // len(input_values)
        features = features.repeat_interleave(masks_per_clip, dim=0)
        mask = mask_time_indices[:, :frames]
        classes, auxiliary_targets = self._targets(labels, auxiliary_targets, frames, masks_per_clip)
        masked = mask.flatten().nonzero().squeeze(-1)

        feature_penalty = features.float().square().mean()
        encoded = self.hubert.encode(features, mask, **kwargs)
        hidden_states = encoded.last_hidden_state.flatten(0, 1)
        cross_entropy_sum, auxiliary_loss, num_correct = self._predict(
            hidden_states, classes, auxiliary_targets, masked
        )
        num_masked_frames = mask.sum()
        loss_sum = cross_entropy_sum + config.feature_penalty_weight * feature_penalty * num_masked_frames
        if auxiliary_loss is not None:
            loss_sum = loss_sum + config.auxiliary_weight * auxiliary_loss * num_masked_frames
        if config.unmasked_weight:
            unmasked_loss = self._unmasked_loss(hidden_states, classes, auxiliary_targets, mask)
            loss_sum = loss_sum + config.unmasked_weight * unmasked_loss * num_masked_frames

        count_unmasked = not self.training if count_unmasked is None else count_unmasked
        divisor = num_masked_frames.clamp(min=1)
        return MusicHubertForPreTrainingOutput(
            loss=loss_sum / divisor,
            loss_sum=loss_sum,
            num_masked_frames=num_masked_frames,
            cross_entropy=cross_entropy_sum.detach() / divisor,
            feature_penalty=feature_penalty.detach(),
            auxiliary_loss=None if auxiliary_loss is None else auxiliary_loss.detach(),
            num_correct_masked=num_correct.sum(),
            num_correct_masked_per_codebook=num_correct,
            num_correct_unmasked=self._count_unmasked(hidden_states, classes, mask) if count_unmasked else None,
            num_unmasked_frames=mask.numel() - num_masked_frames,
            hidden_states=encoded.hidden_states,
            attentions=encoded.attentions,
        )

    def _targets(
        self, labels: torch.Tensor, auxiliary_targets: torch.Tensor | None, frames: int, masks_per_clip: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Classes (C, B * T), shifted past the reserved ones, and auxiliary targets (B * T, dim) in fp32."""
        labels = labels[:, None] if labels.dim() == 2 else labels
        if labels.shape[1] != len(self.heads):
            raise ValueError(f"labels are for {labels.shape[1]} codebooks, but the model has {len(self.heads)}")
        if (auxiliary_targets is None) != (self.auxiliary_head is None):
            raise ValueError("auxiliary_targets are needed exactly when config.auxiliary_dim is not 0")
        labels = labels[..., :frames].repeat_interleave(masks_per_clip, dim=0)
        classes = labels.transpose(0, 1).flatten(1) + self.config.num_reserved_classes
        if auxiliary_targets is None:
            return classes, None
        auxiliary_targets = auxiliary_targets[:, :frames].float()
        if self.config.normalize_auxiliary:
            auxiliary_targets = F.layer_norm(auxiliary_targets, auxiliary_targets.shape[1:])
        return classes, auxiliary_targets.repeat_interleave(masks_per_clip, dim=0).flatten(0, 1)

    def _predict(
        self,
        hidden_states: torch.Tensor,
        classes: torch.Tensor,
        auxiliary_targets: torch.Tensor | None,
        frames: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Both kinds of prediction at `frames` (M,) of (B * T, D).

        Returns:
            The sum of the cross-entropies, the mean squared error of the auxiliary regression (None without one), and
            the number of correct frames of each codebook (C,).
        """
        states = hidden_states.index_select(0, frames)
        cross_entropy_sum = states.new_zeros((), dtype=torch.float32)
        num_correct = []
        for head, target in zip(self.heads, classes.index_select(1, frames), strict=True):
            logits = head(states)
            cross_entropy_sum = cross_entropy_sum + F.cross_entropy(logits, target, reduction="sum")
            num_correct.append((logits.argmax(-1) == target).sum())
        auxiliary_loss = None
        if self.auxiliary_head is not None and auxiliary_targets is not None:
            auxiliary_target = auxiliary_targets.index_select(0, frames)
            auxiliary_loss = F.mse_loss(self.auxiliary_head(states).float(), auxiliary_target)
        return cross_entropy_sum, auxiliary_loss, torch.stack(num_correct)

    def _unmasked_loss(
        self,
        hidden_states: torch.Tensor,
        classes: torch.Tensor,
        auxiliary_targets: torch.Tensor | None,
        mask: torch.Tensor,
    ) -> torch.Tensor:
        """The mean over unmasked frames of the loss that `forward` sums over masked ones; 0 if there are none."""
        unmasked = (~mask).flatten().nonzero().squeeze(-1)
        if not len(unmasked):
            return hidden_states.new_zeros((), dtype=torch.float32)
        cross_entropy_sum, auxiliary_loss, _ = self._predict(hidden_states, classes, auxiliary_targets, unmasked)
        loss = cross_entropy_sum / len(unmasked)
        return loss if auxiliary_loss is None else loss + self.config.auxiliary_weight * auxiliary_loss

    @torch.no_grad()
    def _count_unmasked(self, hidden_states: torch.Tensor, classes: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """The number of unmasked frames of (B * T, D) whose class has the highest score, summed over codebooks."""
        unmasked = (~mask).flatten().nonzero().squeeze(-1)
        hidden_states, classes = hidden_states.index_select(0, unmasked), classes.index_select(1, unmasked)
        correct = [
            (head(hidden_states).argmax(-1) == target).sum() for head, target in zip(self.heads, classes, strict=True)
        ]
        return torch.stack(correct).sum()


class MusicHubertForSequenceClassification(MusicHubertPreTrainedModel, HubertForSequenceClassification):
    """The encoder with a mean-pooled classifier, for fine-tuning."""


class _ScaleGradient(torch.autograd.Function):
    """The identity, with its gradient multiplied by a constant."""

    @staticmethod
    def forward(ctx, tensor: torch.Tensor, scale: float) -> torch.Tensor:
        ctx.scale = scale
        return tensor.view_as(tensor)

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient * ctx.scale, None


def _init_like_torch(layer: nn.Linear) -> None:
    """Weights and biases uniform within 1 / sqrt(fan in), the default of PyTorch's own layers."""
    bound = 1 / math.sqrt(layer.in_features)
    init.uniform_(layer.weight, a=-bound, b=bound)
    init.uniform_(layer.bias, a=-bound, b=bound)


__all__ = [
    "MusicHubertForPreTraining",
    "MusicHubertForPreTrainingOutput",
    "MusicHubertForSequenceClassification",
    "MusicHubertModel",
    "MusicHubertPreTrainedModel",
]
