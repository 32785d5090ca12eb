"""Batches of crops for one rank: worker processes, a record of damaged audio, and an exact state.

Shapes: B clips in a batch, N samples of a crop.
"""

import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from musicssl.audio.bad_files import BadFiles
from musicssl.audio.crops import StreamSettings
from musicssl.audio.parallel import use_one_thread
from musicssl.audio.sources import Source
from musicssl.audio.stream import CropStream, StreamReport, StreamState, Waiting
from musicssl.errors import UserError


@dataclass(frozen=True)
class Workers:
    """The processes that decode for one rank.

    Attributes:
        num_workers: how many; 0 decodes in the training process.
        prefetch_factor: batches that each worker reads ahead.
        pin_memory: whether batches are copied to pinned memory, where a GPU is present.
    """

    num_workers: int = 0
    prefetch_factor: int = 4
    pin_memory: bool = False


class CropLoader:
    """Iterate over the batches of one rank.

    A batch is {"waveform": float32 (B, N), "clip_id": list of str, "start_sample": int64 (B,) at the target rate,
    "clip_mean", "clip_std": float32 (B,) of the whole clip (NaN where unknown), "clip_epoch": int64 (B,),
    "epoch": int, that of the first clip}.

    The state counts the batches handed over, not those that workers have read ahead: after `load_state_dict` the
    stream continues with the very next batch, and reads again only what it had read ahead.

    Args:
        batch_size: B of full-length crops.
        rank, world_size: which of how many processes this is.
        bad_files: the path of bad_files.jsonl, which all ranks may share; None keeps the record in memory.

    Raises (while iterating):
        UserError: more than `settings.max_bad_fraction` of the clips are damaged, or no clip can be used.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: StreamSettings,
        batch_size: int,
        rank: int = 0,
        world_size: int = 1,
        workers: Workers = Workers(),  # noqa: B008
        bad_files: str | Path | None = None,
    ):
        self.sources = list(sources)
        self.settings = settings
        self.batch_size = batch_size
        self.num_clips = sum(source.num_clips for source in self.sources)
        self.bad_files = BadFiles(bad_files)
        self._rank, self._world_size, self._workers = rank, world_size, workers
        self._start_over()

    def _start_over(self) -> None:
        self._states = [StreamState() for _ in range(max(1, self._workers.num_workers))]
        self._next_worker = 0

    def __iter__(self) -> Iterator[dict]:
        for report in self._reports():
            self.bad_files.record(report.left_out)
            self.bad_files.check_limit(self.num_clips, self.settings.max_bad_fraction)
            worker = report.consumer - self._rank * len(self._states)
            self._states[worker] = report.state
            self._next_worker = (worker + 1) % len(self._states)
            # A consumer's share moves by one place per epoch: after one epoch per share it has met every clip.
            if report.state.fruitless_epochs > self._world_size * len(self._states):
                self._raise_nothing_usable()
            if report.batch is not None:
                yield report.batch
        self._start_over()

    def _reports(self) -> Iterator[StreamReport]:
        first, count = self._rank * len(self._states), self._world_size * len(self._states)
        streams = [
            CropStream(self.sources, self.settings, self.batch_size, first + number, count, state)
            for number, state in enumerate(self._states)
        ]
        # The DataLoader asks its workers in turn, the first one first: that worker gets the stream whose turn it is.
        dataset = _WorkerStreams(streams[self._next_worker :] + streams[: self._next_worker])
        if self._workers.num_workers == 0:
            yield from dataset
            return
        yield from DataLoader(
            dataset,
            batch_size=None,
            num_workers=self._workers.num_workers,
            prefetch_factor=self._workers.prefetch_factor,
            pin_memory=self._workers.pin_memory and torch.cuda.is_available(),
            worker_init_fn=_set_up_worker,
        )

    def _raise_nothing_usable(self) -> None:
        names = ", ".join(source.name for source in self.sources)
        raise UserError(
            f"{names}: none of {self.num_clips} clips can be used: {self.bad_files.num_short} are too short for "
            f"--crop_seconds {self.settings.crop_seconds:g} and --min_seconds {self.settings.min_seconds:g}, "
            f"{self.bad_files.num_damaged} are damaged{self.bad_files.where}"
        )

    def state_dict(self) -> dict:
        """The position after the last batch handed over, of plain numbers, strings, lists and dicts."""
        return {
            "identity": self._identity(),
            "workers": [asdict(state) for state in self._states],
            "next_worker": self._next_worker,
        }

    def load_state_dict(self, state: dict) -> None:
        """Continue after the last batch of `state`.

        Raises:
            UserError: the data, their order, the number of processes or the number of workers has changed.
        """
        for field, now in self._identity().items():
            if (then := state["identity"].get(field)) != now:
                raise UserError(
                    f"the checkpoint's position in the data does not fit this run: {field} was {then} and is {now}; "
                    f"resume with {field} {then}, or start a new run"
                )
        self._states = [
            StreamState(one["epoch"], one["position"], tuple(Waiting(**clip) for clip in one["waiting"]))
            for one in state["workers"]
        ]
        self._next_worker = state["next_worker"]

    def _identity(self) -> dict:
        """Everything that the order of the clips depends on."""
        order = ("seed", "crop_seconds", "min_seconds", "short_clips", "sampling_rate", "buffer_clips", "shuffle")
        return {
            "number of processes": self._world_size,
            "rank": self._rank,
            "--num_workers": self._workers.num_workers,
            "number of clips in each source": [source.num_clips for source in self.sources],
            "source weights": [source.weight for source in self.sources],
            **{f"--{name}": getattr(self.settings, name) for name in order},
        }


def _set_up_worker(worker: int) -> None:
    """Use one thread, and leave signals to the process group (preemption, Ctrl-C) to the training process."""
    use_one_thread(worker)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class _WorkerStreams(IterableDataset):
    """Gives each DataLoader worker its stream."""

    def __init__(self, streams: list[CropStream]):
        self._streams = streams

    def __iter__(self) -> Iterator[StreamReport]:
        info = get_worker_info()
        return iter(self._streams[0 if info is None else info.id])
