"""Every flag of run_pretraining.py, each also a recipe key. A comment says why a default is what it is.

The defaults that both models share are the reference's (fairseq `base_librispeech.yaml` of data2vec audio,
`hubert_base_librispeech.yaml` of HuBERT); those that differ between the models are in `recipes/`.
"""

from dataclasses import dataclass, field
from typing import Literal

KEY_VALUE = {"action": "extend", "metavar": "KEY=VALUE"}


def _flag(help_text: str, default=None, **metadata):
    return field(default=default, metadata={"help": help_text, **metadata})


def _list_flag(help_text: str, **metadata):
    return field(default_factory=list, metadata={"help": help_text, **metadata})


@dataclass
class ModelArguments:
    model: Literal["music2vec", "musichubert"] | None = _flag("which model to pre-train")
    # A recipe writes a mapping; on the command line: --model_config hidden_size=192 num_hidden_layers=3
    model_config: list[str] = _list_flag("settings of the model's configuration class", **KEY_VALUE)
    init_from: str | None = _flag("checkpoint (directory or Hub id) to start from, also a published speech one")
    # Not in the reference: a short training otherwise spends itself on making random convolutions tell sounds apart.
    data_dependent_init: bool = _flag("fit the front end's gains and projection to some audio before training", False)
    # None: what the reference does (music2vec: yes, musicHuBERT: no).
    normalize_waveform: bool | None = _flag("normalise each clip to zero mean and unit variance")
    attention: Literal["sdpa", "eager", "flash_attention_2", "flex_attention"] = _flag("attention kernel", "sdpa")
    # cuDNN's backward gave NaN after 65k bf16 steps on H100 for others, so it is opt-in there (pocket-tts#264).
    sdpa_backend: Literal["auto", "flash", "efficient", "cudnn", "math"] = _flag("which SDPA kernel", "auto")
    gradient_checkpointing: bool = _flag("recompute activations in the backward pass: less memory", False)
    compile: bool = _flag("torch.compile the model (sets its LayerDrop to 0)", False)


@dataclass
class DataArguments:
    train_data: list[str] = _list_flag("audio folders, parquet, tars or Hub ids; weights as SOURCE=0.7")
    validation_data: list[str] = _list_flag("held-out audio, same forms as --train_data")
    crop_seconds: float = _flag("length of the random crops", 30.0)
    # fairseq drops clips shorter than min_sample_size = 32000 samples.
    min_seconds: float = _flag("clips shorter than this are skipped", 2.0)
    short_clips: Literal["drop", "own_length"] = _flag(
        "clips shorter than the crop: drop, or batch those of equal length", "drop"
    )
    channel_mode: Literal["mean", "left", "random"] = _flag("how stereo becomes mono", "mean")
    # 320 removes the +-80 sample jitter between labels and frames that the reference has.
    crop_start_multiple: int = _flag("crops start at multiples of so many samples", 1)
    num_workers: int = _flag("decoding processes per training process", 0)
    buffer_clips: int = _flag("clips of shards are shuffled among so many neighbours", 1024)
    max_bad_fraction: float = _flag("stop when more than this share of the clips is damaged", 0.02)


@dataclass
class MaskArguments:
    mask_probability: float = _flag("share of frames that spans would cover without overlap", 0.65)
    mask_span: int = _flag("frames per masked span", 10)
    min_mask_spans: int = _flag("spans per clip at least", 1)
    # data2vec 2.0's idea (arXiv:2212.07525); the reference has one.
    masks_per_clip: int = _flag("masks of each crop that share the front end and the teacher's pass", 1)
    # require_same_masks of the reference: it lowers the realised fraction, more so for short crops and large groups.
    equal_mask_counts: bool = _flag("trim all clips of a micro-batch to the same number of masked frames", True)


@dataclass
class LabelArguments:
    label_features: list[str] = _list_flag("what is clustered, one codebook each: mfcc39 chroma24 ... or layer6")
    num_clusters: list[int] = _list_flag("clusters, one number per codebook")
    label_model: str | None = _flag("earlier checkpoint whose layer is clustered (label_features: layerN)")
    codebook: list[str] = _list_flag("fitted codebook directories to use instead of fitting")
    # After breathing on a part of them, 10 beat the reference's MiniBatchKMeans (benchmarks/kmeans.py).
    kmeans_iterations: int = _flag("k-means passes over all sampled frames", 10)
    kmeans_restarts: int = _flag("k-means runs from other starts; the best is kept", 1)
    kmeans_init: Literal["afkmc2", "kmeans++", "random"] = _flag("how the first centroids are drawn", "afkmc2")
    # Neither is done by the reference.
    kmeans_standardise: bool = _flag("cluster features of zero mean and unit variance", False)
    kmeans_spherical: bool = _flag("cluster directions: features and centroids of unit length", False)
    kmeans_max_points_per_cluster: int = _flag("frames sampled per cluster for the fit", 1000)
    kmeans_budget_mb: int = _flag("memory for the sampled frames", 2000)
    label_statistics_seconds: float = _flag("seconds of audio to draw the frames from at most; 0: all", 0.0)
    store_labels: bool = _flag("write all labels to disk once instead of computing them on the fly", False)
    auxiliary_features: str | None = _flag("acoustic feature for the regression head (cqt336 as in MERT)")
    # A recipe writes a list of mappings; on the command line each is one JSON string.
    iterations: list[str] = _list_flag("HuBERT iterations: {features, clusters, updates} each", metavar="JSON")
    # The reference starts each iteration from fresh weights.
    init_from_previous: bool = _flag("start an iteration from the weights of the one before", False)


