"""Publish and use models: the Hub's tree and card, features, neighbours, conversion and export."""

import importlib

_HOMES = {
    "BackgroundPusher": "push",
    "assemble": "save",
    "load_fairseq_weights": "fairseq",
    "push_directory": "push",
    "save_for_hub": "save",
    "write_card": "card",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    # Imported when asked for: a push needs no model, and `musicssl --help` must not load torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
