"""study.json: the trials of a study by arm and seed, what is probed and how; the report reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import read_json, write_json
from study.plan import ARMS, Trial
from study.tasks import Tasks

NAME = "study.json"
SYNTHETIC = "synthetic sets"
OLD_NAMES = {"made sets": SYNTHETIC}  # group names of version 0.1


def write_index(trials: Sequence[Trial], tasks: Tasks, settings: Mapping[str, object], output_dir: Path) -> None:
    """Add the trials to the list in the folder; trials with other tasks or settings are taken off the list.

    Several commands can so carry out one study, some arms or seeds at a time, and share one table.

    Args:
        settings: all other settings that two comparable trials must share, as JSON types.
    """
    names = [task.name for task, _ in tasks.load()[0]]
    count = len(tasks.specifications)
    groups = {"recordings": names[:count], "the 13 tasks" if tasks.is_real else SYNTHETIC: names[count:]}
    common = {
        "tasks": names,
        "groups": {group: own for group, own in groups.items() if own},
        "settings": {"clips_per_split": tasks.clips_per_split, **settings},
    }
    path = output_dir / NAME
    listed = _read(path) if path.is_file() else {"trials": []}
    if {key: listed.get(key) for key in common} != common:
        listed = {"trials": []}
    entries = {(entry["arm"], entry["seed"]): entry for entry in listed["trials"]}
    for trial in trials:
        done = trial.config.optimisation if trial.trains else None
        entries[trial.arm, trial.seed] = {
            "arm": trial.arm,
            "seed": trial.seed,
            "folder": trial.folder.name,
            "updates": done.max_updates if done else 0,
            "audio_seconds_per_update": done.audio_seconds_per_update if done else 0,
        }
    in_order = sorted(entries.values(), key=lambda entry: (ARMS.index(entry["arm"]), entry["seed"]))
    write_json(path, {**common, "trials": in_order})


def read_index(directory: Path) -> dict:
    """The content of study.json; arms that the study no longer has are left out.

    Raises:
        UserError: no study there.
    """
    path = directory / NAME
    if not path.is_file():
        raise UserError(f"--results {directory}: no {NAME} in this folder; run python -m study.run first")
    return _read(path)


def _read(path: Path) -> dict:
    content = read_json(path)
    groups = {OLD_NAMES.get(group, group): tasks for group, tasks in content["groups"].items()}
    trials = [entry for entry in content["trials"] if entry["arm"] in ARMS]
    return {**content, "groups": groups, "trials": trials}
