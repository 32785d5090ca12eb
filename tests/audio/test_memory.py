"""An hour of audio at full speed needs no more memory than half an hour."""

import json
import subprocess
import sys

from musicssl.audio.write import write_audio

from .conftest import tone
from .test_sources import write_parquet

STREAM_AN_HOUR = """
import json, resource, sys
from musicssl.audio.crops import StreamSettings
from musicssl.audio.loader import CropLoader
from musicssl.audio.sources import parse_sources

loader = CropLoader(parse_sources(sys.argv[1:]), StreamSettings(crop_seconds=5.0), batch_size=8)
seconds, peaks = 0.0, []
for batch in loader:
    seconds += batch["waveform"].numel() / 16000
    if seconds >= 1800 * (len(peaks) + 1):
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    if len(peaks) == 2:
        break
print(json.dumps(peaks))
"""


def test_memory_is_constant_over_an_hour(tmp_path):
    paths = []
    for index in range(12):
        paths.append(str(tmp_path / "folder" / f"clip{index}.{'flac' if index % 2 else 'ogg'}"))
        (tmp_path / "folder").mkdir(exist_ok=True)
        write_audio(paths[-1], tone(20, seed=index), 16000)
    write_parquet(tmp_path / "shards", paths, shards=3)
    command = [sys.executable, "-c", STREAM_AN_HOUR, str(tmp_path / "folder"), str(tmp_path / "shards")]
    middle, end = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert end <= 1.05 * middle
