"""Each clip once per epoch over ranks and workers; the state is exact while workers run."""

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from musicssl.audio.crops import StreamSettings
from musicssl.audio.decode import load_audio
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import parse_sources
from musicssl.audio.write import write_audio
from musicssl.errors import UserError

from .conftest import tone, write_clips

SETTINGS = StreamSettings(crop_seconds=0.25, min_seconds=0.2, seed=3)


def digests(batches) -> list[str]:
    """A hash of all that is in each batch."""
    return [
        hashlib.sha256(
            batch["waveform"].numpy().tobytes() + repr((batch["clip_id"], batch["start_sample"].tolist())).encode()
        ).hexdigest()
        for batch in batches
    ]


def take(loader: CropLoader, count: int) -> list[dict]:
    batches = []
    for batch in loader:
        batches.append(batch)
        if len(batches) == count:
            break
    return batches


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("clips")
    write_clips(path, 23, seconds=0.6)
    return path


@pytest.mark.parametrize("num_workers", [0, 2])
def test_crops_are_slices_of_their_clips(folder, num_workers):
    loader = CropLoader(parse_sources([str(folder)]), SETTINGS, batch_size=4, workers=Workers(num_workers))
    for batch in take(loader, 6):
        assert batch["waveform"].shape == (4, 4000) and batch["waveform"].dtype == torch.float32
        assert batch["start_sample"].dtype == torch.int64 and batch["clip_mean"].isnan().all()
        for row, clip_id, start in zip(batch["waveform"], batch["clip_id"], batch["start_sample"], strict=True):
            whole = load_audio(folder / clip_id)
            assert np.array_equal(row.numpy(), whole[start : start + 4000])


def test_resume_is_exact_twice_with_workers(folder):
    def loader():
        return CropLoader(parse_sources([str(folder)]), SETTINGS, batch_size=4, workers=Workers(3, prefetch_factor=2))

    whole = digests(take(loader(), 25))
    assert len(set(whole)) == 25
    first = loader()
    parts = digests(take(first, 7))
    for count in (9, 9):
        state = json.loads(json.dumps(first.state_dict()))
        first = loader()
        first.load_state_dict(state)
        parts += digests(take(first, count))
    assert parts == whole


def test_resume_does_not_read_consumed_clips(folder, monkeypatch):
    sources = parse_sources([str(folder)])
    loader = CropLoader(sources, SETTINGS, batch_size=2)
    consumed = [clip for batch in take(loader, 8) for clip in batch["clip_id"]]
    state = loader.state_dict()
    seen = []
    fetch = sources[0].table.fetch
    monkeypatch.setattr(sources[0].table, "fetch", lambda indices: (seen.append(c) or c for c in fetch(indices)))
    resumed = CropLoader(sources, SETTINGS, batch_size=2)
    resumed.load_state_dict(state)
    take(resumed, 3)
    assert not {clip.clip_id for clip in seen} & set(consumed)


def test_changed_run_is_refused_with_the_reason(folder):
    sources = parse_sources([str(folder)])
    loader = CropLoader(sources, SETTINGS, batch_size=4)
    take(loader, 2)
    with pytest.raises(UserError, match="number of processes was 1 and is 2"):
        CropLoader(sources, SETTINGS, 4, world_size=2).load_state_dict(loader.state_dict())
    with pytest.raises(UserError, match="--num_workers was 0 and is 2"):
        CropLoader(sources, SETTINGS, 4, workers=Workers(2)).load_state_dict(loader.state_dict())


def test_short_clips_are_dropped_or_come_whole(tmp_path):
    for name, seconds in {"a": 0.1, "b": 0.22, "c": 0.22, "d": 0.6, "e": 0.6}.items():
        write_audio(tmp_path / f"{name}.wav", tone(seconds), 16000)
    sources = parse_sources([str(tmp_path)])

    def lengths(short_clips: str) -> Counter:
        settings = StreamSettings(crop_seconds=0.25, min_seconds=0.2, short_clips=short_clips, epochs=1)
        loader = CropLoader(sources, settings, batch_size=2, bad_files=tmp_path / f"{short_clips}.jsonl")
        return Counter(tuple(batch["waveform"].shape) for batch in loader)

    assert lengths("drop") == {(2, 4000): 1}
    assert lengths("own_length") == {(2, 4000): 1, (2, 3520): 1}
    rows = [json.loads(line) for line in (tmp_path / "own_length.jsonl").read_text().splitlines()]
    assert [(Path(row["path"]).name, row["kind"]) for row in rows] == [("a.wav", "short")]
    assert "0.10 s is shorter than min_seconds 0.2" in rows[0]["reason"]


def test_nothing_usable_is_an_error(tmp_path):
    write_clips(tmp_path, 3, seconds=0.1)
    sources = parse_sources([str(tmp_path)])
    loader = CropLoader(sources, SETTINGS, 2, workers=Workers(2), bad_files=tmp_path / "bad.jsonl")
    with pytest.raises(UserError, match=r"none of 3 clips can be used: 3 are too short.*bad\.jsonl"):
        take(loader, 1)


def test_aligned_starts(folder):
    settings = StreamSettings(crop_seconds=0.25, min_seconds=0.2, start_multiple=320)
    loader = CropLoader(parse_sources([str(folder)]), settings, batch_size=8)
    starts = torch.cat([batch["start_sample"] for batch in take(loader, 6)])
    assert (starts % 320 == 0).all() and len(set(starts.tolist())) > 5


@pytest.mark.parametrize(("ranks", "workers"), [(1, 0), (2, 1), (3, 2), (2, 3)])
def test_each_clip_once_per_epoch_through_worker_processes(folder, ranks, workers):
    settings = StreamSettings(crop_seconds=0.25, min_seconds=0.2, epochs=2)

    def run() -> list[list[tuple[str, int, int]]]:
        sources = parse_sources([str(folder)])
        loaders = [CropLoader(sources, settings, 4, rank, ranks, Workers(workers)) for rank in range(ranks)]
        return [
            list(zip(batch["clip_id"], batch["clip_epoch"].tolist(), batch["start_sample"].tolist(), strict=True))
            for loader in loaders
            for batch in loader
        ]

    batches = run()
    seen = [(clip_id, epoch) for batch in batches for clip_id, epoch, _ in batch]
    names = sorted(path.name for path in folder.iterdir())
    assert sorted(seen) == [(name, epoch) for name in names for epoch in range(2)]
    assert [name for name, epoch in seen if epoch == 0] != [name for name, epoch in seen if epoch == 1]
    assert run() == batches
