"""Apply a function to every clip of a table with worker processes, results in order."""

import warnings
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np
import threadpoolctl
import torch
from torch.utils.data import DataLoader, Dataset

from musicssl.audio.tables import Clip, ClipTable

Result = TypeVar("Result")


def map_clips(
    table: ClipTable, indices: np.ndarray, function: Callable[[Clip], Result], num_workers: int
) -> Iterator[Result]:
    """Yield `function(clip)` for the clips with these (ascending) indices.

    A DataLoader does the work: it limits the clips in flight, and its workers end when this process is killed.
    """
    tasks = _Tasks(table, indices, function)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        loader = DataLoader(
            tasks,
            batch_size=None,
            num_workers=num_workers,
            worker_init_fn=use_one_thread,
            collate_fn=list,  # the default would make tensors of the numbers in the results
        )
        for results in loader:
            yield from results


def use_one_thread(_worker: int) -> None:
    """Workers share the machine; each uses one core."""
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)


class _Tasks(Dataset):
    """A task is a clip, or the clips of a block, which are only cheap to read together."""

    def __init__(self, table: ClipTable, indices: np.ndarray, function: Callable[[Clip], object]):
        self._table, self._function = table, function
        if table.block_of_clip is None:
            self._tasks = np.split(indices, len(indices)) if len(indices) else []
        else:
            self._tasks = np.split(indices, np.flatnonzero(np.diff(table.block_of_clip[indices])) + 1)

    def __len__(self) -> int:
        return len(self._tasks)

    def __getitem__(self, task: int) -> list:
        return [self._function(clip) for clip in self._table.fetch(self._tasks[task])]
