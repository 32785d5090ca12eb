"""What to probe and how: the flags of `musicssl probe`, checked before anything heavy starts.

The defaults are the protocol's (MARBLE v1's constrained track, arXiv:2306.10548).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_origin

from musicssl.errors import UserError
from musicssl.flags import POSITIVE, flag
from musicssl.hub import check_hub_id
from musicssl.probing.names import ACOUSTIC_FEATURE_NAMES, KIND_NAMES, RANDOM_PREFIX, check_kind
from musicssl.probing.tasks.base import task_name
from musicssl.probing.tasks.finding import ALL, select_tasks

if TYPE_CHECKING:
    import torch

    from musicssl.probing.protocol import ProbeSettings

OUTPUT_ROOT = Path("runs/probing")
AVAILABLE = "available"  # a value of --tasks on the command line


@dataclass(frozen=True, kw_only=True)
class _Models:
    """Models."""

    model: tuple[str, ...] = flag(
        "checkpoint directories or Hub ids, random:DIR (the same network with random weights), or acoustic features: "
        f"{', '.join(ACOUSTIC_FEATURE_NAMES)}; the results of the first one are written to --output_dir, those of the "
        "others to folders in it",
        (),
        metavar="MODEL",
    )
    trust_remote_code: bool = flag("run model code from the Hub (MERT needs it)", False)


@dataclass(frozen=True, kw_only=True)
class _Tasks:
    """Tasks."""

    tasks: str = flag(
        f"published tasks: {ALL}, names joined by commas, or {AVAILABLE} (list what is found and stop)",
        "",
        metavar="NAMES",
    )
    data_root: str = flag("folder of published data sets, one folder each", "", metavar="DIR")
    allow_partial: bool = flag("score incomplete data sets too (the scores are not comparable)", False)
    custom_task: str = flag(
        "your labelled collection: an audiofolder, parquet files or a Hub id", "", metavar="DIR|ID"
    )
    label: tuple[str, ...] = flag("columns of --custom_task to predict, one task each", (), metavar="COLUMN")
    type: tuple[str, ...] = flag(
        f"kind of label: {', '.join(KIND_NAMES)} (docs/data.md); one for all columns of --label, or one per column",
        ("multiclass",),
        metavar="TYPE",
    )
    audio_column: str = flag("column with the audio, in parquet files and Hub data sets", "audio", metavar="COLUMN")
    track_column: str | None = flag(
        "clips with the same value in this column are one track: their scores are averaged", metavar="COLUMN"
    )


@dataclass(frozen=True, kw_only=True)
class _Protocol:
    """Protocol."""

    seeds: int = flag("number of heads per layer, each with another seed", 5, POSITIVE)
    seed: int = flag("the first of these seeds; also that of random weights", 0)
    learning_rates: tuple[float, ...] | None = flag("override the grid of learning rates", metavar="RATE")
    max_epochs: int | None = flag("override the tasks' number of epochs", None, POSITIVE)
    window_seconds: float | None = flag("override the tasks' window length, in seconds", None, POSITIVE)
    channel_mode: Literal["mean", "left"] = flag("how stereo becomes mono", "mean")
    pooling: Literal["mean", "mean_std"] = flag(
        "how a network's frames become one vector; mean_std appends the standard deviation", "mean"
    )
    feature_scaling: Literal["auto", "none", "standard"] = flag(
        "scaling of features before the heads; standard: zero mean and unit variance; auto: standard for acoustic "
        "features, none for networks (as MARBLE)",
        "auto",
    )
    bootstrap_resamples: int = flag("bootstrap resamples of the test tracks, for the intervals", 1000, POSITIVE)


@dataclass(frozen=True, kw_only=True)
class _Storage:
    """Results, features and speed."""

    output_dir: str = flag(f"folder of the results; without it: {OUTPUT_ROOT}/MODEL", "", metavar="DIR")
    feature_store: str = flag("folder of features, which later runs reuse", "runs/features", metavar="DIR")
    feature_dtype: Literal["float16", "float32"] = flag("number format of stored features", "float16")
    dtype: Literal["float32", "bfloat16"] = flag("number format of the encoder's arithmetic", "float32")
    batch_seconds: float = flag("seconds of audio per forward pass of the encoder", 120.0, POSITIVE)
    checkpoint_seconds: float = flag("seconds between two saves of the heads in training", 300.0)
    overwrite: bool = flag("probe finished tasks again", False)


# In the order of --help, which takes the first line of each docstring as a title.
FLAG_GROUPS = (_Models, _Tasks, _Protocol, _Storage)


@dataclass(frozen=True, kw_only=True)
class ProbeRequest(_Models, _Tasks, _Protocol, _Storage):
    """Everything that one call of `musicssl.probing.probe.probe` or of `musicssl probe` is given.

    Raises:
        UserError: names the flag and the fix.
    """

    def __post_init__(self) -> None:
        self._check_models()
        check_data_root(self.tasks, self.data_root)
        self._check_tasks()
        for own in fields(self):
            value, limit = getattr(self, own.name), own.metadata["limit"]
            if limit and value is not None and not limit.holds(value):
                raise UserError(f"--{own.name} {value}: {limit.rule}")
            if get_origin(own.type) is Literal and value not in get_args(own.type):
                raise UserError(f"--{own.name} {value}: available: {', '.join(get_args(own.type))}")
        for rate in self.learning_rates or ():
            if rate <= 0:
                raise UserError(f"--learning_rates {rate}: must be above 0")

    def _check_models(self) -> None:
        known = ", ".join(ACOUSTIC_FEATURE_NAMES)
        if not self.model:
            raise UserError(f"--model is missing: a checkpoint directory, a Hub id, random:DIR, or one of {known}")
        for name in self.model:
            path = Path(name.removeprefix(RANDOM_PREFIX))
            if path.is_dir() and not (path / "config.json").is_file():
                raise UserError(f"--model {name}: {path} holds no config.json; give a checkpoint directory")
            if not path.exists() and name not in ACOUSTIC_FEATURE_NAMES:
                check_hub_id(name.removeprefix(RANDOM_PREFIX), f"--model {name}")

    def _check_tasks(self) -> None:
        if bool(self.tasks) == bool(self.custom_task):
            raise UserError("give either --tasks with --data_root, or --custom_task with --label")
        if self.custom_task and not self.label:
            raise UserError(f"--custom_task {self.custom_task}: --label is missing, the column to predict")
        if self.custom_task and len(self.type) not in (1, len(self.label)):
            raise UserError(f"--type: give one type, or one per label ({len(self.label)}), not {len(self.type)}")
        for kind in self.type:
            check_kind(kind)
        if self.tasks:
            select_tasks(self.tasks)

    @property
    def task_names(self) -> list[str]:
        """The names of the requested tasks in `results.json`."""
        if self.custom_task:
            return [task_name(self.custom_task, label) for label in self.label]
        return [task.name for task in select_tasks(self.tasks)]

    @property
    def folders(self) -> dict[str, Path]:
        """model -> folder of its results."""
        first = Path(self.output_dir or OUTPUT_ROOT / slug(self.model[0]))
        models = dict.fromkeys(self.model)
        return {model: first if number == 0 else first / slug(model) for number, model in enumerate(models)}

    def settings(self, device: "torch.device") -> "ProbeSettings":
        """The same as settings of the protocol."""
        # They load torch, which the flags must not.
        from musicssl.probing.encoders.features import ExtractionSettings
        from musicssl.probing.protocol import ProbeSettings

        return ProbeSettings(
            extraction=ExtractionSettings(Path(self.feature_store), self.batch_seconds, self.feature_dtype, device),
            learning_rates=tuple(self.learning_rates) if self.learning_rates else None,
            seeds=tuple(range(self.seed, self.seed + self.seeds)),
            epochs=self.max_epochs,
            window_seconds=self.window_seconds,
            channel_mode=self.channel_mode,
            pooling=self.pooling,
            feature_scaling=self.feature_scaling,
            bootstrap_resamples=self.bootstrap_resamples,
            head_device=device,
            checkpoint_seconds=self.checkpoint_seconds,
        )


def check_data_root(tasks: str, data_root: str) -> None:
    """Raise UserError when `tasks` need a folder of data sets and there is none."""
    if tasks and not data_root:
        raise UserError(f"--tasks {tasks}: --data_root is missing, the folder with one folder per data set")
    if data_root and not Path(data_root).is_dir():
        raise UserError(f"--data_root {data_root}: no such folder")


def baselines_of(models: Sequence[str]) -> list[str]:
    """The default baselines of models: each network with random weights, and MFCCs."""
    networks = [name for name in models if name not in ACOUSTIC_FEATURE_NAMES and not name.startswith(RANDOM_PREFIX)]
    return [RANDOM_PREFIX + name for name in networks] + ["mfcc"]


def slug(model: str) -> str:
    """A model's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
