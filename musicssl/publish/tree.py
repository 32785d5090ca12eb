"""Write the tree that is published: loadable with this package, with remote code, and with transformers alone.

config.json  model.safetensors  preprocessor_config.json     ours; the two .json name the code beside them
configuration_*.py  modeling_*.py  feature_extraction_*.py    the code, for `trust_remote_code=True`
stock/                                                       the encoder as data2vec-audio or hubert, if it is one
"""

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PreTrainedConfig,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
)

import music2vec
import musichubert
from musicssl.errors import UserError


@dataclass(frozen=True)
class Family:
    """What the Hub needs to know of one of the two models.

    Attributes:
        package: where its classes and code files are.
        prefix: the start of its class names.
        stock_config, stock_model: the transformers classes its encoder inherits.
        do_normalize: whether the encoder takes waveforms of zero mean and unit variance.
        needs: further modules of the package that the classes import.
    """

    package: object
    prefix: str
    stock_config: type[PreTrainedConfig]
    stock_model: type[PreTrainedModel]
    do_normalize: bool
    needs: tuple[str, ...] = ()

    @property
    def code_files(self) -> list[Path]:
        """The files that define the classes; each imports only transformers, torch and its neighbours."""
        folder = Path(self.package.__file__).parent
        parts = ("configuration_*", "modeling_*", "feature_extraction_*", *self.needs)
        return sorted(path for part in parts for path in folder.glob(f"{part}.py"))

    @property
    def auto_map(self) -> dict[str, str]:
        """Where an Auto class finds its class among the code files."""
        name = self.package.__name__
        modeling = f"modeling_{name}.{self.prefix}"
        return {
            "AutoConfig": f"configuration_{name}.{self.prefix}Config",
            "AutoModel": f"{modeling}Model",
            "AutoModelForPreTraining": f"{modeling}ForPreTraining",
            "AutoModelForAudioClassification": f"{modeling}ForSequenceClassification",
        }


FAMILIES = {
    "music2vec": Family(
        music2vec, "Music2Vec", Data2VecAudioConfig, Data2VecAudioModel, do_normalize=True, needs=("visible_frames",)
    ),
    "musichubert": Family(
        musichubert, "MusicHubert", HubertConfig, HubertModel, do_normalize=False,
        needs=("spectral_front_end", "acoustic_features", "constant_q", "errors"),
    ),
}  # fmt: skip


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a music2vec or musicHuBERT configuration; UserError for any other."""
    if config.model_type not in FAMILIES:
        raise UserError(
            f"the model type is {config.model_type!r}: only {' and '.join(FAMILIES)} models can be published;"
            " `musicssl convert` makes one from stock or reference weights"
        )
    return FAMILIES[config.model_type]


def feature_extractor_for(config: PreTrainedConfig) -> Wav2Vec2FeatureExtractor:
    """What the family's pre-training does to a waveform, as a feature extractor; a run may have chosen otherwise."""
    family = family_of(config)
    extractor_class = getattr(family.package, f"{family.prefix}FeatureExtractor", Wav2Vec2FeatureExtractor)
    # A padded batch needs the mask where every convolution has a layer norm; a group norm over time cannot use it.
    has_layer_norms = getattr(config, "feat_extract_norm", "layer") == "layer"
    takes_mask = has_layer_norms and not getattr(config, "front_end_features", None)
    return extractor_class(
        sampling_rate=config.sampling_rate, do_normalize=family.do_normalize, return_attention_mask=takes_mask
    )


def feature_extractor_of(source: str | Path, config: PreTrainedConfig) -> Wav2Vec2FeatureExtractor:
    """The family's feature extractor, normalising as `source` does, where a directory or Hub id says so."""
    extractor = feature_extractor_for(config)
    is_here = Path(source).exists()
    if is_here and not (Path(source) / "preprocessor_config.json").is_file():
        return extractor  # weights alone: as the reference trained the family
    try:
        extractor.do_normalize = AutoFeatureExtractor.from_pretrained(source).do_normalize
    except OSError:
        if is_here:  # a damaged file; a repository on the Hub may hold weights alone
            raise
    return extractor


