"""music2vec: data2vec 1.0 on music. Importing it registers the models with the Auto classes of transformers."""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForAudioClassification,
    AutoModelForPreTraining,
)

from .configuration_music2vec import Music2VecConfig
from .feature_extraction_music2vec import Music2VecFeatureExtractor
from .modeling_music2vec import (
    Music2VecForPreTraining,
    Music2VecForPreTrainingOutput,
    Music2VecForSequenceClassification,
    Music2VecModel,
)

AutoConfig.register(Music2VecConfig.model_type, Music2VecConfig)
AutoFeatureExtractor.register(Music2VecConfig, Music2VecFeatureExtractor)
AutoModel.register(Music2VecConfig, Music2VecModel)
AutoModelForPreTraining.register(Music2VecConfig, Music2VecForPreTraining)
AutoModelForAudioClassification.register(Music2VecConfig, Music2VecForSequenceClassification)

__all__ = [
    "Music2VecConfig",
    "Music2VecFeatureExtractor",
    "Music2VecForPreTraining",
    "Music2VecForPreTrainingOutput",
    "Music2VecForSequenceClassification",
    "Music2VecModel",
]
