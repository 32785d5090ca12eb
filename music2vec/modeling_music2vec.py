"""music2vec: a student predicts, at masked frames, the features that a moving-average teacher has of the whole clip.

The encoder is Hugging Face's Data2VecAudio, inherited; this file adds what pre-training needs. References: the
data2vec paper (Baevski et al. 2022) and its code, fairseq `examples/data2vec/models/data2vec_audio.py`.

Shapes: B clips, N samples, T frames (320 samples apart), D width, M masked frames of the whole batch.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Data2VecAudioForSequenceClassification, Data2VecAudioModel, Data2VecAudioPreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutput
from transformers.models.data2vec.modeling_data2vec_audio import Data2VecAudioEncoder
from transformers.utils import ModelOutput
from transformers.utils.generic import can_return_tuple
from transformers.utils.output_capturing import capture_outputs

from .configuration_music2vec import Music2VecConfig


@dataclass
class Music2VecForPreTrainingOutput(ModelOutput):
    """The output of a forward pass of pre-training; all but the last two are scalars.

    Attributes:
        loss: mean over masked frames of the scaled squared error, ready for `backward()`.
        loss_sum: its sum, so that a distributed loop can divide by the masked frames of all its clips.
        num_masked_frames: M, int64.
        target_std, prediction_std: standard deviation over masked frames, mean over channels. Near zero: collapse.
        hidden_states, attentions: of the student, when requested.
    """

    loss: torch.FloatTensor | None = None
    loss_sum: torch.FloatTensor | None = None
    num_masked_frames: torch.LongTensor | None = None
    target_std: torch.FloatTensor | None = None
    prediction_std: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


class Music2VecPreTrainedModel(Data2VecAudioPreTrainedModel):
    """Initialization and loading shared by the music2vec classes."""

    config_class = Music2VecConfig
    config: Music2VecConfig
    # An encoder loads from a pre-training checkpoint without a warning about the parts it does not have.
    _keys_to_ignore_on_load_unexpected = [r"^teacher\.", r"^final_proj\."]

    @torch.no_grad()
    def _init_weights(self, module):
        """Initialize as the reference: projections and positional convolutions have PyTorch's own defaults."""
        super()._init_weights(module)
        # From the root, since transformers skips modules without parameters of their own in packages like this one.
        if isinstance(module, Data2VecAudioModel):
            _init_like_torch(module.feature_projection.projection)
            for block in module.encoder.pos_conv_embed.layers:
                _init_like_torch(block.conv)
        elif module is getattr(self, "final_proj", None):
            _init_like_torch(module)


class Music2VecModel(Music2VecPreTrainedModel, Data2VecAudioModel):
    """The encoder: `Data2VecAudioModel`, with the single steps that pre-training needs."""

    def project(self, input_values: torch.Tensor) -> torch.Tensor:
        """Waveforms (B, N) to the transformer's input (B, T, D), before dropout and masking."""
        features = input_values[:, None]
        # Not `feature_extractor.forward`, which computes a gradient with respect to the waveform that is never used.
        for layer in self.feature_extractor.conv_layers:
            features = layer(features)
        return self.feature_projection.projection(self.feature_projection.layer_norm(features.transpose(1, 2)))

    @capture_outputs(tie_last_hidden_states=False)
    def encode(self, projected: torch.Tensor, mask_time_indices: torch.Tensor | None = None, **kwargs):
        """Projected frames (B, T, D) through dropout, mask and transformer."""
        hidden_states = self.feature_projection.dropout(projected)
        hidden_states = self._mask_hidden_states(hidden_states, mask_time_indices)
        return BaseModelOutput(last_hidden_state=self.encoder(hidden_states, **kwargs).last_hidden_state)

    def _mask_hidden_states(self, hidden_states, mask_time_indices=None, attention_mask=None):
        if mask_time_indices is None:
            return super()._mask_hidden_states(hidden_states, attention_mask=attention_mask)
        # Out of place: the teacher reads the same frames unmasked.
        return torch.where(mask_time_indices[..., None], self.masked_spec_embed.to(hidden_states.dtype), hidden_states)


