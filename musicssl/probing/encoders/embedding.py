"""One vector per clip, or per frame, from any encoder of `musicssl.probing.encoders.huggingface`.

Shapes: N samples, S hidden states, T frames, D width.
"""

import numpy as np
import soxr
import torch

from musicssl.errors import UserError
from musicssl.probing.encoders.huggingface import load_encoder

WINDOW_SECONDS = 30.0


class Embedder:
    """A frozen encoder with one choice of hidden states.

    Args:
        model: as `run_probing.py --model` takes it.
        layer: a hidden state's name ("0".."L"), or "mean" of the transformer layers. A leaderboard fits no weights
            over layers, so the choice is made beforehand, for example on validation by `run_probing.py`.

    Raises:
        UserError: the encoder has no such layer.
    """

    def __init__(self, model: str, layer: str = "mean", device: str | None = None) -> None:
        self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.encoder = load_encoder(model).to(self.device)
        names = self.encoder.state_names
        if layer == "mean":
            self.states = list(self.encoder.mixed_states) or [0]
        elif layer in names:
            self.states = [names.index(layer)]
        else:
            raise UserError(f"layer {layer!r}: {model} has {', '.join(names)} and mean")

    def prepare(self, clip: np.ndarray, sampling_rate: int) -> torch.Tensor:
        """(N,) or (channels, N) at any rate -> (1, N') mono, the encoder's rate and normalization.

        A clip shorter than one frame is padded with zeros to one frame: evaluators need a vector for every clip.
        """
        clip = np.asarray(clip, dtype=np.float32)
        clip = clip.mean(axis=0) if clip.ndim == 2 else clip
        if sampling_rate != self.encoder.sampling_rate:
            clip = soxr.resample(clip, sampling_rate, self.encoder.sampling_rate)
        clip = np.pad(clip, (0, max(0, self.encoder.minimum_samples - len(clip))))
        wave = np.ascontiguousarray(self.encoder.normalize(clip), dtype=np.float32)
        return torch.from_numpy(wave)[None].to(self.device)

    def scene(self, clip: np.ndarray, sampling_rate: int) -> torch.Tensor:
        """(N,) -> (D,): the mean over time, and over 30 s windows as `run_probing.py` cuts them."""
        size = round(WINDOW_SECONDS * self.encoder.sampling_rate)
        windows = self.prepare(clip, sampling_rate).split(size, dim=1)
        if len(windows) > 1 and windows[-1].shape[1] < self.encoder.sampling_rate:
            windows = windows[:-1]
        pooled = torch.stack([self.encoder.pooled(window)[0, self.states].mean(dim=0) for window in windows])
        return pooled.mean(dim=0).cpu()

    def timestamps(self, clip: np.ndarray, sampling_rate: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(N,) -> (T, D) and (T,) centres of the frames in milliseconds."""
        if self.encoder.frame_rate_hz is None:
            raise UserError(f"{self.encoder.name}: times of frames need a known frame rate; this encoder has none")
        frames = self.encoder.frames(self.prepare(clip, sampling_rate))[0, self.states].mean(dim=0).cpu()
        hop_ms = 1000 / self.encoder.frame_rate_hz
        centre_ms = 500 * self.encoder.minimum_samples / self.encoder.sampling_rate
        return frames, centre_ms + hop_ms * torch.arange(len(frames))

    @property
    def width(self) -> int:
        """D of a scene embedding."""
        silence = np.zeros(self.encoder.sampling_rate, dtype=np.float32)
        return len(self.scene(silence, self.encoder.sampling_rate))
