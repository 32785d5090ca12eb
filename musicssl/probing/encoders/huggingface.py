"""Encoders to probe: any Hugging Face audio encoder, the same network with random weights, acoustic features.

Shapes: B windows in a batch, N samples of a window, S hidden states of an encoder, T frames, D width.
"""

import hashlib
import json
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, FeatureExtractionMixin, Wav2Vec2FeatureExtractor

import musicssl.families  # noqa: F401  registers our models with the Auto classes
from music2vec.configuration_music2vec import FORMER_SETTINGS
from musicssl.errors import UserError, first_line
from musicssl.hub import looking_on_the_hub
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES, AcousticEncoder
from musicssl.probing.names import RANDOM_PREFIX


@dataclass
class HuggingFaceEncoder:
    """A frozen transformers audio encoder with its own sampling rate, its own normalization and every hidden state.

    Attributes:
        name: what the user gave; `random:` in front means the architecture with random weights.
        state_names: one name per hidden state, "0" (the projected convolution output) to "L".
        mixed_states: the states of the softmax-weighted sum, 1..L as MARBLE v1's `layer: all`.
        frame_rate_hz: frames per second, or None when the configuration does not say.
        minimum_samples: the shortest input that gives one frame.
        maximum_frames_seconds: longest window whose frames are kept; attention over a song would fill the memory.
        scaling: MARBLE feeds hidden states to the head as they are.
    """

    name: str
    model: torch.nn.Module
    extractor: FeatureExtractionMixin
    dtype: torch.dtype = torch.float32

    scaling = "none"
    maximum_frames_seconds = 60.0

    def __post_init__(self) -> None:
        config = self.model.config
        self.model.eval().requires_grad_(False)
        self.sampling_rate = int(self.extractor.sampling_rate)
        self.takes_waveform = isinstance(self.extractor, Wav2Vec2FeatureExtractor)
        num_layers = getattr(config, "num_hidden_layers", None) or config.encoder_layers
        self.state_names = tuple(str(layer) for layer in range(num_layers + 1))
        self.mixed_states = tuple(range(1, num_layers + 1))
        strides = getattr(config, "conv_stride", None)
        self.frame_rate_hz = (
            self.sampling_rate / int(np.prod(strides)) if self.takes_waveform and strides is not None else None
        )
        self.minimum_samples = _shortest_input(self.model) if self.takes_waveform else self.sampling_rate // 40
        self.maximum_window_seconds = None if self.takes_waveform else _spectrogram_seconds(self.extractor)
        self.fingerprint = _fingerprint(self.model, self.extractor, self.dtype)

    def to(self, device: torch.device) -> "HuggingFaceEncoder":
        """Move the network to `device` in the dtype it runs in."""
        self.model.to(device=device, dtype=self.dtype)
        return self

    def normalize(self, clip: np.ndarray) -> np.ndarray:
        """Apply the model's own `do_normalize` to a whole clip (N,), before it is cut into windows."""
        if not self.takes_waveform:
            return clip
        return self.extractor(clip, sampling_rate=self.sampling_rate, return_tensors="np").input_values[0]

    @torch.no_grad()
    def frames(self, windows: torch.Tensor) -> torch.Tensor:
        """(B, N) normalized windows of equal length -> (B, S, T, D) float32 hidden states."""
        if self.takes_waveform:
            inputs = {"input_values": windows.to(self.dtype)}
        else:
            inputs = self.extractor(
                list(windows.cpu().numpy()), sampling_rate=self.sampling_rate, return_tensors="pt"
            ).to(windows.device, self.dtype)
        output = self.model(**inputs, output_hidden_states=True)
        return torch.stack(output.hidden_states, dim=1).float()

    def pooled(self, windows: torch.Tensor, pooling: str = "mean") -> torch.Tensor:
        """(B, N) -> (B, S, D): each hidden state's mean over time; "mean_std" -> (B, S, 2 D), its spread behind it."""
        frames = self.frames(windows)
        mean = frames.mean(dim=2)
        return mean if pooling == "mean" else torch.cat([mean, frames.std(dim=2, correction=0)], dim=-1)


def load_encoder(
    name: str, dtype: torch.dtype = torch.float32, trust_remote_code: bool = False, seed: int = 0
) -> HuggingFaceEncoder | AcousticEncoder:
    """The encoder that `--model NAME` stands for.

    Args:
        name: a directory or Hub id, `random:` in front of one, or an acoustic feature (mfcc, chroma, cqt, logmel).
        seed: of the random weights.

    Raises:
        UserError: nothing loadable is there, or it has no feature extractor.
    """
    if name in ACOUSTIC_FEATURES:
        return AcousticEncoder(name)
    source = name.removeprefix(RANDOM_PREFIX)
    options = {"trust_remote_code": trust_remote_code}
    here = Path(source).exists()
    with nullcontext() if here else looking_on_the_hub(source, f"--model {name}"):
        return _load(name, source, options, dtype, seed)


def _load(name: str, source: str, options: dict, dtype: torch.dtype, seed: int) -> HuggingFaceEncoder:
    try:
        config = AutoConfig.from_pretrained(source, **options)
        extractor = AutoFeatureExtractor.from_pretrained(source, **options)
        if name.startswith(RANDOM_PREFIX):
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                model = AutoModel.from_config(config, **options)
        else:
            model = AutoModel.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        hint = "" if Path(source).is_dir() else f" ({source} is not a directory here, so it was taken as a Hub id)"
        raise UserError(f"--model {name}: cannot load an audio encoder{hint}: {first_line(error)}") from error
    if config.is_encoder_decoder:
        model = model.get_encoder()
    return HuggingFaceEncoder(name, model, extractor, dtype)


def _shortest_input(model: torch.nn.Module) -> int:
    """Smallest number of samples that the convolutions turn into one frame."""
    kernels, strides = model.config.conv_kernel, model.config.conv_stride
    samples = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        samples = (samples - 1) * stride + kernel
    return samples


def _spectrogram_seconds(extractor: FeatureExtractionMixin) -> float | None:
    """Longest input that a spectrogram front end keeps; it would drop the rest silently."""
    if getattr(extractor, "chunk_length", None):  # Whisper
        return float(extractor.chunk_length)
    if getattr(extractor, "max_length", None):  # Audio Spectrogram Transformer: 10 ms frames
        return extractor.max_length / 100
    return None


def _fingerprint(model: torch.nn.Module, extractor: FeatureExtractionMixin, dtype: torch.dtype) -> str:
    """SHA-256 of everything the features depend on: weights, architecture, front end, arithmetic."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    # With the settings that only version 0.1 had, so that its features and results are found again.
    former = FORMER_SETTINGS if model.config.model_type == "music2vec" else {}
    config = former | model.config.to_dict()
    config = {key: value for key, value in config.items() if key not in ("_name_or_path", "dtype")}
    for described in (config, extractor.to_dict(), str(dtype)):
        digest.update(json.dumps(described, sort_keys=True, default=str).encode())
    return digest.hexdigest()
