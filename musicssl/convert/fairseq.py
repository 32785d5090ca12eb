"""Weights of the reference implementation (fairseq) in the pre-training models of this project, and back.

Both hold the same tensors under other names; heads and the teacher also differ in how they are packed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

import torch
from transformers import PreTrainedModel

from music2vec import Music2VecForPreTraining
from musichubert import MusicHubertForPreTraining
from musicssl.errors import UserError

# A layer norm stands between two transposes in the reference's convolution; a group norm has no transposes around it.
_LAYER_NORM = ("feature_extractor.conv_layers.#.2.1", "feature_extractor.conv_layers.#.layer_norm")
_GROUP_NORM = ("feature_extractor.conv_layers.#.2", "feature_extractor.conv_layers.#.layer_norm")
# Module or tensor of the reference, and of the stock Hugging Face encoder; # is a number. The first match is used.
_NAMES = (
    ("mask_emb", "masked_spec_embed"),
    ("post_extract_proj", "feature_projection.projection"),
    ("layer_norm", "feature_projection.layer_norm"),
    ("feature_extractor.conv_layers.#.0", "feature_extractor.conv_layers.#.conv"),
    _LAYER_NORM,
    _GROUP_NORM,
    ("encoder.layer_norm", "encoder.layer_norm"),
    # HuBERT: one convolution with weight norm, under its old or its parametrized names.
    ("encoder.pos_conv.0.bias", "encoder.pos_conv_embed.conv.bias"),
    ("encoder.pos_conv.0.weight_g", "encoder.pos_conv_embed.conv.parametrizations.weight.original0"),
    ("encoder.pos_conv.0.weight_v", "encoder.pos_conv_embed.conv.parametrizations.weight.original1"),
    ("encoder.pos_conv.0.parametrizations", "encoder.pos_conv_embed.conv.parametrizations"),
    # data2vec: a stack of plain convolutions.
    ("encoder.pos_conv.#.0", "encoder.pos_conv_embed.layers.#.conv"),
    ("encoder.layers.#.self_attn", "encoder.layers.#.attention"),
    ("encoder.layers.#.self_attn_layer_norm", "encoder.layers.#.layer_norm"),
    ("encoder.layers.#.fc1", "encoder.layers.#.feed_forward.intermediate_dense"),
    ("encoder.layers.#.fc2", "encoder.layers.#.feed_forward.output_dense"),
    ("encoder.layers.#.final_layer_norm", "encoder.layers.#.final_layer_norm"),
)
# The heads of all codebooks, which the reference packs into one tensor, one after the other.
_PACKED = {
    "label_embs_concat": "label_embeddings", "final_proj.weight": "projection.weight",
    "final_proj.bias": "projection.bias",
}  # fmt: skip


def load_fairseq_weights(
    model: Music2VecForPreTraining | MusicHubertForPreTraining, state_dict: Mapping[str, torch.Tensor | Mapping]
) -> None:
    """Load the state dict of a reference checkpoint (its entry "model") into a pre-training model.

    The teacher of data2vec is the checkpoint's `_ema`, nested or flat. Where `_ema` holds no positional convolutions,
    those of the student are used; where there is no `_ema`, the whole teacher is a copy of the student.

    Raises:
        UserError: a tensor is unknown, missing or has another shape; the message names it.
    """
    if isinstance(model, Music2VecForPreTraining):
        converted = dict(_music2vec_weights(state_dict))
    elif isinstance(model, MusicHubertForPreTraining):
        converted = dict(_musichubert_weights(state_dict, model.config))
    else:
        raise TypeError(f"cannot load reference weights into a {type(model).__name__}")

    own = model.state_dict()
    if missing := sorted(own.keys() - converted.keys()):
        raise UserError(f"the reference checkpoint has nothing for {_some(missing)}: is it complete?")
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
            yield f"data2vec_audio.{_renamed(name, _NAMES)}", tensor
    student_transformer = {
        name.removeprefix("encoder."): tensor for name, tensor in student.items() if name.startswith("encoder.")
    }
    if teacher:
        shared = {name: value for name, value in student_transformer.items() if name.startswith("pos_conv.")}
        teacher = {**shared, **teacher}
    else:
        teacher = student_transformer
    for name, tensor in teacher.items():
        yield _renamed(f"encoder.{name}", _NAMES).replace("encoder.", "teacher.", 1), tensor


def _split_teacher(state_dict: Mapping) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The student's tensors, and those of `_ema`, which may be nested or flat."""
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
    for name, tensor in state_dict.items():
        if name not in _PACKED:
            yield f"hubert.{_renamed(name, _NAMES)}", tensor
            continue
        rows = classes if name == "label_embs_concat" else [config.projection_dim] * len(classes)
        if len(tensor) != sum(rows):
            raise UserError(
                f"{name} has {len(tensor)} rows but the model needs {sum(rows)}: set num_clusters to the checkpoint's"
                f" classes minus num_reserved_classes={config.num_reserved_classes}, and projection_dim to its width"
            )
        for index, part in enumerate(tensor.split(rows)):
            yield f"heads.{index}.{_PACKED[name]}", part


def to_fairseq(model: PreTrainedModel) -> dict[str, torch.Tensor | dict]:
    """The state dict of a pre-training model under the reference's names, with the teacher under `_ema`."""
    prefix = f"{model.base_model_prefix}."
    other_norm = _LAYER_NORM if getattr(model.config, "feat_extract_norm", "layer") == "group" else _GROUP_NORM
    back = [(own, reference) for reference, own in _NAMES if (reference, own) != other_norm]
    packed = {own: reference for reference, own in _PACKED.items()}
    state: dict[str, torch.Tensor | dict] = {}
    teacher: dict[str, torch.Tensor] = {}
    heads: dict[str, list[torch.Tensor]] = {}
    for name, tensor in model.state_dict().items():
        if name.startswith(prefix):
            state[_renamed(name.removeprefix(prefix), back)] = tensor
        elif name.startswith("teacher."):
            own_name = f"encoder.{name.removeprefix('teacher.')}"
            teacher[_renamed(own_name, back).removeprefix("encoder.")] = tensor
        elif name.startswith("heads."):
            heads.setdefault(packed[name.split(".", 2)[2]], []).append(tensor)
        else:
            state[name] = tensor
    if teacher:
        state["_ema"] = teacher
    return state | {name: torch.cat(tensors) for name, tensors in heads.items()}


def _renamed(name: str, pairs: Iterable[tuple[str, str]]) -> str:
    """`name` with the name of its module replaced by the other one of the pair."""
    for old, new in pairs:
        if match := re.fullmatch(re.escape(old).replace(r"\#", r"(\d+)") + r"((?:\.\w+)*)", name):
            *numbers, rest = match.groups()
            return new.replace("#", "".join(numbers)) + rest
    raise UserError(f"{name} is no tensor of a data2vec audio or HuBERT checkpoint")


def _some(names: list[str]) -> str:
    """At most three names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
