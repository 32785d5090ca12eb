"""What to probe and how, checked before anything heavy starts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from musicssl.errors import UserError
from musicssl.probing.encoders.acoustic import ACOUSTIC_FEATURES
from musicssl.probing.encoders.features import ExtractionSettings
from musicssl.probing.encoders.huggingface import RANDOM_PREFIX
from musicssl.probing.kinds import get_kind
from musicssl.probing.protocol import ProbeSettings
from musicssl.probing.tasks.custom import task_name
from musicssl.probing.tasks.finding import select_tasks

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
OUTPUT_ROOT = Path("runs/probing")
CHOICES = {
    "channel_mode": ("mean", "left"),
    "pooling": ("mean", "mean_std"),
    "feature_scaling": ("auto", "none", "standard"),
    "feature_dtype": ("float16", "float32"),
    "dtype": tuple(DTYPES),
}


@dataclass(frozen=True, kw_only=True)
class ProbeRequest:
    """Everything that one call of `musicssl.probing.probe.probe` or of `run_probing.py` is given.

    The attributes are the flags of `run_probing.py`, where each is described; the defaults are the protocol's (MARBLE
    v1's constrained track, arXiv:2306.10548).

    Attributes:
        models: the results of the first one are written to `output_dir`, those of the others to folders in it.
        label, kinds: one kind for all labels, or one per label.
        output_dir: None is a folder named after the first model below `OUTPUT_ROOT`.

    Raises:
        UserError: names the flag and the fix.
    """

    models: Sequence[str]
    custom_task: str | Path | None = None
    label: Sequence[str] = ()
    kinds: Sequence[str] = ("multiclass",)
    audio_column: str = "audio"
    track_column: str | None = None
    tasks: str | None = None
    data_root: str | Path | None = None
    allow_partial: bool = False
    trust_remote_code: bool = False
    seeds: int = 5
    seed: int = 0
    learning_rates: Sequence[float] | None = None
    max_epochs: int | None = None
    window_seconds: float | None = None
    channel_mode: str = "mean"
    pooling: str = "mean"
    feature_scaling: str = "auto"
    bootstrap_resamples: int = 1000
    output_dir: str | Path | None = None
    feature_store: str | Path = Path("runs/features")
    feature_dtype: str = "float16"
    dtype: str = "float32"
    batch_seconds: float = 120.0
    checkpoint_seconds: float = 300.0
    overwrite: bool = False

    def __post_init__(self) -> None:
        self._check_models()
        check_data_root(self.tasks, self.data_root)
        self._check_tasks()
        for name in ("seeds", "max_epochs", "window_seconds", "batch_seconds", "bootstrap_resamples"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UserError(f"--{name} {value}: must be above 0")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"--{name} {getattr(self, name)}: available: {', '.join(choices)}")
        for rate in self.learning_rates or ():
            if rate <= 0:
                raise UserError(f"--learning_rates {rate}: must be above 0")

    def _check_models(self) -> None:
        known = ", ".join(ACOUSTIC_FEATURES)
        if not self.models:
            raise UserError(f"--model is missing: a checkpoint directory, a Hub id, random:DIR, or one of {known}")
        for name in self.models:
            path = Path(name.removeprefix(RANDOM_PREFIX))
            if path.is_dir() and not (path / "config.json").is_file():
                raise UserError(f"--model {name}: {path} holds no config.json; give a checkpoint directory")
            if not path.exists() and name not in ACOUSTIC_FEATURES and (path.is_absolute() or len(path.parts) > 2):
                raise UserError(f"--model {name}: no such directory, and not a Hub id (OWNER/NAME)")

    def _check_tasks(self) -> None:
        if bool(self.tasks) == bool(self.custom_task):
            raise UserError("give either --tasks with --data_root, or --custom_task with --label")
        if self.custom_task and not self.label:
            raise UserError(f"--custom_task {self.custom_task}: --label is missing, the column to predict")
        if self.custom_task and len(self.kinds) not in (1, len(self.label)):
            raise UserError(f"--type: give one type, or one per label ({len(self.label)}), not {len(self.kinds)}")
        for kind in self.kinds:
            get_kind(kind)
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
        first = Path(self.output_dir or OUTPUT_ROOT / slug(self.models[0]))
        models = dict.fromkeys(self.models)
        return {model: first if number == 0 else first / slug(model) for number, model in enumerate(models)}

    def settings(self, device: torch.device) -> ProbeSettings:
        """The same as settings of the protocol."""
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


def check_data_root(tasks: str | None, data_root: str | Path | None) -> None:
    """Raise UserError when `tasks` need a folder of data sets and there is none."""
    if tasks and data_root is None:
        raise UserError(f"--tasks {tasks}: --data_root is missing, the folder with one folder per data set")
    if data_root is not None and not Path(data_root).is_dir():
        raise UserError(f"--data_root {data_root}: no such folder")


def baselines_of(models: Sequence[str]) -> list[str]:
    """The default baselines of models: each network with random weights, and MFCCs."""
    networks = [name for name in models if name not in ACOUSTIC_FEATURES and not name.startswith(RANDOM_PREFIX)]
    return [RANDOM_PREFIX + name for name in networks] + ["mfcc"]


def slug(model: str) -> str:
    """A model's name as a folder name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", model).strip("-.") or "model"
