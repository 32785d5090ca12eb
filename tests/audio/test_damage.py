"""A collection with damage in it: the damaged clips are on record, everything else is streamed."""

import json
import multiprocessing
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from musicssl.audio.bad_files import BadFiles
from musicssl.audio.clips import iterate_clips
from musicssl.audio.crops import StreamSettings
from musicssl.audio.decode import BadAudio
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import parse_sources
from musicssl.audio.write import write_audio
from musicssl.errors import UserError

from .conftest import tone, write_clips

DAMAGE = {
    "empty": "empty file",
    "truncated_header": "not readable as audio",
    "truncated_data": "truncated",
    "text": "not readable as audio",
    "nan": "NaN or infinite",
    "silent": "silent",
    "zero_channels": "not readable as audio",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """200 files, 7 of them damaged in 7 ways."""
    folder = tmp_path_factory.mktemp("damaged")
    write_clips(folder, 193, seconds=0.5)
    good = (folder / "clip000.wav").read_bytes()
    samples = tone(0.5, seed=7)
    samples[5000] = np.nan
    contents = {
        "empty": b"",
        "truncated_header": good[:30],
        "truncated_data": good[: len(good) // 2],
        "text": b"not audio at all\n" * 100,
        "zero_channels": good[:22] + b"\0\0" + good[24:],
    }
    for name, content in contents.items():
        (folder / f"{name}.wav").write_bytes(content)
    write_audio(folder / "nan.wav", samples, 16000, subtype="FLOAT")
    write_audio(folder / "silent.wav", np.zeros(8000, np.float32), 16000)
    return folder


@pytest.mark.parametrize("num_workers", [0, 2])
def test_seven_of_two_hundred_are_on_record_and_nothing_else_is_missing(folder, tmp_path, num_workers):
    settings = StreamSettings(crop_seconds=0.2, min_seconds=0.2, epochs=2, max_bad_fraction=0.05)
    listed = tmp_path / "bad_files.jsonl"
    seen = []
    for rank in range(2):  # as two processes would, with one record
        loader = CropLoader(parse_sources([str(folder)]), settings, 8, rank, 2, Workers(num_workers), bad_files=listed)
        for batch in loader:
            seen += zip(batch["clip_id"], batch["clip_epoch"].tolist(), strict=True)
    good = {path.name for path in folder.iterdir()} - {f"{name}.wav" for name in DAMAGE}
    assert sorted(seen) == sorted((name, epoch) for name in good for epoch in range(2))
    rows = [json.loads(line) for line in listed.read_text().splitlines()]
    assert len(rows) == 7
    reasons = {Path(row["path"]).stem: row["reason"] for row in rows}
    assert set(reasons) == set(DAMAGE)
    assert all(DAMAGE[name] in reason for name, reason in reasons.items())


def test_too_much_damage_stops_the_stream_with_the_list(folder, tmp_path):
    settings = StreamSettings(crop_seconds=0.2, min_seconds=0.2, epochs=1)
    loader = CropLoader(parse_sources([str(folder)]), settings, 8, bad_files=tmp_path / "bad_files.jsonl")
    message = r"5 of 200 clips are damaged, more than --max_bad_fraction 0\.02.* the list is .*bad_files\.jsonl"
    with pytest.raises(UserError, match=message):
        list(loader)


def test_whole_clips_skip_the_same_damage(folder, tmp_path):
    bad_files = BadFiles(tmp_path / "bad_files.jsonl")
    names = [clip_id for clip_id, _ in iterate_clips(parse_sources([str(folder)]), bad_files=bad_files)]
    assert len(names) == 193 and bad_files.num_damaged == 7


def test_a_clip_is_recorded_once_however_many_processes_meet_it(tmp_path):
    records = [BadFiles(tmp_path / "bad.jsonl") for _ in range(3)]
    for record in records:
        record.record([BadAudio("a.wav", "empty file"), BadAudio("a.wav", "again")])
    assert len((tmp_path / "bad.jsonl").read_text().splitlines()) == 1
    assert BadFiles(tmp_path / "bad.jsonl").num_damaged == 1


def _record_fifty(path: Path) -> None:
    record = BadFiles(path)
    for index in range(50):
        record.record([BadAudio(f"{index}.wav", "empty file")])


def test_processes_that_record_at_the_same_time_write_whole_lines_once(tmp_path):
    path = tmp_path / "bad.jsonl"
    processes = [multiprocessing.get_context("spawn").Process(target=_record_fifty, args=(path,)) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    rows = [json.loads(line)["path"] for line in path.read_text().splitlines()]
    assert sorted(rows) == sorted(f"{index}.wav" for index in range(50))


def test_the_audio_package_needs_no_unix_module():
    blocked = "import sys; sys.modules['fcntl'] = None; import musicssl.audio.loader, musicssl.audio.prepare"
    subprocess.run([sys.executable, "-W", "ignore", "-c", blocked], check=True)


def test_a_silent_stretch_is_not_a_damaged_clip(tmp_path):
    samples = np.concatenate([np.zeros(160_000, np.float32), tone(1.0)])
    write_audio(tmp_path / "late.wav", samples, 16000)
    settings = StreamSettings(crop_seconds=0.5, min_seconds=0.5, epochs=20, max_bad_fraction=0)
    batches = list(CropLoader(parse_sources([str(tmp_path)]), settings, 1))
    assert len(batches) == 20
    sounding = sum(bool(batch["waveform"].abs().max() > 1e-3) for batch in batches)
    assert sounding > 4  # far more often than the 13% of crops that touch the music
