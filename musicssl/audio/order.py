"""The order of an epoch: a pure function of (seed, epoch), divided among consumers.

A consumer is one worker of one rank. Each source has an endless order of its own, pass after pass; each pass is a
permutation of its clips. An epoch takes the next part of every source's order: one whole pass, unless the sources have
weights. Every consumer takes a slice of that part, so that each clip is read exactly once for any number of consumers.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musicssl.audio.crops import StreamSettings
from musicssl.audio.sources import Source
from musicssl.audio.tables import ClipTable

_PASS, _BUFFER, _MIXTURE = 1, 2, 3  # the purposes of random numbers


@dataclass(frozen=True)
class EpochPlan:
    """What one consumer reads in one epoch, in order: arrays of equal length.

    Attributes:
        source: the index of the source.
        clip: the index of the clip in the source's table.
        pass_number: the number of complete passes over that source before.
    """

    source: np.ndarray
    clip: np.ndarray
    pass_number: np.ndarray

    def __len__(self) -> int:
        return len(self.source)


def plan_epoch(
    sources: Sequence[Source], settings: StreamSettings, epoch: int, consumer: int = 0, num_consumers: int = 1
) -> EpochPlan:
    """The clips that `consumer` of `num_consumers` reads in `epoch`, by the settings' seed, buffer and shuffling.

    Clips that are stored together stay near each other, so that each row group is read once: blocks are
    permuted over all shards, and then clips within a buffer of `buffer_clips`.
    """
    seed, shuffle = settings.seed, settings.shuffle
    # The remainder of the division goes to other consumers every epoch, so that none runs ahead for long.
    share = (consumer + epoch) % num_consumers
    labels, clips, passes = [], [], []
    for index, (source, quota) in enumerate(zip(sources, _quotas(sources), strict=True)):
        position = epoch * quota + np.arange(quota * share // num_consumers, quota * (share + 1) // num_consumers)
        pass_number, offset = np.divmod(position, source.num_clips)
        clip = np.empty(len(position), dtype=np.int64)
        for number in np.unique(pass_number):
            order = _pass_order(source.table, (seed, index, int(number)), shuffle)
            chosen = pass_number == number
            clip[chosen] = order[offset[chosen]]
        if shuffle and source.table.block_of_clip is not None:
            window = min(settings.buffer_clips, source.table.buffer_limit)
            generator = np.random.default_rng((_BUFFER, seed, index, epoch, consumer))
            mixed = np.argsort(np.arange(len(clip)) // window + generator.random(len(clip)))
            clip, pass_number = clip[mixed], pass_number[mixed]
        labels.append(np.full(len(clip), index))
        clips.append(clip)
        passes.append(pass_number)
    label = np.concatenate(labels)
    if shuffle:
        label = np.random.default_rng((_MIXTURE, seed, epoch, consumer)).permutation(label)
    plan = EpochPlan(label, np.empty(len(label), np.int64), np.empty(len(label), np.int64))
    for index in range(len(sources)):
        plan.clip[label == index] = clips[index]
        plan.pass_number[label == index] = passes[index]
    return plan


def _quotas(sources: Sequence[Source]) -> list[int]:
    """The number of clips of each source in an epoch, which is as long as all sources together."""
    clips = [source.num_clips for source in sources]
    weights = [source.weight for source in sources if source.weight is not None]
    return [max(1, round(sum(clips) * weight / sum(weights))) for weight in weights] or clips


def _pass_order(table: ClipTable, key: tuple[int, int, int], shuffle: bool) -> np.ndarray:
    """One pass over a table: blocks in random order, clips in random order within their block."""
    if not shuffle:
        return np.arange(table.num_clips)
    generator = np.random.default_rng((_PASS, *key))
    if table.block_of_clip is None:
        return generator.permutation(table.num_clips)
    rank_of_block = generator.permutation(int(table.block_of_clip[-1]) + 1)
    return np.argsort(rank_of_block[table.block_of_clip] + generator.random(table.num_clips))
