"""`musicssl scan` and `musicssl prepare`, as a user runs them."""

import json
import os
import signal
import subprocess
import sys
import time

import datasets
import numpy as np
import pytest

from musicssl.audio.crops import StreamSettings
from musicssl.audio.decode import load_audio
from musicssl.audio.loader import CropLoader
from musicssl.audio.prepare import ClipSettings, prepare, split_tracks
from musicssl.audio.sources import parse_sources
from musicssl.audio.write import write_audio
from musicssl.commands.main import main
from musicssl.errors import UserError

from .conftest import tone, write_clips


@pytest.fixture(scope="module")
def tracks(tmp_path_factory):
    """Eight stereo tracks of 2 to 5.5 s at 22.05 kHz, one of them damaged, and one copy."""
    folder = tmp_path_factory.mktemp("tracks")
    for index in range(8):
        write_audio(folder / f"track{index}.flac", tone(2 + index / 2, 22050, index, channels=2), 22050)
    (folder / "copy.flac").write_bytes((folder / "track3.flac").read_bytes())
    (folder / "broken.flac").write_bytes((folder / "track1.flac").read_bytes()[:9000])
    return folder


def test_scan_reports_what_there_is(tracks, tmp_path, capsys):
    assert main(["scan", str(tracks), "--output", str(tmp_path / "scan.json"), "--num_workers", "0"]) == 0
    report = json.loads((tmp_path / "scan.json").read_text())
    assert (report["clips"], report["usable_clips"]) == (10, 9)
    assert report["sampling_rates"] == {"22050": 9} and report["channels"] == {"2": 9}
    assert report["formats"] == {"FLAC PCM_16": 9}
    assert report["hours"] * 3600 == pytest.approx(sum(2 + i / 2 for i in range(8)) + 3.5, abs=0.01)
    assert [row["path"].rsplit("/")[-1] for row in report["damaged"]] == ["broken.flac"]
    assert [sorted(path.rsplit("/")[-1] for path in group) for group in report["duplicates"]] == [
        ["copy.flac", "track3.flac"]
    ]
    printed = capsys.readouterr().out
    assert "clips" in printed and "broken.flac" in printed and "22050 (9)" in printed


def test_prepared_shards_load_with_datasets_and_stream(tracks, tmp_path, capsys):
    out = tmp_path / "prepared"
    command = ["prepare", str(tracks), "--output_dir", str(out), "--clip_seconds", "1.5", "--min_seconds", "0.5"]
    assert main([*command, "--validation_fraction", "0.25", "--shard_megabytes", "0.1", "--num_workers", "2"]) == 0
    assert "1 damaged" in capsys.readouterr().out
    data = datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache")).cast_column(
        "audio", datasets.Audio(decode=False)
    )
    assert set(data) == {"train", "validation"}
    assert not set(data["train"]["track_id"]) & set(data["validation"]["track_id"])
    assert len(set(data["train"]["track_id"]) | set(data["validation"]["track_id"])) == 9
    assert len(list((out / "data").glob("train-*.parquet"))) > 2
    for row in data["train"]:
        samples = load_audio(row["audio"]["bytes"])
        whole = load_audio(tracks / row["track_id"])
        start = round(row["start_seconds"] * 16000)
        np.testing.assert_allclose(samples, whole[start : start + len(samples)], atol=1 / 32768)
        assert row["duration_seconds"] == len(samples) / 16000 and 0.5 <= row["duration_seconds"] <= 1.5
        assert row["mean"] == pytest.approx(samples.mean(), abs=1e-6)
        assert row["std"] == pytest.approx(samples.std(), rel=1e-5)
    settings = StreamSettings(crop_seconds=1.0, min_seconds=1.0, epochs=1)
    batches = list(CropLoader(parse_sources([f"{out}:train"]), settings, batch_size=4))
    seen = [clip_id for batch in batches for clip_id in batch["clip_id"]]
    assert sorted(seen) == sorted(row["clip_id"] for row in data["train"] if row["duration_seconds"] >= 1)
    assert all(batch["clip_std"].gt(0).all() for batch in batches)
    assert main([*command, "--validation_fraction", "0.5"]) == 2
    assert "was begun with validation_fraction 0.25, not 0.5" in capsys.readouterr().err


def test_a_killed_job_goes_on_where_it_was(tmp_path):
    write_clips(tmp_path / "tracks", 40, seconds=4.0)
    out = tmp_path / "killed"
    arguments = ["--clip_seconds", "2", "--shard_megabytes", "0.5", "--num_workers", "2"]
    command = ["prepare", str(tmp_path / "tracks"), "--output_dir", str(out), *arguments]
    line = [sys.executable, "-m", "musicssl", *command]
    job = subprocess.Popen(line, stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(out.glob("data/*.parquet"))) < 3:
        assert job.poll() is None
        time.sleep(0.002)
    os.killpg(job.pid, signal.SIGKILL)  # its workers too
    job.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in out.glob("data/*.parquet")}
    assert main(command) == 0
    noted = json.loads((out / "prepare.json").read_text())
    assert noted["is_done"] and not list(out.glob("data/*.tmp"))
    kept = [path for path, time_then in finished.items() if (out / "data" / path).stat().st_mtime_ns == time_then]
    assert len(kept) >= len(finished) - 1  # a shard may be renamed a moment before it is noted
    straight = tmp_path / "straight"
    prepare(parse_sources([str(tmp_path / "tracks")]), straight, ClipSettings(clip_seconds=2.0), shard_bytes=500_000)
    for path in sorted(straight.glob("data/*.parquet")):
        assert path.read_bytes() == (out / "data" / path.name).read_bytes()


def test_validation_tracks_do_not_depend_on_order_and_stay_when_tracks_are_added():
    ids = [f"track{index}" for index in range(200) for _ in range(3)]
    chosen = set(np.array(ids)[split_tracks(ids, 0.1)])
    assert len(chosen) == 20 and set(np.array(ids[::-1])[split_tracks(ids[::-1], 0.1)]) == chosen
    more = ids + [f"new{index}" for index in range(20)]
    assert len(chosen - set(np.array(more)[split_tracks(more, 0.1)])) <= 4
    assert not split_tracks(ids, 0).any() and split_tracks(["a", "b"], 0.01).sum() == 1


def test_an_unrelated_folder_is_not_written_to(tracks, tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match="is not empty and holds no interrupted job"):
        prepare(parse_sources([str(tracks)]), tmp_path, ClipSettings())
