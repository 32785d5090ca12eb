"""MTEB's and HEAR's embeddings are our extraction's features."""

import numpy as np
import pytest
import torch
from probing_makers import RATE, note

from musicssl.errors import UserError
from musicssl.probing.encoders import hear
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.encoders.mteb import MtebEncoder


def features(tiny_encoder, clip):
    encoder = load_encoder(str(tiny_encoder))
    return encoder.pooled(torch.from_numpy(encoder.normalize(clip))[None])[0]


def test_mteb_batches_give_the_extracted_features(tiny_encoder):
    clips = [note(50, 0.5, 0), note(60, 0.8, 1)]
    batches = [{"audio": [{"array": clip, "sampling_rate": RATE}]} for clip in clips]
    for layer, states in (("1", [1]), ("mean", [1, 2])):
        model = MtebEncoder(str(tiny_encoder), layer=layer)
        embeddings = model.encode(batches, task_metadata=None, hf_split="test", hf_subset="default")
        expected = torch.stack([features(tiny_encoder, clip)[states].mean(0) for clip in clips])
        assert torch.allclose(embeddings, expected, atol=1e-5)
    assert torch.allclose(model.similarity(embeddings, embeddings).diagonal(), torch.ones(2))
    assert torch.allclose(model.similarity_pairwise(embeddings, embeddings), torch.ones(2))
    resampled = [{"audio": [{"array": np.stack([clips[0]] * 2), "sampling_rate": 44100}]}]
    assert model.encode(resampled).shape == (1, 16)


def test_mteb_core_accepts_the_wrapper(tiny_encoder):
    protocols = pytest.importorskip("mteb.models.models_protocols")
    model = MtebEncoder(str(tiny_encoder))
    assert isinstance(model, protocols.EncoderProtocol)
    assert model.mteb_model_meta.embed_dim == 16


def test_hear_interface(tiny_encoder):
    model = hear.load_model(str(tiny_encoder), layer="2")
    audio = torch.from_numpy(np.stack([note(50, 1.0, 0), note(60, 1.0, 1)]))
    scenes = hear.get_scene_embeddings(audio, model)
    assert scenes.shape == (2, model.scene_embedding_size)
    assert torch.allclose(scenes[1], features(tiny_encoder, audio[1].numpy())[2], atol=1e-5)
    frames, times = hear.get_timestamp_embeddings(audio, model)
    assert frames.shape == (2, 49, model.timestamp_embedding_size) and times.shape == (2, 49)
    assert times[0, :2].tolist() == [12.5, 32.5]
    assert torch.allclose(frames.mean(dim=1), scenes, atol=1e-5)
    assert hear.get_scene_embeddings(audio[:, :100], model).isfinite().all()


def test_an_unknown_layer_is_named(tiny_encoder):
    with pytest.raises(UserError, match="layer '9'.* has 0, 1, 2 and mean"):
        hear.load_model(str(tiny_encoder), layer="9")
