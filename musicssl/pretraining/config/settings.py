"""Every flag of pre-training, in groups. A comment gives the source or the reason of a default.

The defaults that both models share are the reference's (fairseq `base_librispeech.yaml` of data2vec audio,
`hubert_base_librispeech.yaml` of HuBERT); those that differ between the models are in the recipes.
"""

import difflib
from dataclasses import Field, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

from musicssl.errors import UserError
from musicssl.flags import FRACTION, NOT_NEGATIVE, POSITIVE, Limit, convert, flag, former_names
from musicssl.labels.settings import LabelConfig

# The reference normalizes waveforms for data2vec (normalize: true) but not for HuBERT base (normalize: false).
NORMALIZE = {"music2vec": True, "musichubert": False}


@dataclass(frozen=True)
class ModelConfig:
    """The model, its first weights and its kernels."""

    model: Literal["music2vec", "musichubert"] | None = flag("model to pre-train")
    # A recipe writes a mapping; on the command line: --model_config hidden_size=192 num_hidden_layers=3
    model_config: dict[str, Any] = flag(
        "settings of the model's configuration class", {}, metavar="KEY=VALUE", example="hidden_size=192"
    )
    init_from: str | None = flag(
        "checkpoint (directory or Hub id) to take the first weights from; published speech models work too",
        metavar="DIR_OR_ID",
    )
    # Not in the reference: a short training otherwise spends its updates on random convolutions that hardly tell
    # sounds apart.
    data_dependent_init: bool = flag("set the scale of the input layers from some audio before training", False)
    # None: what the reference does.
    normalize_waveform: bool | None = flag(
        "normalize each clip to zero mean and unit variance (default: true for music2vec, false for musicHuBERT)"
    )
    attention: Literal["sdpa", "eager", "flash_attention_2", "flex_attention"] = flag(
        "implementation of attention; sdpa is PyTorch's scaled_dot_product_attention", "sdpa"
    )
    # cuDNN's backward gave NaN after 65k bf16 steps on H100 for others, so it is opt-in there (pocket-tts#264).
    sdpa_backend: Literal["auto", "flash", "efficient", "cudnn", "math"] = flag("kernel of SDPA attention", "auto")
    gradient_checkpointing: bool = flag("recompute activations in the backward pass to save memory", False)
    compile: bool = flag("torch.compile the model; LayerDrop is then switched off", False)

    @property
    def family(self) -> Literal["music2vec", "musichubert"]:
        """The model to pre-train; UserError when none was given."""
        if self.model is None:
            raise UserError("--model is missing: give --config NAME for a recipe, or --model music2vec or musichubert")
        return self.model

    @property
    def normalizes(self) -> bool:
        """Whether waveforms are normalized: by flag, else as the model's reference does."""
        return NORMALIZE[self.family] if self.normalize_waveform is None else self.normalize_waveform


@dataclass(frozen=True)
class DataConfig:
    """Audio and crops."""

    train_data: tuple[str, ...] = flag(
        "training audio: folders, parquet files, tars or Hub ids, with weights as SOURCE=0.7", (), metavar="SOURCE"
    )
    validation_data: tuple[str, ...] = flag(
        "held-out audio, in the same forms as --train_data", (), metavar="SOURCE", may_change=True
    )
    crop_seconds: float = flag("length of the random crops in seconds", 30.0, POSITIVE)
    # fairseq drops clips shorter than min_sample_size = 32000 samples.
    min_seconds: float = flag("skip clips shorter than this, in seconds", 2.0, NOT_NEGATIVE)
    short_clips: Literal["drop", "own_length"] = flag(
        "clips shorter than the crop: drop them, or batch clips of equal length", "drop"
    )
    channel_mode: Literal["mean", "left", "random"] = flag("how stereo becomes mono", "mean")
    # 320 removes the +-80 sample jitter between labels and frames that the reference has.
    crop_start_multiple: int = flag("start crops at multiples of this many samples", 1, POSITIVE)
    num_workers: int = flag("number of processes that decode audio, per training process", 0, NOT_NEGATIVE)
    buffer_clips: int = flag("size of the buffer that shuffles the clips of shards, in clips", 1024, POSITIVE)
    max_bad_fraction: float = flag(
        "stop when more than this share of the clips is damaged", 0.02, FRACTION, may_change=True
    )


@dataclass(frozen=True)
class MaskingConfig:
    """Masked frames."""

    mask_probability: float = flag("share of frames to mask if spans did not overlap", 0.65, FRACTION)
    mask_span: int = flag("length of a masked span in frames", 10, POSITIVE)
    min_mask_spans: int = flag("smallest number of masked spans per clip", 1, NOT_NEGATIVE)
    # data2vec 2.0's idea (arXiv:2212.07525); the reference has one.
    masks_per_clip: int = flag(
        "number of masks per crop; they share the front end and the teacher's forward pass", 1, POSITIVE
    )
    # require_same_masks of the reference: it lowers the realized fraction, more so for short crops and large groups.
    equal_mask_counts: bool = flag("reduce all clips of a micro-batch to the same number of masked frames", True)


