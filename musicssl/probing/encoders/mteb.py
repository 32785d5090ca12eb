"""An encoder for MTEB's audio tasks (mteb >= 2.8): `mteb.evaluate(MtebEncoder("runs/my-model"), tasks)`.

`pip install 'music2vec-musichubert[mteb]'` brings mteb's core. Its `audio` extra pulls in torchaudio and torchcodec,
which this package does not need; they only decode the leaderboard's data sets. Without them a task whose
`load_data` gives decoded audio, {"audio": {"array", "sampling_rate"}}, runs unchanged (tests/probing/test_mteb.py).
"""

from collections.abc import Iterable
from typing import Any

import torch

from musicssl.probing.encoders.embedding import Embedder


class MtebEncoder:
    """mteb's `EncoderProtocol`, by structure."""

    def __init__(
        self,
        model_name: str,
        revision: str | None = None,
        *,
        layer: str = "mean",
        device: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.model_name, self.revision = model_name, revision
        self.embedder = Embedder(model_name, layer, device)

    def encode(self, inputs: Iterable[dict], **kwargs: Any) -> torch.Tensor:
        """Batches {"audio": [{"array": (N,) or (channels, N), "sampling_rate"}]} -> (clips, D)."""
        clips = (clip for batch in inputs for clip in batch["audio"])
        return torch.stack([self.embedder.scene(clip["array"], clip["sampling_rate"]) for clip in clips])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> torch.Tensor:
        """(n, D), (m, D) -> (n, m) cosines."""
        return _unit(embeddings1) @ _unit(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> torch.Tensor:
        """(n, D), (n, D) -> (n,) cosines."""
        return (_unit(embeddings1) * _unit(embeddings2)).sum(dim=-1)

    @property
    def mteb_model_meta(self) -> Any:
        """The facts that mteb writes with the scores."""
        from mteb.models import ModelMeta

        on_hub = self.model_name.count("/") == 1
        facts = {
            "name": self.model_name if on_hub else f"local/{self.model_name.strip('/').replace('/', '-')}",
            "revision": self.revision or "local",
            "modalities": ["audio"],
            "embed_dim": self.embedder.width,
        }
        return ModelMeta.create_empty(facts)


def _unit(embeddings: Any) -> torch.Tensor:
    embeddings = torch.atleast_2d(torch.as_tensor(embeddings))
    return torch.nn.functional.normalize(embeddings.float(), dim=-1)
