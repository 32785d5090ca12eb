"""Errors that are the user's to mend: shown as one line, never as a traceback."""

import sys
from collections.abc import Callable, Sequence

from musichubert.errors import LabelError


class UserError(Exception):
    """Something the user gave cannot be used; the message names the flag, file or field and says the fix."""


USER_ERRORS = (UserError, LabelError)


def run_as_command(main: Callable[[Sequence[str] | None], int | None], arguments: Sequence[str] | None = None) -> int:
    """Run `main(arguments)`; print a user's error as one line on standard error.

    Returns:
        The exit status: what `main` returned (None counts as 0), 2 after a user error, 130 after Ctrl-C.
    """
    try:
        return main(arguments) or 0
    except USER_ERRORS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
