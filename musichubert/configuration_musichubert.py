"""Configuration of musicHuBERT: HuBERT base, with the reference's defaults.

The reference is fairseq's `examples/hubert/config/pretrain/hubert_base_librispeech.yaml`.
"""

from dataclasses import field

from transformers import HubertConfig

from .spectral_front_end import spectral_width


class MusicHubertConfig(HubertConfig):
    """Everything that defines a musicHuBERT model; the settings that are not listed are those of `HubertConfig`.

    Args:
        front_end_features: acoustic features ("logmel229", "cqt84", ...) that replace the convolutions; the last
            entry of `conv_dim` is then their width, and `conv_kernel` and `conv_stride` only give the frame rate. The
            reference has none.
        num_clusters: K of the codebook, or one K for each of several codebooks.
        num_reserved_classes: classes before the first cluster that are never a label. The reference's dictionary has
            four (<s>, <pad>, </s>, <unk>), which act as permanent negatives.
        projection_dim: width of the space in which frames and label embeddings are compared.
        logit_temperature: divisor of the cosine similarities.
        feature_gradient_scale: factor of the gradient that reaches the convolutions; 0 freezes them. Adam almost
            cancels any other factor.
        feature_penalty_weight: weight of the mean square of the convolutional features.
        auxiliary_dim: width of an auxiliary regression target, such as a constant-Q transform; 0 is none.
        auxiliary_weight: weight of its mean squared error.
        normalize_auxiliary: whether each clip's auxiliary target is scaled to zero mean and unit variance over frames
            and bins, so that a target in decibels or nats needs no large bias and loud clips weigh no more than soft
            ones.
        unmasked_weight: weight of the mean loss at unmasked frames; 0 as in the reference (its `pred_nomask_weight`).
            In short runs this loss keeps the encoder from discarding its input.
        sampling_rate: of the waveforms that the model was trained on, in Hz.
        label_features: the features that were clustered, one name per codebook ("mfcc39", "layer6").
        label_rate_hz: labels per second, as the model takes them.
        codebook_hashes: the hashes of the codebooks that the model was trained on.
    """

    model_type = "musichubert"

    # Where the Hugging Face defaults differ from the reference's.
    activation_dropout: float | int = 0.0
    feat_proj_dropout: float | int = 0.1
    layerdrop: float | int = 0.05

    front_end_features: list[str] = field(default_factory=list)
    num_clusters: int | list[int] = 500
    num_reserved_classes: int = 4
    projection_dim: int = 256
    logit_temperature: float = 0.1
    feature_gradient_scale: float = 0.1
    feature_penalty_weight: float = 10.0
    auxiliary_dim: int = 0
    auxiliary_weight: float = 1.0
    normalize_auxiliary: bool = False
    unmasked_weight: float = 0.0
    sampling_rate: int = 16_000
    label_features: list[str] = field(default_factory=list)
    label_rate_hz: float = 50.0
    codebook_hashes: list[str] = field(default_factory=list)

    def __post_init__(self, **kwargs):
        if self.front_end_features:
            self.conv_dim = [*self.conv_dim[:-1], spectral_width(self.front_end_features)]
        super().__post_init__(**kwargs)
        if not self.clusters_per_codebook or min(self.clusters_per_codebook) < 1:
            raise ValueError(f"num_clusters is {self.num_clusters}: give a positive number for each codebook")

    @property
    def clusters_per_codebook(self) -> list[int]:
        """`num_clusters` as a list, one entry for each codebook."""
        return [self.num_clusters] if isinstance(self.num_clusters, int) else list(self.num_clusters)


__all__ = ["MusicHubertConfig"]
