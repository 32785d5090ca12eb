"""Which tasks can be run: what was found of each data set, what is missing, what is damaged."""

from collections.abc import Sequence
from pathlib import Path

from musicssl.audio.decode import BadAudio, audio_info
from musicssl.errors import UserError
from musicssl.probing.results.table import markdown
from musicssl.probing.tasks import TASKS, get_task
from musicssl.probing.tasks.base import SPLITS, Task, TaskData

DEMO_RECORD = "demo.json"  # written by `musicssl demo`: its sets are small on purpose


def select_tasks(names: str) -> list[Task]:
    """`all`, or names joined by commas; UserError lists the names there are."""
    return list(TASKS.values()) if names == "all" else [get_task(name.strip()) for name in names.split(",")]


def load_tasks(
    tasks: Sequence[Task], data_root: Path, allow_partial: bool = False
) -> tuple[list[tuple[Task, TaskData]], dict[str, str]]:
    """The data of every task that can be run, and for the others the reason with its fix."""
    allow_partial = allow_partial or (data_root / DEMO_RECORD).is_file()
    loaded, errors = [], {}
    for task in tasks:
        try:
            loaded.append((task, task.load(task.root(data_root), allow_partial)))
        except UserError as error:
            errors[task.name] = str(error)
    return loaded, errors


def availability_table(data_root: Path) -> str:
    """A Markdown table of all tasks; reads the header of every file."""
    rows = []
    for task in TASKS.values():
        try:
            data = task.load(task.root(data_root), allow_partial=True)
        except UserError as error:
            rows.append([task.name, "no", "–", _counts(task.published_counts), "–", "–", str(error)])
            continue
        damaged = damaged_files(data)
        problems = "; ".join(task.problems(data)) or "–"
        if damaged:
            problems += f"; damaged: {', '.join(damaged[:3])}" + (" ..." if len(damaged) > 3 else "")
        rows.append(
            [
                task.name,
                "yes" if data.comparable and not damaged else "partly",
                _counts(data.counts()),
                _counts(task.published_counts),
                str(len(data.missing)),
                str(len(damaged)),
                problems,
            ]
        )
    header = ["task", "found", "train / validation / test", "published", "missing", "damaged", "what differs"]
    return markdown(header, rows)


def damaged_files(data: TaskData) -> list[str]:
    """Files whose header cannot be read as audio."""
    damaged = []
    for audio in dict.fromkeys(example.audio for example in data.examples):
        try:
            audio_info(audio)
        except BadAudio as error:
            damaged.append(f"{error.source} ({error.reason})")
    return damaged


def _counts(counts) -> str:
    return " / ".join(str(counts[split]) for split in SPLITS) if counts else "not published"
