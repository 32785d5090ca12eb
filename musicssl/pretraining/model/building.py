"""From arguments to the things a run needs: device settings, configuration, model, feature extractor."""

import dataclasses
import difflib
import os
import sys
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, InitProcessGroupKwargs, parse_flag_from_env
from torch.backends import cuda as cuda_backends
from transformers import PreTrainedConfig, PreTrainedModel, Wav2Vec2FeatureExtractor
from transformers.utils.logging import disable_progress_bar

from music2vec import Music2VecConfig, Music2VecFeatureExtractor, Music2VecForPreTraining
from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.distributed import PROCESS_TIMEOUT
from musicssl.errors import UserError
from musicssl.pretraining.config.arguments import Arguments
from musicssl.pretraining.config.recipes import parse_mapping
from musicssl.pretraining.frames import frames_per_crop
from musicssl.pretraining.model.pretrained import load_initial_weights, published_architecture
from musicssl.pretraining.randomness import WEIGHTS, derive_seed

MODELS = {
    "music2vec": (Music2VecConfig, Music2VecForPreTraining),
    "musichubert": (MusicHubertConfig, MusicHubertForPreTraining),
}
# The reference normalises waveforms for data2vec (normalize: true) but not for HuBERT base (normalize: false).
NORMALIZE = {"music2vec": True, "musichubert": False}


