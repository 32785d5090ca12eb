"""study.json: which folder of a study belongs to which arm and seed, what is probed and how, for the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import write_json
from study.plan import ARMS, Trial
from study.tasks import Tasks

NAME = "study.json"


def write_index(trials: Sequence[Trial], tasks: Tasks, settings: Mapping[str, object], output_dir: Path) -> None:
    """Add the trials to what the folder lists; what was listed for other tasks or settings is listed no longer.

    So a study may be carried out by several commands, some arms or seeds at a time, and is one table in the end.

    Args:
        settings: all else that has to be equal for two trials to be comparable, as JSON has it.
    """
    names = [task.name for task, _ in tasks.load()[0]]
    count = len(tasks.specifications)
    groups = {"recordings": names[:count], "the 13 tasks" if tasks.is_real else "made sets": names[count:]}
    common = {
        "tasks": names,
        "groups": {group: own for group, own in groups.items() if own},
        "settings": {"clips_per_split": tasks.clips_per_split, **settings},
    }
    path = output_dir / NAME
    listed = json.loads(path.read_text()) if path.is_file() else {"trials": []}
    if {key: listed.get(key) for key in common} != common:
        listed = {"trials": []}
    known = [entry for entry in listed["trials"] if entry["arm"] in ARMS]
    entries = {(entry["arm"], entry["seed"]): entry for entry in known} | {
        (trial.arm, trial.seed): {
            "arm": trial.arm,
            "seed": trial.seed,
            "folder": trial.folder.name,
            "updates": trial.arguments.max_updates if trial.trains else 0,
            "audio_seconds_per_update": trial.arguments.audio_seconds_per_update if trial.trains else 0,
        }
        for trial in trials
    }
    in_order = sorted(entries.values(), key=lambda entry: (ARMS.index(entry["arm"]), entry["seed"]))
    write_json(path, {**common, "trials": in_order})


def read_index(directory: Path) -> dict:
    """What `write_index` wrote.

    Raises:
        UserError: no study there.
    """
    path = directory / NAME
    if not path.is_file():
        raise UserError(f"--results {directory}: holds no {NAME}; fill it with python -m study.run")
    return json.loads(path.read_text())
