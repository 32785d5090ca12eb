"""From a configuration to the model of a run: its configuration class, weights and feature extractor."""

import dataclasses
import difflib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from transformers import PreTrainedConfig, PreTrainedModel, Wav2Vec2FeatureExtractor

from music2vec import Music2VecConfig, Music2VecFeatureExtractor, Music2VecForPreTraining
from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.errors import UserError
from musicssl.pretraining.config.settings import DataConfig, MaskingConfig, ModelConfig
from musicssl.pretraining.frames import frames_per_crop
from musicssl.pretraining.model.pretrained import load_initial_weights, published_architecture
from musicssl.pretraining.randomness import WEIGHTS, derive_seed

MODELS: dict[str, tuple[type[PreTrainedConfig], type[PreTrainedModel]]] = {
    "music2vec": (Music2VecConfig, Music2VecForPreTraining),
    "musichubert": (MusicHubertConfig, MusicHubertForPreTraining),
}


def setting_of(model: ModelConfig, name: str) -> Any:
    """A setting of the model's configuration: what --model_config says, else the default of the class.

    None when the class does not have the setting.
    """
    config_class, _ = MODELS[model.family]
    return model.model_config.get(name, getattr(config_class, name, None))


def build_model_config(model: ModelConfig, num_clusters: Sequence[int] = ()) -> PreTrainedConfig:
    """The model's configuration: --model_config, then the architecture of --init_from.

    Args:
        num_clusters: the number of clusters of each of musicHuBERT's codebooks; 500 when none is given.

    Raises:
        UserError: an unknown setting, a value the model refuses, or one that contradicts --init_from.
    """
    config_class, _ = MODELS[model.family]
    settings = dict(model.model_config)
    known = [entry.name for entry in dataclasses.fields(config_class)]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"--model_config: {config_class.__name__} has no setting '{key}'{hint}")
    if model.init_from:
        settings = _with_architecture(settings, published_architecture(model.init_from, model.family))
    if model.compile:
        settings["layerdrop"] = 0.0  # a layer that comes and goes would be compiled again and again
    if model.model == "musichubert":
        settings["num_clusters"] = list(num_clusters) or [500]
    try:
        # We mask spans ourselves, always explicitly; SpecAugment of transformers must not add its own.
        built = config_class(**settings, apply_spec_augment=False)
    except Exception as error:  # the strict configuration classes raise errors of their own
        raise UserError(f"--model_config: {' '.join(str(error).split())}") from error
    has_convolutions = not getattr(built, "front_end_features", None)
    if model.data_dependent_init and has_convolutions and built.feat_extract_norm != "layer":
        raise UserError("--data_dependent_init fits layer norms: add --model_config feat_extract_norm=layer")
    return built


def _with_architecture(settings: dict[str, Any], architecture: dict[str, Any]) -> dict[str, Any]:
    for key, value in architecture.items():
        if key in settings and settings[key] != value:
            raise UserError(
                f"--model_config {key}={settings[key]} contradicts --init_from, which has {key}={value}: leave it out"
            )
    return settings | architecture


def build_model(
    model: ModelConfig, model_config: PreTrainedConfig, seed: int, report: Callable[[str], None] = print
) -> PreTrainedModel:
    """The pre-training model with the seed's weights, or those of --init_from; on the CPU, in training mode.

    Args:
        report: called with a line that says which weights came from --init_from.
    """
    _, model_class = MODELS[model.family]
    torch.manual_seed(derive_seed(seed, WEIGHTS))
    model_config._attn_implementation = model.attention
    if model.init_from:
        built = load_initial_weights(model_class, model_config, model.init_from, report)
    else:
        built = model_class(model_config)
    if model.gradient_checkpointing:
        built.gradient_checkpointing_enable({"use_reentrant": False})
    if model.compile:
        built.compile()  # sizes that change, as the number of masked frames does, become symbols at their second value
    return built.train()


def build_feature_extractor(model: ModelConfig, sampling_rate: int) -> Wav2Vec2FeatureExtractor:
    """The feature extractor of the checkpoint: it prepares waveforms as training did."""
    extractor_class = Music2VecFeatureExtractor if model.model == "music2vec" else Wav2Vec2FeatureExtractor
    return extractor_class(
        sampling_rate=sampling_rate, do_normalize=model.normalizes, return_attention_mask=model.model == "music2vec"
    )


def check_masks(masking: MaskingConfig, data: DataConfig, model_config: PreTrainedConfig) -> None:
    """Raise UserError unless a crop has enough frames for its masked spans."""
    shortest = data.crop_seconds if data.short_clips == "drop" else data.min_seconds
    frames = frames_per_crop(model_config, int(shortest * model_config.sampling_rate))[-1]
    spans = max(int(masking.mask_probability * frames / masking.mask_span) + 1, masking.min_mask_spans)
    if frames - masking.mask_span < spans:
        raise UserError(
            f"--crop_seconds {data.crop_seconds:g}: crops down to {shortest:g} s have {frames} frames, too few "
            f"for {spans} spans of --mask_span {masking.mask_span}; use longer crops or shorter spans"
        )
