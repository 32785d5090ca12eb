"""Features of HuBERT's later iterations: a layer of an earlier model.

Shapes: B clips, N samples at 16 kHz, T encoder frames, D width.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AutoFeatureExtractor, AutoModel

from musichubert.errors import LabelError
from musicssl.files import hash_file

OVERLAP_SECONDS = 2.0  # context kept on both sides of a window of a long track
# The encoder is fp32, for which a GPU's flash attention and cuDNN have no kernel: the kernel that a run chose for its
# own model may fail here. A CPU uses flash attention.
_KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]


class LayerFeatures:
    """Output of one encoder layer of a checkpoint, unmasked and in evaluation mode.

    Layers count from 1; layer 6 of HuBERT base is the reference's choice (fairseq `output_layer=6`, after the layer's
    norm), and equals `hidden_states[6]`. Only the layers up to it are kept.
    """

    rate_hz = 50.0
    edge_seconds = OVERLAP_SECONDS

    def __init__(self, model: torch.nn.Module, layer: int, normalize: bool, checkpoint: str, fingerprint: str):
        depth = model.config.num_hidden_layers
        if not 1 <= layer <= depth:
            raise LabelError(f"{checkpoint} has no layer {layer}: it has layers 1 to {depth}; choose one of these")
        # A pre-norm encoder ends with a norm that must not touch the layer taken, so one more layer stays.
        keep = layer + 1 if getattr(model.config, "do_stable_layer_norm", False) else layer
        model.encoder.layers = model.encoder.layers[:keep]
        self.model = model.eval().requires_grad_(False)
        self.layer = layer
        self.name = f"layer{layer}"
        self.dimension = model.config.hidden_size
        self.normalize = normalize
        self.checkpoint = checkpoint
        self.fingerprint = fingerprint

    @classmethod
    def from_checkpoint(cls, directory: str | Path, layer: int) -> "LayerFeatures":
        """Load the encoder of a saved model.

        Raises:
            LabelError: no checkpoint there, or a layer that it does not have.
        """
        weights = Path(directory) / "model.safetensors"
        if not weights.is_file():
            raise LabelError(f"no checkpoint to take layer {layer} from: {weights} does not exist")
        normalize = AutoFeatureExtractor.from_pretrained(directory).do_normalize
        fingerprint = f"{hash_file(weights)[:16]}-{layer}-{normalize}"
        return cls(AutoModel.from_pretrained(directory), layer, normalize, str(directory), fingerprint)

    @torch.no_grad()
    def compute(self, waveform: torch.Tensor) -> torch.Tensor:
        """Raw waveforms (B, N) -> (B, T, D) float32."""
        if self.normalize:
            waveform = F.layer_norm(waveform, waveform.shape[-1:])
        no_mask = torch.zeros(
            len(waveform), int(self.model._get_feat_extract_output_lengths(waveform.shape[-1])), dtype=torch.bool
        )
        with sdpa_kernel(_KERNELS):
            outputs = self.model(waveform, mask_time_indices=no_mask.to(waveform.device), output_hidden_states=True)
        return outputs.hidden_states[self.layer].float()

    def to(self, device: torch.device | str) -> "LayerFeatures":
        """Move the model."""
        self.model.to(device)
        return self