@dataclass(frozen=True)
class OptimisationConfig:
    """Batch, learning rate and precision."""

    max_updates: int = flag("number of optimizer updates", 400_000, POSITIVE)
    # Seconds of audio, not clips: the same recipe holds for any crop length and number of devices.
    audio_seconds_per_update: float = flag("batch size: seconds of audio over all devices", 3800.0, POSITIVE)
    # The reference packs whole crops on each of its devices: 16 x floor(237.5 s / 30 s) = 112 crops, on any machine.
    packing_devices: int = flag(
        "split the batch as the reference did on N devices: each share is rounded down to whole crops", 1, POSITIVE,
    )  # fmt: skip
    micro_batch_clips: int | None = flag(
        "clips per forward pass on a device (default: as many as fit)",
        limit=Limit(lambda value: value >= 1, "must be at least 1, or left out"),
    )
    learning_rate: float = flag("peak learning rate", 5e-4, POSITIVE)
    schedule: Literal["tri_stage", "polynomial"] = flag("learning rate schedule", "tri_stage")
    # fairseq phase_ratio [0.03, 0.9, 0.07], init_lr_scale and final_lr_scale 0.01.
    schedule_phases: tuple[float, ...] = flag(
        "shares of the updates for warm-up, hold and decay of the tri_stage schedule", (0.03, 0.9, 0.07)
    )
    warmup_updates: int = flag("updates of linear warm-up from 0 in the polynomial schedule", 32_000, NOT_NEGATIVE)
    adam_beta1: float = flag("beta 1 of AdamW", 0.9, FRACTION)
    adam_beta2: float = flag("beta 2 of AdamW", 0.98, FRACTION)
    adam_epsilon: float = flag("epsilon of AdamW", 1e-6, POSITIVE)
    # On every parameter, biases and norms too, as the reference.
    weight_decay: float = flag("decoupled weight decay", 0.01, NOT_NEGATIVE)
    max_grad_norm: float = flag("global norm to clip the gradient to; 0 does not clip", 0.0, NOT_NEGATIVE)
    # The reference moves the teacher once per micro-batch, so set this to its update_freq to copy it.
    ema_steps_per_update: int = flag("teacher updates per optimizer update (music2vec)", 1, NOT_NEGATIVE)
    seed: int = flag("seed of weights, crops, masks and dropout", 1, NOT_NEGATIVE)
    mixed_precision: Literal["auto", "no", "bf16"] = flag(
        "precision of training; auto is bf16 on a CUDA GPU and fp32 on a CPU and on mps", "auto"
    )
    tf32: bool = flag("use TF32 for the matrix products that stay in fp32 (CUDA)", True)


@dataclass(frozen=True)
class HealthConfig:
    """Guards that stop a run which no longer learns."""

    max_nonfinite_updates: int = flag(
        "stop after this many updates in a row whose loss or gradient is NaN or infinite", 10, POSITIVE,
        may_change=True,
    )  # fmt: skip
    # data2vec's own guards: min_target_var 0.1, min_pred_var 0.01 (they are standard deviations), after 5000 updates.
    collapse_grace_updates: int = flag(
        "number of updates before the guards against collapse act", 5000, NOT_NEGATIVE, may_change=True
    )
    min_target_std: float = flag(
        "stop music2vec when the standard deviation of its targets falls below this", 0.1, may_change=True
    )
    min_prediction_std: float = flag(
        "stop music2vec when the standard deviation of its predictions falls below this", 0.01, may_change=True
    )
    min_label_perplexity: float = flag(
        "stop musicHuBERT when the perplexity of the labels in use falls below this", 2.0, may_change=True
    )
    # A data2vec loss may rise while all is well (the targets grow), hence a choice.
    divergence_action: Literal["stop", "warn"] = flag("what to do when the loss diverges", "stop", may_change=True)
    divergence_margin: float = flag(
        "allowed rise of the smoothed loss above its best value: 0.2 is 20 %", 0.2, NOT_NEGATIVE, may_change=True
    )
    divergence_updates: int = flag(
        "number of updates in a row above that margin that count as divergence", 2000, POSITIVE, may_change=True
    )


