"""Write a model to a directory that loads with this package, with remote code, and with transformers alone.

config.json  model.safetensors  preprocessor_config.json   the model; the two .json files name the code beside them
*.py                                                       the code of its package, for `trust_remote_code=True`
stock/                                                     the encoder as data2vec-audio or hubert, if it has that form
"""

from pathlib import Path

import torch
from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor

from musicssl.errors import UserError
from musicssl.families import family_of, feature_extractor_for, has_stock_form, stock_config
from musicssl.files import copy_whole, read_json, write_json


def save_for_hub(
    model: PreTrainedModel, directory: str | Path, dtype: torch.dtype | None = None,
    feature_extractor: Wav2Vec2FeatureExtractor | None = None,
) -> None:  # fmt: skip
    """Write a music2vec or musicHuBERT model of any class, its feature extractor, its code and its stock form.

    Args:
        model: a model with a pre-training head, with a classifier, or the bare encoder.
        directory: created if needed; files of the same names are replaced.
        dtype: the type of the stored weights; None keeps the model's. A teacher stays in float32.
        feature_extractor: the one that the model was trained with; None is the family's default.

    Raises:
        UserError: the model is of another family.
    """
    family, directory = family_of(model.config), Path(directory)
    state = model.state_dict()
    if dtype is not None:
        kept = tuple(model._keep_in_fp32_modules_strict or ())
        state = {
            name: tensor.to(dtype) if tensor.is_floating_point() and not name.startswith(kept) else tensor
            for name, tensor in state.items()
        }
    model.save_pretrained(directory, state_dict=dict(state))
    stored_dtype = {"dtype": str(dtype).removeprefix("torch.")} if dtype else {}
    _edit_json(directory / "config.json", auto_map=family.auto_map, **stored_dtype)
    extractor = feature_extractor or feature_extractor_for(model.config)
    extractor.save_pretrained(directory)
    extractor_class = type(extractor)
    if extractor_class is not Wav2Vec2FeatureExtractor:
        module = extractor_class.__module__.rpartition(".")[2]
        auto_map = {"AutoFeatureExtractor": f"{module}.{extractor_class.__name__}"}
        _edit_json(directory / "preprocessor_config.json", auto_map=auto_map)
    for path in family.code_files:
        copy_whole(path, directory / path.name)
    if has_stock_form(model.config):
        save_stock(model, state, directory / "stock", extractor)


def save_stock(
    model: PreTrainedModel, state: dict[str, torch.Tensor], directory: Path, extractor: Wav2Vec2FeatureExtractor
) -> None:
    """Write the encoder, with the tensors of `state`, as the transformers class that it inherits from.

    Raises:
        UserError: the encoder has spectra for a front end, which no transformers class has.
    """
    if not has_stock_form(model.config):
        raise UserError("an encoder with front_end_features has no stock form: transformers has no such front end")
    family = family_of(model.config)
    prefix = "" if isinstance(model, family.stock_model) else f"{model.base_model_prefix}."
    config = stock_config(model.config)
    with torch.device("meta"):
        stock = family.stock_model(config)
    stock.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}, assign=True)
    stock.save_pretrained(directory)
    Wav2Vec2FeatureExtractor(
        sampling_rate=extractor.sampling_rate, do_normalize=extractor.do_normalize,
        return_attention_mask=extractor.return_attention_mask,
    ).save_pretrained(directory)  # fmt: skip


def _edit_json(path: Path, **changes: object) -> None:
    write_json(path, {**read_json(path), **changes}, sort_keys=True)
