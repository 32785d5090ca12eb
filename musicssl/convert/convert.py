"""Convert between the reference's checkpoints, the stock classes of transformers, and ours.

fairseq .pt  ──>  ours  ──>  stock (data2vec-audio, hubert)  ──>  ours
                  ours  ──>  fairseq .pt
"""

import sys
import tempfile
from pathlib import Path

import torch
from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel, Wav2Vec2FeatureExtractor

from musicssl.convert.fairseq import load_fairseq_weights, to_fairseq
from musicssl.convert.fairseq_config import architecture, normalizes, reference_settings
from musicssl.convert.safe_pickle import read_checkpoint, state_dict_of
from musicssl.errors import UserError, first_line
from musicssl.families import (
    FAMILIES,
    Family,
    check_model_directory,
    feature_extractor_for,
    feature_extractor_of,
    has_stock_form,
    load_whole,
)
from musicssl.files import whole_file
from musicssl.model_files import save_for_hub, save_stock

# The families by the model types of their stock forms and by their own.
READABLE = {family.stock_config.model_type: family for family in FAMILIES.values()} | FAMILIES
_PICKLES = ("pytorch_model.bin", "model.pt", "pytorch_model.pt")


def load_any(source: str | Path) -> PreTrainedModel:
    """Load any supported checkpoint as one of our models, with its head if it has one.

    Args:
        source: a reference `.pt` file; a directory or Hub id of ours, of `data2vec-audio` or of `hubert`. Only the
            tensors of a pickle are read; no code in it is run.

    Raises:
        UserError: the checkpoint is of another kind, is damaged, or its tensors do not fit.
    """
    path = Path(source)
    if path.is_file():
        return _from_fairseq(path)[0]
    if path.is_dir() and not list(path.glob("*.safetensors")) and (path / "config.json").is_file():
        pickles = [path / name for name in _PICKLES if (path / name).is_file()]
        if pickles:
            return _from_stock_state(_config(path), state_dict_of(read_checkpoint(pickles[0])))
    if path.is_dir():
        check_model_directory(path)
    config = _config(source)
    if config.model_type in FAMILIES and path.is_dir():
        return load_whole(path)
    family = _family(config)
    model_class = getattr(family.package, f"{family.prefix}Model")
    model, report = model_class.from_pretrained(source, config=our_config(config), output_loading_info=True)
    if report["missing_keys"]:
        missing = ", ".join(sorted(report["missing_keys"])[:3])
        raise UserError(f"{source} holds no tensor for {missing}: is the checkpoint complete?")
    return model


def our_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The music2vec or musicHuBERT configuration with the architecture and settings of a stock one."""
    if config.model_type in FAMILIES:
        return config
    family = _family(config)
    given = config.to_dict()
    names = {key for key in given if hasattr(family.stock_config(), key)}
    left_out = {"model_type", "architectures", "transformers_version", "dtype", "_name_or_path", "auto_map"}
    our_class = getattr(family.package, f"{family.prefix}Config")
    top = {"average_top_k_layers": min(8, config.num_hidden_layers)} if family.prefix == "Music2Vec" else {}
    return our_class(**{key: given[key] for key in names - left_out - {"num_feat_extract_layers"}}, **top)


def _config(source: str | Path) -> PreTrainedConfig:
    try:
        return AutoConfig.from_pretrained(source)
    except (OSError, ValueError) as error:
        raise UserError(f"{source}: {first_line(error)}") from None


def _family(config: PreTrainedConfig) -> Family:
    if config.model_type not in READABLE:
        raise UserError(
            f"the model type is {config.model_type!r}, which cannot be converted; available: reference .pt files,"
            f" {', '.join(READABLE)}"
        )
    return READABLE[config.model_type]


def _from_fairseq(path: Path) -> tuple[PreTrainedModel, Wav2Vec2FeatureExtractor]:
    """The model of a reference checkpoint, and the feature extractor it was trained with."""
    checkpoint = read_checkpoint(path)
    state = state_dict_of(checkpoint)
    # Either may be an inert object, which is empty and yet holds the settings as attributes.
    settings = next((checkpoint[key] for key in ("cfg", "args") if checkpoint.get(key) is not None), None)
    config = architecture(state, settings)
    if settings is None:
        print(
            f"{path} holds no training configuration: heads, strides, post-norm layers and the normalization of "
            "waveforms are assumed to be those of the reference's base model", file=sys.stderr,
        )  # fmt: skip
    family = FAMILIES[config.model_type]
    model = getattr(family.package, f"{family.prefix}ForPreTraining")(config)
    load_fairseq_weights(model, state)
    extractor = feature_extractor_for(config)
    chosen = normalizes(settings)
    extractor.do_normalize = extractor.do_normalize if chosen is None else bool(chosen)
    return model.eval(), extractor


def _from_stock_state(config: PreTrainedConfig, state: dict[str, torch.Tensor]) -> PreTrainedModel:
    """Load the tensors of a stock pickle with transformers, which knows the old names of weight norms."""
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        tensors = {name: tensor.contiguous().clone() for name, tensor in state.items() if torch.is_tensor(tensor)}
        save_file(tensors, Path(folder) / "model.safetensors", metadata={"format": "pt"})
        return load_any(folder)


def convert(source: str | Path, destination: str | Path, to: str = "ours", dtype: torch.dtype | None = None) -> None:
    """Convert a checkpoint.

    Args:
        source: as for `load_any`.
        destination: a directory; for a reference checkpoint, a `.pt` file.
        to: "ours", "stock" (the encoder as a transformers class) or "fairseq" (a reference checkpoint).
        dtype: the type of the stored weights, except for "fairseq"; None keeps the source's.

    Raises:
        UserError: `source` cannot be read, or has no form of the kind `to`.
    """
    destination = Path(destination)
    if to == "fairseq" and destination.suffix != ".pt":
        raise UserError(f"{destination} has no .pt suffix: a reference checkpoint is one file; name it something.pt")
    if Path(source).is_file():
        model, extractor = _from_fairseq(Path(source))
    else:
        model = load_any(source)
        extractor = feature_extractor_of(source, model.config)
    if to == "ours":
        save_for_hub(model, destination, dtype, extractor)
    elif to == "stock":
        state = model.state_dict() if dtype is None else {k: v.to(dtype) for k, v in model.state_dict().items()}
        save_stock(model, state, destination, extractor)
    else:
        if not has_stock_form(model.config):
            raise UserError(f"{source} has front_end_features, which the reference does not support")
        if model.base_model is model:
            raise UserError(f"{source} is an encoder without pre-training head, which a reference checkpoint needs")
        settings = reference_settings(model.config, extractor.do_normalize)
        with whole_file(destination) as partial:
            torch.save({"model": to_fairseq(model), "cfg": settings}, partial)