@dataclass(frozen=True)
class RunConfig:
    """Output, checkpoints, logs and the Hub."""

    output_dir: str | None = flag("directory of the run", metavar="DIR", may_change=True)
    resume: str = flag(
        "checkpoint to continue from: auto (the newest in --output_dir), none, or the directory of a checkpoint",
        "auto", metavar="auto|none|DIR", may_change=True,
    )  # fmt: skip
    checkpoint_every: int = flag("write a checkpoint every N updates", 5000, POSITIVE, may_change=True)
    keep_checkpoints: int = flag("number of newest checkpoints to keep", 2, POSITIVE, may_change=True)
    keep_best: bool = flag("also keep the checkpoint with the lowest validation loss", True, may_change=True)
    log_every: int = flag("write a row of metrics.jsonl every N updates", 100, POSITIVE, may_change=True)
    validate_every: int = flag("validate every N updates, and at each checkpoint", 5000, POSITIVE, may_change=True)
    validation_clips: int = flag("largest number of held-out clips per validation", 256, POSITIVE, may_change=True)
    log_with: tuple[str, ...] = flag(
        "trackers of Accelerate: tensorboard, trackio, wandb, ...", (), metavar="TRACKER", may_change=True
    )
    push_to_hub: bool = flag("push the model to the Hub during and after training", False, may_change=True)
    hub_model_id: str | None = flag("Hub repository to push to", metavar="OWNER/NAME", may_change=True)
    hub_private: bool = flag("make a new Hub repository private", True, may_change=True)
    push_every: int = flag(
        "push every N checkpoints, and the last one", 1, may_change=True,
        limit=Limit(lambda value: value >= 1, "must be 1 (every checkpoint) or more"),
    )  # fmt: skip
    dry_run: bool = flag("print batch geometry, parameters, FLOPs, memory and time, and stop", False, may_change=True)
    recipe_name: str | None = flag(
        "name of the run in logs and on the model card (default: the name of the recipe file)", may_change=True
    )

    @property
    def directory(self) -> Path:
        """The directory of the run; UserError when none was given."""
        if not self.output_dir:
            raise UserError("--output_dir is missing: give the directory of the run, for example runs/my-model")
        return Path(self.output_dir)


@dataclass(frozen=True)
class PretrainConfig:
    """All settings of a run, in groups: `config.masking.mask_span`. The name of a flag is unique over the groups."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    masking: MaskingConfig = MaskingConfig()
    labels: LabelConfig = LabelConfig()
    optimisation: OptimisationConfig = OptimisationConfig()
    health: HealthConfig = HealthConfig()
    run: RunConfig = RunConfig()

    @property
    def name(self) -> str:
        """What logs, curves and tables call the run."""
        return self.run.recipe_name or self.model.family

    def with_flags(self, **values: Any) -> "PretrainConfig":
        """The configuration with some flags changed: `config.with_flags(mask_span=5, train_data=["music"])`.

        Values are converted to the types of their fields; None stands for the default. `model_config` is merged into
        the one there is, setting by setting.

        Raises:
            UserError: an unknown flag, or a value of another type.
        """
        changes: dict[str, dict[str, Any]] = {}
        for key, value in with_names(FORMER_NAMES, values).items():
            if key not in FLAGS:
                raise UserError(f"unknown flag '{key}'{suggestion(key)}")
            group, own = FLAGS[key]
            converted = convert(own, value)
            if key == "iterations":
                converted = tuple(with_names(FORMER_NAMES, entry) for entry in converted)
            if isinstance(converted, dict):
                converted = getattr(getattr(self, group), key) | converted
            changes.setdefault(group, {})[key] = converted
        return replace(self, **{group: replace(getattr(self, group), **own) for group, own in changes.items()})

    def flags(self) -> dict[str, Any]:
        """All values by the names of their flags; lists as lists, for YAML and JSON."""
        values = {name: getattr(getattr(self, group), name) for name, (group, _) in FLAGS.items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


# Name of a group -> its class.
GROUPS: dict[str, Any] = get_type_hints(PretrainConfig)
# Name of a flag -> the group that holds it, and its field.
FLAGS: dict[str, tuple[str, Field]] = {
    own.name: (name, own) for name, group in GROUPS.items() for own in fields(group)
}
FORMER_NAMES = {old: new for group in GROUPS.values() for old, new in former_names(group).items()}


def with_names(names: dict[str, str], values: dict[str, Any]) -> dict[str, Any]:
    """The values with the keys of `names` replaced; UserError when a flag is given by both of its names."""
    for other, name in names.items():
        if other in values and name in values:
            raise UserError(f"'{other}' and '{name}' are two names of one flag: keep '{name}'")
    return {names.get(key, key): value for key, value in values.items()}


def suggestion(key: str) -> str:
    """'; did you mean ...?' for a flag that is almost `key`, else a pointer to --help."""
    near = difflib.get_close_matches(key, FLAGS, n=1)
    return f"; did you mean '{near[0]}'?" if near else "; --help lists all flags"


# An iteration's own names for flags; any other flag may be given by its own name.
ITERATION_NAMES = {"features": "label_features", "clusters": "num_clusters", "updates": "max_updates"}


def iteration_flags(entry: dict[str, Any]) -> dict[str, Any]:
    """The flags that an entry of `iterations` gives."""
    return with_names(ITERATION_NAMES, entry)
