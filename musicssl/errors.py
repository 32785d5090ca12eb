"""Errors that the user can fix: shown as one line, never as a traceback."""

import sys
from collections.abc import Callable, Sequence


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
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
