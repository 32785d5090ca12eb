"""Very small runs for the tests of pre-training: seconds of music-like tones, models of a few thousand weights."""

import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from musicssl.pretraining.arguments import Arguments
from musicssl.pretraining.parsing import parse_arguments

MODEL = shlex.split(
    "--model_config hidden_size=32 num_hidden_layers=2 num_attention_heads=2 intermediate_size=48 "
    "num_conv_pos_embedding_groups=4 layerdrop=0.0 conv_dim=[8,8,8,8,8,8,8]"
)
BASE = {
    "music2vec": ["--config", "recipes/music2vec_tiny.yaml", *MODEL],
    "musichubert": ["--config", "recipes/musichubert_tiny.yaml", *MODEL, "projection_dim=16"],
}
OPTIONS = {
    "musichubert": ["--num_clusters", "8", "--warmup_updates", "2"],
    "music2vec": [],
}


def write_tones(folder: Path, clips: int, seconds: float = 2.0, seed: int = 0) -> Path:
    """Clips of two changing notes and some noise, 16 kHz mono."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    time = np.arange(int(seconds * 16000)) / 16000
    for number in range(clips):
        notes = 220 * 2 ** (generator.integers(0, 24, (2, 4)) / 12)
        which = np.minimum((time * 4 / seconds).astype(int), 3)
        wave = np.sin(2 * np.pi * notes[:, which] * time).sum(0) * 0.2 + 0.01 * generator.standard_normal(len(time))
        soundfile.write(folder / f"tone-{number:02d}.wav", wave, 16000)
    return folder


@pytest.fixture
def make_tones() -> Callable[..., Path]:
    """make_tones(folder, clips, seconds=2.0, seed=0)"""
    return write_tones


@pytest.fixture(scope="session")
def tones(tmp_path_factory) -> Path:
    """A folder of 12 clips of 2 s."""
    return write_tones(tmp_path_factory.mktemp("audio") / "tones", 12)


def flags_of_small_run(model: str, tones: Path, output_dir: Path, *more: object) -> list[str]:
    """The command line of a run of two clips of one second per update."""
    flags = [*BASE[model], *OPTIONS[model], "--train_data", tones, "--output_dir", output_dir]
    flags += shlex.split("--crop_seconds 1 --min_seconds 1 --audio_seconds_per_update 2 --max_updates 6 --log_every 2")
    return [str(flag) for flag in (*flags, "--checkpoint_every", 3, *more)]


@pytest.fixture
def small_run(tones, project_root, monkeypatch) -> Callable[..., Arguments]:
    """Arguments of a small run: small_run(model, output_dir, more flags...)."""
    monkeypatch.chdir(project_root)

    def arguments(model: str, output_dir: Path, *more: object) -> Arguments:
        return parse_arguments(flags_of_small_run(model, tones, output_dir, *more))[0]

    return arguments
