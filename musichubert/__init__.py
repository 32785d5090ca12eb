"""musicHuBERT: HuBERT on music. Importing it registers the models with the Auto classes of transformers."""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
    Wav2Vec2FeatureExtractor,
)

from .configuration_musichubert import MusicHubertConfig
from .modeling_musichubert import (
    MusicHubertForPreTraining,
    MusicHubertForPreTrainingOutput,
    MusicHubertForSequenceClassification,
    MusicHubertModel,
)

AutoConfig.register(MusicHubertConfig.model_type, MusicHubertConfig)
AutoFeatureExtractor.register(MusicHubertConfig, Wav2Vec2FeatureExtractor)
AutoModel.register(MusicHubertConfig, MusicHubertModel)
AutoModelForPreTraining.register(MusicHubertConfig, MusicHubertForPreTraining)
AutoModelForAudioClassification.register(MusicHubertConfig, MusicHubertForSequenceClassification)

__all__ = [
    "MusicHubertConfig",
    "MusicHubertForPreTraining",
    "MusicHubertForPreTrainingOutput",
    "MusicHubertForSequenceClassification",
    "MusicHubertModel",
]
