"""Select published tasks and load their data."""

from collections.abc import Sequence
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import DEMO_RECORD
from musicssl.probing.tasks import TASKS, get_task
from musicssl.probing.tasks.base import PublishedTask, Task, TaskData

ALL = "all"


def select_tasks(names: str) -> list[PublishedTask]:
    """The tasks of `all`, or of names joined by commas; a UserError lists the available names."""
    return list(TASKS.values()) if names == ALL else [get_task(name.strip()) for name in names.split(",")]


def load_tasks(
    tasks: Sequence[PublishedTask], data_root: Path, allow_partial: bool = False
) -> tuple[list[tuple[Task, TaskData]], dict[str, str]]:
    """The data of every task that can be run, and for the others the reason with its fix."""
    allow_partial = allow_partial or (data_root / DEMO_RECORD).is_file()
    loaded: list[tuple[Task, TaskData]] = []
    errors = {}
    for task in tasks:
        try:
            loaded.append((task, task.load(task.root(data_root), allow_partial)))
        except UserError as error:
            errors[task.name] = str(error)
    return loaded, errors
