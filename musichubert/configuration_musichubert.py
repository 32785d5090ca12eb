"""Configuration of musicHuBERT: HuBERT base, with the reference's defaults.

The reference is fairseq's `examples/hubert/config/pretrain/hubert_base_librispeech.yaml`.
"""

from dataclasses import field

from transformers import HubertConfig

from .spectral_front_end import spectral_width


class MusicHubertConfig(HubertConfig):
    """Everything that defines a musicHuBERT model; what is not listed is inherited from `HubertConfig`.

    Args:
        front_end_features: acoustic features ("logmel229", "cqt84", ...) that take the place of the convolutions;
            `conv_dim` then ends with their width and `conv_kernel`, `conv_stride` only tell the frame rate. None as
            the reference.
        num_clusters: K of the codebook, or one K for each of several codebooks.
        num_reserved_classes: classes before the first cluster that no label names. The reference's dictionary has
            four (<s>, <pad>, </s>, <unk>), which act as permanent negatives.
        projection_dim: width of the space in which frames and label embeddings are compared.
        logit_temperature: the cosine similarities are divided by it.
        feature_gradient_scale: factor of the gradient that reaches the convolutions. Adam all but undoes a factor;
            0 freezes them.
        feature_penalty_weight: weight of the mean square of the convolutional features.
        auxiliary_dim: width of an auxiliary regression target, such as a constant-Q transform; 0 is none.
        auxiliary_weight: weight of its mean squared error.
        normalize_auxiliary: scale each clip's auxiliary target to zero mean and unit variance over frames and bins, so
            that a target in decibels or nats needs no large bias and loud clips weigh no more than soft ones.
        unmasked_weight: weight of the mean loss at unmasked frames; 0 as the reference (its `pred_nomask_weight`). An
            encoder trained briefly forgets what it hears unless it must also name what it is shown.
        sampling_rate: of the waveforms the model was trained on, in Hz.
        label_features: what the labels were clustered from, one name per codebook ("mfcc39", "layer6").
        label_rate_hz: labels per second as the model is given them.
        codebook_hashes: identity of the codebooks it was trained on.
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
