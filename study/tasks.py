"""What the study probes: labels of audiofolders, and the 13 tasks when their data sets are available."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from musicssl.errors import UserError
from musicssl.files import DEMO_RECORD
from musicssl.probing.tasks.base import SPLITS, Task, TaskData
from musicssl.probing.tasks.custom import custom_task
from musicssl.probing.tasks.finding import load_tasks, select_tasks

# FOLDER/COLUMN[:TYPE] below --probe_data.
QUICK = (
    "notes/pitch", "notes/pitch_class", "technique/technique", "artist/artist", "percussion/percussion",
    "piano/key:key",
)  # fmt: skip
DEFAULT = (
    *QUICK, "notes/instrument_family", "speaker/speaker", "piano/composer", "piano/beat_times:beat",
)  # fmt: skip


@dataclass(frozen=True)
class Tasks:
    """What to probe; can be sent to another process.

    Attributes:
        specifications: a list of FOLDER/COLUMN[:TYPE], with FOLDER below `probe_data`.
        clips_per_split: at most this many examples of each split of `probe_data`, the same for all labels of a folder.
        data_root: folder with the data sets of the 13 tasks; None leaves the tasks out.
    """

    probe_data: Path
    specifications: tuple[str, ...]
    clips_per_split: int | None = None
    data_root: Path | None = None

    @property
    def is_real(self) -> bool:
        """Whether the 13 tasks use the published data sets, not synthetic ones."""
        return self.data_root is not None and not (self.data_root / DEMO_RECORD).is_file()

    def load(self) -> tuple[list[tuple[Task, TaskData]], dict[str, str]]:
        """The tasks with their examples, and the reasons why others of the 13 cannot be loaded from `data_root`.

        Raises:
            UserError: a folder or column is missing.
        """
        tasks = [self._load(specification) for specification in self.specifications]
        tasks = [(task, _thinned(data, self.clips_per_split)) for task, data in tasks]
        errors = {}
        if self.data_root is not None:
            published, errors = load_tasks(select_tasks("all"), self.data_root, allow_partial=True)
            tasks += published
        return tasks, errors

    def _load(self, specification: str) -> tuple[Task, TaskData]:
        path, _, kind = specification.partition(":")
        folder, slash, column = path.rpartition("/")
        if not slash or not (self.probe_data / folder).is_dir():
            raise UserError(f"--tasks {specification}: give FOLDER/COLUMN[:TYPE], with FOLDER below {self.probe_data}")
        source = str(self.probe_data / folder)
        return custom_task(source, column, kind or "multiclass")


def _thinned(data: TaskData, clips_per_split: int | None) -> TaskData:
    """At most `clips_per_split` examples of each split, chosen by a hash of their names."""
    if clips_per_split is None:
        return data
    kept = []
    for split in SPLITS:
        examples = [example for example in data.examples if example.split == split]
        examples.sort(key=lambda example: hashlib.sha256(example.clip_id.encode()).digest())
        kept += examples[:clips_per_split]
    return replace(data, examples=kept, notes=[*data.notes, f"at most {clips_per_split} clips of each split"])
