"""Notes and encoders small enough to make on the spot."""

import numpy as np
import torch
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

RATE = 16000


def note(pitch, seconds, seed, rate=RATE):
    """A plucked note with noise, mono float32."""
    generator = np.random.default_rng(seed)
    time = np.arange(round(seconds * rate)) / rate
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    tone = sum(np.sin(2 * np.pi * frequency * harmonic * time) / harmonic for harmonic in (1, 2, 3))
    return (0.2 * tone * np.exp(-2 * time) + 0.01 * generator.standard_normal(len(time))).astype(np.float32)


def save_tiny_encoder(folder, sampling_rate=RATE, seed=7):
    """A HuBERT of two layers that reads 400 samples a frame, as the real ones do."""
    torch.manual_seed(seed)
    config = HubertConfig(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    HubertModel(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(sampling_rate=sampling_rate, do_normalize=True).save_pretrained(folder)
    return folder
