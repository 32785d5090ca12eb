"""`results.json`: the one file of numbers. Tables, pictures and model cards are rendered from it."""

import json
import platform
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from musicssl.errors import UserError
from musicssl.files import read_json, write_json

# Of the content. Files of release 0.1 have no version and the same content.
SCHEMA_VERSION = 1
_PACKAGES = (
    "music2vec-musichubert", "torch", "transformers", "datasets", "accelerate", "evaluate", "scikit-learn", "mir_eval",
    "soxr", "soundfile",
)  # fmt: skip


@dataclass(frozen=True)
class TaskResult:
    """The result of one task, an entry of `results.json`; the fields are written in this order.

    Attributes:
        metrics: metric -> {"mean", "ci95", "seeds"} on test.
        layer, learning_rate: the choice made on validation.
        layers: layer -> {"validation", "seeds", "learning_rate"}.
        split_sizes: tracks that were used, per split.
        comparable: whether data and protocol are the published ones; comparable_to: whose numbers, or why not.
        epochs: the chosen heads' best epochs, one per seed.
        skipped: clip id -> why the clip was left out.
        notes: remarks for readers of the scores.
        details: what the kind of task keeps for its picture.
        fingerprint: see `musicssl.probing.protocol.fingerprint`.
    """

    metrics: dict[str, dict]
    primary_metric: str
    layer: str
    learning_rate: float
    layers: dict[str, dict]
    split_sizes: dict[str, int]
    comparable: bool
    comparable_to: str
    kind: str
    title: str
    epochs: list[int]
    feature_scaling: str
    skipped: dict[str, str]
    notes: list[str]
    details: dict[str, Any]
    fingerprint: str


@dataclass(frozen=True)
class Probed:
    """A task's result, and the test predictions for `--compare`."""

    result: TaskResult
    predictions: dict[str, Any]  # name -> array


class Results:
    """The results of one model, written after every task.

    Args:
        directory: holds `results.json` and `predictions/`.
        model: what was probed. A file of the same model is added to, one of another model is an error.
    """

    def __init__(self, directory: Path, model: str) -> None:
        self.path = directory / "results.json"
        self.content: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION, "model": model, "versions": {}, "tasks": {}, "errors": {},
        }  # fmt: skip
        if self.path.is_file():
            stored = load_results(directory)
            if stored["model"] != model:
                raise UserError(
                    f"--output_dir {directory} holds the results of {stored['model']}; give another folder"
                )
            self.content = stored
        self.content["versions"] = {name: version(name) for name in _PACKAGES} | {"python": platform.python_version()}

    def finished(self, task: str, fingerprint: str) -> bool:
        """Whether the task was done with exactly these clips, features and settings."""
        done = self.content["tasks"].get(task)
        return done is not None and done["fingerprint"] == fingerprint

    def add(self, task: str, probed: Probed) -> None:
        """Store a finished task."""
        folder = self.path.parent / "predictions"
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(folder / f"{task}.npz", **probed.predictions)
        self.content["tasks"][task] = asdict(probed.result)
        self.content["errors"].pop(task, None)
        self.write()

    def add_error(self, task: str, message: str) -> None:
        """Store why a task could not be done; the other tasks go on."""
        self.content["tasks"].pop(task, None)
        self.content["errors"][task] = message
        self.write()

    def write(self) -> None:
        """Write the file whole."""
        write_json(self.path, self.content, shared=True)


def load_results(directory: Path) -> dict:
    """Read the `results.json` of a finished folder, of this release or of 0.1.

    Raises:
        UserError: there is none, it is damaged, or a later release wrote it in another form.
    """
    path = directory / "results.json"
    try:
        content = {"schema_version": SCHEMA_VERSION, **read_json(path)}
    except FileNotFoundError as error:
        raise UserError(
            f"{directory} holds no results.json; run `musicssl probe` with --output_dir {directory}"
        ) from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}; probe again with --output_dir {directory}") from error
    if content["schema_version"] > SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {content['schema_version']}, this release reads up to {SCHEMA_VERSION}; "
            "update music2vec-musichubert"
        )
    return content
