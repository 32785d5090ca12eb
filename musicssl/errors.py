"""Errors that the user can fix: shown as one line, never as a traceback."""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path


class UserError(Exception):
    """Something that the user gave cannot be used; the message names the flag, file or field, and the fix."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type when it has none; libraries append pages of advice."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def user_errors() -> tuple[type[Exception], ...]:
    """The exceptions that the user can fix: `UserError` and `LabelError`.

    `LabelError` is looked up among the modules already imported: `musichubert` loads torch, which `musicssl --help`
    must not.
    """
    labels = sys.modules.get("musichubert.errors")
    return (UserError, labels.LabelError) if labels else (UserError,)


def _cannot_write(error: OSError) -> str | None:
    """One line for a file or folder that cannot be written; None for any other error."""
    making = traceback.extract_tb(error.__traceback__)[-1].name in ("mkdir", "makedirs")
    kinds = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)
    if error.errno not in (*kinds, errno.ENOENT, errno.ENOTDIR, errno.EEXIST) or not (making or error.errno in kinds):
        return None
    reason = os.strerror(error.errno).lower()
    if error.filename is None:
        return f"the output cannot be written ({reason}); choose another folder"
    path = Path(os.fsdecode(error.filename))
    if path.is_file() and not os.access(path, os.R_OK):
        return f"{path}: cannot be read ({reason}); change its permissions"
    # Files are written aside under hidden names; the user knows the folder.
    hidden = [part for part in (path, *path.parents) if part.name.endswith(".partial")]
    return f"{hidden[-1].parent if hidden else path}: cannot be written ({reason}); choose another folder"


def run_as_command(main: Callable[[Sequence[str] | None], int | None], arguments: Sequence[str] | None = None) -> int:
    """Run `main(arguments)`; print an error that the user can fix as one line on standard error.

    Returns:
        The exit status: what `main` returned (None counts as 0), 2 after a user error, 130 after Ctrl-C.
    """
    try:
        return main(arguments) or 0
    except user_errors() as error:  # evaluated only when something was raised
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        message = _cannot_write(error)
        if message is None:
            raise
        print(f"error: {message}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