@dataclass
class OptimisationArguments:
    max_updates: int = _flag("optimiser updates", 400_000)
    # Seconds of audio, not clips: the same recipe holds for any crop length and number of devices.
    audio_seconds_per_update: float = _flag("batch: seconds of audio over all devices", 3800.0)
    # The reference packs whole crops on each of its devices: 16 x floor(237.5 s / 30 s) = 112 crops, on any machine.
    packing_devices: int = _flag("devices over whose equal shares of audio whole crops are counted", 1)
    micro_batch_clips: int | None = _flag("clips per forward pass on a device; default: the most that fits")
    learning_rate: float = _flag("peak learning rate", 5e-4)
    schedule: Literal["tri_stage", "polynomial"] = _flag("learning rate schedule", "tri_stage")
    # fairseq phase_ratio [0.03, 0.9, 0.07], init_lr_scale and final_lr_scale 0.01.
    schedule_phases: list[float] = field(
        default_factory=lambda: [0.03, 0.9, 0.07],
        metadata={"help": "tri_stage: shares of warm-up, hold and decay"},
    )
    warmup_updates: int = _flag("polynomial: updates of linear warm-up from 0", 32_000)
    adam_beta1: float = _flag("AdamW beta 1", 0.9)
    adam_beta2: float = _flag("AdamW beta 2", 0.98)
    adam_epsilon: float = _flag("AdamW epsilon", 1e-6)
    # On every parameter, biases and norms too, as the reference.
    weight_decay: float = _flag("decoupled weight decay", 0.01)
    max_grad_norm: float = _flag("clip the global gradient norm; 0: do not clip", 0.0)
    # The reference moves the teacher once per micro-batch, so set this to its update_freq to copy it.
    ema_steps_per_update: int = _flag("teacher steps per update (music2vec)", 1)
    seed: int = _flag("seed of weights, crops, masks and dropout", 1)
    mixed_precision: Literal["auto", "no", "bf16"] = _flag("auto: bf16 on a GPU, fp32 on a CPU and on mps", "auto")
    tf32: bool = _flag("TF32 matrix products for what stays in fp32 (CUDA)", True)


@dataclass
class HealthArguments:
    max_nonfinite_updates: int = _flag("stop after so many NaN or Inf updates in a row", 10)
    # data2vec's own guards: min_target_var 0.1, min_pred_var 0.01 (they are standard deviations), after 5000 updates.
    collapse_grace_updates: int = _flag("updates before the collapse guards act", 5000)
    min_target_std: float = _flag("music2vec: stop below this std of the targets", 0.1)
    min_prediction_std: float = _flag("music2vec: stop below this std of the predictions", 0.01)
    min_label_perplexity: float = _flag("musicHuBERT: stop below this perplexity of the labels in use", 2.0)
    # A data2vec loss may rise while all is well (the targets grow), hence a choice.
    divergence_action: Literal["stop", "warn"] = _flag("what a diverging loss does", "stop")
    divergence_margin: float = _flag("share by which the smoothed loss may exceed its best", 0.2)
    divergence_updates: int = _flag("updates in a row above the margin that count as divergence", 2000)


@dataclass
class RunArguments:
    output_dir: str | None = _flag("where the run is written")
    resume: str = _flag("auto: the newest checkpoint of --output_dir; a checkpoint directory; none", "auto")
    checkpoint_every: int = _flag("updates between checkpoints", 5000)
    keep_checkpoints: int = _flag("newest checkpoints kept", 2)
    keep_best: bool = _flag("also keep the checkpoint with the lowest validation loss", True)
    log_every: int = _flag("updates between rows of metrics.jsonl", 100)
    validate_every: int = _flag("updates between validations (also at each checkpoint)", 5000)
    validation_clips: int = _flag("held-out clips per validation at most", 256)
    log_with: list[str] = _list_flag("Accelerate trackers: tensorboard, trackio, wandb ...")
    push_to_hub: bool = _flag("push the model while and after training", False)
    hub_model_id: str | None = _flag("Hub repository to push to")
    hub_private: bool = _flag("a Hub repository made by the push is private", True)
    push_every: int = _flag("push every so many checkpoints, and the last", 1)
    dry_run: bool = _flag("print geometry, parameters, FLOPs, memory and time, and stop", False)


@dataclass
class Arguments(
    RunArguments,
    HealthArguments,
    OptimisationArguments,
    LabelArguments,
    MaskArguments,
    DataArguments,
    ModelArguments,
):
    """All flags, flat: `arguments.learning_rate`. `musicssl.pretraining.config.parsing.parse_arguments` makes one."""

    recipe_name: str | None = _flag("name shown in logs and the model card; default: the recipe file's")
