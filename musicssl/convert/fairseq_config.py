"""A reference (fairseq) checkpoint's architecture, and our models under the reference's names.

The way in is `musicssl.convert.fairseq`; this is what it needs to know first, and the way back.
"""

import re

import torch
from transformers import PreTrainedConfig, PreTrainedModel

from music2vec import Music2VecConfig
from musichubert import MusicHubertConfig
from musicssl.convert.safe_pickle import Inert
from musicssl.errors import UserError

RESERVED_CLASSES = 4  # <s>, <pad>, </s>, <unk> of the reference's dictionary
_STOCK_STRIDES = (5, 2, 2, 2, 2, 2, 2)
_HEAD_WIDTH = 64


def architecture(state: dict, settings: object = None) -> PreTrainedConfig:
    """The configuration that a reference state dict needs, read off its shapes.

    Args:
        state: the checkpoint's entry "model".
        settings: its training configuration, where there is one; strides, heads and whether layers are normed
            before (`layer_norm_first`) cannot be seen in shapes.

    Raises:
        UserError: it is neither data2vec audio nor HuBERT, or a data2vec whose layers are normed before.
    """
    convolutions = [state[name].shape for name in _numbered(state, "feature_extractor.conv_layers.{}.0.weight")]
    layers = len(_numbered(state, "encoder.layers.{}.fc1.weight"))
    if not convolutions or not layers or "post_extract_proj.weight" not in state:
        raise UserError("the checkpoint is neither data2vec audio nor HuBERT: it has no such encoder")
    intermediate, hidden = state["encoder.layers.0.fc1.weight"].shape
    strides = _strides(_setting(settings, "conv_feature_layers")) or _STOCK_STRIDES
    if len(strides) != len(convolutions):
        raise UserError(
            f"{len(convolutions)} convolutions but {len(strides)} strides: the strides are not the stock ones"
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
            raise UserError("the checkpoint's layers are normed before (layer_norm_first): our data2vec norms after")
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
    """Whether the reference normalised waveforms, by its training configuration; None where that does not say."""
    return _setting(settings, "normalize")


def reference_settings(config: PreTrainedConfig, do_normalize: bool) -> dict[str, dict]:
    """What `architecture` and `normalizes` cannot see in a state dict, as the reference's configuration names it."""
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
    """The names pattern.format(0), pattern.format(1), … that are there."""
    names = []
    while (name := pattern.format(len(names))) in state:
        names.append(name)
    return names


def _setting(settings: object, name: str) -> object:
    """A value of a training configuration, whichever way the reference's version kept it."""
    for section in (settings, *(_get(settings, key) for key in ("model", "task", "cfg", "args"))):
        if (value := _get(section, name)) is not None:
            return value
    return None


def _get(section: object, name: str) -> object:
    if isinstance(section, dict) and name in section:
        return section[name]
    return section.__dict__.get(name) if isinstance(section, Inert) else None


def _strides(layers: object) -> list[int]:
    """`[(512, 10, 5)] + [(512, 3, 2)] * 4` -> 5, 2, 2, 2, 2."""
    found = re.findall(r"\(\s*\d+\s*,\s*\d+\s*,\s*(\d+)\s*\)\s*\]?\s*(?:\*\s*(\d+))?", layers or "")
    return [int(stride) for stride, times in found for _ in range(int(times or 1))]


# Our encoder's names -> the reference's; the first rule that matches is used.
_BACK = [
    (r"^masked_spec_embed$", "mask_emb"),
    (r"^feature_projection\.projection\.", "post_extract_proj."),
    (r"^feature_projection\.layer_norm\.", "layer_norm."),
    (r"^(feature_extractor\.conv_layers\.\d+)\.conv\.", r"\1.0."),
    (r"^encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original0$", "encoder.pos_conv.0.weight_g"),
    (r"^encoder\.pos_conv_embed\.conv\.parametrizations\.weight\.original1$", "encoder.pos_conv.0.weight_v"),
    (r"^encoder\.pos_conv_embed\.conv\.bias$", "encoder.pos_conv.0.bias"),
    (r"^encoder\.pos_conv_embed\.layers\.(\d+)\.conv\.", r"encoder.pos_conv.\1.0."),
    (r"^(encoder\.layers\.\d+)\.attention\.", r"\1.self_attn."),
    (r"^(encoder\.layers\.\d+)\.layer_norm\.", r"\1.self_attn_layer_norm."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.intermediate_dense\.", r"\1.fc1."),
    (r"^(encoder\.layers\.\d+)\.feed_forward\.output_dense\.", r"\1.fc2."),
]


def to_fairseq(model: PreTrainedModel) -> dict[str, torch.Tensor | dict]:
    """The state dict of one of our pre-training models under the reference's names, teacher under `_ema`."""
    prefix = f"{model.base_model_prefix}."
    # A group norm is the reference's Sequential entry 2, a layer norm sits between two transposes in it.
    norm = r"\1.2." if getattr(model.config, "feat_extract_norm", "layer") == "group" else r"\1.2.1."
    rules = [*_BACK, (r"^(feature_extractor\.conv_layers\.\d+)\.layer_norm\.", norm)]
    state, teacher, heads = {}, {}, {}
    for name, tensor in model.state_dict().items():
        if name.startswith(prefix):
            state[_rename(name.removeprefix(prefix), rules)] = tensor
        elif name.startswith("teacher."):
            teacher[_rename(f"encoder.{name.removeprefix('teacher.')}", rules).removeprefix("encoder.")] = tensor
        elif name.startswith("heads."):
            heads.setdefault(name.split(".", 2)[2], []).append(tensor)
        else:
            state[name] = tensor
    if teacher:
        state["_ema"] = teacher
    packed = {"label_embeddings": "label_embs_concat", "projection.weight": "final_proj.weight",
              "projection.bias": "final_proj.bias"}  # fmt: skip
    return state | {packed[name]: torch.cat(tensors) for name, tensors in heads.items()}


def _rename(name: str, rules: list[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    return name
