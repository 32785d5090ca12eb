"""What is not in a folder here may be on the Hub: say so, and look for it without a page of retries."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from musicssl.errors import UserError


def check_hub_id(name: str, given: str) -> None:
    """Raise UserError when `name`, which is not here, cannot be a Hub id; `given` is what the message names."""
    first, slash, _ = name.partition("/")
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or (slash and os.path.isdir(first)):
        raise UserError(f"{given}: no such file or folder")


@contextmanager
def looking_on_the_hub(name: str, given: str) -> Iterator[None]:
    """Check and announce that `name` is looked for on the Hub; the block runs without the log of retries."""
    check_hub_id(name, given)
    print(f"{name}: no such file or folder here; looking for it on the Hub", file=sys.stderr)
    loggers = [logging.getLogger(library) for library in ("huggingface_hub", "httpx")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
