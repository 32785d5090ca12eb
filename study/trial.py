"""Carry out one trial: train it if it trains, probe it, and leave a record from which the report is made.

runs/study/musichubert-1a2b3c4d5e/
  recipe.yaml  model.safetensors  metrics.jsonl  checkpoint-000500/ ...   the run, as run_pretraining.py leaves it
  probe/results.json  probe/predictions/                                  its scores
  probe-000500/                                                           those of a checkpoint on the way
  results.json  README.md                                                 its scores again, and its model card
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from musicssl.errors import UserError
from musicssl.pretraining.files.checkpoint import list_checkpoints, read_state
from musicssl.pretraining.iterations import train_iterations
from musicssl.pretraining.model import building
from musicssl.pretraining.model.cpu_kernels import keep_freed_memory
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.kinds import get_kind
from musicssl.probing.probe import probe_model
from musicssl.probing.protocol import ProbeSettings
from musicssl.probing.tasks.base import Task, TaskData
from musicssl.publish.card import write_card
from study.plan import CURVES, Trial

BEAT_EPOCHS = 15
LoadedTasks = tuple[list[tuple[Task, TaskData]], dict[str, str]]


def carry_out(trial: Trial, tasks: LoadedTasks, settings: ProbeSettings, curves: bool) -> None:
    """Train and probe; both go on where an earlier call was interrupted, and cost little when there is nothing to do.

    Args:
        curves: probe the checkpoints on the way too, for the arms of `CURVES`.

    Raises:
        UserError: the run failed, say because its targets collapsed.
        KeyboardInterrupt: training was asked to stop; it has written a checkpoint.
    """
    keep_freed_memory()
    if trial.trains:
        result = train_iterations(trial.arguments, building.build_accelerator(trial.arguments))
        if not result.finished:
            raise KeyboardInterrupt
    elif trial.arguments is not None:
        _write_architecture(trial)
    _probe(trial.encoder, trial.seed, trial.folder / "probe", tasks, settings)
    if trial.trains:
        shutil.copyfile(trial.folder / "probe" / "results.json", trial.folder / "results.json")
        write_card(trial.folder, model_id=trial.arm)
    if curves and trial.arm in CURVES:
        for checkpoint in list_checkpoints(trial.folder):
            update = read_state(checkpoint)["update"]
            if update < trial.arguments.max_updates:
                folder = trial.folder / f"probe-{update:06d}"
                _probe(str(checkpoint), trial.seed, folder, tasks, settings)


def average_score(folder: Path) -> float | None:
    """Mean over tasks of the primary metric, or None when the folder holds no scores yet."""
    path = folder / "results.json"
    tasks = json.loads(path.read_text())["tasks"].values() if path.is_file() else ()
    scores = [task["metrics"][task["primary_metric"]]["mean"] for task in tasks]
    return sum(scores) / len(scores) if scores else None


def _write_architecture(trial: Trial) -> None:
    """What `random:DIR` needs to make the network: its configuration and its front end."""
    config = building.build_config(trial.arguments)
    config.save_pretrained(trial.folder)
    building.build_feature_extractor(trial.arguments, config).save_pretrained(trial.folder)


def _probe(encoder: str, seed: int, folder: Path, tasks: LoadedTasks, settings: ProbeSettings) -> None:
    loaded, errors = tasks
    network = load_encoder(encoder, seed=seed)
    # Every frame is an example to a beat head: as many epochs and seeds as the others have would cost more than they.
    of_beats = replace(settings, seeds=settings.seeds[:1], epochs=min(settings.epochs or BEAT_EPOCHS, BEAT_EPOCHS))
    for own, of_frames in ((settings, False), (of_beats, True)):
        tasks_of_kind = [(task, data) for task, data in loaded if get_kind(task.kind).of_frames == of_frames]
        content = probe_model(network, tasks_of_kind, errors, own, folder)
    if failed := {name: reason for name, reason in content["errors"].items() if name not in errors}:
        raise UserError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