def save_for_hub(
    model: PreTrainedModel, directory: str | Path, dtype: torch.dtype | None = None,
    feature_extractor: Wav2Vec2FeatureExtractor | None = None,
) -> None:  # fmt: skip
    """Write the published tree of a music2vec or musicHuBERT model of any class.

    Args:
        model: with pre-training head, with classifier, or the bare encoder.
        directory: made when it is not there; files of the same names are replaced.
        dtype: of the stored weights; None keeps the model's. A teacher stays fp32.
        feature_extractor: the one its run was trained with; None is the family's.

    Raises:
        UserError: the model is of another family.
    """
    family, directory = family_of(model.config), Path(directory)
    state = model.state_dict()
    if dtype is not None:
        kept = tuple(model._keep_in_fp32_modules_strict or ())
        state = {name: _cast(tensor, dtype, name.startswith(kept)) for name, tensor in state.items()}
    model.save_pretrained(directory, state_dict=dict(state))
    _edit_json(directory / "config.json", auto_map=family.auto_map, **({"dtype": _name(dtype)} if dtype else {}))

    extractor = feature_extractor or feature_extractor_for(model.config)
    extractor.save_pretrained(directory)
    extractor_class = type(extractor)
    if extractor_class is not Wav2Vec2FeatureExtractor:
        module = extractor_class.__module__.rpartition(".")[2]
        _edit_json(
            directory / "preprocessor_config.json",
            auto_map={"AutoFeatureExtractor": f"{module}.{extractor_class.__name__}"},
        )
    for path in family.code_files:
        shutil.copyfile(path, directory / path.name)
    if has_stock_form(model.config):
        save_stock(model, state, directory / "stock", extractor)


def save_stock(
    model: PreTrainedModel, state: dict[str, torch.Tensor], directory: Path,
    feature_extractor: Wav2Vec2FeatureExtractor | None = None,
) -> None:  # fmt: skip
    """Write the encoder, with the tensors of `state`, as the transformers class that it inherits.

    Raises:
        UserError: that class has no such front end.
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
    extractor = feature_extractor or feature_extractor_for(model.config)
    Wav2Vec2FeatureExtractor(
        sampling_rate=extractor.sampling_rate, do_normalize=extractor.do_normalize,
        return_attention_mask=extractor.return_attention_mask,
    ).save_pretrained(directory)  # fmt: skip


def has_stock_form(config: PreTrainedConfig) -> bool:
    """Whether transformers alone can load the encoder."""
    return not getattr(config, "front_end_features", None)


def stock_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The data2vec-audio or hubert configuration of the same encoder."""
    stock_class = family_of(config).stock_config
    names = {field.name for field in dataclasses.fields(stock_class)} - {"architectures", "transformers_version"}
    return stock_class(**{name: value for name, value in config.to_dict().items() if name in names})


def assemble(
    run_directory: str | Path, directory: str | Path, dtype: torch.dtype | None = None, **card: str | None
) -> None:
    """Write the whole repository of a run: the model's tree, its recipe, curves, codebook, results and card.

    Args:
        card: `model_id`, `licence` and `data_description` of `musicssl.publish.card.write_card`.

    Raises:
        UserError: there is no loadable model in `run_directory`.
    """
    from musicssl.publish.card import write_card

    run_directory, directory = Path(run_directory), Path(directory)
    model = load_whole(run_directory)
    save_for_hub(model, directory, dtype, feature_extractor_of(run_directory, model.config))
    for name in ("recipe.yaml", "iteration_recipe.yaml", "metrics.jsonl", "results.json", "environment.json"):
        if (run_directory / name).is_file():
            shutil.copyfile(run_directory / name, directory / name)
    if (run_directory / "codebook").is_dir():
        shutil.copytree(run_directory / "codebook", directory / "codebook", dirs_exist_ok=True)
    write_card(directory, **card)


def load_whole(directory: Path) -> PreTrainedModel:
    """The model that a directory holds, with every head it was saved with, in the dtype it is stored in.

    Raises:
        UserError: no safetensors, a damaged file, or a model type that is not ours.
    """
    check_model_directory(directory)
    config = AutoConfig.from_pretrained(directory)
    model_class = getattr(family_of(config).package, (config.architectures or [""])[0], None)
    if model_class is None:
        raise UserError(f"{directory / 'config.json'}: architectures {config.architectures} names no class of ours")
    return model_class.from_pretrained(directory)


def check_model_directory(directory: Path) -> None:
    """Refuse, before any weight is read, a directory that holds no safe and whole model.

    Raises:
        UserError: no configuration, an unknown model type, a pickle instead of safetensors, a truncated file.
    """
    from safetensors import SafetensorError, safe_open

    if not (directory / "config.json").is_file():
        raise UserError(f"{directory} holds no config.json: give the output directory of a run, or a Hub id")
    try:
        AutoConfig.from_pretrained(directory)
    except (ValueError, OSError) as error:
        raise UserError(f"{directory / 'config.json'}: {str(error).strip().splitlines()[0]}") from None
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        pickles = [path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern)]
        found = f" but {', '.join(pickles)}, a pickle, which can run code when it is read" if pickles else ""
        raise UserError(
            f"{directory} holds no model.safetensors{found}: `musicssl convert` reads a pickle's tensors without"
            " running it and writes safetensors"
        )
    for path in weights:
        try:
            with safe_open(path, framework="pt") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} is damaged ({error}): download or copy it again") from None


def _cast(tensor: torch.Tensor, dtype: torch.dtype, keep: bool) -> torch.Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() and not keep else tensor


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _edit_json(path: Path, **changes: object) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}, indent=2, sort_keys=True) + "\n")
