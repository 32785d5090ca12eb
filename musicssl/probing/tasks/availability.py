"""A table of the published data sets: what was found, what is missing, what is damaged."""

from pathlib import Path

from musicssl.audio.decode import BadAudio, audio_info
from musicssl.errors import UserError
from musicssl.probing.tasks import TASKS
from musicssl.probing.tasks.base import PublishedTask, TaskData, slashed
from musicssl.tables import Table

_HEADER = ("task", "found", "train / validation / test", "published", "missing", "damaged", "what differs")


def availability_table(data_root: Path) -> Table:
    """One row per task; the header of every audio file is read."""
    return Table(_HEADER, [_row(task, data_root) for task in TASKS.values()])


def damaged_files(data: TaskData) -> list[str]:
    """Files whose header cannot be read as audio."""
    damaged = []
    for audio in dict.fromkeys(example.audio for example in data.examples):
        try:
            audio_info(audio)
        except BadAudio as error:
            damaged.append(f"{error.source} ({error.reason})")
    return damaged


def _row(task: PublishedTask, data_root: Path) -> list[object]:
    published = slashed(task.published_counts) if task.published_counts else "not published"
    try:
        data = task.load(task.root(data_root), allow_partial=True)
    except UserError as error:
        return [task.name, "no", "–", published, "–", "–", error]
    damaged = damaged_files(data)
    problems = "; ".join(task.problems(data)) or "–"
    if damaged:
        problems += f"; damaged: {', '.join(damaged[:3])}" + (" ..." if len(damaged) > 3 else "")
    found = "yes" if data.comparable and not damaged else "partly"
    return [task.name, found, slashed(data.counts()), published, len(data.missing), len(damaged), problems]
