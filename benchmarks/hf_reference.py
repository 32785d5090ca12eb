"""Pre-training as a careful user of transformers writes it, with stock modules only: our reference for speed.

It computes the same as our models (the tests compare losses and gradients), in the most direct way: the teacher is a
deep copy of the whole model, hooks collect its targets, cosine similarities are taken to gathered label embeddings as
in the reference, the optimizer is `torch.optim.AdamW` (fused), and the average is updated tensor by tensor.

Shapes: B clips, N samples, T frames, D width, M masked frames, K clusters and reserved classes, P projected width.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Data2VecAudioConfig, Data2VecAudioModel, HubertConfig, HubertModel

PROJECTION, RESERVED = 256, 4  # width of the projection; classes that no label uses


class Data2VecTraining(nn.Module):
    """data2vec with its teacher: input_values (B, N) and mask (B, T) to the mean loss of masked frames."""

    def __init__(self, config: Data2VecAudioConfig, top_k: int = 8):
        super().__init__()
        self.student = Data2VecAudioModel(config)
        self.final_proj = nn.Linear(config.hidden_size, config.hidden_size)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.top_k = top_k
        self.feed_forward = []
        for layer in self.teacher.encoder.layers[-top_k:]:
            layer.feed_forward.register_forward_hook(lambda module, args, output: self.feed_forward.append(output))

    def forward(self, input_values: torch.Tensor, mask_time_indices: torch.Tensor) -> torch.Tensor:
        self.teacher.eval()
        hidden_states = self.student(input_values, mask_time_indices=mask_time_indices).last_hidden_state
        with torch.no_grad():
            self.feed_forward.clear()
            self.teacher(input_values, mask_time_indices=torch.zeros_like(mask_time_indices))
            targets = sum(F.instance_norm(output.float().transpose(1, 2)) for output in self.feed_forward)
            targets = targets.transpose(1, 2) / self.top_k
        prediction = self.final_proj(hidden_states[mask_time_indices]).float()
        squared_error = (prediction - targets[mask_time_indices]) ** 2
        return squared_error.sum(-1).mean() / prediction.shape[-1] ** 0.5

    @torch.no_grad()
    def update_teacher(self, decay: float = 0.999) -> None:
        for average, parameter in zip(self.teacher.parameters(), self.student.parameters(), strict=True):
            average.mul_(decay).add_(parameter, alpha=1 - decay)
        # The reference averages the transformer only; all below it is the student's.
        for name in ("feature_extractor", "feature_projection"):
            getattr(self.teacher, name).load_state_dict(getattr(self.student, name).state_dict())
        self.teacher.encoder.pos_conv_embed.load_state_dict(self.student.encoder.pos_conv_embed.state_dict())


class HubertTraining(nn.Module):
    """HuBERT with its head: input_values (B, N), mask (B, T) and labels (B, T) to the mean loss of masked frames."""

    def __init__(self, config: HubertConfig, num_classes: int):
        super().__init__()
        self.hubert = HubertModel(config)
        self.final_proj = nn.Linear(config.hidden_size, PROJECTION)
        self.label_embeddings = nn.Parameter(torch.rand(num_classes + RESERVED, PROJECTION))

    def forward(
        self, input_values: torch.Tensor, mask_time_indices: torch.Tensor, labels: torch.Tensor
    ) -> torch.Tensor:
        features = self.hubert.feature_extractor(input_values).transpose(1, 2)
        features = 0.1 * features + 0.9 * features.detach()
        penalty = features.float().pow(2).mean()
        hidden_states = self.hubert.feature_projection(features)
        hidden_states[mask_time_indices] = self.hubert.masked_spec_embed.to(hidden_states.dtype)
        hidden_states = self.hubert.encoder(hidden_states).last_hidden_state
        projected = self.final_proj(hidden_states[mask_time_indices])
        logits = self.gathered_logits(projected, labels[mask_time_indices] + RESERVED)
        zeros = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        return F.cross_entropy(logits, zeros) + 10.0 * penalty

    def gathered_logits(self, projected: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        """(M, P) and (M,) to (M, 1 + K): the positive first, its duplicate among all the others at -infinity."""
        positive = self.label_embeddings[classes][None]
        others = self.label_embeddings[:, None].expand(-1, len(projected), -1)
        candidates = torch.cat([positive, others])
        logits = F.cosine_similarity(projected.float()[None], candidates.float(), dim=-1) / 0.1
        logits[1:][(candidates[1:] == positive).all(-1)] = -torch.inf
        return logits.T
