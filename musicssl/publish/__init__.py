"""Publish a model: the tree on the Hub, its card from measured numbers, the push."""

import importlib

_HOMES = {
    "BackgroundPusher": "push",
    "assemble": "tree",
    "push_directory": "push",
    "save_for_hub": "tree",
    "write_card": "card",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    # Imported when asked for: a push needs no model, and `musicssl --help` must not load torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
