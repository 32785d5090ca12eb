"""Continued pre-training: start from our checkpoints or from published speech and music encoders.

Published encoders share our architectures: facebook/data2vec-audio-base and m-a-p/music2vec-v1 are `data2vec-audio`,
facebook/hubert-base-ls960 is `hubert`, m-a-p/MERT-v0 is HuBERT under a model type of its own (`mert_model`).
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from safetensors import SafetensorError
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as transformers_logging

from musicssl.errors import UserError, first_line

SAME_ARCHITECTURE = {
    "music2vec": ("music2vec", "data2vec-audio"),
    "musichubert": ("musichubert", "hubert", "mert_model"),
}
# The settings of the configuration classes that decide the shapes and the meaning of weights; the rest (dropouts,
# teacher, labels) is the recipe's.
ARCHITECTURE_KEYS = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "hidden_act", "layer_norm_eps",
    "feat_extract_norm", "feat_extract_activation", "feat_proj_layer_norm", "front_end_features",
    "conv_dim", "conv_kernel", "conv_stride", "conv_bias",
    "conv_pos_kernel_size", "num_conv_pos_embeddings", "num_conv_pos_embedding_groups", "do_stable_layer_norm",
)  # fmt: skip
# Parts that only pre-training has, so an encoder's checkpoint may lack them.
PRETRAINING_PARTS = ("teacher.", "final_proj.", "heads.", "auxiliary_head.", "decoder.")


def published_architecture(source: str, model: str) -> dict[str, Any]:
    """The settings of `source` (directory or Hub id) that its weights depend on.

    Raises:
        UserError: it cannot be read, or is another architecture.
    """
    try:
        settings, _ = PreTrainedConfig.get_config_dict(source)
    except (OSError, ValueError) as error:
        raise UserError(f"--init_from {source}: no configuration found there ({first_line(error)})") from error
    model_type = settings.get("model_type")
    if model_type not in SAME_ARCHITECTURE[model]:
        raise UserError(
            f"--init_from {source} is a '{model_type}': {model} can start from {', '.join(SAME_ARCHITECTURE[model])}"
        )
    if model_type == "mert_model" and settings.get("feature_extractor_cqt"):
        raise UserError(
            f"--init_from {source} takes a CQT as a second input, which {model} does not support; use MERT-v0"
        )
    return {key: settings[key] for key in ARCHITECTURE_KEYS if key in settings}


def load_initial_weights(
    model_class: type[PreTrainedModel], config: PreTrainedConfig, source: str, report_line: Callable[[str], None]
) -> PreTrainedModel:
    """The pre-training model with the encoder of `source`, and its heads where they fit; the rest has random weights.

    Args:
        report_line: called with a line that says which parts came from `source` and which are random.

    Raises:
        UserError: weights of the encoder are missing, or shapes disagree.
    """
    try:
        with _quiet_report():
            model, report = model_class.from_pretrained(
                source, config=config, dtype="float32", output_loading_info=True, ignore_mismatched_sizes=True
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"--init_from {source}: weights cannot be read ({first_line(error)})") from error
    absent = sorted({*report["missing_keys"], *(entry[0] for entry in report["mismatched_keys"])})
    of_encoder = [key for key in absent if not key.startswith(PRETRAINING_PARTS)]
    if of_encoder:
        raise UserError(
            f"--init_from {source}: {len(of_encoder)} encoder weights are missing or of another shape, "
            f"first {of_encoder[0]}"
        )
    loaded = sorted(model.state_dict().keys() - set(absent))
    report_line(
        f"--init_from {source}: tensors from the checkpoint: {_count(loaded)}; with random weights: {_count(absent)}"
    )
    return model


def _count(keys: list[str]) -> str:
    """'hubert 211, heads 2' for the names of weights."""
    counts = Counter(key.split(".")[0] for key in keys)
    return ", ".join(f"{part} {count}" for part, count in counts.items()) or "none"


@contextmanager
def _quiet_report() -> Iterator[None]:
    """Leave out the table of missing keys that transformers prints: our own line says what matters of it."""
    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(before)
