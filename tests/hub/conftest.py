"""A loopback Hub for the tests that push and load by id."""

import huggingface_hub.constants
import pytest
import torch
from hub_server import TOKEN, HubServer

from music2vec import Music2VecConfig, Music2VecForPreTraining
from musichubert import MusicHubertConfig, MusicHubertForPreTraining


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A running loopback Hub that this process's `huggingface_hub` speaks to, signed in."""
    with HubServer(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for name, value in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,  # the loopback speaks git-LFS, the protocol Xet falls back to
            "HF_HUB_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        yield server


@pytest.fixture(scope="session")
def tiny_models() -> dict:
    """A small pre-training model of each family, with weights that are not the same everywhere."""
    torch.manual_seed(0)
    sizes = {
        "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64,
        "conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 4, "num_labels": 3,
    }  # fmt: skip
    hubert = MusicHubertConfig(**sizes, num_clusters=10, num_conv_pos_embeddings=16, label_features=["mfcc39"])
    return {
        "music2vec": Music2VecForPreTraining(Music2VecConfig(**sizes, average_top_k_layers=2)).eval(),
        "musichubert": MusicHubertForPreTraining(hubert).eval(),
    }
