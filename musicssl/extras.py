"""Packages that only one command needs: the extras of setup.cfg."""

import importlib.util

from musicssl.errors import UserError


def require(extra: str, what: str, *packages: str) -> None:
    """Raise UserError, with the `pip install` that helps, when one of the packages is not installed.

    Args:
        extra: the extra of setup.cfg that installs the packages.
        what: what needs them, such as "ONNX export".
    """
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        raise UserError(f'{what} needs {", ".join(missing)}: pip install "music2vec-musichubert[{extra}]"')
