"""The command line of `run_probing.py`, checked before anything heavy starts."""

import argparse
import re
from pathlib import Path

import torch

from musicssl.errors import UserError
from musicssl.probing.encoders.features import ExtractionSettings
from musicssl.probing.encoders.handmade import HANDMADE
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.probing.protocol import ProbeSettings

AVAILABLE, ALL = "available", "all"


def build_parser() -> argparse.ArgumentParser:
    """Every flag, with the protocol's defaults (MARBLE v1's constrained track, arXiv:2306.10548)."""
    parser = argparse.ArgumentParser(
        prog="run_probing.py",
        description="Measure what a frozen audio encoder knows, task by task and layer by layer.",
    )
    what = parser.add_argument_group("what to probe")
    what.add_argument(
        "--model",
        nargs="+",
        default=[],
        metavar="MODEL",
        help="a checkpoint directory or Hub id, random:DIR (same network, fresh weights), "
        f"or hand-made features: {', '.join(HANDMADE)}",
    )
    what.add_argument(
        "--baselines",
        nargs="*",
        metavar="MODEL",
        help="more models, beside the first in the table; without values: its random weights and mfcc",
    )
    what.add_argument("--trust_remote_code", action="store_true", help="run model code from the Hub (MERT needs it)")
    tasks = parser.add_argument_group("tasks")
    tasks.add_argument("--tasks", help=f"{ALL}, {AVAILABLE} (list what is found and stop), or names joined by commas")
    tasks.add_argument("--data_root", type=Path, help="folder with one folder per data set")
    tasks.add_argument("--allow_partial", action="store_true", help="score an incomplete data set (not comparable)")
    tasks.add_argument("--custom_task", help="a labelled audiofolder, parquet folder or Hub data set")
    tasks.add_argument(
        "--label", nargs="+", metavar="COLUMN", help="one task per column; A+B: one two-dimensional regression"
    )
    tasks.add_argument(
        "--type",
        nargs="+",
        default=["multiclass"],
        dest="kinds",
        metavar="TYPE",
        help="multiclass, multilabel, regression, key or beat: one for all labels, or one per label",
    )
    tasks.add_argument("--audio_column", default="audio", help="of parquet files and Hub data sets")
    tasks.add_argument("--track_column", help="average the scores of clips that share a value there")
    protocol = parser.add_argument_group("protocol")
    protocol.add_argument("--seeds", type=int, default=5, help="how many heads differ in nothing but their seed")
    protocol.add_argument("--seed", type=int, default=0, help="the first of the seeds, and the seed of random weights")
    protocol.add_argument("--learning_rates", type=float, nargs="+", help="instead of the task's grid")
    protocol.add_argument("--max_epochs", type=int, help="instead of the task's number")
    protocol.add_argument("--window_seconds", type=float, help="instead of the task's")
    protocol.add_argument("--channel_mode", choices=("mean", "left"), default="mean", help="how stereo becomes mono")
    protocol.add_argument(
        "--pooling",
        choices=("mean", "mean_std"),
        default="mean",
        help="of a network's frames over time; mean_std: their spread too, as hand-made features have it",
    )
    protocol.add_argument(
        "--feature_scaling",
        choices=("auto", "none", "standard"),
        default="auto",
        help="auto: networks none (MARBLE), hand-made features to unit variance",
    )
    protocol.add_argument("--bootstrap_resamples", type=int, default=1000, help="of the test tracks")
    speed = parser.add_argument_group("speed and storage")
    speed.add_argument("--output_dir", type=Path, help="default: runs/probing/MODEL")
    speed.add_argument(
        "--feature_store", type=Path, default=Path("runs/features"), help="features, reused by later runs"
    )
    speed.add_argument("--feature_dtype", choices=("float16", "float32"), default="float16", help="as stored")
    speed.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32", help="of the encoder")
    speed.add_argument("--batch_seconds", type=float, default=120.0, help="audio per forward pass of the encoder")
    speed.add_argument(
        "--checkpoint_seconds", type=float, default=300.0, help="between two saves of heads in training"
    )
    speed.add_argument("--overwrite", action="store_true", help="do finished tasks again")
    report = parser.add_argument_group("report")
    report.add_argument(
        "--compare",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="no probing: set finished output folders side by side, with significance",
    )
    report.add_argument("--no_report", action="store_true", help="no report.html")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Parse and validate.

    Raises:
        UserError: names the flag and the fix.
    """
    parsed = build_parser().parse_args(arguments)
    if parsed.compare:
        return parsed
    if parsed.baselines is None:
        parsed.baselines = []
    elif not parsed.baselines:
        networks = [name for name in parsed.model if name not in HANDMADE and not name.startswith(RANDOM_PREFIX)]
        parsed.baselines = [RANDOM_PREFIX + name for name in networks] + ["mfcc"]
    if parsed.tasks != AVAILABLE:
        _check_models(parsed)
    _check_tasks(parsed)
    for name in ("seeds", "max_epochs", "window_seconds", "batch_seconds", "bootstrap_resamples"):
        value = getattr(parsed, name)
        if value is not None and value <= 0:
            raise UserError(f"--{name} {value}: must be above 0")
    for rate in parsed.learning_rates or []:
        if rate <= 0:
            raise UserError(f"--learning_rates {rate}: must be above 0")
    if parsed.output_dir is None and parsed.model:
        parsed.output_dir = Path("runs/probing") / slug(parsed.model[0])
    return parsed


def _check_models(parsed: argparse.Namespace) -> None:
    if not parsed.model:
        raise UserError(
            "--model is missing: a checkpoint directory, a Hub id, random:DIR, or one of " + ", ".join(HANDMADE)
        )
    for name in [*parsed.model, *parsed.baselines]:
        path = Path(name.removeprefix(RANDOM_PREFIX))
        if path.is_dir() and not (path / "config.json").is_file():
            raise UserError(f"--model {name}: {path} holds no config.json; give a checkpoint directory")
        if not path.exists() and name not in HANDMADE and (path.is_absolute() or len(path.parts) > 2):
            raise UserError(f"--model {name}: no such directory, and not a Hub id (OWNER/NAME)")


def _check_tasks(parsed: argparse.Namespace) -> None:
    if bool(parsed.tasks) == bool(parsed.custom_task):
        raise UserError("give either --tasks with --data_root, or --custom_task with --label")
    if parsed.tasks and parsed.data_root is None:
        raise UserError(f"--tasks {parsed.tasks}: --data_root is missing, the folder with one folder per data set")
    if parsed.data_root is not None and not parsed.data_root.is_dir():
        raise UserError(f"--data_root {parsed.data_root}: no such folder")
    if parsed.custom_task and not parsed.label:
        raise UserError(f"--custom_task {parsed.custom_task}: --label is missing, the column to predict")
    if parsed.custom_task and len(parsed.kinds) not in (1, len(parsed.label)):
        raise UserError(f"--type: give one type, or one per label ({len(parsed.label)}), not {len(parsed.kinds)}")


def probe_settings(parsed: argparse.Namespace, device: torch.device) -> ProbeSettings:
    """The settings that the flags stand for."""
    extraction = ExtractionSettings(parsed.feature_store, parsed.batch_seconds, parsed.feature_dtype, device)
    return ProbeSettings(
        extraction=extraction,
        learning_rates=tuple(parsed.learning_rates) if parsed.learning_rates else None,
        seeds=tuple(range(parsed.seed, parsed.seed + parsed.seeds)),
        epochs=parsed.max_epochs,
        window_seconds=parsed.window_seconds,
        channel_mode=parsed.channel_mode,
        pooling=parsed.pooling,
        feature_scaling=parsed.feature_scaling,
        bootstrap_resamples=parsed.bootstrap_resamples,
        head_device=device,
        checkpoint_seconds=parsed.checkpoint_seconds,
    )


def slug(model: str) -> str:
    """A model's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
