"""Publish a model: the repository on the Hub, its card from measured numbers, the push."""

import importlib

_HOMES = {
    "BackgroundPusher": "musicssl.publish.push",
    "assemble": "musicssl.publish.tree",
    "push_directory": "musicssl.publish.push",
    "save_for_hub": "musicssl.model_files",
    "write_card": "musicssl.publish.card",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    # Imported when asked for: a push needs no model, and `musicssl --help` must not load torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
