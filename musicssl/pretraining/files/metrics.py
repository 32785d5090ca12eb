"""metrics.jsonl, the trackers and the progress bar. Metric names are paths: `loss/masked`, `target/std`."""

import json
import os
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from tqdm import tqdm


class MetricWindow:
    """Weighted metric sums over the updates since the last row; floats on the host, part of every checkpoint."""

    def __init__(self, state: dict[str, list[float]] | None = None):
        self.totals: dict[str, tuple[float, float]] = {
            name: (total, weight) for name, (total, weight) in (state or {}).items()
        }

    def add(self, metrics: dict[str, tuple[float, float]]) -> None:
        for name, (total, weight) in metrics.items():
            sums = self.totals.get(name, (0.0, 0.0))
            self.totals[name] = (sums[0] + total, sums[1] + weight)

    def state_dict(self) -> dict[str, list[float]]:
        return {name: list(pair) for name, pair in self.totals.items()}


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


class ProgressBar:
    """tqdm over updates on the main process, with loss and audio seconds per second."""

    def __init__(self, accelerator: Accelerator, first: int, total: int):
        self.bar = tqdm(
            total=total, initial=first, unit="update", dynamic_ncols=True, disable=not accelerator.is_main_process
        )

    def advance(self, loss: float, audio_seconds_per_second: float) -> None:
        self.bar.set_postfix_str(f"loss {loss:.3f}, {audio_seconds_per_second:.0f} audio-s/s", refresh=False)
        self.bar.update()

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        if not self.bar.disable:
            self.bar.write(line)

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exception) -> None:
        self.bar.close()
