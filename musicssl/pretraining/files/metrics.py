"""metrics.jsonl and the trackers. Metric names are paths: `loss/masked`, `target/std`."""

import json
import os
from pathlib import Path
from typing import Any

from accelerate import Accelerator


class MetricsLog:
    """Rows of one run: appended to metrics.jsonl by the main process and sent to the trackers.

    Args:
        size: bytes of metrics.jsonl that belong to the checkpoint being resumed; rows after it are dropped, since
            the run writes them again.
    """

    def __init__(self, path: Path, accelerator: Accelerator, size: int = 0):
        self.path = path
        self.accelerator = accelerator
        if accelerator.is_main_process:
            with path.open("ab") as file:
                file.truncate(size)

    def write(self, row: dict[str, Any]) -> None:
        self.accelerator.log({name: value for name, value in row.items() if name != "update"}, step=row["update"])
        if self.accelerator.is_main_process:
            with self.path.open("a") as file:
                file.write(json.dumps(row) + "\n")

    def size(self) -> int:
        """Bytes written so far, safely on the disk."""
        with self.path.open("rb") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """All rows of a metrics.jsonl."""
    return [json.loads(line) for line in path.read_text().splitlines()]
