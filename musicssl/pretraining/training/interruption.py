"""SIGTERM (preemption) and Ctrl-C ask for a checkpoint and a clean end; a second Ctrl-C ends at once."""

import signal
import time
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT)
# One Ctrl-C reaches a process twice: from the terminal, and passed on by the launcher.
SAME_KEYSTROKE_SECONDS = 2.0


class StopRequest:
    """A context in which SIGTERM and SIGINT are recorded instead of ending the process."""

    def __init__(self) -> None:
        self.received: str | None = None
        self._received_at = 0.0
        self._previous: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        self._previous = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.received is None:
            self.received, self._received_at = signal.Signals(number).name, time.monotonic()
        elif number == signal.SIGINT and time.monotonic() - self._received_at > SAME_KEYSTROKE_SECONDS:
            raise KeyboardInterrupt
