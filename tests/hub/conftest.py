"""A loopback Hub for the tests that push and load by id."""

import huggingface_hub.constants
import pytest
from hub_server import TOKEN, HubServer


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A running loopback Hub that this process's `huggingface_hub` speaks to, signed in."""
    with HubServer(tmp_path / "hub") as server:
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        for name, value in {
            "ENDPOINT": server.url,
            "HUGGINGFACE_CO_URL_TEMPLATE": server.url + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_OFFLINE": False,
            "HF_HUB_DISABLE_XET": True,  # the loopback speaks git-LFS, the protocol Xet falls back to
            "HF_HUB_CACHE": str(tmp_path / "cache"),
        }.items():
            monkeypatch.setattr(huggingface_hub.constants, name, value)
        yield server
