"""The labels of musicHuBERT: features of audio, k-means, codebooks, labels computed for each crop or stored."""

import importlib

_HOMES = {
    "Codebook": "codebook",
    "Labeller": "labeller",
    "LayerFeatures": "layer_features",
    "fit_codebook": "codebook",
    "prepare_labeller": "fitting",
}
__all__ = list(_HOMES)


def __getattr__(name: str):
    # Imported when used: `musicssl --help` must load neither torch nor faiss.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
