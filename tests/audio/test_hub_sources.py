"""Data sets on the Hub are streamed in place: found by `datasets`, read by range requests."""

import json
import os
import subprocess
import sys

import pytest

from .conftest import write_clips
from .dataset_hub import serve
from .test_sources import write_parquet, write_tars

STREAM = """
import json, sys
from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader, Workers
from musicssl.audio.sources import parse_sources

answer = {}
for name in sys.argv[1:]:
    settings = StreamSettings(crop_seconds=0.5, min_seconds=0.5, epochs=1)
    batches = list(CropLoader(parse_sources([name]), settings, batch_size=4, workers=Workers(1)))
    answer[name] = sorted(clip_id for batch in batches for clip_id in batch["clip_id"])
print(json.dumps(answer))
"""


@pytest.fixture
def hub(tmp_path):
    paths = write_clips(tmp_path / "clips", 9)
    write_parquet(tmp_path / "parquet" / "data", paths)
    write_parquet(tmp_path / "parquet" / "data", paths[:2], "validation", shards=1)
    write_tars(tmp_path / "tars", paths)
    write_clips(tmp_path / "files" / "train", 3)
    server = serve({"someone/shards": tmp_path / "parquet", "someone/tars": tmp_path / "tars",
                    "someone/files": tmp_path / "files"})  # fmt: skip
    yield server
    server.shutdown()


def test_hub_data_sets_of_every_layout(hub, tmp_path):
    names = [f"someone/{name}" for name in ("shards", "shards:validation", "shards:default:train", "tars", "files")]
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-c", STREAM, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    all_clips = [f"clip{index:03}.wav" for index in range(9)]
    assert answer["someone/shards"] == answer["someone/shards:default:train"] == all_clips
    assert answer["someone/shards:validation"] == all_clips[:2]
    assert [name.split("/")[-1] for name in answer["someone/files"]] == all_clips[:3]
    assert sorted(name.split("/")[-1] for name in answer["someone/tars"]) == all_clips
    assert not list((tmp_path / "home").rglob("*.wav")) and not list((tmp_path / "home").rglob("*.parquet"))
