"""The HEAR 2021 interface (https://hearbenchmark.com/hear-api.html): `load_model` and two kinds of embeddings.

hear-validator musicssl.probing.encoders.hear --model runs/my-model
"""

import torch

from musicssl.probing.encoders.embedding import Embedder


class HearModel(torch.nn.Module):
    """What HEAR asks of a model: `sample_rate`, `scene_embedding_size`, `timestamp_embedding_size`."""

    def __init__(self, model: str, layer: str, device: str | None = None) -> None:
        super().__init__()
        self.embedder = Embedder(model, layer, device)
        self.sample_rate = self.embedder.encoder.sampling_rate
        self.scene_embedding_size = self.embedder.width
        frames, _ = self.embedder.timestamps(torch.zeros(self.sample_rate).numpy(), self.sample_rate)
        self.timestamp_embedding_size = frames.shape[-1]


def load_model(model_file_path: str = "", layer: str = "mean") -> HearModel:
    """A checkpoint directory, Hub id or acoustic feature -> a model for the two functions below."""
    return HearModel(model_file_path, layer)


def get_scene_embeddings(audio: torch.Tensor, model: HearModel) -> torch.Tensor:
    """(clips, N) at `model.sample_rate` -> (clips, D)."""
    return torch.stack([model.embedder.scene(clip.cpu().numpy(), model.sample_rate) for clip in audio])


def get_timestamp_embeddings(audio: torch.Tensor, model: HearModel) -> tuple[torch.Tensor, torch.Tensor]:
    """(clips, N) at `model.sample_rate` -> (clips, T, D) and (clips, T) frame centres in milliseconds."""
    embedded = [model.embedder.timestamps(clip.cpu().numpy(), model.sample_rate) for clip in audio]
    frames, times = zip(*embedded, strict=True)
    return torch.stack(frames), torch.stack(times)
