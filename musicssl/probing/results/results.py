"""`results.json`: the one place numbers live. Tables, pictures and model cards are rendered from it."""

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np

from musicssl.errors import UserError
from musicssl.probing.encoders.feature_store import write_json
from musicssl.probing.protocol import Probed

_PACKAGES = (
    "music2vec-musichubert",
    "torch",
    "transformers",
    "datasets",
    "accelerate",
    "evaluate",
    "scikit-learn",
    "mir_eval",
    "soxr",
    "soundfile",
)


class Results:
    """The results of one model, written after every task.

    Args:
        directory: holds `results.json` and `predictions/`.
        model: what was probed. A file of the same model is added to, one of another model is an error.
    """

    def __init__(self, directory: Path, model: str) -> None:
        self.path = directory / "results.json"
        self.content = {"model": model, "versions": {}, "tasks": {}, "errors": {}}
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
        self.content["tasks"][task] = probed.result
        self.content["errors"].pop(task, None)
        self.write()

    def add_error(self, task: str, message: str) -> None:
        """Store why a task could not be done; the other tasks go on."""
        self.content["tasks"].pop(task, None)
        self.content["errors"][task] = message
        self.write()

    def write(self) -> None:
        """Atomically."""
        write_json(self.path, self.content)


def load_results(directory: Path) -> dict:
    """Read a finished folder's `results.json`; UserError when there is none."""
    path = directory / "results.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise UserError(
            f"{directory} holds no results.json; run run_probing.py with --output_dir {directory}"
        ) from error
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not JSON: {error}") from error
