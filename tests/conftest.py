"""What every test shares: one thread per process (two test workers share two cores) and no network."""

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import pytest  # noqa: E402
import torch  # noqa: E402

pytest_plugins = ["hub_fixtures", "small_runs"]

ROOT = Path(__file__).resolve().parents[1]
MUSIC = ROOT.parent / "shared" / "music"

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def music_root() -> Path:
    """The openly licensed music beside the checkout; tests marked `real_music` are skipped without it."""
    if not MUSIC.is_dir():
        pytest.skip(f"no music at {MUSIC}")
    return MUSIC


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The checkout, from which scripts and recipes are run."""
    return ROOT
