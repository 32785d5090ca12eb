"""Configuration of music2vec: data2vec 1.0 for audio, with the reference's defaults.

The reference is fairseq's `examples/data2vec/config/audio/pretraining/base_librispeech.yaml`.
"""

from transformers import Data2VecAudioConfig

# What version 0.1.0 wrote into every config.json, at the only values that can still be loaded.
FORMER_SETTINGS = {
    "drop_masked_frames": False,
    "decoder_layers": 4,
    "decoder_dim": 384,
    "decoder_kernel": 7,
    "decoder_groups": 16,
}


def without_former_settings(settings: dict) -> dict:
    """The settings without those that only version 0.1.0 had.

    Raises:
        ValueError: `drop_masked_frames` is true; else none of them had an effect.
    """
    if settings.get("drop_masked_frames"):
        raise ValueError(
            "drop_masked_frames is true, which this version does not support: use version 0.1.0 of"
            " music2vec-musichubert"
        )
    return {name: value for name, value in settings.items() if name not in FORMER_SETTINGS}


class Music2VecConfig(Data2VecAudioConfig):
    """Everything that defines a music2vec model; the settings that are not listed are those of `Data2VecAudioConfig`.

    Args:
        average_top_k_layers: the number of top layers of the teacher whose feed-forward outputs are averaged.
        ema_decay: the teacher's decay at update 0; it rises linearly to `ema_end_decay`.
        ema_end_decay: the decay from update `ema_anneal_end_step` on.
        ema_anneal_end_step: the number of updates over which the decay rises.
        loss_scale: factor of the summed squared error of a frame; None is 1 / sqrt(hidden_size).
        sampling_rate: of the waveforms that the model was trained on, in Hz.
    """

    model_type = "music2vec"

    # Where the Hugging Face defaults differ from the reference's.
    activation_dropout: float | int = 0.0
    layerdrop: float | int = 0.05

    average_top_k_layers: int = 8
    ema_decay: float = 0.999
    ema_end_decay: float = 0.9999
    ema_anneal_end_step: int = 30_000
    loss_scale: float | None = None
    sampling_rate: int = 16_000

    def __post_init__(self, **kwargs):
        super().__post_init__(**without_former_settings(kwargs))
        if not 1 <= self.average_top_k_layers <= self.num_hidden_layers:
            raise ValueError(
                f"average_top_k_layers is {self.average_top_k_layers}: choose 1 to num_hidden_layers"
                f" ({self.num_hidden_layers})"
            )


__all__ = ["Music2VecConfig"]
