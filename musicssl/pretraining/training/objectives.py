"""What the loop knows of a model: how to prepare a micro-batch, what to do before an update, what to report.

Shapes: B clips, N samples of a crop, T frames, C codebooks, K clusters.
"""

from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from transformers import PreTrainedModel

from musicssl.distributed import in_float64
from musicssl.labels.labeller import Labeller
from musicssl.pretraining.config.settings import MaskingConfig
from musicssl.pretraining.masking import span_mask

# A metric over many micro-batches and processes is the sum of its first numbers over the sum of its second.
WeightedMetrics = dict[str, tuple[torch.Tensor, torch.Tensor]]


class Objective:
    """Prediction at masked frames; the two models differ in `targets`, `metrics` and what they count."""

    def __init__(self, model: PreTrainedModel, masking: MaskingConfig, normalize: bool, device: torch.device):
        self.model = model
        self.masking = masking
        self.normalize = normalize
        self.device = device

    def prepare(self, batch: dict[str, Any], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """A batch of the stream as the model's inputs: normalized, masked, labelled, on the device."""
        waveforms = batch["waveform"].to(self.device, non_blocking=True)  # (B, N)
        inputs = self.targets(batch, waveforms)
        if self.normalize:
            mean = batch["clip_mean"].to(self.device, non_blocking=True)
            std = batch["clip_std"].to(self.device, non_blocking=True)
            waveforms = normalize_waveforms(waveforms, mean, std)
        return inputs | {"input_values": waveforms, "mask_time_indices": self.mask(waveforms, generator)}

    def targets(self, batch: dict[str, Any], waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the model is to predict of raw waveforms (B, N) on the device, where the model does not make it."""
        return {}

    def mask(self, waveforms: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Bool (B * masks per clip, T) on the device."""
        clips, samples = waveforms.shape
        frames = int(self.model._get_feat_extract_output_lengths(samples))
        masking = self.masking
        mask = span_mask(
            clips * masking.masks_per_clip, frames, masking.mask_probability, masking.mask_span,
            masking.min_mask_spans, generator, masking.equal_mask_counts,
        )  # fmt: skip
        return mask.to(self.device, non_blocking=True)

    def before_forward(self, update: int) -> None:
        """Called once before the first micro-batch of an update."""

    def forward_options(self, is_logged: bool) -> dict[str, Any]:
        """Further inputs of the model in an update; `is_logged` says whether a row is written after it."""
        return {}

    def metrics(self, outputs: Any) -> WeightedMetrics:
        """Metric name -> (weighted sum, weight), 0-d tensors; the first entry is the loss over masked frames."""
        raise NotImplementedError

    def codebook_names(self) -> list[str]:
        """Unique names of the codebooks, in order: '0-mfcc39', '1-chroma24'; none for a model without labels."""
        return []

    def label_counts(self) -> list[torch.Tensor]:
        """How often each label was seen since the last call of `reset_label_counts`: one (K,) per codebook."""
        return []

    def reset_label_counts(self) -> None:
        """Begin to count anew."""


class Music2VecObjective(Objective):
    """Regression of the teacher's features at masked frames."""

    def __init__(self, model, masking, normalize, device, ema_steps_per_update: int = 1):
        super().__init__(model, masking, normalize, device)
        self.ema_steps_per_update = ema_steps_per_update

    def before_forward(self, update: int) -> None:
        """Move the teacher; several times to copy the reference under accumulation."""
        for _ in range(self.ema_steps_per_update):
            self.model.update_teacher(update)

    def metrics(self, outputs: Any) -> WeightedMetrics:
        masked = outputs.num_masked_frames
        return {
            "loss/masked": (outputs.loss_sum.detach(), masked),
            "target/std": (outputs.target_std * masked, masked),
            "prediction/std": (outputs.prediction_std * masked, masked),
        }


class MusicHubertObjective(Objective):
    """Prediction of the cluster of each masked frame; labels come from the raw waveform, on the device."""

    def __init__(self, model, masking, normalize, device, labeller: Labeller):
        super().__init__(model, masking, normalize, device)
        self.labeller = labeller.to(device)
        self.reset_label_counts()

    def targets(self, batch: dict[str, Any], waveforms: torch.Tensor) -> dict[str, torch.Tensor]:
        targets = {"labels": self.labeller.label_batch(batch, waveforms)}  # (B, C, T)
        auxiliary_targets = self.labeller.auxiliary_targets(waveforms)
        if auxiliary_targets is not None:
            targets["auxiliary_targets"] = auxiliary_targets  # (B, T, bins)
        for counts, labels in zip(self._label_counts, targets["labels"].unbind(1), strict=True):
            counts += torch.bincount(labels.flatten(), minlength=len(counts))
        return targets

    def forward_options(self, is_logged: bool) -> dict[str, Any]:
        """Count unmasked frames for the row only: their logits would cost a share of every update."""
        return {"count_unmasked": is_logged}

    def metrics(self, outputs: Any) -> WeightedMetrics:
        masked = outputs.num_masked_frames
        metrics = {
            "loss/total": (outputs.loss_sum.detach(), masked),
            "loss/masked": (outputs.cross_entropy * masked, masked),
            "loss/feature_penalty": (outputs.feature_penalty * masked, masked),
        }
        if outputs.auxiliary_loss is not None:
            metrics["loss/auxiliary"] = (outputs.auxiliary_loss * masked, masked)
        codebooks = len(self._label_counts)
        metrics["accuracy/masked"] = (outputs.num_correct_masked, masked * codebooks)
        if codebooks > 1:
            for name, correct in zip(self.codebook_names(), outputs.num_correct_masked_per_codebook, strict=True):
                metrics[f"accuracy/masked/{name}"] = (correct, masked)
        if outputs.num_correct_unmasked is not None:
            metrics["accuracy/unmasked"] = (outputs.num_correct_unmasked, outputs.num_unmasked_frames * codebooks)
        return metrics

    def codebook_names(self) -> list[str]:
        return [f"{number}-{name}" for number, name in enumerate(self.labeller.label_features)]

    def label_counts(self) -> list[torch.Tensor]:
        return self._label_counts

    def reset_label_counts(self) -> None:
        self._label_counts = [
            torch.zeros(clusters, dtype=torch.int64, device=self.device) for clusters in self.labeller.num_clusters
        ]


def normalize_waveforms(waveforms: torch.Tensor, clip_mean: torch.Tensor, clip_std: torch.Tensor) -> torch.Tensor:
    """Zero mean and unit variance, by the whole clip's statistics where they are known (not NaN), else the crop's.

    The reference normalizes the whole file before it crops, with layer_norm's epsilon of 1e-5 in the variance.

    Args:
        waveforms: (B, N); clip_mean, clip_std: (B,).
    """
    by_clip = (waveforms - clip_mean[:, None]) / torch.sqrt(clip_std[:, None] ** 2 + 1e-5)
    by_crop = F.layer_norm(waveforms, waveforms.shape[-1:])
    return torch.where(torch.isnan(clip_std)[:, None], by_crop, by_clip)


def label_perplexities(objective: Objective, accelerator: Accelerator) -> dict[str, float]:
    """How many labels are in use, per codebook and over all processes: 'labels/perplexity/0-mfcc39' -> 1 to K.

    It is exp of the entropy of label use: K when all are used equally, 1 when one is.
    """
    perplexities = {}
    for name, counts in zip(objective.codebook_names(), objective.label_counts(), strict=True):
        total = in_float64(accelerator.reduce(counts, "sum"))
        shares = total / total.sum().clamp(min=1)
        perplexities[f"labels/perplexity/{name}"] = torch.exp(-torch.special.xlogy(shares, shares).sum()).item()
    return perplexities
