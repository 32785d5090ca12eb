"""The training configuration of a reference (fairseq) checkpoint: read into a configuration of ours, and written."""

import re
from typing import Any

from transformers import PreTrainedConfig

from music2vec import Music2VecConfig
from musichubert import MusicHubertConfig
from musicssl.convert.safe_pickle import Inert
from musicssl.errors import UserError

RESERVED_CLASSES = 4  # <s>, <pad>, </s>, <unk> of the reference's dictionary
_STOCK_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_HEAD_WIDTH = 64


def architecture(state: dict, settings: object = None) -> PreTrainedConfig:
    """The configuration that fits a reference state dict, from the shapes of its tensors.

    Args:
        state: the checkpoint's entry "model".
        settings: its training configuration, if it has one: the strides, the number of heads and pre-norm layers
            (`layer_norm_first`) do not show in shapes.

    Raises:
        UserError: the checkpoint is neither data2vec audio nor HuBERT, or a data2vec with pre-norm layers.
    """
    convolutions = [state[name].shape for name in _numbered(state, "feature_extractor.conv_layers.{}.0.weight")]
    layers = len(_numbered(state, "encoder.layers.{}.fc1.weight"))
    if not convolutions or not layers or "post_extract_proj.weight" not in state:
        raise UserError("the checkpoint is neither data2vec audio nor HuBERT: it has no such encoder")
    intermediate, hidden = state["encoder.layers.0.fc1.weight"].shape
    strides = _strides(_setting(settings, "conv_feature_layers")) or _STOCK_STRIDES
    if len(strides) != len(convolutions):
        raise UserError(
            f"the checkpoint has {len(convolutions)} convolutions but {len(strides)} strides: only a checkpoint with"
            " its training configuration (cfg) can have other strides than the base model"
        )
    common = {
        "hidden_size": hidden, "num_hidden_layers": layers, "intermediate_size": intermediate,
        "num_attention_heads": int(_setting(settings, "encoder_attention_heads") or max(1, hidden // _HEAD_WIDTH)),
        "conv_dim": [shape[0] for shape in convolutions], "conv_kernel": [shape[2] for shape in convolutions],
        "conv_stride": list(strides), "conv_bias": "feature_extractor.conv_layers.0.0.bias" in state,
    }  # fmt: skip
    positional = _numbered(state, "encoder.pos_conv.{}.0.weight")
    normed_before = bool(_setting(settings, "layer_norm_first"))
    if positional:
        if normed_before:
            raise UserError("the checkpoint uses pre-norm layers (layer_norm_first), which music2vec does not support")
        shape = state[positional[0]].shape
        return Music2VecConfig(
            **common, conv_pos_kernel_size=shape[2], num_conv_pos_embeddings=len(positional),
            num_conv_pos_embedding_groups=hidden // shape[1],
            average_top_k_layers=min(layers, int(_setting(settings, "average_top_k_layers") or 8)),
        )  # fmt: skip
    direction = state.get(
        "encoder.pos_conv.0.weight_v", state.get("encoder.pos_conv.0.parametrizations.weight.original1")
    )
    if direction is None:
        raise UserError("the checkpoint is neither data2vec audio nor HuBERT: its positional convolution is unknown")
    labels = state.get("label_embs_concat")
    head = {} if labels is None else {
        "num_clusters": len(labels) - RESERVED_CLASSES, "num_reserved_classes": RESERVED_CLASSES,
        "projection_dim": labels.shape[1],
    }  # fmt: skip
    norm = "layer" if "feature_extractor.conv_layers.1.2.1.weight" in state else "group"
    return MusicHubertConfig(
        **common, **head, feat_extract_norm=norm, do_stable_layer_norm=normed_before,
        num_conv_pos_embeddings=direction.shape[2], num_conv_pos_embedding_groups=hidden // direction.shape[1],
    )  # fmt: skip


def normalizes(settings: object) -> bool | None:
    """Whether the reference normalized waveforms in training; None when the configuration does not say."""
    return _setting(settings, "normalize")


def reference_settings(config: PreTrainedConfig, do_normalize: bool) -> dict[str, dict]:
    """What does not show in a state dict, under the names that the reference's configuration has for it."""
    strides = zip(config.conv_dim, config.conv_kernel, config.conv_stride, strict=True)
    return {
        "model": {
            "encoder_attention_heads": config.num_attention_heads,
            "conv_feature_layers": " + ".join(f"[{layer}]" for layer in strides),
            "layer_norm_first": bool(getattr(config, "do_stable_layer_norm", False)),
            "average_top_k_layers": getattr(config, "average_top_k_layers", None),
        },
        "task": {"normalize": do_normalize},
    }


def _numbered(state: dict, pattern: str) -> list[str]:
    """The names pattern.format(0), pattern.format(1), … that `state` holds."""
    names: list[str] = []
    while (name := pattern.format(len(names))) in state:
        names.append(name)
    return names


def _setting(settings: object, name: str) -> Any:
    """A value of a training configuration, wherever the version of the reference stored it."""
    for section in (settings, *(_get(settings, key) for key in ("model", "task", "cfg", "args"))):
        if (value := _get(section, name)) is not None:
            return value
    return None


def _get(section: object, name: str) -> Any:
    if isinstance(section, dict) and name in section:
        return section[name]
    return section.__dict__.get(name) if isinstance(section, Inert) else None


def _strides(layers: str | None) -> list[int]:
    """`[(512, 10, 5)] + [(512, 3, 2)] * 4` -> 5, 2, 2, 2, 2."""
    found = re.findall(r"\(\s*\d+\s*,\s*\d+\s*,\s*(\d+)\s*\)\s*\]?\s*(?:\*\s*(\d+))?", layers or "")
    return [int(stride) for stride, times in found for _ in range(int(times or 1))]