def build_accelerator(arguments: Arguments) -> Accelerator:
    """The accelerator, with the run's precision and kernels set on this process."""
    precision = arguments.mixed_precision
    on_cpu = parse_flag_from_env("ACCELERATE_USE_CPU") or not torch.accelerator.is_available()
    if precision == "auto":
        precision = "no" if on_cpu or torch.accelerator.current_accelerator().type == "mps" else "bf16"
    _warn_of_lonely_process()
    if arguments.model == "music2vec" and parse_flag_from_env("ACCELERATE_USE_FSDP"):
        raise UserError("--model music2vec: its teacher cannot be sharded; launch with DDP (recipes/accelerate)")
    disable_progress_bar()  # of every save and load; ours is the only bar
    torch.set_float32_matmul_precision("high" if arguments.tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = arguments.tf32
    if arguments.sdpa_backend != "auto":
        cuda_backends.enable_flash_sdp(arguments.sdpa_backend == "flash")
        cuda_backends.enable_mem_efficient_sdp(arguments.sdpa_backend == "efficient")
        cuda_backends.enable_cudnn_sdp(arguments.sdpa_backend == "cudnn")
        cuda_backends.enable_math_sdp(arguments.sdpa_backend == "math")
    # Dropped layers leave parameters without a gradient on some processes.
    has_unused = build_config(arguments).layerdrop > 0
    data_parallel = DistributedDataParallelKwargs(find_unused_parameters=has_unused, gradient_as_bucket_view=True)
    waiting = InitProcessGroupKwargs(timeout=PROCESS_TIMEOUT)
    return Accelerator(
        cpu=on_cpu,  # without it, processes on a machine without a GPU would not know of each other
        mixed_precision=precision,
        log_with=arguments.log_with or None,
        project_dir=arguments.output_dir,
        kwargs_handlers=[data_parallel, waiting],
    )


def _warn_of_lonely_process() -> None:
    """`accelerate launch --cpu --num_processes 2` starts one process and says nothing (accelerate 1.15)."""
    if "MASTER_PORT" in os.environ and "WORLD_SIZE" not in os.environ and parse_flag_from_env("ACCELERATE_USE_CPU"):
        print(
            "warning: accelerate started one process only, since --cpu ignores --num_processes; for several: "
            "accelerate launch --config_file recipes/accelerate/cpu.yaml --num_processes N run_pretraining.py ...",
            file=sys.stderr,
        )


def build_config(arguments: Arguments, label_settings: dict[str, Any] | None = None) -> PreTrainedConfig:
    """The model's configuration: recipe, then the architecture of --init_from, then the labels' metadata.

    Raises:
        UserError: an unknown setting, a value the model refuses, or one that contradicts --init_from.
    """
    config_class, _ = MODELS[arguments.model]
    settings = parse_mapping(arguments.model_config)
    known = [entry.name for entry in dataclasses.fields(config_class)]
    for key in settings:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise UserError(f"--model_config: {config_class.__name__} has no setting '{key}'{hint}")
    if arguments.init_from:
        settings = _with_architecture(settings, published_architecture(arguments.init_from, arguments.model))
    if arguments.compile:
        settings["layerdrop"] = 0.0  # a layer that comes and goes would be compiled again and again
    if arguments.model == "musichubert":
        settings |= label_settings or {"num_clusters": arguments.num_clusters or [500]}
    try:
        # Spans are masked by us, always explicitly; SpecAugment of transformers must not add its own.
        config = config_class(**settings, apply_spec_augment=False)
    except Exception as error:  # the strict configuration classes raise errors of their own
        raise UserError(f"--model_config: {' '.join(str(error).split())}") from error
    has_convolutions = not getattr(config, "front_end_features", None)
    if arguments.data_dependent_init and has_convolutions and config.feat_extract_norm != "layer":
        raise UserError("--data_dependent_init fits layer norms: add --model_config feat_extract_norm=layer")
    return config


def _with_architecture(settings: dict[str, Any], architecture: dict[str, Any]) -> dict[str, Any]:
    for key, value in architecture.items():
        if key in settings and settings[key] != value:
            raise UserError(
                f"--model_config {key}={settings[key]} contradicts --init_from, which has {key}={value}: leave it out"
            )
    return settings | architecture


def build_model(arguments: Arguments, config: PreTrainedConfig) -> PreTrainedModel:
    """The pre-training model with the seed's weights, or those of --init_from; on the CPU, in training mode."""
    _, model_class = MODELS[arguments.model]
    torch.manual_seed(derive_seed(arguments.seed, WEIGHTS))
    config._attn_implementation = arguments.attention
    if arguments.init_from:
        model = load_initial_weights(model_class, config, arguments.init_from)
    else:
        model = model_class(config)
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    if arguments.compile:
        model.compile()  # sizes that change, as the number of masked frames does, become symbols at their second value
    return model.train()


def build_feature_extractor(arguments: Arguments, config: PreTrainedConfig) -> Wav2Vec2FeatureExtractor:
    """What tells users of the checkpoint how training prepared its waveforms."""
    extractor_class = Music2VecFeatureExtractor if arguments.model == "music2vec" else Wav2Vec2FeatureExtractor
    return extractor_class(
        feature_size=1,
        sampling_rate=config.sampling_rate,
        padding_value=0.0,
        do_normalize=normalizes(arguments),
        return_attention_mask=arguments.model == "music2vec",
    )


def normalizes(arguments: Arguments) -> bool:
    """Whether waveforms are normalised: by flag, else as the model's reference does."""
    chosen = arguments.normalize_waveform
    return NORMALIZE[arguments.model] if chosen is None else chosen


def check_crop(arguments: Arguments, config: PreTrainedConfig) -> None:
    """Raise UserError unless a crop has frames enough for its masked spans."""
    shortest = arguments.crop_seconds if arguments.short_clips == "drop" else arguments.min_seconds
    frames = frames_per_crop(config, int(shortest * config.sampling_rate))[-1]
    spans = max(int(arguments.mask_probability * frames / arguments.mask_span) + 1, arguments.min_mask_spans)
    if frames - arguments.mask_span < spans:
        raise UserError(
            f"--crop_seconds {arguments.crop_seconds:g}: crops down to {shortest:g} s have {frames} frames, too few "
            f"for {spans} spans of --mask_span {arguments.mask_span}; use longer crops or shorter spans"
        )


def run_directory(arguments: Arguments) -> Path:
    """The output directory, made if needed.

    Raises:
        UserError: it cannot be made or written.
    """
    path = Path(arguments.output_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".writable"
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise UserError(f"--output_dir {path}: cannot write there ({error.strerror}); choose another") from error
    return path
