"""Between this project's checkpoints and everyone else's: reference weights in, the Hub out.

The names below are imported when first used, so that importing the package costs nothing.
"""

import importlib

_MODULE_OF = {
    "load_fairseq_weights": "musicssl.hub.fairseq",
}

__all__ = list(_MODULE_OF)


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULE_OF[name]), name)
