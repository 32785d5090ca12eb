"""Weights of the reference implementation (fairseq) into the pre-training models of this project.

The two hold the same tensors under other names; heads and the teacher also differ in how they are packed.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import pairwise

import torch

from music2vec import Music2VecForPreTraining
from musichubert import MusicHubertForPreTraining
from musicssl.errors import UserError

# Reference name -> name in the stock Hugging Face encoder; the first rule that matches is used.
_ENCODER_RULES = [
    (r"^mask_emb$", "masked_spec_embed"),
    (r"^post_extract_proj\.(weight|bias)$", r"feature_projection.projection.\1"),
    (r"^layer_norm\.(weight|bias)$", r"feature_projection.layer_norm.\1"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.0\.(weight|bias)$", r"feature_extractor.conv_layers.\1.conv.\2"),
    (r"^feature_extractor\.conv_layers\.(\d+)\.2(?:\.1)?\.(weight|bias)$",
     r"feature_extractor.conv_layers.\1.layer_norm.\2"),
    (r"^encoder\.layer_norm\.(weight|bias)$", r"encoder.layer_norm.\1"),
    # HuBERT: one convolution with weight norm, under its old or its parametrised names.
    (r"^encoder\.pos_conv\.0\.bias$", "encoder.pos_conv_embed.conv.bias"),
    (r"^encoder\.pos_conv\.0\.(?:weight_g|parametrizations\.weight\.original0)$",
     "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    (r"^encoder\.pos_conv\.0\.(?:weight_v|parametrizations\.weight\.original1)$",
     "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    # data2vec: a stack of plain convolutions.
    (r"^encoder\.pos_conv\.(\d+)\.0\.(weight|bias)$", r"encoder.pos_conv_embed.layers.\1.conv.\2"),
    (r"^encoder\.layers\.(\d+)\.self_attn\.(q|k|v|out)_proj\.(weight|bias)$",
     r"encoder.layers.\1.attention.\2_proj.\3"),
    (r"^encoder\.layers\.(\d+)\.self_attn_layer_norm\.(weight|bias)$", r"encoder.layers.\1.layer_norm.\2"),
    (r"^encoder\.layers\.(\d+)\.fc1\.(weight|bias)$", r"encoder.layers.\1.feed_forward.intermediate_dense.\2"),
    (r"^encoder\.layers\.(\d+)\.fc2\.(weight|bias)$", r"encoder.layers.\1.feed_forward.output_dense.\2"),
    (r"^encoder\.layers\.(\d+)\.final_layer_norm\.(weight|bias)$", r"encoder.layers.\1.final_layer_norm.\2"),
]  # fmt: skip


def load_fairseq_weights(
    model: Music2VecForPreTraining | MusicHubertForPreTraining, state_dict: Mapping[str, torch.Tensor | Mapping]
) -> None:
    """Fill a pre-training model from the state dict of a reference checkpoint (its entry "model").

    The teacher of data2vec is the checkpoint's `_ema`, nested or flat; its positional convolutions are the student's
    where `_ema` leaves them out, and the whole teacher is a copy of the student where there is no `_ema`.

    Raises:
        UserError: a tensor is unknown, missing or of another shape; the message names it.
    """
    if isinstance(model, Music2VecForPreTraining):
        converted = dict(_music2vec_weights(state_dict))
    elif isinstance(model, MusicHubertForPreTraining):
        converted = dict(_musichubert_weights(state_dict, model.config))
    else:
        raise TypeError(f"cannot load reference weights into a {type(model).__name__}")

    own = model.state_dict()
    if missing := sorted(own.keys() - converted.keys()):
        raise UserError(f"the reference checkpoint has nothing for {_some(missing)}")
    if unknown := sorted(converted.keys() - own.keys()):
        raise UserError(f"the model has no place for {_some(unknown)}: compare its configuration with the checkpoint")
    for name, tensor in converted.items():
        if tensor.shape != own[name].shape:
            raise UserError(
                f"{name} has shape {tuple(tensor.shape)} in the reference checkpoint but {tuple(own[name].shape)}"
                " in the model: compare its configuration with the checkpoint"
            )
    model.load_state_dict(converted)


def _music2vec_weights(state_dict: Mapping) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a data2vec audio checkpoint as `Music2VecForPreTraining` has them."""
    student, teacher = _split_teacher(state_dict)
    for name, tensor in student.items():
        if name.startswith("final_proj."):
            yield name, tensor
        else:
            yield f"data2vec_audio.{_encoder_name(name)}", tensor
    student_transformer = {
        name.removeprefix("encoder."): tensor for name, tensor in student.items() if name.startswith("encoder.")
    }
    if teacher:
        shared = {name: value for name, value in student_transformer.items() if name.startswith("pos_conv.")}
        teacher = {**shared, **teacher}
    else:
        teacher = student_transformer
    for name, tensor in teacher.items():
        yield f"teacher.{_encoder_name(f'encoder.{name}').removeprefix('encoder.')}", tensor


def _split_teacher(state_dict: Mapping) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The student's tensors, and those of `_ema`, which a checkpoint nests and a converted one may have flattened."""
    student, teacher = {}, {}
    for name, value in state_dict.items():
        if name == "_ema":
            teacher.update(value)
        elif name.startswith("_ema."):
            teacher[name.removeprefix("_ema.")] = value
        else:
            student[name] = value
    return student, teacher


def _musichubert_weights(state_dict: Mapping, config) -> Iterator[tuple[str, torch.Tensor]]:
    """Names and tensors of a HuBERT checkpoint as `MusicHubertForPreTraining` has them."""
    classes = [config.num_reserved_classes + clusters for clusters in config.clusters_per_codebook]
    # The reference packs the heads of all codebooks into one tensor, one after the other.
    packed = {
        "label_embs_concat": ("label_embeddings", classes),
        "final_proj.weight": ("projection.weight", [config.projection_dim] * len(classes)),
        "final_proj.bias": ("projection.bias", [config.projection_dim] * len(classes)),
    }
    for name, tensor in state_dict.items():
        if name not in packed:
            yield f"hubert.{_encoder_name(name)}", tensor
            continue
        own_name, rows = packed[name]
        if len(tensor) != sum(rows):
            raise UserError(
                f"{name} has {len(tensor)} rows but the model needs {sum(rows)}: set num_clusters (the checkpoint's"
                f" classes less num_reserved_classes={config.num_reserved_classes}) and projection_dim to match"
            )
        starts = [sum(rows[:index]) for index in range(len(rows) + 1)]
        for index, (start, end) in enumerate(pairwise(starts)):
            yield f"heads.{index}.{own_name}", tensor[start:end]


def _encoder_name(name: str) -> str:
    for pattern, replacement in _ENCODER_RULES:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name)
    raise UserError(f"{name} is no tensor of a data2vec audio or HuBERT reference checkpoint")


def _some(names: list[str]) -> str:
    """At most three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
