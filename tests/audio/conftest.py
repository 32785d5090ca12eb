"""Audio that the tests write themselves."""

from pathlib import Path

import numpy as np
import pytest

from musicssl.audio.write import write_audio


def tone(seconds: float, sampling_rate: int = 16000, seed: int = 0, channels: int = 1) -> np.ndarray:
    """A tone in noise, different for each seed: (N,) or (N, channels) float32."""
    generator = np.random.default_rng(seed)
    frames = round(seconds * sampling_rate)
    time = np.arange(frames)[:, None] / sampling_rate
    samples = 0.3 * np.sin(2 * np.pi * generator.uniform(100, 2000, channels) * time)
    samples = (samples + 0.05 * generator.standard_normal((frames, channels))).astype(np.float32)
    return samples[:, 0] if channels == 1 else samples


def write_clips(folder: Path, count: int, seconds: float = 1.0, extension: str = ".wav", first: int = 0) -> list[str]:
    """Write `count` short clips and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index in range(first, first + count):
        path = folder / f"clip{index:03}{extension}"
        write_audio(path, tone(seconds, seed=index), 16000)
        paths.append(str(path))
    return paths


FORMATS = {".wav": 44100, ".flac": 44100, ".ogg": 44100, ".opus": 48000, ".mp3": 44100, ".aiff": 22050, ".au": 22050}


@pytest.fixture(scope="session")
def stereo_files(tmp_path_factory) -> dict[str, Path]:
    """A 12-second stereo clip in each format."""
    folder = tmp_path_factory.mktemp("formats")
    paths = {}
    for extension, rate in FORMATS.items():
        paths[extension] = folder / f"clip{extension}"
        write_audio(paths[extension], tone(12, rate, seed=1, channels=2), rate)
    return paths
