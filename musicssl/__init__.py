"""Pre-train, probe, use and publish self-supervised music models: music2vec and musicHuBERT.

    from musicssl import pretrain, probe, extract

Each is imported when it is first used: `import musicssl` loads no torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from musicssl.commands.pretrain import pretrain
    from musicssl.features.extract import extract
    from musicssl.probing.probe import probe

    __version__: str

__all__ = ["__version__", "extract", "pretrain", "probe"]

_HOMES = {
    "extract": "musicssl.features.extract",
    "pretrain": "musicssl.commands.pretrain",
    "probe": "musicssl.probing.probe",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _version() -> str:
    """The version in setup.cfg, as installed; "0+unknown" in a checkout that is not installed."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("music2vec-musichubert")
    except PackageNotFoundError:
        return "0+unknown"
