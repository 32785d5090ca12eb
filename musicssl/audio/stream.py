"""The stream of one consumer (a worker of a rank): batches of crops, from a state that can be saved.

Shapes: B clips in a batch, N samples of a crop.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from musicssl.audio.crops import Crop, StreamSettings, read_crop
from musicssl.audio.decode import BadAudio
from musicssl.audio.order import plan_epoch
from musicssl.audio.sources import Source
from musicssl.audio.tables import Clip


@dataclass(frozen=True)
class Waiting:
    """A clip that was read but is not in a batch yet, with all that is needed to read it again."""

    source: int
    clip: int
    pass_number: int
    epoch: int


@dataclass(frozen=True)
class StreamState:
    """Where a consumer is: the next position in its order of `epoch`, and the clips that wait for a full batch.

    `fruitless_epochs` counts the epochs since it last met a usable clip.
    """

    epoch: int = 0
    position: int = 0
    waiting: tuple[Waiting, ...] = ()
    fruitless_epochs: int = 0


@dataclass
class StreamReport:
    """What a consumer hands over: a batch or None, the state after it, and the clips that were left out."""

    consumer: int
    state: StreamState
    batch: dict | None = None
    left_out: list[BadAudio] = field(default_factory=list)

    def pin_memory(self) -> "StreamReport":
        """Called by the DataLoader."""
        if self.batch is not None:
            self.batch["waveform"] = self.batch["waveform"].pin_memory()
        return self


class CropStream:
    """Iterate over the batches of one consumer, from a state.

    All crops of a batch have the same length. Batches of full-length crops are always full, across the end of an
    epoch. Shorter clips (`short_clips="own_length"`) are grouped by length and handed over by the end of the epoch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        settings: StreamSettings,
        batch_size: int,
        consumer: int,
        num_consumers: int,
        state: StreamState,
    ):
        self._sources, self._settings, self._batch_size = list(sources), settings, batch_size
        self._consumer, self._num_consumers = consumer, num_consumers
        self._state = state
        self._groups: dict[int, list[tuple[Crop, Waiting]]] = {}
        self._left_out: list[BadAudio] = []

    def __iter__(self) -> Iterator[StreamReport]:
        self._read_waiting_again()
        epochs = self._settings.epochs
        while epochs is None or self._state.epoch < epochs:
            yield from self._one_epoch()
            is_last = epochs is not None and self._state.epoch + 1 == epochs
            for length in list(self._groups):
                if is_last or length != self._settings.crop_samples:
                    yield self._report(self._groups.pop(length))
            fruitless = self._state.fruitless_epochs + 1
            self._state = replace(self._state, epoch=self._state.epoch + 1, position=0, fruitless_epochs=fruitless)
            if self._left_out or fruitless > 1:
                yield self._report(None)

    def _one_epoch(self) -> Iterator[StreamReport]:
        epoch, first = self._state.epoch, self._state.position
        plan = plan_epoch(self._sources, self._settings, epoch, self._consumer, self._num_consumers)
        remaining = plan.source[first:]
        readers = [
            source.table.fetch(plan.clip[first:][remaining == index]) for index, source in enumerate(self._sources)
        ]
        for position in range(first, len(plan)):
            source = int(plan.source[position])
            where = Waiting(source, int(plan.clip[position]), int(plan.pass_number[position]), epoch)
            crop = self._read(next(readers[source]), where)
            group = None if crop is None else self._join_group(crop, where)
            self._state = replace(
                self._state, position=position + 1, fruitless_epochs=0 if crop else self._state.fruitless_epochs
            )
            if group is not None:
                yield self._report(group)

    def _read(self, clip: Clip, where: Waiting) -> Crop | None:
        try:
            return read_crop(clip, self._settings, where.pass_number)
        except BadAudio as error:
            self._left_out.append(error)
            return None

    def _join_group(self, crop: Crop, where: Waiting) -> list[tuple[Crop, Waiting]] | None:
        """Add a crop to the group of its length; return the group once it is a full batch."""
        length = len(crop.waveform)
        group = self._groups.setdefault(length, [])
        group.append((crop, where))
        return self._groups.pop(length) if len(group) >= self._batch_size else None

    def _read_waiting_again(self) -> None:
        self._groups.clear()
        for where in self._state.waiting:
            (clip,) = self._sources[where.source].table.fetch(np.array([where.clip]))
            crop = self._read(clip, where)
            if crop is not None:
                self._groups.setdefault(len(crop.waveform), []).append((crop, where))

    def _report(self, group: list[tuple[Crop, Waiting]] | None) -> StreamReport:
        waiting = tuple(where for others in self._groups.values() for _, where in others)
        self._state = replace(self._state, waiting=waiting)
        left_out, self._left_out = self._left_out, []
        return StreamReport(self._consumer, self._state, _collate(group) if group else None, left_out)


def _collate(group: list[tuple[Crop, Waiting]]) -> dict:
    clips = [crop.clip for crop, _ in group]
    epochs = [where.epoch for _, where in group]
    return {
        "waveform": torch.from_numpy(np.stack([crop.waveform for crop, _ in group])),
        "clip_id": [clip.clip_id for clip in clips],
        "start_sample": torch.tensor([crop.start_sample for crop, _ in group]),
        "clip_mean": torch.tensor([clip.mean for clip in clips], dtype=torch.float32),
        "clip_std": torch.tensor([clip.std for clip in clips], dtype=torch.float32),
        "clip_epoch": torch.tensor(epochs),
        "epoch": epochs[0],
    }
