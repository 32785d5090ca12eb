"""Each clip exactly once per epoch, over ranks, workers and shards; orders are seeded and never repeat."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from musicssl.audio.crops import StreamSettings
from musicssl.audio.order import plan_epoch
from musicssl.audio.sources import parse_sources

from .conftest import tone
from .test_sources import encoded


@pytest.fixture(scope="module", params=[1, 2, 5])
def sharded(tmp_path_factory, request):
    """31 clips in 1, 2 or 5 parquet shards with row groups of 4."""
    folder = tmp_path_factory.mktemp(f"shards{request.param}")
    rows = [{"clip_id": f"clip{i}", "audio": {"bytes": encoded(tone(0.3, seed=i)), "path": None}} for i in range(31)]
    for shard in range(request.param):
        table = pa.Table.from_pylist(rows[shard :: request.param])
        pq.write_table(table, folder / f"{shard}.parquet", row_group_size=4)
    return parse_sources([str(folder)])


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_each_clip_once_per_epoch(sharded, ranks, workers):
    consumers = ranks * max(1, workers)

    def order(epoch: int, seed: int = 0, buffer_clips: int = 8) -> list[list[int]]:
        settings = StreamSettings(seed=seed, buffer_clips=buffer_clips)
        plans = (plan_epoch(sharded, settings, epoch, c, consumers) for c in range(consumers))
        return [plan.clip.tolist() for plan in plans]

    orders = [order(epoch) for epoch in range(4)]
    for shares in orders:
        assert sorted(sum(shares, [])) == list(range(31))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert len({str(shares) for shares in orders}) == 4
    assert order(2) == orders[2] and order(2, seed=1) != orders[2]


def test_row_groups_are_read_once_per_pass(sharded, monkeypatch):
    table = sharded[0].table
    groups = []
    read = table._read_group
    monkeypatch.setattr(table, "_read_group", lambda block: groups.append(block) or read(block))
    plan = plan_epoch(sharded, StreamSettings(buffer_clips=8), 0)
    clip_ids = [clip.clip_id for clip in table.fetch(plan.clip)]
    assert len(set(clip_ids)) == 31 and len(groups) == len(set(groups))
    assert plan.clip.tolist() != sorted(plan.clip.tolist())


def test_weights_decide_shares_and_each_source_is_passed_evenly(sharded):
    mixture = [replace(sharded[0], weight=0.75), replace(sharded[0], weight=0.25)]
    plans = [plan_epoch(mixture, StreamSettings(), epoch, c, 3) for epoch in range(8) for c in range(3)]
    source = np.concatenate([plan.source for plan in plans])
    clip = np.concatenate([plan.clip for plan in plans])
    assert abs((source == 0).mean() - 0.75) < 0.02
    for index in (0, 1):
        counts = np.bincount(clip[source == index], minlength=31)
        assert counts.max() - counts.min() <= 1