class Music2VecForPreTraining(Music2VecPreTrainedModel):
    """The encoder, a regression head, and the teacher: an exponential moving average of the encoder's transformer."""

    # Small steps of a slow average vanish in half precision.
    _keep_in_fp32_modules_strict = ["teacher"]

    def __init__(self, config: Music2VecConfig):
        super().__init__(config)
        self.data2vec_audio = Music2VecModel(config)
        self.final_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.teacher = Data2VecAudioEncoder(config).requires_grad_(False)
        self.post_init()
        self.teacher.eval()

    def train(self, mode: bool = True):
        """Set the mode of the student; the teacher has no dropout and no layer drop in any mode."""
        super().train(mode)
        self.teacher.eval()
        return self

    @can_return_tuple
    def forward(
        self, input_values: torch.Tensor, mask_time_indices: torch.Tensor, **kwargs
    ) -> Music2VecForPreTrainingOutput:
        """The loss of predicting the teacher's features at masked frames.

        Args:
            input_values: waveforms (B, N), each normalized to zero mean and unit variance.
            mask_time_indices: bool (B, T), True where the student's input is the mask embedding; or (R * B, T), R
                masks of each clip, one after the other, which share the convolutions and the pass of the teacher.
            kwargs: `output_hidden_states`, `output_attentions`, `return_dict` as in any transformers model.
        """
        # The indices come first: this is the only wait for the device, and the compiled graph after it has no
        # data-dependent shape.
        masked = mask_time_indices.flatten().nonzero().squeeze(-1)

        projected = self.data2vec_audio.project(input_values)
        masks_per_clip = len(mask_time_indices) // len(input_values)
        repeated = projected.repeat_interleave(masks_per_clip, 0)
        student = self.data2vec_audio.encode(repeated, mask_time_indices, **kwargs)
        prediction = self.final_proj(student.last_hidden_state.flatten(0, 1).index_select(0, masked)).float()
        target = self.targets(projected).repeat_interleave(masks_per_clip, 0).flatten(0, 1).index_select(0, masked)

        scale = self.config.loss_scale
        if scale is None:
            scale = 1 / math.sqrt(self.config.hidden_size)
        loss_sum = scale * F.mse_loss(prediction, target, reduction="sum")
        num_masked_frames = mask_time_indices.sum()
        return Music2VecForPreTrainingOutput(
            loss=loss_sum / num_masked_frames.clamp(min=1),
            loss_sum=loss_sum,
            num_masked_frames=num_masked_frames,
            target_std=_mean_std(target),
            prediction_std=_mean_std(prediction.detach()),
            hidden_states=student.hidden_states,
            attentions=student.attentions,
        )

    @torch.no_grad()
    def targets(self, projected: torch.Tensor) -> torch.Tensor:
        """The teacher's features of unmasked clips: projected frames (B, T, D) to fp32 targets (B, T, D).

        They are the mean over the top K layers of the feed-forward output before its residual, each channel normalized
        over the time of its clip (data2vec paper, section 3.3).
        """
        teacher = self.teacher
        hidden_states = projected.to(teacher.layer_norm.weight.dtype)
        hidden_states = teacher.layer_norm(hidden_states + teacher.pos_conv_embed(hidden_states))
        first_target_layer = self.config.num_hidden_layers - self.config.average_top_k_layers
        total = torch.zeros((), device=projected.device)
        for index, layer in enumerate(teacher.layers):
            attended = layer.layer_norm(hidden_states + layer.attention(hidden_states)[0])
            feed_forward = layer.feed_forward(attended)
            hidden_states = layer.final_layer_norm(attended + feed_forward)
            if index >= first_target_layer:
                total = total + F.instance_norm(feed_forward.float().transpose(1, 2))
        return total.transpose(1, 2) / self.config.average_top_k_layers

    @torch.no_grad()
    def update_teacher(self, update: int) -> None:
        """Move the teacher towards the student, once per optimizer update and before its forward pass.

        Update 0 makes the teacher a copy of the student. Later updates average the transformer layers and the layer
        norm of the encoder; the positional convolutions are always those of the student (`ema_layers_only` of the
        reference).
        """
        student = self.data2vec_audio.encoder
        decay = self.ema_decay(update) if update > 0 else 0.0
        averaged = [*self.teacher.layers.parameters(), *self.teacher.layer_norm.parameters()]
        sources = [*student.layers.parameters(), *student.layer_norm.parameters()]
        torch._foreach_lerp_(averaged, [source.to(torch.float32) for source in sources], 1.0 - decay)
        torch._foreach_copy_(list(self.teacher.pos_conv_embed.parameters()), list(student.pos_conv_embed.parameters()))

    def ema_decay(self, update: int) -> float:
        """The teacher's decay at an update: linear from `ema_decay` to `ema_end_decay`, then constant."""
        config = self.config
        remaining = max(0.0, 1.0 - update / config.ema_anneal_end_step) if config.ema_anneal_end_step else 0.0
        return config.ema_end_decay - (config.ema_end_decay - config.ema_decay) * remaining


class Music2VecForSequenceClassification(Music2VecPreTrainedModel, Data2VecAudioForSequenceClassification):
    """The encoder with a mean-pooled classifier, for fine-tuning."""


def _init_like_torch(layer: nn.Linear | nn.Conv1d) -> None:
    """Weights and biases uniform within 1 / sqrt(fan in), the default of PyTorch's own layers."""
    bound = 1 / math.sqrt(layer.weight[0].numel())
    init.uniform_(layer.weight, a=-bound, b=bound)
    init.uniform_(layer.bias, a=-bound, b=bound)


def _mean_std(frames: torch.Tensor) -> torch.Tensor:
    """Standard deviation over frames (M, D), mean over channels, as the reference's collapse guard computes it."""
    return torch.sqrt(frames.var(dim=0) + 1e-6).mean()


__all__ = [
    "Music2VecForPreTraining",
    "Music2VecForPreTrainingOutput",
    "Music2VecForSequenceClassification",
    "Music2VecModel",
    "Music2VecPreTrainedModel",
]
