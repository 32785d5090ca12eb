"""Run one trial: train it if it is a trained arm, probe it, and write the results that the report reads.

runs/study/musichubert-1a2b3c4d5e/
  recipe.yaml  model.safetensors  metrics.jsonl  checkpoint-000500/ ...   the run, as run_pretraining.py writes it
  probe/results.json  probe/predictions/                                  its scores
  probe-000500/                                                           scores of an intermediate checkpoint
  results.json  README.md                                                 a copy of its scores, and its model card
"""

from dataclasses import replace
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import copy_whole, read_json
from musicssl.pretraining.files.checkpoint import list_checkpoints, read_state
from musicssl.pretraining.iterations import train_iterations
from musicssl.pretraining.model.building import build_feature_extractor, build_model_config
from musicssl.pretraining.model.cpu_kernels import keep_freed_memory
from musicssl.pretraining.model.device import build_accelerator
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
    """Train and probe, with `curves` also the intermediate checkpoints of the arms in `CURVES`.

    Both resume an interrupted call and cost little when nothing is left to do.

    Raises:
        UserError: the run failed, for example because its targets collapsed.
        KeyboardInterrupt: training was interrupted after writing a checkpoint.
    """
    keep_freed_memory()
    if trial.trains:
        result = train_iterations(trial.config, build_accelerator(trial.config))
        if not result.finished:
            raise KeyboardInterrupt
    elif trial.config is not None:
        _write_architecture(trial)
    _probe(trial.encoder, trial.seed, trial.folder / "probe", tasks, settings)
    if trial.trains:
        copy_whole(trial.folder / "probe" / "results.json", trial.folder / "results.json")
        write_card(trial.folder, model_id=trial.arm)
    if curves and trial.arm in CURVES:
        for checkpoint in list_checkpoints(trial.folder):
            update = read_state(checkpoint)["update"]
            if update < trial.config.optimisation.max_updates:
                folder = trial.folder / f"probe-{update:06d}"
                _probe(str(checkpoint), trial.seed, folder, tasks, settings)


def average_score(folder: Path) -> float | None:
    """Mean of the primary metric over tasks, or None when the folder has no scores yet."""
    path = folder / "results.json"
    tasks = read_json(path)["tasks"].values() if path.is_file() else ()
    scores = [task["metrics"][task["primary_metric"]]["mean"] for task in tasks]
    return sum(scores) / len(scores) if scores else None


def _write_architecture(trial: Trial) -> None:
    """Write what `random:DIR` needs to build the network: its configuration and its feature extractor."""
    model_config = build_model_config(trial.config.model, trial.config.labels.num_clusters)
    model_config.save_pretrained(trial.folder)
    build_feature_extractor(trial.config.model, model_config.sampling_rate).save_pretrained(trial.folder)


def _probe(encoder: str, seed: int, folder: Path, tasks: LoadedTasks, settings: ProbeSettings) -> None:
    loaded, errors = tasks
    network = load_encoder(encoder, seed=seed)
    # A beat head has one example per frame: with the epochs and seeds of the others it would cost more than they do.
    epochs = min(settings.epochs or BEAT_EPOCHS, BEAT_EPOCHS)
    frame_settings = replace(settings, seeds=settings.seeds[:1], epochs=epochs)
    for own, of_frames in ((settings, False), (frame_settings, True)):
        tasks_of_kind = [(task, data) for task, data in loaded if get_kind(task.kind).of_frames == of_frames]
        content = probe_model(network, tasks_of_kind, errors, own, folder)
    if failed := {name: reason for name, reason in content["errors"].items() if name not in errors}:
        raise UserError("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
