"""The two model families: what distinguishes them, their feature extractors, and how a saved model is loaded."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from safetensors import SafetensorError, safe_open
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
from transformers.utils.logging import disable_progress_bar

import music2vec
import musichubert
from musicssl.errors import UserError, first_line

disable_progress_bar()  # Transformers draws one for every load and save, even of a model of a few megabytes


@dataclass(frozen=True)
class Family:
    """One of the two models.

    Attributes:
        package: where its classes and code files are.
        prefix: the start of its class names.
        stock_config, stock_model: the transformers classes that its encoder inherits from.
        do_normalize: whether the encoder takes waveforms of zero mean and unit variance.
    """

    package: ModuleType
    prefix: str
    stock_config: type[PreTrainedConfig]
    stock_model: type[PreTrainedModel]
    do_normalize: bool

    @property
    def code_files(self) -> list[Path]:
        """The files of the package that are published beside the weights: all of them, except `__init__.py`.

        Each imports only transformers, torch, numpy and its neighbours.
        """
        folder = Path(self.package.__path__[0])
        return sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")

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
    "music2vec": Family(music2vec, "Music2Vec", Data2VecAudioConfig, Data2VecAudioModel, do_normalize=True),
    "musichubert": Family(musichubert, "MusicHubert", HubertConfig, HubertModel, do_normalize=False),
}


def family_of(config: PreTrainedConfig) -> Family:
    """The family of a music2vec or musicHuBERT configuration; UserError for any other."""
    if config.model_type not in FAMILIES:
        raise UserError(
            f"the model type is {config.model_type!r}, not {' or '.join(FAMILIES)}: `musicssl convert` makes such a"
            " model from stock or reference weights"
        )
    return FAMILIES[config.model_type]


def feature_extractor_for(config: PreTrainedConfig) -> Wav2Vec2FeatureExtractor:
    """The feature extractor that treats a waveform as the family's pre-training does by default."""
    family = family_of(config)
    extractor_class = getattr(family.package, f"{family.prefix}FeatureExtractor", Wav2Vec2FeatureExtractor)
    # A padded batch needs the mask where every convolution has a layer norm; a group norm over time cannot use it.
    has_layer_norms = getattr(config, "feat_extract_norm", "layer") == "layer"
    takes_mask = has_layer_norms and not getattr(config, "front_end_features", None)
    return extractor_class(
        sampling_rate=config.sampling_rate, do_normalize=family.do_normalize, return_attention_mask=takes_mask
    )


def feature_extractor_of(source: str | Path, config: PreTrainedConfig) -> Wav2Vec2FeatureExtractor:
    """The family's feature extractor, with the normalization of `source`: a directory or a Hub id.

    Where `source` does not say whether it normalizes, the family's default holds.
    """
    extractor = feature_extractor_for(config)
    is_here = Path(source).exists()
    if is_here and not (Path(source) / "preprocessor_config.json").is_file():
        return extractor
    try:
        extractor.do_normalize = AutoFeatureExtractor.from_pretrained(source).do_normalize
    except OSError:
        if is_here:  # the file is damaged; a repository on the Hub may hold weights only
            raise
    return extractor


def has_stock_form(config: PreTrainedConfig) -> bool:
    """Whether transformers alone can load the encoder."""
    return not getattr(config, "front_end_features", None)


def stock_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The data2vec-audio or hubert configuration of the same encoder."""
    stock_class = family_of(config).stock_config
    names = {field.name for field in dataclasses.fields(stock_class)} - {"architectures", "transformers_version"}
    return stock_class(**{name: value for name, value in config.to_dict().items() if name in names})


def load_whole(directory: Path) -> PreTrainedModel:
    """Load the model of a directory with every head it was saved with, in the dtype it is stored in.

    Raises:
        UserError: there are no safetensors, a file is damaged, or the model is of another family.
    """
    check_model_directory(directory)
    config = AutoConfig.from_pretrained(directory)
    model_class = getattr(family_of(config).package, (config.architectures or [""])[0], None)
    if model_class is None:
        raise UserError(f"{directory / 'config.json'}: architectures {config.architectures} names none of our classes")
    return model_class.from_pretrained(directory)


def check_model_directory(directory: Path) -> None:
    """Refuse a directory without a complete and safe model, before any weight is read.

    Raises:
        UserError: no configuration, an unknown model type, a pickle instead of safetensors, or a truncated file.
    """
    if not (directory / "config.json").is_file():
        raise UserError(f"{directory} holds no config.json: give the output directory of a run or a Hub id")
    try:
        AutoConfig.from_pretrained(directory)
    except (ValueError, OSError) as error:
        raise UserError(f"{directory / 'config.json'}: {first_line(error)}") from None
    weights = sorted(directory.glob("*.safetensors"))
    if not weights:
        pickles = [path.name for pattern in ("*.bin", "*.pt", "*.pth") for path in directory.glob(pattern)]
        found = f", only the pickle {', '.join(pickles)}, which can run code when it is loaded" if pickles else ""
        raise UserError(
            f"{directory} holds no model.safetensors{found}: convert it with `musicssl convert`, which reads the"
            " tensors of a pickle without running its code and writes safetensors"
        )
    for path in weights:
        try:
            with safe_open(path, framework="pt") as tensors:
                tensors.keys()
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path} is damaged ({error}): download or copy it again") from None
